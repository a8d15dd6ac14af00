"""How fast records are checked on one core, beside the limit of the libraries, and how memory grows with the file."""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import orjson

from benchmarks.intake_material import NOW, Material
from benchmarks.report import peak_mib
from intake.acceptance import take_in
from intake.delivery import FolderDelivery
from intake.validation import validate_submission
from schemas.record import InteractionRecord

LARGE, SMALL = 4_096, 0
MEGABYTES = 24
_ROUNDS = 3


def measure(material: Material, folder: Path) -> dict[str, float]:
    """Megabytes and records a second of processor time, the best of three, in this process; ratios to the limit first.

    The limit is `orjson.loads` and the declared pydantic model on the same lines, and nothing else. `take_in` is the whole
    door: fetched, hashed, checked by the throw-away process, settled, encrypted; its processor time is that of all of it.
    """
    figures: dict[str, float] = {}
    for name, least in (("", LARGE), ("_small", SMALL)):
        records = material.large_records(least) if least else [{**record, "turns": []} for record in material.records]
        rows = material.rows(records, MEGABYTES * 1_000_000)
        content = material.packed(rows, "jsonl")
        sent = material.submission(folder / f"sent{name}", content, "jsonl", len(rows))
        lines = content.splitlines()
        took = {
            "validate": _best(lambda sent=sent: _validated(sent)),  # type: ignore[misc]
            "take_in": _best(lambda sent=sent: _taken(material, sent, folder)),  # type: ignore[misc]
            "limit": _best(lambda lines=lines: _limit(lines)),  # type: ignore[misc]
        }
        megabytes = len(content) / 1e6
        figures |= {
            f"validate_of_limit{name}": took["limit"] / took["validate"],
            f"take_in_of_limit{name}": took["limit"] / took["take_in"],
            f"mb_per_second{name}": megabytes / took["validate"],
            f"records_per_second{name}": len(rows) / took["validate"],
            f"take_in_mb_per_second{name}": megabytes / took["take_in"],
            f"take_in_records_per_second{name}": len(rows) / took["take_in"],
            f"limit_mb_per_second{name}": megabytes / took["limit"],
            f"bytes_a_record{name}": len(content) / len(rows),
        }
    return figures


def _cpu() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(times.ru_utime + times.ru_stime for times in used)


def _best(work: Callable[[], None]) -> float:
    seconds = []
    for _ in range(_ROUNDS):
        start = _cpu()
        work()
        seconds.append(_cpu() - start)
    return min(seconds)


def _validated(folder: Path) -> None:
    report = validate_submission(folder, now=NOW)
    assert not report.refused and not report.quarantined, report.counts


def _taken(material: Material, folder: Path, root: Path) -> None:
    result = take_in(FolderDelivery(folder), material.door(root / "pool"))
    assert result.decision == "accepted" and not result.report.quarantined, result.report.counts


def _limit(lines: list[bytes]) -> None:
    for line in lines:
        InteractionRecord.model_validate(orjson.loads(line))


def memory(material: Material, folder: Path, megabytes: int) -> tuple[float, float]:
    """Peak resident megabytes of validating at the company, and of the door with its reader, on a file of that size."""
    rows = material.rows(material.large_records(LARGE), megabytes * 1_000_000)
    sent = material.submission(folder / f"sent-{megabytes}", material.packed(rows, "jsonl"), "jsonl", len(rows))
    peaks = []
    for task in ("validate", "take"):
        command = [sys.executable, "-m", "benchmarks.intake_speed", task, str(material.folder), str(sent), str(folder)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"})
        peaks.append(float(done.stdout))
    return peaks[0], peaks[1]


def memory_growth(material: Material, folder: Path, small: int = 8, large: int = 64) -> dict[str, float]:
    """The ratio of peak memory on a file eight times as large, and the peaks."""
    (home, pool), (home_large, pool_large) = memory(material, folder, small), memory(material, folder, large)
    return {
        "memory_ratio_at_8_times": home_large / home,
        "take_in_memory_ratio_at_8_times": pool_large / pool,
        "peak_mb": home_large,
        "take_in_peak_mb": pool_large,
    }


def main() -> None:
    """The process of `memory`: prints its peak, with that of its children, in MiB."""
    _, task, made, sent, root = sys.argv
    material = Material(Path(made))
    if task == "validate":
        _validated(Path(sent))
    else:
        _taken(material, Path(sent), Path(root))
    sys.stdout.write(str(peak_mib()))


def profile() -> None:
    """Prints where the time of validating goes: `python -c 'from benchmarks.intake_speed import profile; profile()'`."""
    import cProfile
    import pstats

    with tempfile.TemporaryDirectory() as folder:
        material = Material(Path(folder))
        rows = material.rows(material.large_records(LARGE), 8_000_000)
        sent = material.submission(Path(folder) / "sent", material.packed(rows, "jsonl"), "jsonl", len(rows))
        watched = cProfile.Profile()
        start = time.process_time()
        watched.runcall(_validated, sent)
        sys.stdout.write(f"{len(rows)} records in {time.process_time() - start:.2f} s under the profiler\n")
        pstats.Stats(watched, stream=sys.stdout).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
