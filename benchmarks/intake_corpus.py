"""Files that others collected to break parsers: what becomes of each. Needs ../shared/data."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from benchmarks.intake_material import READERS, SHARED, verdict
from intake.json_lines import read_line
from intake.record_checks import RecordContext

JSON_SUITE = SHARED / "hostile" / "json_test_suite" / "test_parsing"
SYNTAX_CODES = frozenset({"E201", "E232", "E233", "E234", "E235", "E236"})
SECONDS_A_FILE = 60


@dataclass(frozen=True)
class JsonCounts:
    """Documents of JSONTestSuite: `n_` that the line reader refuses as malformed, `y_` that it parses."""

    must_refuse: int
    refused: int
    must_parse: int
    parsed: int


def json_suite(folder: Path = JSON_SUITE, parse: Callable[[bytes], Any] = read_line) -> JsonCounts:
    """Every document through the line reader, whole: line feeds within it are white space there.

    A document is taken as the value of the one key of an object, since a line that is no object is refused without more. It
    is refused where the reader says that the line is malformed, and parsed where it gives an object, or says that a key
    stands twice, which the suite permits and the contract does not. `n_` documents must be refused as they stand, too. Of
    the `i_` documents either is right; none may raise.
    """
    verdicts: dict[str, list[bool]] = {"n": [], "y": [], "i": []}
    for path in sorted(folder.glob("*.json")):
        document = path.read_bytes()
        found = parse(b'{"document":' + document + b"}")
        parsed = isinstance(found, dict) or found == "E231"
        refused = not parsed and found in SYNTAX_CODES and str(parse(document)) in SYNTAX_CODES
        verdicts[path.name[0]].append(parsed if path.name[0] == "y" else refused)
    return JsonCounts(len(verdicts["n"]), sum(verdicts["n"]), len(verdicts["y"]), sum(verdicts["y"]))


def hostile_parquet() -> list[Path]:
    """The malformed Parquet files and fuzzer finds."""
    folders = (SHARED / "hostile" / "parquet_testing", SHARED / "hostile" / "arrow_fuzz")
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in files if path.suffix != ".md" and "LICENSE" not in path.name)


@dataclass(frozen=True)
class HostileCounts:
    """Files read, signals that killed a reader, files that took too long, and files of which any row was sound."""

    files: int
    signals: int
    late: int
    accepted: int


def read_hostile(files: Sequence[Path], reader: str, context: RecordContext) -> HostileCounts:
    """Each file by a process of this reader; one that dies is started again behind the file that it died of."""
    left, signals, late, accepted = list(files), 0, 0, 0
    strata = ",".join(sorted(context.strata))
    while left:
        command = [sys.executable, "-m", "benchmarks.intake_corpus", reader, strata, *map(str, left)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            for line in process.stdout:
                told = orjson.loads(line)
                accepted += bool(told["sound"])
                late += told["seconds"] > SECONDS_A_FILE
                signals += told["killed"]
                left.pop(0)
        if process.returncode:
            signals += process.returncode < 0
            left.pop(0)
    return HostileCounts(len(files), signals, late, accepted)


def main() -> None:
    """The process of `read_hostile`: one line of JSON a file."""
    from datetime import UTC, datetime

    from intake.sandbox import reader as confined

    killed = 0
    said = confined._code_of

    def listening(ended: int) -> str:
        nonlocal killed
        killed += ended < 0
        return said(ended)

    confined._code_of = listening
    _, reader, strata, *files = sys.argv
    moments = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
    context = RecordContext(frozenset(strata.split(",")), *moments, True)
    for file in files:
        start, before = time.perf_counter(), killed
        found = verdict(Path(file), "parquet", READERS[reader], context)
        told = {"sound": found.sound, "seconds": time.perf_counter() - start, "killed": killed - before, "code": found.refused}
        sys.stdout.buffer.write(orjson.dumps(told) + b"\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
