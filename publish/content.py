"""What a release holds, in one canonical form: expected cells, sorted rows, and the digest that is signed."""

from collections.abc import Iterator
from itertools import product
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from schemas.canonical import digest
from schemas.derived_tables import COVARIANCE, EFFECTS, PATTERNS, PUBLIC, TERMS
from schemas.errors import InternalError
from schemas.keys import ALL, KEYS
from schemas.periods import Quarter
from schemas.plan import Measure, RegisteredPlan, ReleasePlan
from schemas.stages import MeasuredRelease, NoisyTable
from schemas.tables import CHANGES, TABLES, columns, key_columns

CellKey = tuple[str, ...]
"""The values of a table's key columns, in the order of `schemas.tables.key_columns`."""


def table_names(plan: ReleasePlan) -> tuple[str, ...]:
    """Tables that a plan fills, in the order of the contract."""
    filled = {COVARIANCE, *(measure.table for measure in plan.measures)}
    filled |= {EFFECTS} if CHANGES in filled else set()
    filled |= {name for name, asked in ((PATTERNS, plan.patterns), (TERMS, plan.terms)) if asked}
    return tuple(name for name in TABLES if name in filled)


def marginal_cells(measure: Measure, marginal: tuple[str, ...], plan: RegisteredPlan) -> Iterator[CellKey]:
    """Every cell of one marginal of a measure: the whole public domain, known before any data are read."""
    scope = measure.scope(Quarter.parse(plan.quarter), plan.release_plan)
    names = key_columns(measure.table, plan.release_plan)
    outcome = {"outcome_kind": measure.outcome_kind, "window": measure.window}
    for codes in product(*(KEYS[key].domain(scope) for key in marginal)):
        here = {**outcome, **dict(zip(marginal, codes, strict=True))}
        yield tuple(here.get(name, ALL) for name in names)


def sorted_rows(table: NoisyTable, plan: ReleasePlan) -> pa.Table:
    """The rows of a table in declared column order, sorted by key, in one chunk: what is hashed and what is written."""
    names = [column.name for column in columns(table.name, plan)]
    if table.rows.column_names != names:
        raise InternalError("A noisy table has not the declared columns.")
    order: list[tuple[str, Literal["ascending", "descending"]]] = [
        (name, "ascending") for name in ("quarter", *key_columns(table.name, plan))
    ]
    return table.rows.sort_by(order).combine_chunks()


def table_digest(rows: pa.Table) -> str:
    """Hex SHA-256 over the columns of a sorted table, in order. It does not depend on how the file was written."""
    try:
        return digest([[name, digest(rows.column(name).to_pylist())] for name in rows.column_names])
    except ValueError:
        pass
    raise InternalError("A noisy table holds a value that is not a finite number, a text or null.")


def digest_of(rows_by_name: dict[str, pa.Table]) -> str:
    """Digest of all tables of a release that follow from the measurement alone, from their sorted rows.

    Found terms are not among them: reviewers decide on them after the measurement (`terms_digest`).
    """
    return digest({name: table_digest(rows) for name, rows in rows_by_name.items() if name != TERMS})


def members_digest(rows: pa.Table, salt: str) -> str:
    """Digest of the table of terms that members may read. Salted, so that nobody finds a term by trying words."""
    return digest({"salt": salt, "terms": table_digest(rows)})


def terms_digest(public: pa.Table, members: str) -> str:
    """Digest of what reviewers let out: the public table, and by its digest that for members."""
    return digest({"public": table_digest(public), "members": members})


def public_terms(rows: pa.Table) -> pa.Table:
    """Those rows of the table for members that are public too."""
    return rows.filter(pc.equal(rows.column("audience"), pa.scalar(PUBLIC)))


def ordered_tables(measured: MeasuredRelease) -> tuple[NoisyTable, ...]:
    """The tables in the order of the contract: what is written must not depend on how they were handed over."""
    order = list(TABLES)
    return tuple(sorted(measured.tables, key=lambda table: order.index(table.name)))


def release_rows(measured: MeasuredRelease) -> dict[str, pa.Table]:
    """All tables of a release by name, sorted."""
    plan = measured.plan.release_plan
    return {table.name: sorted_rows(table, plan) for table in ordered_tables(measured)}


def tables_digest(measured: MeasuredRelease) -> str:
    """The digest under which people sign: it names every published number but those of terms."""
    return digest_of(release_rows(measured))


def signed_terms(measured: MeasuredRelease) -> str:
    """The digest of a release's terms; empty where it has no table of them."""
    tables = {table.name: table for table in measured.tables}
    if TERMS not in tables:
        return ""
    return terms_digest(sorted_rows(tables[TERMS], measured.plan.release_plan), measured.members_digest)


def release_id(quarter: Quarter, version: int) -> str:
    """`2026Q3/v1`: how a release is named everywhere."""
    return f"{quarter}/v{version}"
