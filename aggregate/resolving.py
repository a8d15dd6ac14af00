"""Resolving: from scrubbed Parquet to the records that count, whole users at a time, in the DuckDB of the measurement.

Everything is a function of one user's rows: duplicates, corrections and withdrawals are resolved within a user.
"""

import itertools
from collections.abc import Iterator, Sequence

import duckdb

from aggregate.reading import count_rows, users_of_buckets
from schemas.plan import RegisteredPlan
from schemas.stages import EncryptedFiles
from schemas.unit import BUCKETS

ROWS_A_PASS = 2_000_000

COLUMNS = (
    "company unit pseudonym_unit content record_id record_status supersedes scope domain origin started_at selection_reason "
    "deployment person risk n_turns interventions evasion failure_modes"
).split()


def resolved_records(
    connection: duckdb.DuckDBPyConnection, parts: Sequence[EncryptedFiles], plan: RegisteredPlan, rows_a_pass: int
) -> Iterator[None]:
    """Passes over all users, some whole buckets of them a time: in each, `records` holds those users' records that count."""
    if parts:
        for low, high in _passes(parts, rows_a_pass):
            _load_users(connection, parts, plan, low, high)
            yield


def _passes(parts: Sequence[EncryptedFiles], rows_a_pass: int) -> Iterator[tuple[int, int]]:
    # Whole buckets at a time: a window over all users at once ran out of memory at 100M rows.
    passes = min(BUCKETS, max(1, -(-count_rows(parts) // rows_a_pass)))
    edges = [round(BUCKETS * n / passes) for n in range(passes + 1)]
    yield from itertools.pairwise(edges)


def _load_users(
    connection: duckdb.DuckDBPyConnection, parts: Sequence[EncryptedFiles], plan: RegisteredPlan, low: int, high: int
) -> None:
    """Fills `records` with the resolved records of the users of buckets [low, high)."""
    connection.register("arriving", users_of_buckets(parts, COLUMNS, low, high))
    connection.execute("create or replace temp table sent as select * from arriving")
    connection.unregister("arriving")
    connection.execute(
        """
        create or replace temp table records as
        with recursive withdrawn(unit, record_id) as (
                -- A withdrawal takes with it every correction of what it withdraws.
                -- So does a withdrawn submission: what it held is not here any more.
                select unit, supersedes from sent where record_status = 'withdrawal' and scope = 'record'
                union
                select c.unit, c.supersedes from sent c
                where c.record_status = 'correction' and not exists (
                    select 1 from sent o
                    where o.unit = c.unit and o.record_id = c.supersedes and o.record_status in ('new', 'correction'))
                union
                select c.unit, c.record_id from sent c
                join withdrawn w on c.unit = w.unit and c.supersedes = w.record_id
                where c.record_status = 'correction'
            ),
            left_out as (select unit from sent where record_status = 'withdrawal' and scope = 'user'),
            replaced as (select unit, supersedes as record_id from sent where record_status = 'correction'),
            once as (
                select * from sent where record_status in ('new', 'correction')
                qualify row_number() over (partition by unit, record_id order by content) = 1
            ),
            one_correction as (
                select * from once
                qualify record_status = 'new'
                     or row_number() over (partition by unit, record_status, supersedes order by content) = 1
            )
        select * from one_correction
        where domain = $domain and (origin = 'synthetic') = $synthetic and origin <> 'adversarial_test'
          and pseudonym_unit in (select unnest($units))
          and unit not in (select unit from left_out)
          and (unit, record_id) not in (select (unit, record_id) from withdrawn)
          and (unit, record_id) not in (select (unit, record_id) from replaced)
        """,
        {
            "domain": plan.release_plan.domain,
            "synthetic": plan.synthetic,
            "units": list(plan.privacy.unit.pseudonym_units),
        },
    )
