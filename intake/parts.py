"""Parquet parts of one submission as the pool writes them: encrypted, staged, and in place only when all is settled."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intake.reading import CheckedRows
from schemas.arrow import pool_schema
from schemas.at_rest import decryption, encryption
from schemas.errors import InternalError
from schemas.unit import bucket_of

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_A_PART = 4_096
BYTES_A_PART = 64 << 20


class StagedParts:
    """Writes checked rows as numbered parts into a folder. Rows are numbered from 0 in the order in which they come.

    `own` are the pool's columns that are the same for every row; `reasons` the selection reason of each stratum.
    """

    def __init__(self, folder: Path, key: bytes, own: Mapping[str, str], reasons: Mapping[str, str]) -> None:
        folder.mkdir()
        self.folder, self._key, self._own, self._reasons = folder, key, own, reasons
        self._held: list[pa.RecordBatch] = []
        self._held_rows = self._held_bytes = 0
        self._sizes: list[int] = []

    def take(self, checked: CheckedRows, units: list[str]) -> None:
        """Adds a batch of sound rows and the unit of each."""
        if checked.table is None or checked.table.num_rows != len(units):
            raise InternalError("Checked rows came without their table.")
        if units:
            batch = self._pool_batch(checked, units)
            self._held.append(batch)
            self._held_rows += batch.num_rows
            self._held_bytes += batch.nbytes
            if self._held_rows >= ROWS_A_PART or self._held_bytes >= BYTES_A_PART:
                self._flush()

    def finish(self, left_out: Iterable[int], key: bytes) -> int:
        """Writes what is held, takes out the rows of these numbers (ascending), and returns how many rows there are.

        All parts are then encrypted with `key`, and on disk.
        """
        if self._held:
            self._flush()
        numbers = iter(left_out)
        number, start, kept = next(numbers, None), 0, 0
        for part, size in enumerate(self._sizes):
            gone = []
            while number is not None and number < start + size:
                gone.append(number - start)
                number = next(numbers, None)
            if gone or key != self._key:
                self._rewrite(self._path(part), gone, key)
            start, kept = start + size, kept + size - len(gone)
        return kept

    def _pool_batch(self, checked: CheckedRows, units: list[str]) -> "pa.RecordBatch":
        import pyarrow as pa

        table = checked.table
        if table is None:
            raise InternalError("Checked rows came without their table.")
        columns: dict[str, pa.Array[Any]] = {n: pa.array([value] * len(units), pa.string()) for n, value in self._own.items()}
        columns["selection_reason"] = pa.array(
            [self._reasons.get(stratum or "") for stratum in table.column("selection_stratum").to_pylist()], pa.string()
        )
        columns["unit"] = pa.array(units, pa.string())
        columns["bucket"] = pa.array([bucket_of(unit) if unit else 0 for unit in units], pa.int32())
        columns["content"] = pa.array([facts.content for facts in checked.sound], pa.string())
        schema = pool_schema()
        return pa.RecordBatch.from_arrays(
            [columns[name] if name in columns else table.column(name) for name in schema.names], schema=schema
        )

    def _flush(self) -> None:
        import pyarrow as pa

        self._write(self._path(len(self._sizes)), pa.Table.from_batches(self._held, pool_schema()), self._key)
        self._sizes.append(self._held_rows)
        self._held, self._held_rows, self._held_bytes = [], 0, 0

    def _path(self, part: int) -> Path:
        return self.folder / f"part-{part:05d}.parquet"

    def _rewrite(self, path: Path, gone: list[int], key: bytes) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pq.read_table(path, decryption_properties=decryption(self._key))
        mask = [True] * table.num_rows
        for position in gone:
            mask[position] = False
        kept = table.filter(pa.array(mask))
        if kept.num_rows:
            self._write(path, kept, key)
        else:
            path.unlink()

    def _write(self, path: Path, table: "pa.Table", key: bytes) -> None:
        import pyarrow.parquet as pq

        with path.open("wb") as stream:
            pq.write_table(table, stream, compression="zstd", encryption_properties=encryption(key))
            stream.flush()
            os.fsync(stream.fileno())
