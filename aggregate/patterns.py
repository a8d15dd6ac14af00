"""Emerging patterns: which published cells grow or recede against earlier quarters of the same companies.

Post-processing of public tables, and where companies came new of one noisy vector a marginal that leaves them out.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from aggregate.answer import NoisyPanel
from aggregate.counts import public_cells
from aggregate.growth import CellGrowth, NoisyHistory, growth
from schemas.derived_tables import GROWING, NO_CHANGE_SEEN, PATTERNS, RECEDING
from schemas.errors import InternalError
from schemas.keys import ALL
from schemas.periods import Quarter
from schemas.plan import Measure, Names, RegisteredPlan
from schemas.stages import NoisyTable
from schemas.tables import Status, columns, key_columns

LEAST_QUARTERS = 2  # one earlier quarter tells nothing of the usual unrest
_PUBLISHED = (Status.OK, Status.TOO_NOISY)
_Row = dict[str, Any]


def compared_with(plan: RegisteredPlan, earlier: Sequence[RegisteredPlan]) -> Sequence[RegisteredPlan]:
    """Those of the earlier quarters' plans, newest first, that a quarter is compared with; none where it cannot be.

    They are of one set of companies, all of which contribute still: nobody left, and who came new is left out by its panel.
    """
    search = plan.release_plan.patterns
    if search is None or not earlier or not plan.panel:
        return ()
    latest = earlier[0]
    if plan.newcomers:
        same = bool(latest.panel) and plan.contributors - plan.newcomers == latest.contributors
    else:
        same = plan.panel == latest.panel
    run = list(itertools.takewhile(lambda other: other.panel == latest.panel and _counts_alike(other, plan), earlier))
    run = run[: search.quarters]
    return run if same and len(run) >= LEAST_QUARTERS else ()


def _counts_alike(one: RegisteredPlan, other: RegisteredPlan) -> bool:
    """Whether cells of the same codes are of the same events: what both plans ask, they ask in the same way."""
    first, second = one.release_plan, other.release_plan
    asked = {measure.name: measure.model_dump(exclude={"marginals"}) for measure in first.measures}
    measures = all(
        asked.get(m.name, m.model_dump(exclude={"marginals"})) == m.model_dump(exclude={"marginals"}) for m in second.measures
    )
    return measures and (first.domain, first.languages, first.regions) == (second.domain, second.languages, second.regions)


def panels_of(plan: RegisteredPlan, earlier: Sequence[RegisteredPlan]) -> Mapping[str, tuple[Names, ...]]:
    """The marginals, by measure, that are drawn once more without the companies that came new: where that serves a comparison."""
    if not plan.newcomers or not plan.privacy.shares.panel or not compared_with(plan, earlier):
        return {}
    return {measure.name: marginals_tested(measure, plan) for measure in plan.measured() if marginals_tested(measure, plan)}


def marginals_tested(measure: Measure, plan: RegisteredPlan) -> tuple[Names, ...]:
    """The marginals of a measure whose cells are tested: weeks are no cells of two quarters."""
    search = plan.release_plan.patterns
    if search is None or measure.name not in search.measures:
        return ()
    return tuple(marginal for marginal in measure.marginals if marginal and "week" not in marginal)


def emerging_patterns(
    plan: RegisteredPlan,
    now: Sequence[NoisyTable],
    earlier: Sequence[tuple[RegisteredPlan, Sequence[NoisyTable]]],
    panels: Sequence[NoisyPanel] = (),
) -> NoisyTable:
    """The table `emerging_patterns`: a row for each public cell of each tested marginal, sorted by key.

    Args:
        plan: of this quarter; it registered the rate of false discoveries.
        now: this quarter's tables.
        earlier: plan and tables of each earlier quarter, newest first.
        panels: where companies came new, what was drawn without them.

    Only cells that are published in all quarters compared are used: shares are of their sum. In a quarter with newcomers the
    direction alone is told: numbers like for like beside the published totals would give away what the newcomers sent.
    """
    search = plan.release_plan.patterns
    if search is None:
        raise InternalError("A plan without a search for patterns has no such table.")
    tables = [(each.quarter, _cells(listed, each)) for each, listed in ((plan, now), *earlier)]
    compared = len(compared_with(plan, [other for other, _ in earlier]))
    drawn = {(panel.measure, panel.marginal): panel for panel in panels}
    found = [
        _Marginal.of(measure, marginal, plan, tables, compared, drawn.get((measure.name, marginal)))
        for measure in plan.release_plan.measures
        for marginal in marginals_tested(measure, plan)
    ]
    tested = [each for each in found if each.history is not None]
    grown = growth([each.history for each in tested if each.history], search.false_discovery_rate, plan.privacy.confidence)
    told = {id(each): dict(zip(each.tested, cells, strict=True)) for each, cells in zip(tested, grown, strict=True)}
    rows = [row for each in found for row in each.rows(told.get(id(each), {}), plan, compared)]
    types = {"string": pa.string(), "float": pa.float64()}
    listed = columns(PATTERNS, plan.release_plan)
    table = pa.Table.from_pylist(rows, schema=pa.schema([pa.field(c.name, types[c.type]) for c in listed]))
    keys = ("quarter", *key_columns(PATTERNS, plan.release_plan))
    return NoisyTable(PATTERNS, table.sort_by([(key, "ascending") for key in keys]))


_Place = tuple[str, str, str, frozenset[tuple[str, str]]]
"""A cell wherever it stands: table, outcome kind, window, and the codes of its keys."""


def _cells(tables: Sequence[NoisyTable], plan: RegisteredPlan) -> dict[_Place, _Row]:
    """The published cells of a quarter."""
    asked = {measure.table for measure in plan.release_plan.measures}
    found = {}
    for table in tables:
        if table.name not in asked:
            continue
        names = [name for name in key_columns(table.name, plan.release_plan) if name not in ("outcome_kind", "window")]
        for row in table.rows.to_pylist():
            if row["status"] in _PUBLISHED:
                codes = frozenset((name, row[name]) for name in names if row[name] != ALL)
                found[table.name, row.get("outcome_kind", ALL), row.get("window", ALL), codes] = row
    return found


@dataclass(frozen=True)
class _Marginal:
    """One marginal: its public cells, the status of each this quarter, and the history of those that are tested."""

    measure: Measure
    marginal: Names
    since: Mapping[Names, str]  # of each published cell, the quarter since when it is without a gap
    tested: tuple[Names, ...] = ()
    history: NoisyHistory | None = field(default=None, repr=False)

    @classmethod
    def of(
        cls,
        measure: Measure,
        marginal: Names,
        plan: RegisteredPlan,
        tables: Sequence[tuple[str, Mapping[_Place, _Row]]],
        compared: int,
        panel: NoisyPanel | None,
    ) -> "_Marginal":
        public = public_cells(marginal, measure.scope(Quarter.parse(plan.quarter), plan.release_plan))
        kind, window = measure.outcome_kind or ALL, measure.window or ALL
        places = {cell: (measure.table, kind, window, frozenset(zip(marginal, cell, strict=True))) for cell in public}
        since = {}
        for cell, place in places.items():
            there = [place in listed for _, listed in tables]
            if there[0]:
                since[cell] = tables[[*there, False].index(False) - 1][0]
        rows = [listed for _, listed in tables[: compared + 1]]
        tested = tuple(cell for cell, place in places.items() if compared and all(place in listed for listed in rows))
        if len(tested) < 2 or (plan.newcomers and panel is None):
            return cls(measure, marginal, since)

        def column(name: str) -> Any:
            return np.array([[listed[places[cell]][name] for cell in tested] for listed in (*rows[1:], rows[0])], dtype=float)

        counts, noise, sampling = column("estimate"), column("noise_stddev")[:, 0], column("sampling_factor")[:, 0]
        if panel is not None:
            if len(panel.values) != len(public):
                raise InternalError("A stored answer does not fit its plan.")
            step, drawn = plan.privacy.unit.weight_scale, dict(zip(public, panel.values, strict=True))
            counts[-1], noise[-1] = [drawn[cell] / step for cell in tested], panel.scale / step
        if counts[:-1].sum(axis=1).min() <= 0:
            return cls(measure, marginal, since)
        return cls(measure, marginal, since, tested, NoisyHistory(counts[:-1], counts[-1], noise, sampling))

    def rows(self, told: Mapping[Names, CellGrowth], plan: RegisteredPlan, compared: int) -> Iterator[_Row]:
        """A row for each public cell. What is withheld is in none but by its status."""
        measure, search = self.measure, plan.release_plan.patterns
        absent = Status.TOO_FEW_COMPANIES if measure in plan.measured() else Status.NOT_COLLECTED
        for cell in public_cells(self.marginal, measure.scope(Quarter.parse(plan.quarter), plan.release_plan)):
            row: _Row = {
                "quarter": plan.quarter,
                "of_table": measure.table,
                "outcome_kind": measure.outcome_kind or ALL,
                "window": measure.window or ALL,
                "keys": ",".join(self.marginal),
                "codes": ",".join(cell),
                "first_seen": self.since.get(cell, plan.quarter),
                "status": str(Status.NOT_COMPARABLE if cell in self.since else absent),
            }
            if cell in told and search is not None:
                row |= _told(told[cell], search.false_discovery_rate, compared, direction_only=plan.newcomers > 0)
            yield row


def _told(cell: CellGrowth, rate: float, compared: int, *, direction_only: bool) -> _Row:
    called = (GROWING if cell.direction > 0 else RECEDING) if cell.q_value <= rate else NO_CHANGE_SEEN
    if direction_only:
        return {"direction": called, "status": str(Status.TOO_FEW_COMPANIES)}
    row: _Row = {
        "direction": called,
        "share_before": cell.share_before,
        "share_now": cell.share_now,
        "q_value": cell.q_value,
        "detectable_ratio": cell.detectable,
        "quarters_before": float(compared),
        "status": str(Status.OK if cell.ratio is not None else Status.TOO_NOISY),
    }
    if cell.ratio is not None and cell.interval is not None:
        row |= {"ratio": cell.ratio, "ratio_ci_low": cell.interval.low, "ratio_ci_high": cell.interval.high}
    return row
