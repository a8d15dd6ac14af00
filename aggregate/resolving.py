"""Resolving: from scrubbed Parquet to the records that count, whole users at a time, in the DuckDB of the measurement.

Everything is a function of one user's rows: duplicates, corrections and withdrawals are resolved within a user.
"""

import itertools
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

import duckdb

from aggregate.events import EVENT_COLUMNS
from aggregate.key_expressions import columns_of, key_expressions, severity_order
from aggregate.reading import count_rows, record_batches
from schemas.errors import InternalError
from schemas.plan import Estimand, RegisteredPlan
from schemas.stages import EncryptedFiles

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_A_PASS = 2_000_000
_SORTED_FROM = 8  # passes: sorting costs about as much as looking at all rows so often

_OF_USER = ("unit", "company", "record_id", "record_status", "scope", "supersedes", "content")
_OF_PLAN = ("domain", "origin", "pseudonym_unit")
_CHANGED = "record_status is distinct from 'new' or hash(unit, record_id) in (select print from twice)"


def resolved_records(
    connection: duckdb.DuckDBPyConnection,
    parts: Sequence[EncryptedFiles],
    plan: RegisteredPlan,
    rows_a_pass: int,
    columns: Collection[str] | None = None,
) -> Iterator[None]:
    """Passes over all users, some of them a time: in each, `records` holds those users' records that count.

    Each file is read once. `records` has the columns that the plan's measures read (or `columns`, fields in them with dots)
    and no other, so that a query which asks for more is an error; `unit` is a UUID, the first 128 bits of the SHA-256 that
    names the privacy unit. Two users of a pool would have to share them to be taken for one: for 10^8 users that has a
    probability of 10^-23, and who looks for such a pair needs 2^64 pseudonyms, to have two users of its own counted as one.
    """
    passes = unit_ranges(count_rows(parts), rows_a_pass)
    if not parts:
        return
    _load(connection, parts, plan, plan_columns(plan) if columns is None else columns, rows_a_pass, passes=len(passes))
    for users in passes:
        _settle(connection, users)
        yield
    connection.execute("drop view records")
    connection.execute("drop table sent")


def unit_ranges(rows: int, most: int) -> list[str]:
    """Conditions in SQL that part all units into ranges of about so many of the rows."""
    ranges = max(1, -(-rows // most))
    edges = [None, *(UUID(int=2**128 * n // ranges) for n in range(1, ranges)), None]
    return [
        " and ".join(f"unit {sign} '{edge}'" for sign, edge in ((">=", low), ("<", high)) if edge) or "true"
        for low, high in itertools.pairwise(edges)
    ]


def plan_columns(plan: RegisteredPlan) -> set[str]:
    """Columns of the record that a plan's measures read, fields in them with dots."""
    expressions, found = key_expressions(plan.release_plan), set[str]()
    for measure in plan.measured():
        found |= set(EVENT_COLUMNS[measure.event])
        found |= {column for marginal in measure.marginals for key in marginal for column in columns_of(expressions[key])}
        if measure.estimand is Estimand.MOST_SEVERE_RECORD:
            found |= columns_of(severity_order())
    return found


def _load(
    connection: duckdb.DuckDBPyConnection,
    parts: Sequence[EncryptedFiles],
    plan: RegisteredPlan,
    columns: Collection[str],
    rows_at_once: int,
    *,
    passes: int,
) -> None:
    """Fills `sent` with all rows, of which `wanted` are of the plan's domain and kind.

    Where there are several passes it is kept on disk; where there are many, so many rows at a time are sorted by unit, so that
    a pass reads little more than its own users.
    """
    import pyarrow as pa

    own = ", ".join(dict.fromkeys((*_OF_USER, *sorted({column.split(".")[0] for column in columns}))))
    begin = "create table sent as" if passes > 1 else "create temp table sent as"
    order = "order by unit" if passes >= _SORTED_FROM else ""
    batches = record_batches(parts, (*_OF_USER, *_OF_PLAN, *columns), digests=("unit", "content"))
    for first in batches:
        connection.register("arriving", pa.RecordBatchReader.from_batches(first.schema, _some(first, batches, rows_at_once)))
        connection.execute(
            f"""
            {begin}
            select {own}, coalesce(domain = $domain and (origin = 'synthetic') = $synthetic and origin <> 'adversarial_test'
                                   and list_contains($units, pseudonym_unit), false) as wanted
            from arriving {order}
            """,
            {
                "domain": plan.release_plan.domain,
                "synthetic": plan.synthetic,
                "units": list(plan.privacy.unit.pseudonym_units),
            },
        )
        connection.unregister("arriving")
        begin = "insert into sent"
    (nameless,) = connection.execute("select count(*) from sent where unit is null and wanted").fetchone() or (1,)
    if nameless:
        raise InternalError("A scrubbed record names no privacy unit.")


def _some(first: "pa.RecordBatch", batches: Iterator["pa.RecordBatch"], rows: int) -> Iterator["pa.RecordBatch"]:
    """So many of the batches or a few more, the first among them."""
    yield first
    taken = len(first)
    while taken < rows and (batch := next(batches, None)) is not None:
        yield batch
        taken += len(batch)


def _settle(connection: duckdb.DuckDBPyConnection, users: str) -> None:
    """Makes `records` those of some users. Most users sent nothing twice and changed nothing: only the others are looked at.

    Who is looked at is found by a hash of 64 bits: where two records share one by chance, two users are looked at in vain.
    """
    connection.execute(
        f"""
        create or replace temp table unsettled as
        with twice as (
                select hash(unit, record_id) as print from sent where {users} group by print having count(*) > 1),
             users as (
                select distinct unit from sent where {users} and ({_CHANGED}))
        select rowid as place, unit, record_id, record_status, scope, supersedes, content
        from sent semi join users using (unit) where {users}
        """
    )
    connection.execute(
        """
        create or replace temp table gone as
        with recursive withdrawn(unit, record_id) as (
                -- A withdrawal takes with it every correction of what it withdraws.
                -- So does a withdrawn submission: what it held is not here any more.
                select unit, supersedes from unsettled where record_status = 'withdrawal' and scope = 'record'
                union
                select c.unit, c.supersedes from unsettled c
                where c.record_status = 'correction' and not exists (
                    select 1 from unsettled o
                    where o.unit = c.unit and o.record_id = c.supersedes and o.record_status in ('new', 'correction'))
                union
                select c.unit, c.record_id from unsettled c
                join withdrawn w on c.unit = w.unit and c.supersedes = w.record_id
                where c.record_status = 'correction'
            ),
            left_out as (select unit from unsettled where record_status = 'withdrawal' and scope = 'user'),
            replaced as (select unit, supersedes as record_id from unsettled where record_status = 'correction'),
            once as (
                select * from unsettled where record_status in ('new', 'correction')
                qualify row_number() over (partition by unit, record_id order by content) = 1
            ),
            one_correction as (
                select * from once
                qualify record_status = 'new'
                     or row_number() over (partition by unit, record_status, supersedes order by content) = 1
            ),
            kept as (
                select place from one_correction anti join left_out using (unit)
                anti join withdrawn using (unit, record_id) anti join replaced using (unit, record_id)
            )
        select place from unsettled anti join kept using (place)
        """
    )
    connection.execute(
        f"create or replace temp view records as select * from sent anti join gone on sent.rowid = gone.place where {users} and wanted"
    )
