"""Reading noisy tables cell by cell: how checks and claims find the numbers behind a name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from publish.content import CellKey, marginal_cells, ordered_tables, sorted_rows
from schemas.derived_tables import COVARIANCE
from schemas.errors import InternalError
from schemas.keys import ALL, KEYS
from schemas.plan import Measure
from schemas.stages import MeasuredRelease
from schemas.tables import TABLES, Status, key_columns

VALUES = ("estimate", "estimate_nonneg", "noise_stddev", "sampling_factor", "ci_low", "ci_high")
SHARES = ("rate", "hazard", "surviving")
"""Columns of shares, where a table has them; each has its interval in `<name>_ci_low` and `<name>_ci_high`."""

RATES = (*(f"{name}{end}" for name in SHARES for end in ("", "_ci_low", "_ci_high")), "unknown_share")


@dataclass(frozen=True)
class Cell:
    """The name of one public cell: its table and the keys that are not `all`."""

    table: str
    keys: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, table: str, keys: Mapping[str, str]) -> "Cell":
        """A cell from a mapping; `all` may be given or left out."""
        return cls(table, tuple(sorted((k, v) for k, v in keys.items() if v != ALL)))

    def code(self, key: str) -> str:
        """The code of one key; `all` where it is summed over."""
        return dict(self.keys).get(key, ALL)

    def without(self, *names: str) -> "Cell":
        """The same cell, summed over some of its keys."""
        return Cell(self.table, tuple((k, v) for k, v in self.keys if k not in names))

    def __str__(self) -> str:
        return f"{self.table}[{', '.join(f'{k}={v}' for k, v in self.keys)}]"


@dataclass(frozen=True)
class Reading:
    """What stands in one cell. None where the status withholds it, or where there is no rate."""

    status: str
    estimate: float | None = None
    estimate_nonneg: float | None = None
    noise_stddev: float | None = None
    sampling_factor: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    rate: float | None = None
    rate_ci_low: float | None = None
    rate_ci_high: float | None = None
    unknown_share: float | None = None
    hazard: float | None = None
    hazard_ci_low: float | None = None
    hazard_ci_high: float | None = None
    surviving: float | None = None
    surviving_ci_low: float | None = None
    surviving_ci_high: float | None = None
    ratio: float | None = None
    ratio_ci_low: float | None = None
    ratio_ci_high: float | None = None
    growth: float | None = None
    growth_ci_low: float | None = None
    growth_ci_high: float | None = None
    effect: float | None = None
    direction: str | None = None
    first_seen: str | None = None

    def share(self, name: str) -> tuple[float | None, float | None, float | None]:
        """One of `SHARES` with its interval."""
        value, low, high = (getattr(self, f"{name}{end}") for end in ("", "_ci_low", "_ci_high"))
        return value, low, high

    @property
    def published(self) -> bool:
        """Whether its status lets a number stand."""
        return self.status in (Status.OK, Status.TOO_NOISY)


_READ = tuple(field.name for field in fields(Reading))


class TableCells:
    """One noisy table as columns and as an index from cell to row."""

    def __init__(self, name: str, key_names: tuple[str, ...], columns: dict[str, list[Any]]) -> None:
        self.name, self.key_names, self.columns = name, key_names, columns

    @cached_property
    def keys(self) -> list[CellKey]:
        """Key values of each row, in the table's order."""
        return list(zip(*(self.columns[name] for name in self.key_names), strict=True))

    @cached_property
    def index(self) -> dict[CellKey, int]:
        """Row number of each cell."""
        return {key: row for row, key in enumerate(self.keys)}

    def reading(self, row: int) -> Reading:
        """What stands in one row."""
        return Reading(**{name: self.columns[name][row] for name in _READ if name in self.columns})

    def readings(self) -> Iterator[tuple[CellKey, Reading]]:
        """All rows with their key."""
        return ((key, self.reading(row)) for row, key in enumerate(self.keys))


class ReleaseCells:
    """All tables of a measured release, by cell.

    `tables` are those of marginals, `derived` those that follow from noisy numbers and whose rows have names of their own;
    `covariance` holds the rows of `noise_covariance`, which has neither.
    """

    def __init__(self, measured: MeasuredRelease) -> None:
        self.measured = measured
        self.plan = measured.plan.release_plan
        named = {
            table.name: TableCells(table.name, key_columns(table.name, self.plan), sorted_rows(table, self.plan).to_pydict())
            for table in ordered_tables(measured)
            if table.name != COVARIANCE
        }
        self.tables = {name: table for name, table in named.items() if TABLES[name].of_cells}
        self.derived = {name: table for name, table in named.items() if name not in self.tables}
        self.covariance = next((t.rows.to_pylist() for t in measured.tables if t.name == COVARIANCE), [])

    def _row(self, cell: Cell) -> tuple[TableCells, int] | None:
        table = self.tables.get(cell.table) or self.derived.get(cell.table)
        if table is None or any(key not in table.key_names for key, _ in cell.keys):
            return None
        row = table.index.get(tuple(cell.code(name) for name in table.key_names))
        return None if row is None else (table, row)

    def has(self, cell: Cell) -> bool:
        """Whether the plan publishes a cell, with a number or with the reason why there is none."""
        return self._row(cell) is not None

    def read(self, cell: Cell) -> Reading:
        """What stands in a cell. Raises InternalError where the plan has no such cell: a claim names real cells."""
        found = self._row(cell)
        if found is None:
            raise InternalError("A cell is named that the plan does not publish.")
        table, row = found
        return table.reading(row)

    def row(self, cell: Cell) -> Mapping[str, Any]:
        """All columns of the row of a cell. Raises InternalError as `read` does."""
        found = self._row(cell)
        if found is None:
            raise InternalError("A cell is named that the plan does not publish.")
        table, row = found
        return {name: column[row] for name, column in table.columns.items()}

    def rows(self, table: str) -> Iterator[tuple[Cell, Mapping[str, Any]]]:
        """The rows of a derived table with their names, in its order; none where the release has no such table."""
        if table in self.derived:
            names, columns = self.derived[table].key_names, self.derived[table].columns
            for values in zip(*columns.values(), strict=True):
                row = dict(zip(columns, values, strict=True))
                yield Cell.of(table, {name: row[name] for name in names}), row

    def domain(self, table: str, key: str) -> tuple[str, ...]:
        """The codes of a key in a table, in order."""
        measures = (m for m in self.plan.measures if m.table == table and any(key in marginal for marginal in m.marginals))
        scopes = (measure.scope(self.measured.quarter, self.plan) for measure in measures)
        return tuple(dict.fromkeys(code for scope in scopes for code in KEYS[key].domain(scope)))

    def codes(self, table: str, key: str) -> int:
        """How many codes of a key the cells of a table are compared over; 0 where each has its own noise (a stratum)."""
        measure = next(m for m in self.plan.measures if m.table == table)
        return 0 if measure.stratum == key else len(KEYS[key].domain(measure.scope(self.measured.quarter, self.plan)))

    @cached_property
    def marginals(self) -> tuple[tuple[Measure, tuple[str, ...], tuple[Cell, ...]], ...]:
        """Every marginal of every measure with its cells, in the order of the plan."""
        found = []
        for measure in self.plan.measures:
            names = key_columns(measure.table, self.plan)
            for marginal in measure.marginals:
                keys = marginal_cells(measure, marginal, self.measured.plan)
                cells = tuple(Cell.of(measure.table, dict(zip(names, key, strict=True))) for key in keys)
                found.append((measure, marginal, cells))
        return tuple(found)
