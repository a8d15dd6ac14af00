"""Reading scrubbed records: encrypted Parquet as a stream of Arrow batches, so that DuckDB opens no file at all.

DuckDB 2.0 has an own reader of encrypted Parquet; it fails on files of PyArrow's above a small size.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from itertools import repeat
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from schemas.arrow import pool_schema
from schemas.at_rest import parquet_file
from schemas.errors import InternalError
from schemas.stages import EncryptedFiles
from schemas.storage import Place, source_of

if TYPE_CHECKING:
    import pyarrow as pa

_Groups: TypeAlias = "Iterator[list[pa.RecordBatch]]"
_THREADS, _FILES_AHEAD = 2, 4  # a few files are read while DuckDB takes the one before: memory does not grow with their number
_HEX, _PREFIX = 64, 32  # characters of a digest, and of the part of it that is kept
_DIGITS = np.full(256, 16, np.uint8)
_DIGITS[np.frombuffer(b"0123456789abcdef", np.uint8)] = range(16)


def count_rows(parts: Sequence[EncryptedFiles]) -> int:
    """Rows of all files, from their footers. Raises InternalError where one is not whole, of another key or another form."""
    with ThreadPoolExecutor(_THREADS) as pool:
        return sum(sum(pool.map(_rows, part.files, repeat(part.key))) for part in parts)


def _rows(place: Place, key: bytes) -> int:
    import pyarrow as pa

    try:
        with parquet_file(source_of(place), key) as file:
            if file.schema_arrow.equals(pool_schema()):
                return int(file.metadata.num_rows)
    except (OSError, pa.ArrowException):
        pass
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
        ahead: deque[tuple[_Groups, Future[list[pa.RecordBatch]]]] = deque()
        for part in parts:
            for place in part.files:
                groups = _read(place, part.key, leaves, digests)
                ahead.append((groups, pool.submit(next, groups, [])))
                if len(ahead) > _FILES_AHEAD:
                    yield from _rest(pool, *ahead.popleft())
        while ahead:
            yield from _rest(pool, *ahead.popleft())


def _rest(pool: ThreadPoolExecutor, groups: _Groups, first: "Future[list[pa.RecordBatch]]") -> Iterator["pa.RecordBatch"]:
    """A file whose first row group is being read: the next one is read while this one is used, and no more."""
    while batches := first.result():
        first = pool.submit(next, groups, [])
        yield from batches


def users_of_buckets(parts: Sequence[EncryptedFiles], columns: Sequence[str], low: int, high: int) -> "pa.RecordBatchReader":
    """Rows of the users of buckets [low, high), some columns of them, as a stream that is read once."""
    import pyarrow as pa

    def chosen() -> Iterator[pa.RecordBatch]:
        for batch in record_batches(parts, [*columns, "bucket"]):
            bucket = batch.column("bucket").to_numpy()
            yield batch.filter(pa.array((low <= bucket) & (bucket < high))).select(list(columns))

    empty = _empty(_leaves([*columns, "bucket"])).select(list(columns))
    return pa.RecordBatchReader.from_batches(empty.schema, chosen())


def _read(place: Place, key: bytes, leaves: tuple[str, ...], digests: Sequence[str]) -> _Groups:
    """The batches of each row group that has rows."""
    import pyarrow as pa

    schema = _empty(leaves).schema
    columns = {name: schema.get_field_index(name) for name in digests}
    try:
        # Codes come as dictionaries: a third of the time and a tenth of the memory. A row group at a time: nested ones have a
        # dictionary for each, and PyArrow cannot put several into one column.
        with parquet_file(source_of(place), key, read_dictionary=_codes()) as file:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=list(leaves), use_threads=False)
                if not table.schema.equals(schema):
                    raise pa.ArrowInvalid
                batches = table.to_batches()
                for name, column in columns.items():
                    batches = [batch.set_column(column, name, _uuids(batch.column(column))) for batch in batches]
                if batches:
                    yield batches
            return
    except (OSError, pa.ArrowException):
        pass
    raise _not_ours()


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
