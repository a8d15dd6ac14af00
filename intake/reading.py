"""Reading what a company sent: one row at a time, in small batches, never trusting sizes or footers."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import orjson

from intake.limits import Limits


class UnreadableFileError(Exception):
    """A file cannot be decoded to its end, or is over a limit. `code` is the finding code; it quotes nothing."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


BAD_ROW = object()
"""Stands for a row that is not a JSON object."""

_ABSENT_AS_NULL = ("supersedes", "supersedes_started_at", "scope", "submission_id")


def read_rows(path: Path, file_format: str, limits: Limits) -> Iterator[tuple[int, dict[str, Any] | object]]:
    """Rows of one data file, counted from 1: a dict each, or BAD_ROW.

    Raises UnreadableFileError (E107 undecodable, E108 other columns, E112 over a limit).
    """
    rows = _parquet_rows(path, limits) if file_format == "parquet" else _json_rows(path, file_format, limits)
    code = ""
    try:
        yield from rows
    except UnreadableFileError as error:
        code = error.code
    except Exception:  # whatever a library raises here comes from the file, and may quote it
        code = "E107"
    if code:
        raise UnreadableFileError(code)


def _open(path: Path, file_format: str) -> IO[bytes]:
    if file_format == "jsonl.gz":
        return cast(IO[bytes], gzip.open(path, "rb"))
    if file_format == "jsonl.zst":
        import pyarrow as pa  # only here: `commons validate` on plain JSON needs no Arrow

        return cast(IO[bytes], pa.input_stream(str(path), compression="zstd", buffer_size=1 << 20))
    return path.open("rb")


def _lines(stream: IO[bytes], limits: Limits, budget: int) -> Iterator[bytes]:
    rest, decoded = b"", 0
    while chunk := stream.read(1 << 20):
        decoded += len(chunk)
        if decoded > budget:
            raise UnreadableFileError("E112")
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > limits.line_bytes or any(len(line) > limits.line_bytes for line in lines):
            raise UnreadableFileError("E112")
        yield from lines
    if rest:
        yield rest


def _json_rows(path: Path, file_format: str, limits: Limits) -> Iterator[tuple[int, dict[str, Any] | object]]:
    size = path.stat().st_size
    budget = size if file_format == "jsonl" else min(limits.file_bytes, size * limits.decoded_ratio + (1 << 20))
    with _open(path, file_format) as stream:
        for number, line in enumerate(_lines(stream, limits, budget), start=1):
            yield number, _json_object(line)


def _json_object(line: bytes) -> dict[str, Any] | object:
    try:
        raw = orjson.loads(line)
    except (orjson.JSONDecodeError, RecursionError):
        return BAD_ROW
    return raw if isinstance(raw, dict) else BAD_ROW


def _parquet_rows(path: Path, limits: Limits) -> Iterator[tuple[int, dict[str, Any] | object]]:
    import pyarrow.parquet as pq

    from schemas.arrow import record_schema

    with pq.ParquetFile(path, memory_map=False, pre_buffer=False) as file:
        expected, found = record_schema(), file.schema_arrow
        if sorted(found.names) != sorted(expected.names) or any(
            not found.field(name).type.equals(expected.field(name).type) for name in expected.names
        ):
            raise UnreadableFileError("E108")
        number = 0
        for batch in file.iter_batches(batch_size=limits.batch_rows):
            for raw in batch.to_pylist():
                number += 1
                yield number, _without_absent(raw)


def _without_absent(raw: dict[str, Any]) -> dict[str, Any]:
    # A column cannot be absent from one row: null stands for an absent key where the contract has optional keys.
    if raw.get("record_status") == "withdrawal":
        return {name: value for name, value in raw.items() if value is not None}
    return {name: value for name, value in raw.items() if value is not None or name not in _ABSENT_AS_NULL}
