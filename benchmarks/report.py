"""How every benchmark reports: a table on standard output, and one flat JSON object of metric name to number."""

import json
import resource
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

OUT = Path(__file__).resolve().parent.parent / "build" / "bench"


def peak_mib() -> float:
    """Most memory that this process held, and the largest of its children, in MiB.

    Its own from the memory of this program alone: `ru_maxrss` begins with what the process that started it had.
    """
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    own = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return (own + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


def reported(name: str) -> dict[str, float]:
    """What `build/bench/<name>.json` holds of an earlier run; nothing where there was none."""
    place = OUT / f"{name}.json"
    return json.loads(place.read_text(encoding="utf-8")) if place.exists() else {}


def report(name: str, metrics: Mapping[str, float]) -> None:
    """Prints the metrics and writes `build/bench/<name>.json`."""
    width = max(map(len, metrics))
    for metric, value in metrics.items():
        sys.stdout.write(f"{metric:{width}}  {value:.6g}\n")
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f"{name}.json").write_text(json.dumps(dict(metrics), indent=1) + "\n", encoding="utf-8")


def report_parts(name: str, parts: Mapping[str, Callable[[], Mapping[str, float]]], asked: list[str]) -> None:
    """Runs the parts of a benchmark that were asked for, or all; figures of the others stay as an earlier run wrote them."""
    if unknown := set(asked) - set(parts):
        sys.exit(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    for part in asked or parts:
        sys.stderr.write(f"{part} ...\n")
        report(name, reported(name) | parts[part]())
