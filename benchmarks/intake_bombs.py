"""Small files that want to become large: built here, sent to a pool's door, measured in a process of its own."""

import gzip
import io
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from benchmarks.intake_material import Material
from benchmarks.report import peak_mib
from intake.acceptance import take_in
from intake.delivery import FolderDelivery
from intake.limits import DEFAULT_LIMITS

MOST_SECONDS, MOST_MEMORY_MB, MOST_DISK_MB = 10.0, 512.0, 100.0
_BLOCK = 16 << 20
_CLAIMED = DEFAULT_LIMITS.file_records  # rows that the manifest claims: the most that is believed at first


@dataclass(frozen=True)
class Measured:
    """What a bomb cost: seconds on the clock and of the processor, peak resident memory of the door and the reader together,
    most disk in use below the pool. Whether it held is judged by the processor's, which other work on the host does not change.
    """

    decision: str
    codes: dict[str, int]
    seconds: float
    processor_seconds: float
    memory_mb: float
    disk_mb: float
    bytes_sent: int

    @property
    def held(self) -> bool:
        """Whether it was refused within the bounds."""
        within = self.memory_mb <= MOST_MEMORY_MB and self.disk_mb <= MOST_DISK_MB
        return self.decision == "refused" and self.processor_seconds <= MOST_SECONDS and within


def _gzip(block: bytes, blocks: int) -> bytes:
    return gzip.compress(block, 9, mtime=0) * blocks


def _zstd(block: bytes, blocks: int) -> bytes:
    import pyarrow as pa

    return bytes(pa.Codec("zstd", compression_level=19).compress(block, asbytes=True)) * blocks


def _tiny_rows() -> bytes:
    return b"{}\n" * (_BLOCK // 3)


def _blank() -> bytes:
    return b" " * _BLOCK


def _parquet(columns: dict[str, Any], rows: int, groups: int = 1) -> bytes:
    """Groups of so many rows with the columns of the contract: these as given, all others null."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from schemas.arrow import record_schema

    schema = record_schema()
    arrays = [columns[f.name] if f.name in columns else pa.nulls(rows, f.type) for f in schema]
    table = pa.table(arrays, names=schema.names)
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, table.schema, compression="zstd", store_schema=False, write_statistics=False) as writer:
        for _ in range(groups):
            writer.write_table(table, row_group_size=rows)
    return sink.getvalue()


def _repeated(length: int, rows: int) -> Any:
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array(bytes(rows), pa.uint8()).cast(pa.int32()), pa.array(["x" * length]))


def _parquet_of_one_column() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    table = pa.table({"x": _repeated(1 << 20, 10_000)})
    pq.write_table(table, sink, compression="zstd", store_schema=False, write_statistics=False)
    return sink.getvalue()


def _parquet_of_repeated_text() -> bytes:
    rows = 10_000
    return _parquet({"record_id": _repeated(1 << 20, rows)}, rows)


def _repeat_turns(rows: int, length: int) -> Any:
    import pyarrow as pa

    from schemas.arrow import record_schema

    kind = record_schema().field("turns").type
    return pa.array([[{"index": 1, "role": "user", "text": "x" * length}]] * rows, kind)


def _parquet_of_one_cell() -> bytes:
    import pyarrow as pa

    return _parquet({"record_id": pa.array(["x" * (1 << 30)])}, 1)


BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "parquet_10_gb": ("parquet", _parquet_of_one_column),
    "parquet_10_gb_by_contract": ("parquet", _parquet_of_repeated_text),
    "parquet_10_gb_of_turns": ("parquet", lambda: _parquet({"turns": _repeat_turns(1_000, 32_768)}, 1_000, 300)),
    "parquet_tiny_rows": ("parquet", lambda: _parquet({}, 3_000_000, 10)),  # ten times as many take minutes to write
    "parquet_1_gb_cell": ("parquet", _parquet_of_one_cell),
    "gzip_1_gb_line": ("jsonl.gz", lambda: _gzip(_blank(), 64)),
    "gzip_tiny_rows": ("jsonl.gz", lambda: _gzip(_tiny_rows(), 54)),
    "gzip_blank_rows": ("jsonl.gz", lambda: _gzip(b"\n" * _BLOCK, 18)),
    "zstd_1_gb_line": ("jsonl.zst", lambda: _zstd(_blank(), 64)),
    "zstd_tiny_rows": ("jsonl.zst", lambda: _zstd(_tiny_rows(), 54)),
    "zstd_blank_rows": ("jsonl.zst", lambda: _zstd(b"\n" * _BLOCK, 18)),
    "deep_lists": ("jsonl", lambda: b"[" * (15 << 20)),
    "deep_objects": ("jsonl", lambda: b'{"a":' * (3 << 20)),
    "deep_lines": ("jsonl", lambda: (b'{"turns":' + b"[" * 1_000 + b"]" * 1_000 + b"}\n") * 20_000),
    "wide_list": ("jsonl", lambda: b'{"record_status":"new","turns":[' + b"{}," * (5 << 20) + b"{}]}"),
    "many_small_items": ("jsonl", lambda: b'{"record_status":"new","turns":[' + b'{"a":0},' * 390_000 + b"{}]}"),
    "wide_object": ("jsonl", lambda: b'{"record_status":"new","person":{' + _keys(700_000) + b"}}"),
    "wide_turn": ("jsonl", lambda: b'{"record_status":"new","turns":[{' + _keys(700_000) + b"}]}"),
    "repeated_key": ("jsonl", lambda: b'{"record_status":"new"' + b',"a":0' * 700_000 + b"}"),
}
"""Format and maker of each; the plain ones are as long as a line may be."""


def _keys(count: int) -> bytes:
    return b",".join(b'"k%d":0' % number for number in range(count))


def measure(material: Material, name: str, folder: Path) -> Measured:
    """Builds a bomb in one process, and takes it in through the whole door in another."""
    command = [sys.executable, "-m", "benchmarks.intake_bombs"]
    environment = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system"}
    subprocess.run([*command, "build", str(material.folder), name, str(folder)], check=True, env=environment)
    done = subprocess.run(
        [*command, "take", str(material.folder), name, str(folder)], check=True, env=environment, stdout=subprocess.PIPE
    )
    return Measured(**orjson.loads(done.stdout))


def _build(material: Material, name: str, folder: Path) -> None:
    file_format, make = BOMBS[name]
    content = make()
    records = 1 if b"\n" not in content[:100] and file_format == "jsonl" else _CLAIMED
    material.submission(folder / "sent", content, file_format, records, name.replace("_", "-"))


class _DiskWatch(threading.Thread):
    """Most bytes that a folder has held, looked at every few milliseconds."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder, self.most, self.over = folder, 0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.01):
            self.look()

    def look(self) -> None:
        used = 0
        for place, _, names in os.walk(self.folder):
            for name in names:
                try:
                    used += os.lstat(os.path.join(place, name)).st_blocks * 512  # noqa: PTH118 - ten times as fast
                except FileNotFoundError:
                    continue
        self.most = max(self.most, used)


def _take(material: Material, folder: Path) -> Measured:
    door, disk = material.door(folder / "pool"), _DiskWatch(folder / "pool")
    sent = sum(path.stat().st_size for path in (folder / "sent").iterdir())
    disk.start()
    start, used = time.perf_counter(), _processor()
    result = take_in(FolderDelivery(folder / "sent"), door)
    seconds, processor = time.perf_counter() - start, _processor() - used
    disk.over.set()
    disk.join()
    disk.look()
    return Measured(result.decision, dict(result.report.counts), seconds, processor, peak_mib(), disk.most / 1e6, sent)


def _processor() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(times.ru_utime + times.ru_stime for times in used)


def main() -> None:
    """The processes of `measure`."""
    _, task, made, name, folder = sys.argv
    material = Material(Path(made))
    if task == "build":
        _build(material, name, Path(folder))
    else:
        measured = _take(material, Path(folder))
        sys.stdout.buffer.write(orjson.dumps({name: getattr(measured, name) for name in Measured.__dataclass_fields__}))


if __name__ == "__main__":
    main()
