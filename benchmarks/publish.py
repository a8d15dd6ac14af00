"""`make bench-publish`: what the issue of a release promises, in one go: claims, macros, explorer, and two builds byte for byte.

python -m benchmarks.publish
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import claims, explorer, macros
from benchmarks.report import report

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "publish"))


def main() -> None:
    """Prints the figures and writes `build/bench/publish.json`."""
    found: dict[str, float] = {**claims.figures(), **macros.figures(), "bytes_identical": float(identical())}
    if Path(explorer.CHROMIUM).exists():
        found |= explorer.figures()
    report("publish", found)


def identical() -> bool:
    """Whether two processes with other hash seeds, zones and folders write the same bytes."""
    with tempfile.TemporaryDirectory() as name:
        roots = [Path(name) / place for place in ("one", "another")]
        for root, seed, zone in zip(roots, ("1", "2"), ("UTC", "Asia/Kathmandu"), strict=True):
            surroundings = {**os.environ, "PYTHONHASHSEED": seed, "TZ": zone}
            subprocess.run([sys.executable, "-m", "benchmarks.publish", str(root)], env=surroundings, check=True)
        one, another = (
            {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()} for root in roots
        )
        return len(one) > 10 and one == another


def build(root: Path) -> None:
    """Writes a made-up release of the packaged plan below `root`."""
    from release_fixtures import RELEASE_KEY, both_sign, build_measured, registry_text

    from publish.checks import run_checks
    from publish.release import write_release
    from publish.signoff import load_people

    root.mkdir()
    registry = root.with_suffix(".toml")
    registry.write_text(registry_text(), encoding="utf-8")
    measured, people = build_measured(), load_people(registry)
    signoffs = both_sign(measured, people)
    write_release(measured, run_checks(measured), signoffs, people, root, signing_key=RELEASE_KEY, code_version="0", helplines=[])


if __name__ == "__main__":
    build(Path(sys.argv[1])) if len(sys.argv) > 1 else main()
