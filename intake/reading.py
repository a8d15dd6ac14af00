"""Reading what a company sent: decoded in small batches, never trusting sizes or footers, each row checked by itself."""

import gzip
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from io import BufferedReader, RawIOBase
from itertools import islice
from typing import IO, TYPE_CHECKING, Any, cast

import orjson

from intake.columns import column_differences
from intake.file_checks import FileWatch
from intake.json_lines import file_start_problem, read_line
from intake.limits import Limits
from intake.record_checks import Record, RecordContext, check_record, parse_record
from intake.settlement import RowFacts
from intake.text_checks import is_plain_json
from schemas.periods import Quarter

if TYPE_CHECKING:
    import pyarrow as pa


class UnreadableFileError(Exception):
    """A file cannot be decoded to its end, or is over a limit. `code` is the finding code; it quotes nothing.

    `fields` are those of the contract that the file is at odds with, where that can be told.
    """

    def __init__(self, code: str, fields: Sequence[str] = ()) -> None:
        super().__init__(code)
        self.code, self.fields = code, tuple(fields)


RawRow = dict[str, Any] | str
"""An object, or the finding code of why a row is none."""

READ_AT_ONCE = 1 << 17  # bytes; what is read then lies in the processor's cache

PIECES = 8
"""Batches of lines that travel as one: parsing is fast in small ones, everything after it in large ones."""

_ABSENT_AS_NULL = ("supersedes", "supersedes_started_at", "scope", "submission_id")


@dataclass
class CheckedRows:
    """One batch: the sound rows with what settles them, and the problems of the others as (row, code, field).

    `rows` counts all rows of the file so far; problems of row 0 are the file's. `table` holds the sound rows in order with the columns of the contract,
    where the caller asked for it (the pool).
    """

    rows: int = 0
    sound: list[RowFacts] = field(default_factory=list, repr=False)
    problems: list[tuple[int, str, str]] = field(default_factory=list)
    table: "pa.RecordBatch | None" = field(default=None, repr=False)


def check_rows(
    stream: IO[bytes], size: int, file_format: str, number: int, context: RecordContext, limits: Limits, *, keep: bool = True
) -> Iterator[tuple[CheckedRows, list[Record]]]:
    """Rows of one data file in batches, each row checked by itself; beside each batch its sound rows, timestamps parsed.

    `number` is the file's place in the manifest. The last batch holds no rows, only what is wrong with the file as a
    whole. Without `keep` no row outlives its check: none stands beside its batch, and its content is told by a hash that
    means something in this process alone. The stream is closed at the end.
    Raises UnreadableFileError (E107 undecodable, E108 other columns, E112 over a limit, E119 not UTF-8).
    """
    code, watch = "", FileWatch()
    at_once = limits.batch_rows if file_format == "parquet" else limits.lines_at_once
    try:
        rows = read_rows(stream, size, file_format, limits)
        while True:
            seen = watch.rows
            checked, sound = _check_batch(number, islice(rows, at_once), context, watch, limits, keep)
            if watch.rows == seen:
                break
            yield checked, sound
        if warnings := watch.warnings():
            yield CheckedRows(watch.rows, problems=[(0, *problem) for problem in warnings]), []
    except UnreadableFileError as error:
        code = error.code
        if error.fields:
            yield CheckedRows(problems=[(0, code, name) for name in error.fields]), []
    except MemoryError:
        code = "E112"
    except Exception:  # whatever a library raises here comes from the file, and may quote it
        code = "E107"
    if code:
        raise UnreadableFileError(code)


def _check_batch(
    number: int, rows: Iterator[tuple[int, RawRow]], context: RecordContext, watch: FileWatch, limits: Limits, keep: bool
) -> tuple[CheckedRows, list[Record]]:
    checked, sound, held = CheckedRows(watch.rows), list[Record](), 0
    for row, raw in rows:
        checked.rows = row
        if isinstance(raw, str):
            checked.problems.append((row, raw, ""))
            watch.see(None, [(raw, "")])
            continue
        record, problems = parse_record(raw)
        written = b""
        if record is not None:
            written = canonical(record)
            problems = check_record(record, context, is_plain_json(written))
        watch.see(record, problems)
        if problems:
            checked.problems += [(row, code, name) for code, name in problems]
            if any(code.startswith("E") for code, _ in problems):
                continue
        if record is None:
            continue
        content = content_digest(written) if keep else str(hash(written))  # keyed SipHash, 64 bits
        checked.sound.append(_facts(number, row, record, content))
        if keep:
            sound.append(record)
            held += len(written)
            if held >= limits.batch_bytes // PIECES:
                break
    return checked, sound


def _facts(number: int, row: int, record: Record, content: str) -> RowFacts:
    """What settles a sound row."""
    name, kind, moment, target = (
        record["record_id"],
        record["record_status"],
        record.get("started_at"),
        record.get("supersedes", ""),
    )
    if kind == "withdrawal":
        kind, moment = record["scope"], record.get("supersedes_started_at")
    if moment is None:  # it withdraws a whole submission
        return RowFacts(number, row, kind, "", "", name, content, record["submission_id"])
    return RowFacts(number, row, kind, _quarter(moment.year, moment.month), record["user_pseudonym"], name, content, target)


def canonical(record: Record) -> bytes:
    """A record, its timestamps parsed, as JSON with sorted keys: the same bytes however it was sent."""
    return orjson.dumps(record, option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z)


def content_digest(written: bytes) -> str:
    """BLAKE2b-256 of a canonical record: it tells a duplicate from a conflict."""
    return hashlib.blake2b(written, digest_size=32).hexdigest()


@lru_cache(maxsize=256)
def _quarter(year: int, month: int) -> str:
    return str(Quarter.of(datetime(year, month, 1, tzinfo=UTC)))


def _decoded(stream: IO[bytes], file_format: str) -> IO[bytes]:
    if file_format == "jsonl.gz":
        return cast(IO[bytes], gzip.GzipFile(fileobj=stream, mode="rb"))
    if file_format == "jsonl.zst":
        import pyarrow as pa  # only here: `commons validate` on plain JSON needs no Arrow

        return cast(IO[bytes], pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd"))  # type: ignore[arg-type]
    return stream


def _lines(stream: IO[bytes], limits: Limits, budget: int) -> Iterator[bytes]:
    buffered = BufferedReader(cast(RawIOBase, stream), READ_AT_ONCE)
    if code := file_start_problem(buffered.peek(4)[:4]):
        raise UnreadableFileError(code)
    decoded = 0
    while line := buffered.readline(limits.line_bytes + 1):
        decoded += len(line)
        if decoded > budget:
            raise UnreadableFileError("E112")
        if line.endswith(b"\n"):
            line = line[:-1]
        elif len(line) > limits.line_bytes:
            raise UnreadableFileError("E112")
        yield line


def _parquet_rows(stream: IO[bytes], size: int, limits: Limits) -> Iterator[RawRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from schemas.arrow import record_schema

    decoded = 0
    with pq.ParquetFile(
        pa.PythonFile(stream, "r"),  # type: ignore[arg-type]  # any binary stream will do
        memory_map=False,
        pre_buffer=False,
        buffer_size=1 << 20,
        thrift_string_size_limit=16 << 20,
        thrift_container_size_limit=1 << 20,
    ) as file:
        if file.metadata.num_rows > limits.file_records:  # a footer may lie, but not in its own favour here
            raise UnreadableFileError("E112")
        if fields := column_differences(file.schema_arrow, record_schema()):
            raise UnreadableFileError("E108", fields)
        for batch in file.iter_batches(batch_size=limits.batch_rows, use_threads=False):
            decoded += batch.nbytes
            if decoded > limits.decoded_bytes(size) or batch.nbytes > limits.batch_bytes * 4:
                raise UnreadableFileError("E112")
            yield from map(_without_absent, batch.to_pylist())


def _without_absent(raw: dict[str, Any]) -> dict[str, Any]:
    # A column cannot be absent from one row: null stands for an absent key where the contract has optional keys.
    if raw.get("record_status") == "withdrawal":
        return {name: value for name, value in raw.items() if value is not None}
    return {name: value for name, value in raw.items() if value is not None or name not in _ABSENT_AS_NULL}


def read_rows(stream: IO[bytes], size: int, file_format: str, limits: Limits) -> Iterator[tuple[int, RawRow]]:
    """Rows of one data file, counted from 1: a dict each, or a finding code. Raises as `check_rows` does, or what a library raises."""
    if file_format == "parquet":
        rows: Iterator[RawRow] = _parquet_rows(stream, size, limits)
    else:
        budget = size if file_format == "jsonl" else limits.decoded_bytes(size)
        rows = map(read_line, _lines(_decoded(stream, file_format), limits, budget))
    return enumerate(rows, start=1)
