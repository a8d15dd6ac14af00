"""Size, hash and number of records of a company's own data file, in one stream: memory does not grow with the file."""

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

from schemas.errors import UsageError

FORMATS = ("jsonl.gz", "jsonl.zst", "jsonl", "parquet")
_CHUNK = 1 << 20


def measure(path: Path, file_format: str, progress: Callable[[int], None] = lambda done: None) -> tuple[str, int, int]:
    """SHA-256 (hex), bytes and records of a file. `progress` is told of bytes hashed.

    A record is a line of JSON Lines (an empty line counts: the pool counts it too) or a row of Parquet.
    Raises UsageError where the file cannot be read as its format says; nothing of it is quoted.
    """
    failed = False
    try:
        sha256, size = _hashed(path, progress)
        records = _parquet_rows(path) if file_format == "parquet" else _lines(path, file_format)
    except Exception:  # whatever a library raises here comes from the file, and may quote it
        failed = True
    if failed:
        raise UsageError("A data file cannot be read as its name says.", "Write it again; check that it was not cut off.")
    return sha256, size, records


def _hashed(path: Path, progress: Callable[[int], None]) -> tuple[str, int]:
    hasher, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            hasher.update(chunk)
            size += len(chunk)
            progress(len(chunk))
    return hasher.hexdigest(), size


def _lines(path: Path, file_format: str) -> int:
    lines, last = 0, b"\n"
    with _open(path, file_format) as stream:
        while chunk := stream.read(_CHUNK):
            lines, last = lines + chunk.count(b"\n"), chunk[-1:]
    return lines + (last != b"\n")


def _open(path: Path, file_format: str) -> IO[bytes]:
    if file_format == "jsonl.gz":
        return cast(IO[bytes], gzip.open(path, "rb"))
    if file_format == "jsonl.zst":
        import pyarrow as pa  # only here: plain JSON needs no Arrow

        return cast(IO[bytes], pa.input_stream(str(path), compression="zstd", buffer_size=_CHUNK))
    return path.open("rb")


def _parquet_rows(path: Path) -> int:
    import pyarrow.parquet as pq

    metadata: Any = pq.read_metadata(path)
    return int(metadata.num_rows)
