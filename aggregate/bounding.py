"""Bounding: from scrubbed Parquet to one bounded table a measure, in which no user weighs more than declared.

Everything is a function of one user's rows: duplicates, corrections and withdrawals are resolved within a user,
weights are normalised within a user, and sampling is ordered by a keyed SHA-256 of intrinsic ids.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from aggregate.comparing import compared_of, load_compared
from aggregate.events import event_rows
from aggregate.key_expressions import key_expressions, severity_order
from aggregate.resolving import ROWS_A_PASS, resolved_records, unit_ranges
from aggregate.scratch import scratch_database
from schemas.errors import BudgetRefusedError, InternalError
from schemas.plan import ContributionBound, Estimand, Measure, RegisteredPlan
from schemas.stages import ScrubbedRecords

ROWS_AT_ONCE = 4_000_000  # of a bounded table, where each user is a group


@dataclass(frozen=True)
class BoundedTable:
    """The table of one measure in DuckDB, one row an event: `unit`, `company`, its keys, and the weight `w`.

    The bound is what the plan declares; `check` re-derives it from the table itself.
    """

    measure: Measure
    bound: ContributionBound
    name: str
    connection: duckdb.DuckDBPyConnection = field(repr=False)

    def check(self) -> None:
        """Re-derives the largest weight of any user within any stratum, from the table that is grouped.

        Raises BudgetRefusedError where a user weighs more than declared or in more strata, a unit is missing, a weight is
        negative, or a unit belongs to two companies (the company rules would then not be 1-Lipschitz).
        """
        bound = self.bound
        within = f", {bound.stratum}" if bound.stratum else ""
        for users in (*self._ranges(), "unit is null"):
            largest, most, broken = self.connection.execute(
                f"""
                with strata as (
                        select unit, sum(w)::hugeint as mass, min(w) as least, min(company) as first, max(company) as last,
                               count(*) - least(count(company), count(w), count(unit)) as missing
                        from {self.name} where {users} group by unit{within}),
                     users as (
                        select max(mass) as mass, count(*) as strata, min(least) as least,
                               min(first) <> max(last) or sum(missing) > 0 as broken
                        from strata group by unit)
                select coalesce(max(mass), 0), coalesce(max(strata), 0), count(*) filter (where broken or least < 0) from users
                """
            ).fetchone() or (0, 0, 1)
            if broken or largest > bound.mass or most > bound.strata:
                raise BudgetRefusedError(
                    "A bounded table does not keep its declared bound.", "Nothing was spent; this is a bug or tampering."
                )

    def squares(self, marginal: Sequence[str]) -> int:
        """Sum over users and cells of the squared weight of a user in a cell, in steps of 1 / mass² of the bound, over mass.

        A user adds at most strata · mass, and one more for the division.
        """
        keys, total = ", ".join(("unit", *marginal)), 0
        for users in self._ranges():
            (some,) = self.connection.execute(
                f"""
                with cells as (select sum(w)::hugeint as mass from {self.name} where {users} group by {keys})
                select coalesce(sum(mass * mass), 0)::hugeint from cells
                """
            ).fetchone() or (0,)
            total += int(some)
        return total // self.bound.mass

    def _ranges(self) -> list[str]:
        # A group for each user, over some users a time: all at once would not fit into memory.
        (rows,) = self.connection.execute(f"select count(*) from {self.name}").fetchone() or (0,)
        return unit_ranges(rows, ROWS_AT_ONCE)


@dataclass(frozen=True)
class MeasurementSettings:
    """What DuckDB may use: the database of the measures `memory_limit`, that of terms, open beside it, `terms_memory`; each may
    spill `disk_limit`. `rows_a_pass` bounds the memory of a pass over whole buckets of users.
    """

    memory_limit: str = "4GB"
    threads: int = 2
    disk_limit: str = "50GB"
    terms_memory: str = "1GB"
    rows_a_pass: int = ROWS_A_PASS


@contextmanager
def bounded_tables(
    records: ScrubbedRecords, plan: RegisteredPlan, secret: bytes, scratch: Path, settings: MeasurementSettings
) -> Iterator[list[BoundedTable]]:
    """Bounds every measure of the plan; the tables live in a scratch database that is removed afterwards.

    Args:
        records: scrubbed Parquet of one quarter.
        secret: key of the sampling order; privacy never rests on it.
        scratch: a folder of the caller's, for DuckDB's own files.
    """
    with scratch_database(scratch, settings.memory_limit, settings.threads, settings.disk_limit) as connection:
        tables = [_create(connection, measure, plan) for measure in plan.measured()]
        load_compared(connection, compared_of(plan, records.changes, records.companies))
        for _ in resolved_records(connection, records.parts, plan, settings.rows_a_pass):
            for table in tables:
                _insert(table, plan, secret)
        yield tables


def _keys(measure: Measure) -> list[str]:
    return list(dict.fromkeys(key for marginal in measure.marginals for key in marginal))


def _create(connection: duckdb.DuckDBPyConnection, measure: Measure, plan: RegisteredPlan) -> BoundedTable:
    name = f"bounded_{measure.name}"
    keys = "".join(f", {key} varchar" for key in _keys(measure))
    connection.execute(f"create table {name} (unit uuid, company varchar, w bigint{keys})")
    return BoundedTable(measure, measure.bound(plan.privacy.unit.weight_scale), name, connection)


def _insert(table: BoundedTable, plan: RegisteredPlan, secret: bytes) -> None:
    measure, scale = table.measure, plan.privacy.unit.weight_scale
    expressions = key_expressions(plan.release_plan)
    keys = "".join(f", {expressions[key]} as {key}" for key in _keys(measure))
    events, parameters = event_rows(measure, plan.release_plan, secret)
    weight, tail = str(scale), ""
    match measure.estimand:
        case Estimand.MOST_SEVERE_RECORD:
            tail = _one_event(f"{severity_order()}, ")
        case Estimand.ONE_RECORD:
            tail = _one_event("")
        case Estimand.SHARE_OF_USER:
            weight = f"{scale} // count(*) over (partition by unit)"
        case Estimand.SHARE_OF_USER_AND_DEPTH:
            weight = f"{scale} // count(*) over (partition by unit, {expressions['depth_band']})"
        case _:
            raise InternalError("an estimand has no weight")
    if tail:
        parameters["secret"] = secret.hex()
    table.connection.execute(
        f"insert into {table.name} select unit, company, {weight} as w{keys} from ({events}) {tail}", parameters
    )


def _one_event(first: str) -> str:
    """Keeps one event a user: the first by `first`, then by keyed hash."""
    drawn = "sha256(encode($secret) || unit::blob || encode(record_id))"  # of the hex key and the 16 bytes of the unit
    return f"qualify row_number() over (partition by unit order by {first}{drawn}) = 1"
