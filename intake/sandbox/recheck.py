"""What comes out of the throw-away process is checked again, column by column: it may have been taken over by a file.

Held here: every column keeps its type, codes, pattern, length and range; what a status must not carry is null; period,
strata, origin, and no text of an under-13. What the fields of one record say of each other (order of turns, outcomes of
an intervention) is judged inside only: a process that was taken over could send such a record, as its company could.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from intake.record_checks import RecordContext
from schemas.codes import Coded, code_lists
from schemas.fields import Sha256
from schemas.record import RECORD_MODELS

if TYPE_CHECKING:
    import pyarrow as pa

_STATUS = ("new", "correction", "withdrawal", "withdrawal", "withdrawal")  # of RECORD_MODELS, in their order
_SCOPE = (None, None, "record", "user", "submission")
_DIGEST = get_args(Sha256)[1:]
_FIRST, _LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


def keeps_contract(batch: "pa.RecordBatch", context: RecordContext) -> bool:
    """Whether every row of a batch, valid as Arrow, keeps what can be held column by column."""
    import pyarrow as pa
    import pyarrow.compute as pc

    status: Any = batch.column("record_status")
    scope: Any = batch.column("scope")
    seen = 0
    for model, own_status, own_scope in zip(RECORD_MODELS, _STATUS, _SCOPE, strict=True):
        of_scope: Any = pc.is_null(scope) if own_scope is None else pc.equal(scope, pa.scalar(own_scope))
        mask: Any = pc.fill_null(pc.and_(pc.equal(status, pa.scalar(own_status)), of_scope), False)
        count = pc.sum(mask).as_py() or 0
        if count:
            rows = batch if count == batch.num_rows else batch.filter(mask)
            if not _of_model(rows, model) or (own_scope is None and not _in_context(rows, own_status, context)):
                return False
        seen += count
    return seen == batch.num_rows and _all(batch.column("content"), _DIGEST, pa)


def _of_model(rows: Any, model: type[BaseModel]) -> bool:
    for name in rows.schema.names:
        column, field = rows.column(name), model.model_fields.get(name)
        if name in ("row", "content"):
            continue
        if field is None:
            if column.null_count < len(column):
                return False
        elif not _fits(column, field.annotation, field.metadata):
            return False
    return True


def _fits(column: Any, annotation: Any, constraints: Sequence[Any]) -> bool:
    import pyarrow as pa

    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _fits(column, arguments[0], [*constraints, *_plain(arguments[1:])])
    if origin in (Union, UnionType):
        (inner,) = (each for each in arguments if each is not NoneType)
        return _fits(column.drop_null(), inner, constraints)
    if column.null_count:
        return False
    if isinstance(column, pa.ListArray):
        return _all(column, constraints, pa) and _fits(column.flatten(), arguments[0], ())
    if isinstance(column, pa.StructArray):
        fields = zip(column.flatten(), annotation.model_fields.values(), strict=True)
        return all(_fits(child, field.annotation, field.metadata) for child, field in fields)
    if origin is Literal:
        return _one_of(column, arguments)
    return _all(column, constraints, pa)


def _plain(constraints: Iterable[Any]) -> Iterable[Any]:
    for each in constraints:
        yield from each.metadata if isinstance(each, FieldInfo) else (each,)


def _all(column: Any, constraints: Iterable[Any], pa: Any) -> bool:
    import pyarrow.compute as pc

    if not len(column):
        return True
    if pa.types.is_timestamp(column.type):
        span = pc.min_max(column)
        return bool(
            pc.greater_equal(span["min"], pa.scalar(_FIRST, column.type)).as_py()
            and pc.less_equal(span["max"], pa.scalar(_LAST, column.type)).as_py()
        )
    for each in constraints:
        if isinstance(each, Coded) and not _one_of(column, code_lists()[each.list_name]):
            return False
        pattern = getattr(each, "pattern", None)
        if pattern is not None and not pc.all(pc.match_substring_regex(column, pattern)).as_py():
            return False
        if not _within(column, each, pa):
            return False
    return True


def _within(column: Any, constraint: Any, pa: Any) -> bool:
    import pyarrow.compute as pc

    least, most = getattr(constraint, "min_length", None), getattr(constraint, "max_length", None)
    if least is not None or most is not None:
        lengths = pc.list_value_length(column) if pa.types.is_list(column.type) else pc.utf8_length(column)
        span = pc.min_max(lengths)
        if (least is not None and span["min"].as_py() < least) or (most is not None and span["max"].as_py() > most):
            return False
    lower, upper = getattr(constraint, "ge", None), getattr(constraint, "le", None)
    if lower is None and upper is None:
        return True
    span = pc.min_max(column)
    return (lower is None or span["min"].as_py() >= lower) and (upper is None or span["max"].as_py() <= upper)


def _one_of(column: Any, codes: Iterable[str]) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    return not len(column) or bool(pc.all(pc.is_in(column, pa.array(list(codes), pa.string()))).as_py())


def _in_context(rows: Any, status: str, context: RecordContext) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    moments = rows.column("started_at")
    if status == "new":
        start, end = (pa.scalar(each, moments.type) for each in (context.start, context.end))
        span = pc.min_max(moments)
        if not (pc.greater_equal(span["min"], start).as_py() and pc.less(span["max"], end).as_py()):
            return False
    if not _one_of(rows.column("selection_stratum"), sorted(context.strata)):
        return False
    if context.synthetic and not _one_of(rows.column("origin"), ["synthetic"]):
        return False
    young: Any = pc.equal(rows.column("person").field("age_band"), pa.scalar("under_13"))
    texts = rows.filter(young).column("turns").flatten().field("text")
    return not len(texts) or pc.max(pc.utf8_length(texts)).as_py() == 0
