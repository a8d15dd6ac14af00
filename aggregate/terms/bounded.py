"""Terms of users, bounded: in each round no user moves the sums of all terms by more than G in L2, nor one of them by more.

A user counts with at most so many terms of a round: new words first, then phrases, each in an order that a keyed hash of
(unit, term) fixes. With k terms each weighs floor(G / √k). All of it is a function of that user's rows alone.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import isqrt

import duckdb
import numpy as np
import pyarrow as pa

from aggregate.counts import ExactCounts
from aggregate.resolving import unit_ranges
from schemas.emerging import TermRule, TermSearch
from schemas.errors import BudgetRefusedError

ROWS_AT_ONCE = 4_000_000


def weight(mass: int, terms: int) -> int:
    """What each of a user's terms weighs: floor(mass / √terms), so that all weigh no more than `mass` in L2."""
    return isqrt(mass**2 // terms)


@dataclass(frozen=True)
class TermTable:
    """One table in DuckDB, one row a user and term: `unit`, `company` (a number), `term` (a print), and the weight `w`."""

    name: str
    most: int
    mass: int
    connection: duckdb.DuckDBPyConnection = field(repr=False)

    def check(self) -> None:
        """Re-derives the bound from the table that is grouped.

        Raises BudgetRefusedError where a user has more terms than declared, a term twice, more than `mass` in L2, more in one
        term than floor(mass / √terms), two companies, or where something is missing or negative.
        """
        for users in (*self._ranges(), "unit is null"):
            broken = _one(
                self.connection,
                f"""
                select count(*) from (
                    select count(*) as k, sum(w::hugeint * w) as squares, max(w) as largest, min(w) as least
                    from {self.name} where {users} group by unit
                    having k > $most or squares > $square or largest::hugeint * largest * k > $square or least < 0
                        or k <> count(distinct term) or min(company) <> max(company)
                        or k <> least(count(unit), count(company), count(term), count(w)))
                """,
                {"most": self.most, "square": self.mass**2},
            )
            if broken:
                raise BudgetRefusedError(
                    "A table of terms does not keep its declared bound.", "Nothing was spent; this is a bug or tampering."
                )

    def sums(self, rule: TermRule | None, minimum: int, margin: int = 0) -> dict[int, int]:
        """What is measured of each term, in integer steps; a term that is not there has 0.

        With R the mass outside the `minimum` - 1 largest companies: `strict` measures R, `relaxed` the smaller of the whole
        mass and R + `margin`, None the whole mass (for comparisons only). Each moves by no more than a user's own mass.
        """
        outside = f"(sum(mass) - list_sum(max(mass, {minimum - 1})))::bigint"
        measured = {
            TermRule.STRICT: outside,
            TermRule.RELAXED: f"least(sum(mass)::bigint, {outside} + {int(margin)})",
            None: "sum(mass)::bigint",
        }[rule]
        ranges = -(-_one(self.connection, f"select count(*) from {self.name}") // ROWS_AT_ONCE)
        sums: dict[int, int] = {}
        for part in range(ranges):  # DuckDB cannot put on disk the largest companies of each term while it sums
            found = self.connection.execute(
                f"""
                with companies as (
                    select term, company, sum(w)::hugeint as mass from {self.name}
                    where hash(term) % {ranges} = {part} group by term, company)
                select term, {measured} as measured from companies group by term having measured > 0
                """
            ).fetchnumpy()
            sums |= zip(found["term"].tolist(), found["measured"].tolist(), strict=True)
        return sums

    def by_company(self, terms: Sequence[int], companies: int) -> ExactCounts:
        """Sums of some terms by company, shape (terms, companies)."""
        sums = np.zeros((len(terms), companies), np.int64)
        rows = {term: row for row, term in enumerate(terms)}
        found = self.connection.execute(f"select term, company, sum(w)::bigint from {self.name} group by term, company")
        while batch := found.fetchmany(10_000):
            for term, company, mass in batch:
                sums[rows[term], company] += mass
        return ExactCounts(sums)

    def _ranges(self) -> list[str]:
        return unit_ranges(_one(self.connection, f"select count(*) from {self.name}"), ROWS_AT_ONCE)


@dataclass(frozen=True)
class UserTerms:
    """What users of a search wrote: in DuckDB, `chosen` (what may be found) and `followed` (what was found earlier).

    Both have `unit`, `company`, `term`; `chosen` has `place` too, a number of 64 bits by which a user's terms are ordered: its
    first bit tells phrases from single words, the others are a keyed hash. A row may stand twice.
    """

    search: TermSearch
    mass: int  # G, the most that a user weighs in L2
    minimum: int  # K
    companies: int
    chosen: str
    followed: str
    tracked: tuple[str, ...]  # as written, in order
    prints: tuple[int, ...] = field(repr=False)  # of them
    spelled: Mapping[int, str] = field(repr=False)
    connection: duckdb.DuckDBPyConnection = field(repr=False)

    def round(self, number: int, found: Collection[int]) -> TermTable:
        """The bounded table of a round, without what earlier rounds found."""
        turn = (number - 1) * 0x9E3779B97F4A7C15 % 2**63  # another order in each round, words before phrases in all of them
        left = pa.table({"term": pa.array(sorted(found), pa.uint64())})
        self.connection.register("left_out", left)
        table = self._bounded(
            self.chosen,
            f"{self.chosen}_{number}",
            f"""
            select distinct unit, company, term, xor(place, {turn}::ubigint) as place
            from {self.chosen} anti join left_out using (term)
            """,
            self.search.most,
            f"qualify row_number() over (partition by unit order by place, term) <= {self.search.most}",
        )
        self.connection.unregister("left_out")
        return table

    def of_tracked(self) -> TermTable:
        """The bounded table of the terms that were found earlier."""
        rows = f"select distinct unit, company, term from {self.followed}"
        return self._bounded(self.followed, f"{self.followed}_bounded", rows, len(self.tracked))

    def _bounded(self, source: str, name: str, rows: str, most: int, first: str = "") -> TermTable:
        self.connection.execute(f"create or replace table {name} (unit uuid, company usmallint, term ubigint, w bigint)")
        weights = [weight(self.mass, terms) for terms in range(1, most + 1)]
        for users in unit_ranges(_one(self.connection, f"select count(*) from {source}"), ROWS_AT_ONCE):
            self.connection.execute(
                f"""
                insert into {name}
                select unit, company, term, list_extract($weights, count(*) over (partition by unit))
                from (select unit, company, term from (select * from ({rows}) where {users}) {first})
                """,
                {"weights": weights},
            )
        return TermTable(name, most, self.mass, self.connection)


def _one(connection: duckdb.DuckDBPyConnection, query: str, parameters: object = None) -> int:
    ((number,),) = connection.execute(query, parameters).fetchall()  # all of it: a result half read blocks the connection
    return int(number)
