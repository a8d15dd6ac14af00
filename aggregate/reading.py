"""Reading scrubbed records: encrypted Parquet as a stream of Arrow batches, so that DuckDB opens no file at all.

DuckDB 2.0 has an own reader of encrypted Parquet; it fails on files of PyArrow's above a small size.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from schemas.arrow import pool_schema
from schemas.at_rest import decryption
from schemas.errors import InternalError
from schemas.stages import EncryptedFiles

if TYPE_CHECKING:
    import pyarrow as pa

_THREADS, _FILES_AHEAD = 2, 4  # a few files are read while DuckDB takes the one before: memory does not grow with their number
_HEX, _PREFIX = 64, 32  # characters of a digest, and of the part of it that is kept
_DIGITS = np.full(256, 16, np.uint8)
_DIGITS[np.frombuffer(b"0123456789abcdef", np.uint8)] = range(16)


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
    raise _not_ours()


def record_batches(
    parts: Sequence[EncryptedFiles], columns: Sequence[str], digests: Sequence[str] = ()
) -> Iterator["pa.RecordBatch"]:
    """Some columns of all rows, each file read once.

    Args:
        columns: names of columns, or of fields in them with dots (`interventions.outcomes.kind`): others are not decrypted.
        digests: columns of hex SHA-256 or BLAKE2b-256 that come as UUID, their first 128 bits.

    Raises InternalError where the pool's schema lacks a column, or a file is not as the pool wrote it.
    """
    leaves = _leaves(columns)
    with ThreadPoolExecutor(_THREADS) as pool:
        ahead: deque[Future[list[pa.RecordBatch]]] = deque()
        for part in parts:
            for path in part.files:
                ahead.append(pool.submit(_read, path, part.key, leaves, digests))
                if len(ahead) > _FILES_AHEAD:
                    yield from ahead.popleft().result()
        while ahead:
            yield from ahead.popleft().result()


def users_of_buckets(parts: Sequence[EncryptedFiles], columns: Sequence[str], low: int, high: int) -> "pa.RecordBatchReader":
    """Rows of the users of buckets [low, high), some columns of them, as a stream that is read once."""
    import pyarrow as pa

    def chosen() -> Iterator[pa.RecordBatch]:
        for batch in record_batches(parts, [*columns, "bucket"]):
            bucket = batch.column("bucket").to_numpy()
            yield batch.filter(pa.array((low <= bucket) & (bucket < high))).select(list(columns))

    empty = _empty(_leaves([*columns, "bucket"])).select(list(columns))
    return pa.RecordBatchReader.from_batches(empty.schema, chosen())


def _read(path: Path, key: bytes, leaves: tuple[str, ...], digests: Sequence[str]) -> list["pa.RecordBatch"]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Codes come as dictionaries: a third of the time and a tenth of the memory. A row group at a time: nested ones have a
        # dictionary for each, and PyArrow cannot put several into one column.
        with pq.ParquetFile(path, decryption_properties=decryption(key), read_dictionary=_codes()) as file:
            groups = range(file.num_row_groups)
            tables = [file.read_row_group(group, columns=list(leaves), use_threads=False) for group in groups]
    except (OSError, pa.ArrowException):
        tables = None
    if tables is None or any(not table.schema.equals(_empty(leaves).schema) for table in tables):
        raise _not_ours()
    batches = [batch for table in tables for batch in table.to_batches()]
    for name in digests:
        place = _empty(leaves).schema.get_field_index(name)
        batches = [batch.set_column(place, name, _uuids(batch.column(place))) for batch in batches]
    return batches


def _uuids(texts: "pa.Array[Any]") -> "pa.Array[Any]":
    """The first 128 bits of hex digests; null where there is none. DuckDB's own cast takes six times as long."""
    import pyarrow as pa

    bits = _bits(texts.dictionary).take(texts.indices) if isinstance(texts, pa.DictionaryArray) else _bits(texts)
    return pa.ExtensionArray.from_storage(pa.uuid(), bits)


def _bits(texts: "pa.Array[Any]") -> "pa.Array[Any]":
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = texts.fill_null("")
    missing = pc.equal(texts, pa.scalar(""))
    whole = pc.if_else(missing, "0" * _HEX, texts)
    if not pc.all(pc.equal(pc.binary_length(whole), pa.scalar(_HEX, pa.int32())), min_count=0).as_py():
        raise _not_ours()
    text = np.frombuffer(whole.buffers()[2] or b"", np.uint8, _HEX * len(whole)).reshape(len(whole), _HEX)
    digits = _DIGITS[text[:, :_PREFIX]]
    if digits.max(initial=0) > 15:
        raise _not_ours()
    bits = pa.py_buffer((digits[:, ::2] << 4 | digits[:, 1::2]).tobytes())
    found: pa.Array[Any] = pc.if_else(missing, None, pa.Array.from_buffers(pa.binary(_PREFIX // 2), len(whole), [None, bits]))
    return found


@cache
def _paths() -> dict[str, tuple[str, bool]]:
    """Path in Parquet of every field that holds values, by its name with dots, and whether it is text."""
    import pyarrow as pa

    def inner(name: str, path: str, kind: pa.DataType) -> Iterator[tuple[str, tuple[str, bool]]]:
        if isinstance(kind, pa.ListType):
            yield from inner(name, f"{path}.list.element", kind.value_type)
        elif isinstance(kind, pa.StructType):
            for child in kind:
                yield from inner(f"{name}.{child.name}", f"{path}.{child.name}", child.type)
        else:
            yield name, (path, pa.types.is_string(kind))

    return dict(found for field in pool_schema() for found in inner(field.name, field.name, field.type))


@cache
def _codes() -> list[str]:
    # Texts that repeat. DuckDB 2.0 fails on a batch in which all lists of such texts are empty; lists of structs are well.
    unlike = ("content", "record_id", "turns.text")
    return [path for name, (path, text) in _paths().items() if text and name not in unlike and not path.endswith(".element")]


def _leaves(columns: Sequence[str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for column in columns:
        paths = {path: None for name, (path, _) in _paths().items() if f"{name}.".startswith(f"{column}.")}
        if not paths:
            raise InternalError("A column was asked for that the pool's records do not have.")
        found |= paths
    return tuple(path for path, _ in _paths().values() if path in found)


@cache
def _empty(leaves: tuple[str, ...]) -> "pa.Table":
    """What reading these of a file without rows gives: the schema that every file must give."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pool_schema().empty_table(), sink)
    return pq.ParquetFile(pa.BufferReader(sink.getvalue()), read_dictionary=_codes()).read(columns=list(leaves))


def _not_ours() -> InternalError:
    return InternalError(
        "A scrubbed file is not as the pool wrote it, or not under its key.", "Restore scrubbed/ and secrets/ from one backup."
    )
