"""From a stored answer to public tables: post-processing only, a fixed function of the answer and the plan."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from aggregate.answer import Answer, NoisyMarginal
from aggregate.counts import public_cells
from aggregate.intervals import count_interval, one_sided_z, rate_interval, z_value
from schemas.codes import OPEN_OUTCOMES
from schemas.errors import InternalError
from schemas.keys import ALL
from schemas.periods import Quarter
from schemas.plan import Measure, RegisteredPlan
from schemas.stages import NoisyTable
from schemas.tables import TABLES, Status, columns

OUTCOME = "outcome"


@dataclass(frozen=True)
class _Cell:
    """One public cell with its noisy numbers, in users-equivalent."""

    keys: Mapping[str, str]
    status: Status
    estimate: float = 0.0
    noise: float = 0.0
    rules: "_CompanyRules | None" = None

    @property
    def published(self) -> bool:
        """Whether its number stands."""
        return self.status in (Status.OK, Status.TOO_NOISY)


@dataclass(frozen=True)
class _CompanyRules:
    """The noisy sums that decide the company rules, with their noise scales and one-sided quantiles, in integer steps."""

    outside: int
    outside_scale: float
    outside_z: float
    dominance: int
    dominance_scale: float
    dominance_z: float

    @staticmethod
    def hold(cells: Iterable["_CompanyRules | None"]) -> bool:
        """Whether both rules hold beyond their noise for the sum of cells, each with the error rate stated for its edge.

        The mass outside the K - 1 largest companies of a sum is at least the sum of the cells' own, and its dominance at most
        theirs, so adding the noisy values errs on the side of withholding. For no cells at all they hold.
        """
        rules = list(cells)
        if any(rule is None for rule in rules):
            return False
        known = [rule for rule in rules if rule is not None]
        enough = sum(r.outside for r in known) >= math.sqrt(sum((r.outside_z * r.outside_scale) ** 2 for r in known))
        shared = sum(r.dominance for r in known) <= -math.sqrt(sum((r.dominance_z * r.dominance_scale) ** 2 for r in known))
        return not known or (enough and shared)


def tabulate(answer: Answer, plan: RegisteredPlan) -> tuple[NoisyTable, ...]:
    """The public tables of a plan from its answer: one row for each cell of each marginal, sorted by key.

    A measure that was not measured gives its cells with status `not_collected`. No data are read here.
    """
    if plan.contributors < plan.privacy.companies.minimum:
        return ()
    noisy = {(m.measure, m.marginal): m for m in answer.marginals}
    release_plan = plan.release_plan
    rows: dict[str, list[dict[str, Any]]] = {m.table: [] for m in release_plan.measures}
    for measure in release_plan.measures:
        for marginal in measure.marginals:
            cells = list(_cells(measure, marginal, noisy.get((measure.name, marginal)), plan))
            rows[measure.table].extend(_rows(measure, marginal, cells, plan))
    return tuple(_table(name, listed, plan) for name, listed in rows.items())


def _cells(measure: Measure, marginal: tuple[str, ...], noisy: NoisyMarginal | None, plan: RegisteredPlan) -> Iterator[_Cell]:
    scope = measure.scope(Quarter.parse(plan.quarter), plan.release_plan)
    public = public_cells(marginal, scope)
    if noisy is None:
        for cell in public:
            yield _Cell(dict(zip(marginal, cell, strict=True)), Status.NOT_COLLECTED)
        return
    if not len(noisy.estimate) == len(noisy.outside) == len(noisy.dominance) == len(public):
        raise InternalError("A stored answer does not fit its plan.")
    companies, step = plan.privacy.companies, plan.privacy.unit.weight_scale
    outside_z, dominance_z = one_sided_z(companies.too_few_error_rate), one_sided_z(companies.dominance_error_rate)
    noise = noisy.estimate_scale / step
    for row, cell in enumerate(public):
        outside, dominance = noisy.outside[row], noisy.dominance[row]
        rules = _CompanyRules(outside, noisy.outside_scale, outside_z, dominance, noisy.dominance_scale, dominance_z)
        estimate = noisy.estimate[row] / step
        if not _CompanyRules.hold([rules]):
            status = Status.TOO_FEW_COMPANIES
        elif estimate < plan.privacy.too_noisy_ratio * noise:
            status = Status.TOO_NOISY
        else:
            status = Status.OK
        yield _Cell(dict(zip(marginal, cell, strict=True)), status, estimate, noise, rules)


def _rows(measure: Measure, marginal: tuple[str, ...], cells: list[_Cell], plan: RegisteredPlan) -> Iterator[dict[str, Any]]:
    z = z_value(plan.privacy.confidence)
    rates = _rates(cells, z) if OUTCOME in marginal else {}
    for cell in cells:
        row: dict[str, Any] = {"quarter": plan.quarter, "status": str(cell.status), **cell.keys}
        if measure.outcome_kind:
            row |= {"outcome_kind": measure.outcome_kind, "window": measure.window}
        if TABLES[measure.table].has_rates:
            row["denominator"] = TABLES[measure.table].denominator
        if cell.published:
            interval = count_interval(cell.estimate, cell.noise, z)
            row |= {
                "estimate": cell.estimate,
                "estimate_nonneg": max(cell.estimate, 0.0),
                "noise_stddev": cell.noise,
                "ci_low": interval.low,
                "ci_high": interval.high,
                **rates.get(tuple(cell.keys.values()), {}),
            }
        yield row


def _rates(cells: list[_Cell], z: float) -> dict[tuple[str, ...], dict[str, float]]:
    """Rates of the known outcomes of each group of cells that differ in the outcome only."""
    groups: dict[tuple[str, ...], list[_Cell]] = {}
    for cell in cells:
        groups.setdefault(tuple(v for k, v in cell.keys.items() if k != OUTCOME), []).append(cell)
    found: dict[tuple[str, ...], dict[str, float]] = {}
    for group in groups.values():
        known = [cell for cell in group if cell.keys[OUTCOME] not in OPEN_OUTCOMES]
        # A rate gives its denominator away, and with it the sum of the withheld cells in it: that sum must keep the rules too.
        if not _CompanyRules.hold(cell.rules for cell in known if not cell.published):
            continue
        denominator = sum(cell.estimate for cell in known)
        shares = _unknown_share([cell for cell in group if cell.keys[OUTCOME] in OPEN_OUTCOMES], denominator)
        for cell in known:
            rate = rate_interval(cell.estimate, denominator, cell.noise, len(known), z) if cell.published else None
            if rate is not None:
                own = {"rate": rate.value, "rate_ci_low": rate.interval.low, "rate_ci_high": rate.interval.high}
                found[tuple(cell.keys.values())] = {**own, **shares}
    return found


def _unknown_share(unknown: list[_Cell], denominator: float) -> dict[str, float]:
    if not _CompanyRules.hold(cell.rules for cell in unknown if not cell.published):
        return {}
    mass = max(sum(cell.estimate for cell in unknown), 0.0)
    return {"unknown_share": mass / (mass + denominator)} if denominator > 0 else {}


def _table(name: str, rows: list[dict[str, Any]], plan: RegisteredPlan) -> NoisyTable:
    listed = columns(name, plan.release_plan)
    types = {"string": pa.string(), "float": pa.float64()}
    schema = pa.schema([pa.field(c.name, types[c.type]) for c in listed])
    values = {
        "estimate",
        "estimate_nonneg",
        "noise_stddev",
        "ci_low",
        "ci_high",
        "rate",
        "rate_ci_low",
        "rate_ci_high",
        "unknown_share",
    }
    keys = [c.name for c in listed if c.name not in values and c.name not in ("status", "denominator")]
    full = [{**dict.fromkeys(keys, ALL), **row} for row in rows]
    table = pa.Table.from_pylist(full, schema=schema)
    return NoisyTable(name, table.sort_by([(key, "ascending") for key in keys]))
