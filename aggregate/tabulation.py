"""From a stored answer to public tables: post-processing only, a fixed function of the answer and the plan."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from aggregate.answer import Answer, NoisyMarginal
from aggregate.counts import public_cells
from aggregate.intervals import Rate, count_interval, rate_interval, z_value
from aggregate.survival import survival_curve
from aggregate.withholding import Cell, CompanyRules, lines_of, withhold_what_gives_others_away
from aggregate.workload import Floats, Workload
from schemas.derived_tables import COVARIANCE
from schemas.errors import InternalError
from schemas.keys import ALL, ENDED, KEYS
from schemas.periods import Quarter
from schemas.plan import Event, Measure, Names, RegisteredPlan
from schemas.stages import NoisyTable
from schemas.tables import TABLES, Status, columns, key_columns

_CURVE_KEYS: Names = ("ending", "depth_band")
_SAFE = 2.0  # deviations by which the sampling factor is taken too large, and that it must be told from 0 by


@dataclass(frozen=True)
class _NoisyMeasure:
    """What was drawn for one measure, in users-equivalent. `values` and `scales` are by residual."""

    measure: Measure
    plan: RegisteredPlan
    values: Mapping[Names, tuple[int, ...]]
    scales: Mapping[Names, float]
    marginals: Mapping[Names, NoisyMarginal]

    @classmethod
    def of(cls, measure: Measure, plan: RegisteredPlan, answer: Answer) -> "_NoisyMeasure":
        residuals = [r for r in answer.residuals if r.measure == measure.name]
        step = plan.privacy.unit.weight_scale
        marginals = {m.marginal: m for m in answer.marginals if m.measure == measure.name}
        found = cls(measure, plan, {r.keys: r.values for r in residuals}, {r.keys: r.scale / step for r in residuals}, marginals)
        wanted = {r.keys: math.prod(r.shape) for r in found.workload.residuals}
        if residuals and {keys: len(values) for keys, values in found.values.items()} != wanted:
            raise InternalError("A stored answer does not fit its plan.")
        return found

    @cached_property
    def workload(self) -> Workload:
        """How the marginals follow from the residuals."""
        return Workload.of(self.measure, self.measure.scope(Quarter.parse(self.plan.quarter), self.plan.release_plan))

    @property
    def measured(self) -> bool:
        """Whether anything was drawn for it."""
        return bool(self.values)

    def estimates(self, marginal: Names) -> Floats:
        """Unbiased estimates of a marginal's cells."""
        return self.workload.marginal(marginal, self.values) / self.plan.privacy.unit.weight_scale

    def sampling(self, marginal: Names) -> float:
        """Sampling variance of a cell over its mean, Σw² / Σw, at most 1; on the safe side of its own noise, or 1.

        It is that of all users of the marginal: a cell whose users have fewer events than others' has a larger one.
        """
        noisy, step = self.marginals[marginal], self.plan.privacy.unit.weight_scale
        total, deviation = float(self.estimates(marginal).sum()), self._deviation_of_total(marginal)
        most, least = (noisy.squares + _SAFE * noisy.squares_scale) / step, total - _SAFE * deviation
        return min(1.0, most / least) if least > 0 and noisy.squares > _SAFE * noisy.squares_scale else 1.0

    def _deviation_of_total(self, marginal: Names) -> float:
        strata = self.measure.bound(1).strata
        return math.sqrt(strata) * self.workload.deviation((self.measure.stratum,) if self.measure.stratum else (), self.scales)


def tabulate(answer: Answer, plan: RegisteredPlan) -> tuple[NoisyTable, ...]:
    """The public tables of a plan from its answer: one row for each cell of each marginal, sorted by key.

    A measure that was not measured gives its cells with status `not_collected`. No data are read here.
    """
    if plan.contributors < plan.privacy.companies.minimum:
        return ()
    rows: dict[str, list[dict[str, Any]]] = {m.table: [] for m in plan.release_plan.measures}
    covariance: list[dict[str, Any]] = []
    for measure in plan.release_plan.measures:
        noisy = _NoisyMeasure.of(measure, plan, answer)
        covariance.extend(_covariance(noisy))
        cells = {marginal: list(_cells(noisy, marginal)) for marginal in measure.marginals}
        withhold_what_gives_others_away(cells, _CURVE_KEYS if TABLES[measure.table].has_curve else ())
        for marginal, own in cells.items():
            rows[measure.table].extend(_rows(noisy, marginal, own))
    return tuple(as_table(name, listed, plan) for name, listed in {**rows, COVARIANCE: covariance}.items())


def _covariance(noisy: _NoisyMeasure) -> Iterator[dict[str, Any]]:
    for residual in noisy.workload.residuals if noisy.measured else ():
        yield {
            "of_table": noisy.measure.table,
            "outcome_kind": noisy.measure.outcome_kind or ALL,
            "window": noisy.measure.window or ALL,
            "keys": ",".join(residual.keys) or ALL,
            "codes": float(math.prod(residual.codes)),
            "variance": noisy.scales[residual.keys] ** 2,
        }


def _cells(noisy: _NoisyMeasure, marginal: Names) -> Iterator[Cell]:
    plan = noisy.plan
    scope = noisy.measure.scope(Quarter.parse(plan.quarter), plan.release_plan)
    public = public_cells(marginal, scope)
    if not noisy.measured:
        for cell in public:
            yield Cell(dict(zip(marginal, cell, strict=True)), Status.NOT_COLLECTED)
        return
    drawn, estimates = noisy.marginals[marginal], noisy.estimates(marginal)
    if not len(drawn.outside) == len(drawn.dominance) == len(public):
        raise InternalError("A stored answer does not fit its plan.")
    noise = noisy.workload.deviation(marginal, noisy.scales)
    for cell, rules, value in zip(public, CompanyRules.of_each(drawn, plan), estimates, strict=True):
        keys, estimate = dict(zip(marginal, cell, strict=True)), float(value)
        if noisy.measure.event is Event.CHANGE_OUTCOME and f"{keys['change_class']}:{keys['change_group']}" not in plan.compared:
            yield Cell(keys, Status.NOT_COMPARABLE)  # a registered fact, no matter of noise
            continue
        status = status_of(estimate, noise, plan) if CompanyRules.hold([rules]) else Status.TOO_FEW_COMPANIES
        yield Cell(keys, status, estimate, rules)


def status_of(estimate: float, noise: float, plan: RegisteredPlan) -> Status:
    """Status of a number that the company rules let stand; `noise` is the deviation of its noise."""
    return Status.TOO_NOISY if estimate < plan.privacy.too_noisy_ratio * noise else Status.OK


def _rows(noisy: _NoisyMeasure, marginal: Names, cells: list[Cell]) -> Iterator[dict[str, Any]]:
    plan, measure = noisy.plan, noisy.measure
    spec, z, noise, sampling, shares = TABLES[measure.table], z_value(plan.privacy.confidence), 0.0, 1.0, _Shares()
    if noisy.measured:
        noise, sampling = noisy.workload.deviation(marginal, noisy.scales), noisy.sampling(marginal)
        if key := spec.rate_key(marginal):
            shares = _rates(noisy, marginal, cells, key)
        elif spec.has_curve:
            shares = _curves(noisy, marginal, cells)
    for cell in cells:
        row: dict[str, Any] = {"status": str(cell.status), **cell.keys}
        if measure.outcome_kind:
            row |= {"outcome_kind": measure.outcome_kind, "window": measure.window}
        if spec.has_rates:
            row["denominator"] = spec.denominator
        if cell.published:
            interval = count_interval(cell.estimate, noise, z, sampling)
            row |= {
                "estimate": cell.estimate,
                "estimate_nonneg": max(cell.estimate, 0.0),
                "noise_stddev": noise,
                "sampling_factor": sampling,
                "ci_low": interval.low,
                "ci_high": interval.high,
                **shares.get(tuple(cell.keys.values()), {}),
            }
        yield row


_Shares = dict[tuple[str, ...], dict[str, float]]
"""Shares of cells by their codes: columns and values."""


def _share(name: str, rate: Rate) -> dict[str, float]:
    return {name: rate.value, f"{name}_ci_low": rate.interval.low, f"{name}_ci_high": rate.interval.high}


def _rates(noisy: _NoisyMeasure, marginal: Names, cells: list[Cell], key: str) -> _Shares:
    """Rates over the known codes of a key, of each line of cells, which differ in this key only."""
    noise, sampling = noisy.workload.line_noise(marginal, key, noisy.scales), noisy.sampling(marginal)
    z, unknown, found = z_value(noisy.plan.privacy.confidence), KEYS[key].open_codes, _Shares()
    for line in lines_of(cells, tuple(name for name in marginal if name != key)):
        group = [cells[place] for place in line]
        known = [cell for cell in group if cell.keys[key] not in unknown]
        # A rate gives its denominator away, and with it the sum of the withheld cells in it. Even where that sum keeps the rules,
        # it may be what another marginal's sum needs to give away a cell that does not: so it is not told.
        if not all(cell.published for cell in known):
            continue
        denominator = sum(cell.estimate for cell in known)
        shares = _unknown_share([cell for cell in group if cell.keys[key] in unknown], denominator)
        for cell in known:
            rate = rate_interval(cell.estimate, denominator, noise.ratio(len(known)), z, sampling) if cell.published else None
            if rate is not None:
                found[tuple(cell.keys.values())] = {**_share("rate", rate), **shares}
    return found


def _curves(noisy: _NoisyMeasure, marginal: Names, cells: list[Cell]) -> _Shares:
    """Survival curves of each line of cells, which differ in depth and ending only."""
    over = _CURVE_KEYS
    covariance, sampling = noisy.workload.covariance(marginal, over, noisy.scales), noisy.sampling(marginal)
    z, found = z_value(noisy.plan.privacy.confidence), _Shares()
    for line in lines_of(cells, tuple(name for name in marginal if name not in over)):
        by_depth = lines_of([cells[place] for place in line], ("depth_band",))
        depths = [[cells[line[place]] for place in own] for own in by_depth]
        ended = [next(cell for cell in own if cell.keys["ending"] == ENDED) for own in depths]
        followed = [next(cell for cell in own if cell.keys["ending"] != ENDED) for own in depths]
        seen, unseen = (np.array([cell.estimate for cell in own]) for own in (ended, followed))
        curve = survival_curve(seen, unseen, covariance, z, sampling)
        for at in range(min(len(curve), _told(depths))):
            if ended[at].published:
                found[tuple(ended[at].keys.values())] = _share("hazard", curve[at].hazard) | _share(
                    "surviving", curve[at].surviving
                )
    return found


def _told(depths: list[list[Cell]]) -> int:
    """To how many depths a curve may go: those at risk at each are given away, and with them sums of withheld cells.

    What is withheld at each depth that is told, and at all later ones together, must keep the rules.
    """
    most = next((n for n in range(len(depths), 0, -1) if _keep_rules([cell for own in depths[n - 1 :] for cell in own])), 0)
    return most if all(_keep_rules(own) for own in depths[: max(most - 1, 0)]) else 0


def _keep_rules(cells: Iterable[Cell]) -> bool:
    """Whether the sum of the withheld ones of some cells may be known."""
    return CompanyRules.hold(cell.rules for cell in cells if not cell.published)


def _unknown_share(unknown: list[Cell], denominator: float) -> dict[str, float]:
    if not all(cell.published for cell in unknown):
        return {}
    mass = max(sum(cell.estimate for cell in unknown), 0.0)
    return {"unknown_share": mass / (mass + denominator)} if denominator > 0 else {}


def as_table(name: str, rows: list[dict[str, Any]], plan: RegisteredPlan) -> NoisyTable:
    """Rows as a public table with its declared columns, sorted by key. What a row lacks is null; of its keys, `all`."""
    listed = columns(name, plan.release_plan)
    types = {"string": pa.string(), "float": pa.float64()}
    schema = pa.schema([pa.field(c.name, types[c.type]) for c in listed])
    keys = key_columns(name, plan.release_plan)
    full = [{"quarter": plan.quarter, **dict.fromkeys(keys, ALL), **row} for row in rows]
    table = pa.Table.from_pylist(full, schema=schema)
    return NoisyTable(name, table.sort_by([(key, "ascending") for key in ("quarter", *keys)]))
