"""Reading what a company sent: decoded in small batches, never trusting sizes or footers, each row checked by itself."""

import gzip
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, cast

import orjson

from intake.columns import column_differences
from intake.file_checks import FileWatch
from intake.json_lines import file_start_problem, read_line
from intake.limits import Limits
from intake.record_checks import Record, RecordContext, check_record, parse_record
from intake.settlement import RowFacts
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


Row = tuple[int, dict[str, Any] | str]
"""A row counted from 1: an object, or the finding code of why it is none."""

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
    stream: IO[bytes], size: int, file_format: str, number: int, context: RecordContext, limits: Limits
) -> Iterator[tuple[CheckedRows, list[dict[str, Any]]]]:
    """Rows of one data file in batches, each row checked by itself; beside each batch its sound rows, timestamps parsed.

    `number` is the file's place in the manifest. The last batch holds no rows, only what is wrong with the file as a
    whole. Raises UnreadableFileError (E107 undecodable, E108 other columns, E112 over a limit, E119 not UTF-8).
    """
    code, watch = "", FileWatch()
    try:
        for first, batch in _batches(stream, size, file_format, limits):
            yield _check_batch(number, first, batch, context, watch)
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
    number: int, first: int, batch: list[dict[str, Any] | str], context: RecordContext, watch: FileWatch
) -> tuple[CheckedRows, list[dict[str, Any]]]:
    checked, sound = CheckedRows(rows=first + len(batch) - 1), list[dict[str, Any]]()
    for row, raw in enumerate(batch, start=first):
        if isinstance(raw, str):
            checked.problems.append((row, raw, ""))
            watch.see(None, [(raw, "")])
            continue
        record, problems = parse_record(raw)
        if record is not None:
            problems = check_record(record, context)
        watch.see(record, problems)
        if problems:
            checked.problems += [(row, code, name) for code, name in problems]
            if any(code.startswith("E") for code, _ in problems):
                continue
        if record is None:
            continue
        checked.sound.append(_facts(number, row, record))
        sound.append(record)
    return checked, sound


def _facts(number: int, row: int, record: Record) -> RowFacts:
    """What settles a sound row."""
    status, content = record["record_status"], content_digest(record)
    kind = record["scope"] if status == "withdrawal" else status
    if kind == "submission":
        return RowFacts(number, row, kind, "", "", record["record_id"], content, record["submission_id"])
    moment = record["supersedes_started_at"] if status == "withdrawal" else record["started_at"]
    target = record.get("supersedes", "")
    return RowFacts(number, row, kind, str(Quarter.of(moment)), record["user_pseudonym"], record["record_id"], content, target)


def content_digest(record: Record) -> str:
    """BLAKE2b-256 of a record with its timestamps parsed, the same for JSON and Parquet: it tells a duplicate from a conflict."""
    return hashlib.blake2b(orjson.dumps(record, option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z), digest_size=32).hexdigest()


def _batches(stream: IO[bytes], size: int, file_format: str, limits: Limits) -> Iterator[tuple[int, list[dict[str, Any] | str]]]:
    if file_format == "parquet":
        yield from _parquet_batches(stream, size, limits)
        return
    first, batch, held = 1, list[dict[str, Any] | str](), 0
    for line in _lines(_decoded(stream, file_format), limits, size if file_format == "jsonl" else limits.decoded_bytes(size)):
        batch.append(read_line(line))
        held += len(line)
        if len(batch) == limits.lines_at_once or held >= limits.batch_bytes // PIECES:
            yield first, batch
            first, batch, held = first + len(batch), [], 0
    if batch:
        yield first, batch


def _decoded(stream: IO[bytes], file_format: str) -> IO[bytes]:
    if file_format == "jsonl.gz":
        return cast(IO[bytes], gzip.GzipFile(fileobj=stream, mode="rb"))
    if file_format == "jsonl.zst":
        import pyarrow as pa  # only here: `commons validate` on plain JSON needs no Arrow

        return cast(IO[bytes], pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd"))  # type: ignore[arg-type]
    return stream


def _lines(stream: IO[bytes], limits: Limits, budget: int) -> Iterator[bytes]:
    rest, decoded = b"", 0
    while chunk := stream.read(1 << 20):
        if not decoded and (code := file_start_problem(chunk[:4])):
            raise UnreadableFileError(code)
        decoded += len(chunk)
        if decoded > budget:
            raise UnreadableFileError("E112")
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > limits.line_bytes or max(map(len, lines), default=0) > limits.line_bytes:
            raise UnreadableFileError("E112")
        yield from lines
    if rest:
        yield rest


def _parquet_batches(stream: IO[bytes], size: int, limits: Limits) -> Iterator[tuple[int, list[dict[str, Any] | str]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from schemas.arrow import record_schema

    first, decoded = 1, 0
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
            yield first, [_without_absent(raw) for raw in batch.to_pylist()]
            first += batch.num_rows


def _without_absent(raw: dict[str, Any]) -> dict[str, Any]:
    # A column cannot be absent from one row: null stands for an absent key where the contract has optional keys.
    if raw.get("record_status") == "withdrawal":
        return {name: value for name, value in raw.items() if value is not None}
    return {name: value for name, value in raw.items() if value is not None or name not in _ABSENT_AS_NULL}


def read_rows(stream: IO[bytes], size: int, file_format: str, limits: Limits) -> Iterator[Row]:
    """Rows of one data file, counted from 1: a dict each, or a finding code. Raises as `check_rows` does, or what a library raises."""
    for first, batch in _batches(stream, size, file_format, limits):
        yield from enumerate(batch, start=first)
