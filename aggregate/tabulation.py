"""From a stored answer to public tables: post-processing only, a fixed function of the answer and the plan."""

from collections.abc import Iterator, Mapping
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
    estimate: float
    noise: float
    status: Status


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
    step = plan.privacy.unit.weight_scale
    if noisy is None:
        for cell in public:
            yield _Cell(dict(zip(marginal, cell, strict=True)), 0.0, 0.0, Status.NOT_COLLECTED)
        return
    if not len(noisy.estimate) == len(noisy.outside) == len(noisy.dominance) == len(public):
        raise InternalError("A stored answer does not fit its plan.")
    z = one_sided_z(plan.privacy.companies.error_rate)
    noise = noisy.estimate_scale / step
    for row, cell in enumerate(public):
        # Published only where both rules hold beyond their noise: at the edge of a rule this errs with the stated rate.
        enough = noisy.outside[row] >= z * noisy.outside_scale
        shared = noisy.dominance[row] <= -z * noisy.dominance_scale
        estimate = noisy.estimate[row] / step
        if not (enough and shared):
            status = Status.TOO_FEW_COMPANIES
        elif estimate < plan.privacy.too_noisy_ratio * noise:
            status = Status.TOO_NOISY
        else:
            status = Status.OK
        yield _Cell(dict(zip(marginal, cell, strict=True)), estimate, noise, status)


def _rows(measure: Measure, marginal: tuple[str, ...], cells: list[_Cell], plan: RegisteredPlan) -> Iterator[dict[str, Any]]:
    z = z_value(plan.privacy.confidence)
    rates = _rates(marginal, cells, z, plan) if OUTCOME in marginal else {}
    for cell in cells:
        row: dict[str, Any] = {"quarter": plan.quarter, "status": str(cell.status), **cell.keys}
        if measure.outcome_kind:
            row |= {"outcome_kind": measure.outcome_kind, "window": measure.window}
        if TABLES[measure.table].has_rates:
            row["denominator"] = TABLES[measure.table].denominator
        if cell.status in (Status.OK, Status.TOO_NOISY):
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


def _rates(
    marginal: tuple[str, ...], cells: list[_Cell], z: float, plan: RegisteredPlan
) -> dict[tuple[str, ...], dict[str, float]]:
    """Rates of the known outcomes of each group of cells that differ in the outcome only."""
    groups: dict[tuple[str, ...], list[_Cell]] = {}
    for cell in cells:
        groups.setdefault(tuple(v for k, v in cell.keys.items() if k != OUTCOME), []).append(cell)
    found: dict[tuple[str, ...], dict[str, float]] = {}
    for group in groups.values():
        known = [cell for cell in group if cell.keys[OUTCOME] not in OPEN_OUTCOMES]
        # A denominator that holds a withheld cell would give that cell away by subtraction.
        if any(cell.status is Status.TOO_FEW_COMPANIES or cell.status is Status.NOT_COLLECTED for cell in known):
            continue
        denominator = sum(cell.estimate for cell in known)
        unknown = [cell for cell in group if cell.keys[OUTCOME] in OPEN_OUTCOMES]
        shares: dict[str, float] = {}
        if all(cell.status in (Status.OK, Status.TOO_NOISY) for cell in unknown):
            open_mass = sum(max(cell.estimate, 0.0) for cell in unknown)
            shares["unknown_share"] = open_mass / (open_mass + denominator) if denominator > 0 else 1.0
        for cell in known:
            rate = rate_interval(cell.estimate, denominator, cell.noise, len(known), z)
            if rate is not None:
                shares_of = {"rate": rate.value, "rate_ci_low": rate.interval.low, "rate_ci_high": rate.interval.high}
                found[tuple(cell.keys.values())] = {**shares_of, **shares}
    return found


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
