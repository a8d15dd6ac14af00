"""Exact integer sums of a marginal, by company. Private: their repr shows nothing and no writer takes them."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from aggregate.bounding import BoundedTable
from schemas.errors import InternalError
from schemas.keys import KEYS, Scope

Integers = npt.NDArray[np.int64]


def public_cells(marginal: Sequence[str], scope: Scope) -> list[tuple[str, ...]]:
    """Every cell of a marginal, from public domains only, in order."""
    return list(itertools.product(*(KEYS[key].domain(scope) for key in marginal)))


@dataclass(frozen=True)
class ExactCounts:
    """Sums of weights, shape (cells, companies), in integer steps of 1/G."""

    by_company: Integers = field(repr=False)

    def total(self) -> Integers:
        """Sum over companies, one a cell."""
        return np.asarray(self.by_company.sum(axis=1), dtype=np.int64)

    def of(self, companies: Sequence[bool]) -> Integers:
        """Sum over some of the companies, one a cell. One user's mass moves it by at most that mass (1-Lipschitz)."""
        return np.asarray(self.by_company[:, np.array(companies, dtype=bool)].sum(axis=1), dtype=np.int64)

    def outside_largest(self, companies: int) -> Integers:
        """Mass outside the `companies` largest, one a cell: 0 where no more than that many contribute.

        One user's mass in one company moves it by at most that mass (1-Lipschitz).
        """
        if companies >= self.by_company.shape[1]:
            return np.zeros(self.by_company.shape[0], dtype=np.int64)
        largest = np.sort(self.by_company, axis=1)[:, -companies:]
        return np.asarray(self.total() - largest.sum(axis=1), dtype=np.int64)

    def dominance(self, numerator: int, denominator: int) -> Integers:
        """denominator · largest - numerator · total: positive exactly where one company holds more than the share.

        A mass m added to one company moves it by between -numerator · m and (denominator - numerator) · m.
        """
        largest = self.by_company.max(axis=1, initial=0)
        return np.asarray(denominator * largest - numerator * self.total(), dtype=np.int64)


def exact_counts(table: BoundedTable, marginal: Sequence[str], scope: Scope, companies: Sequence[str]) -> ExactCounts:
    """Sums a table over the public cells of a marginal. Raises InternalError where a row falls outside them."""
    cells = {cell: row for row, cell in enumerate(public_cells(marginal, scope))}
    columns = {company: column for column, company in enumerate(companies)}
    sums = np.zeros((len(cells), len(columns)), dtype=np.int64)
    keys = ", ".join(marginal)
    rows = table.connection.execute(f"select company, sum(w)::bigint, {keys} from {table.name} group by company, {keys}")
    outside = False
    while batch := rows.fetchmany(10_000):
        for company, mass, *cell in batch:
            row, column = cells.get(tuple(cell)), columns.get(company)
            if row is None or column is None:
                outside = True
            else:
                sums[row, column] += mass
    if outside:
        raise InternalError("A record falls outside the public cells of its marginal.")
    return ExactCounts(sums)
