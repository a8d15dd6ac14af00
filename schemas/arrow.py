"""The Arrow schema of the record, derived from the pydantic declaration so that the two cannot drift apart."""

from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from schemas.record import RECORD_MODELS

if TYPE_CHECKING:
    import pyarrow as pa


def _arrow_type(annotation: Any) -> "pa.DataType":
    import pyarrow as pa  # here, so that reading the contract needs no Arrow

    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _arrow_type(arguments[0])
    if origin in (Union, UnionType):
        return _arrow_type(next(a for a in arguments if a is not NoneType))
    if origin is list:
        return pa.list_(_arrow_type(arguments[0]))
    if origin is Literal or annotation is str:
        return pa.string()
    if annotation is int:
        return pa.int32()
    if annotation is datetime:
        return pa.timestamp("us", tz="UTC")
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return pa.struct([pa.field(n, _arrow_type(f.annotation)) for n, f in annotation.model_fields.items()])
    raise TypeError("a contract field has a type that Arrow does not know")


@cache
def record_schema() -> "pa.Schema":
    """Columns of a submitted Parquet file: the union of all record models. Null stands for an absent key."""
    import pyarrow as pa

    columns: dict[str, Any] = {}
    for model in RECORD_MODELS:
        for name, field in model.model_fields.items():
            columns.setdefault(name, _arrow_type(field.annotation))
    return pa.schema([pa.field(name, kind) for name, kind in columns.items()])


@cache
def pool_schema() -> "pa.Schema":
    """Columns of a Parquet file that the pool writes: the record without its pseudonym, behind the pool's own columns.

    `unit` is the hex name of the privacy unit, `bucket` its bucket, `submission` the digest of the submission,
    `content` the BLAKE2b-256 of the record as accepted (it settles duplicates within a user).
    """
    import pyarrow as pa

    own: list[pa.Field[Any]] = [
        pa.field("company", pa.string()),
        pa.field("submission", pa.string()),
        pa.field("pseudonym_unit", pa.string()),
        pa.field("selection_reason", pa.string()),
        pa.field("unit", pa.string()),
        pa.field("bucket", pa.int32()),
        pa.field("content", pa.string()),
    ]
    schema = record_schema()
    return pa.schema([*own, *(schema.field(name) for name in schema.names if name != "user_pseudonym")])
