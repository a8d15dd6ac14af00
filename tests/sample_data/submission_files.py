"""Reads simulated data files back, for tests."""

import gzip
import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Parsed = dict[str, Any] | None
"""A record, or None where a line is no JSON object."""


def _without_nulls(row: dict[str, Any]) -> dict[str, Any]:
    """In Parquet an absent key is a null column: those that only some records have."""
    absent = ("supersedes", "supersedes_started_at", "scope", "submission_id")
    whole = row["record_status"] != "withdrawal"
    return {k: v for k, v in row.items() if v is not None or (whole and k not in absent)}


def _parse(line: bytes) -> Parsed:
    try:
        found = json.loads(line.decode("utf-8"), parse_constant=_refuse, parse_float=_finite)
        found = json.loads(json.dumps(found, ensure_ascii=False).encode("utf-8"))  # a lone surrogate has no UTF-8 form
    except (ValueError, UnicodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _finite(number: str) -> float:
    if not math.isfinite(float(number)):
        raise ValueError(number)
    return float(number)


def read_rows(path: Path) -> list[Parsed]:
    """All rows of a data file, in order."""
    if path.suffix == ".parquet":
        return [_without_nulls(row) for row in pq.read_table(path).to_pylist()]
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    elif path.suffix == ".zst":
        data = pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()
    lines = data.split(b"\n")
    assert lines.pop() == b""
    return [_parse(line) for line in lines]
