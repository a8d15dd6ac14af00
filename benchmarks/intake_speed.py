"""How fast records are checked on one core, beside the limit of the libraries, and how memory grows with the file."""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson

from benchmarks.intake_material import COMPANY, NOW, Material
from benchmarks.report import peak_mib
from intake.acceptance import take_in
from intake.delivery import FolderDelivery
from intake.json_lines import read_line
from intake.limits import DEFAULT_LIMITS
from intake.reading import canonical, check_rows, content_digest
from intake.record_checks import Record, RecordContext, check_record, parse_record
from intake.settlement import RowFacts, Settlement
from intake.text_checks import is_plain_json
from intake.validation import validate_submission
from schemas.periods import Quarter
from schemas.record import InteractionRecord

LARGE, SMALL = 4_096, 0
MEGABYTES = 24
_ROUNDS = 3
_PART_ROUNDS = 8


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


def parts(material: Material, folder: Path) -> dict[str, float]:
    """Microseconds of processor time that validating takes a record of at least LARGE bytes, part by part, the best of many.

    Each part is what a pass over the file takes longer with it than without. `limit` is as in `measure`, in the same run.
    """
    rows = material.rows(material.large_records(LARGE), 8_000_000)
    sent = material.submission(folder / "parts", material.packed(rows, "jsonl"), "jsonl", len(rows))
    path, lines = sent / "part-1.jsonl", (sent / "part-1.jsonl").read_bytes().splitlines()
    facts = list(_facts(path, material.context))
    passes: dict[str, tuple[Callable[[Any], Any], ...]] = {
        "lines": (),
        "orjson": (orjson.loads,),
        "keys that stand twice": (read_line,),
        "quick check": (read_line, _parsed),
        "as canonical JSON": (read_line, _parsed, canonical),
        "rules between fields": (read_line, _parsed, partial(_ruled, material.context)),
    }
    took = _in_turn(
        {name: partial(_through, path, *steps) for name, steps in passes.items()}
        | {
            "limit": lambda: _limit(lines),
            "validate": lambda: _validated(sent),
            "SHA-256 of the file": lambda: sha256(path.read_bytes()),
            "settlement": lambda: _settled(facts),
            "content digest (the pool's alone)": lambda: [content_digest(line) for line in lines],
        }
    )
    took = {name: seconds / len(rows) * 1e6 for name, seconds in took.items()}
    alone = {name: took[name] - took.get(before, 0.0) for before, name in pairwise(["", *passes])}
    alone |= {name: took[name] for name in ("SHA-256 of the file", "settlement")}
    rest = {"the rest": took["validate"] - sum(alone.values())}
    return alone | rest | {name: took[name] for name in ("validate", "limit", "content digest (the pool's alone)")}


def _in_turn(ways: dict[str, Callable[[], Any]]) -> dict[str, float]:
    # In turn, so that a machine that is busy for a while is so for all.
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(_PART_ROUNDS):
        for name, way in ways.items():
            start = time.process_time()
            way()
            best[name] = min(best[name], time.process_time() - start)
    return best


def _through(path: Path, *steps: Callable[[Any], Any]) -> None:
    with path.open("rb") as stream:
        for line in stream:
            value: Any = line[:-1]
            for step in steps:
                value = step(value)


def _parsed(raw: Any) -> Record:
    record, _ = parse_record(raw)
    assert record is not None
    return record


def _ruled(context: RecordContext, record: Record) -> None:
    assert not check_record(record, context, is_plain_json(canonical(record)))


def _facts(path: Path, context: RecordContext) -> Iterator[RowFacts]:
    with path.open("rb") as stream:
        for checked, _ in check_rows(stream, path.stat().st_size, "jsonl", 0, context, DEFAULT_LIMITS, keep=False):
            yield from checked.sound


def _settled(facts: list[RowFacts]) -> None:
    at_once = DEFAULT_LIMITS.lines_at_once
    with Settlement(COMPANY, Quarter.parse(facts[0].quarter), None) as settlement:
        for start in range(0, len(facts), at_once):
            settlement.add(facts[start : start + at_once])
        settlement.settle()


def main() -> None:
    """Without arguments: prints the parts. Else the process of `memory`: prints its peak, with that of its children, in MiB."""
    if len(sys.argv) == 1:
        with tempfile.TemporaryDirectory() as folder:
            for name, microseconds in parts(Material(Path(folder)), Path(folder)).items():
                sys.stdout.write(f"{name:34}{microseconds:7.1f} µs a record\n")
        return
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
