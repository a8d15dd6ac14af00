"""Reading scrubbed records: encrypted Parquet as a stream of Arrow batches, so that DuckDB opens no file at all.

DuckDB 2.0 has an own reader of encrypted Parquet; it fails on files of PyArrow's above a small size.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from schemas.arrow import pool_schema
from schemas.at_rest import decryption
from schemas.errors import InternalError
from schemas.stages import EncryptedFiles

if TYPE_CHECKING:
    import pyarrow as pa

FILES_AT_ONCE = 32  # a dataset keeps the footers of all its files: over these few, memory does not grow with their number


def count_rows(parts: Sequence[EncryptedFiles]) -> int:
    """Rows of all files, from their footers. Raises InternalError where one is not whole, of another key or another form."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, schema = 0, pool_schema()
    try:
        for part in parts:
            readable = decryption(part.key)
            for path in part.files:
                with pq.ParquetFile(path, decryption_properties=readable) as file:
                    if not file.schema_arrow.equals(schema):
                        raise pa.ArrowInvalid
                    rows += file.metadata.num_rows
    except (OSError, pa.ArrowException):
        pass
    else:
        return rows
    raise InternalError(
        "A scrubbed file is not as the pool wrote it, or not under its key.", "Restore scrubbed/ and secrets/ from one backup."
    )


def users_of_buckets(parts: Sequence[EncryptedFiles], columns: Sequence[str], low: int, high: int) -> "pa.RecordBatchReader":
    """Rows of the users of buckets [low, high), some columns of them, as a stream that is read once."""
    import pyarrow as pa

    schema = pool_schema()
    return pa.RecordBatchReader.from_batches(
        pa.schema([schema.field(name) for name in columns]), _batches(parts, columns, low, high)
    )


def _batches(parts: Sequence[EncryptedFiles], columns: Sequence[str], low: int, high: int) -> Iterator["pa.RecordBatch"]:
    import pyarrow.dataset as ds

    schema = pool_schema()
    wanted = (ds.field("bucket") >= low) & (ds.field("bucket") < high)
    for part in parts:
        options = ds.ParquetFragmentScanOptions(decryption_properties=decryption(part.key))
        parquet = ds.ParquetFileFormat(default_fragment_scan_options=options)
        for start in range(0, len(part.files), FILES_AT_ONCE):
            paths = [str(path) for path in part.files[start : start + FILES_AT_ONCE]]
            some = ds.dataset(paths, schema=schema, format=parquet)
            yield from some.scanner(columns=list(columns), filter=wanted, fragment_readahead=2).to_batches()
