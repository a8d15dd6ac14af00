"""K - 1 companies pool their own data and subtract it from what is published: they learn the last one only up to the printed noise."""

import numpy as np
import pytest
from pooled import QUARTER, SECRET, as_scrubbed, pooled_table, registered

from aggregate.answer import Answer
from aggregate.bounding import MeasurementSettings, bounded_tables
from aggregate.counts import ExactCounts, exact_counts, public_cells
from aggregate.mechanisms.draw import prepare, sums_of
from aggregate.tabulation import tabulate
from aggregate.workload import Workload
from sample_data.generate import generate
from sample_data.parameters import SimulationParameters
from schemas.plan import Names, RegisteredPlan

PLAN = registered()
SCALE = PLAN.privacy.unit.weight_scale
Counts = dict[tuple[str, Names], ExactCounts]


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> tuple[Counts, list[Answer]]:
    """What each company holds, exactly, and answers of the same plan. In a pool there is one; here some, to see the average."""
    folder = tmp_path_factory.mktemp("subtraction")
    simulated = generate(SimulationParameters(seed=21, users=6000, quarters=1)).quarters[0]
    records = as_scrubbed(pooled_table(simulated), folder)
    with bounded_tables(records, PLAN, SECRET, folder / "scratch", MeasurementSettings()) as tables:
        counts = {
            (t.measure.name, m): exact_counts(t, m, t.measure.scope(QUARTER, PLAN.release_plan), records.companies)
            for t in tables
            for m in t.measure.marginals
        }
        prepared = prepare(tables, PLAN, records.companies)
        return counts, [prepared.draw() for _ in range(6)]


def guesses(answer: Answer, counts: Counts, plan: RegisteredPlan) -> np.ndarray:
    """What companies 0 and 1 make out of company 2 from the published tables, cell by cell: (error, printed noise)."""
    tables = {table.name: table.rows.to_pylist() for table in tabulate(answer, plan)}
    found = []
    for measure in plan.measured():
        own = {"outcome_kind": measure.outcome_kind, "window": measure.window} if measure.outcome_kind else {}
        rows = [row for row in tables[measure.table] if all(row[name] == value for name, value in own.items())]
        for marginal in measure.marginals:
            cells = public_cells(marginal, measure.scope(QUARTER, plan.release_plan))
            known = dict(zip(cells, counts[measure.name, marginal].by_company, strict=True))
            for row in rows:
                named = tuple(row[key] for key in marginal)
                others = [key for key in row if key in ALL_KEYS and key not in marginal]
                if row["estimate"] is not None and named in known and all(row[key] == "all" for key in others):
                    mine, last = known[named][:2].sum() / SCALE, known[named][2] / SCALE
                    found.append((row["estimate"] - mine - last, row["noise_stddev"]))
    return np.array(found)


ALL_KEYS = {key for measure in PLAN.release_plan.measures for marginal in measure.marginals for key in marginal}


def test_what_is_left_after_subtraction_is_off_by_the_printed_noise(pool: tuple[Counts, list[Answer]]) -> None:
    counts, answers = pool
    error, noise = np.concatenate([guesses(answer, counts, PLAN) for answer in answers]).T
    assert len(error) > 100
    assert 0.8 < np.sqrt(np.mean((error / noise) ** 2)) < 1.2


def test_the_attack_sees_more_where_a_plan_is_answered_anew_each_time(pool: tuple[Counts, list[Answer]]) -> None:
    """The break: one plan answered six times. Averaged, the same attack is off by far less than is printed."""
    counts, answers = pool
    # All that the answer holds of the companies: independent Gaussian numbers around the exact ones, as wide as is charged for.
    errors = np.concatenate([_standardised(answer, counts) for answer in answers])
    assert abs(errors.std() - 1) < 0.05
    averaged = np.mean([_standardised(answer, counts) for answer in answers], axis=0)
    assert averaged.std() < 0.5


def _standardised(answer: Answer, counts: Counts) -> np.ndarray:
    """Errors of the residuals, in deviations of their noise."""
    found = []
    for measure in PLAN.measured():
        load = Workload.of(measure, measure.scope(QUARTER, PLAN.release_plan))
        own = {m: counts[measure.name, m] for m in measure.marginals}
        drawn = {r.keys: r for r in answer.residuals if r.measure == measure.name}
        for residual in load.residuals:
            exact = np.array(residual.of(sums_of(residual, own, load)), dtype=float)
            found.append((np.array(drawn[residual.keys].values) - exact) / drawn[residual.keys].scale)
    return np.concatenate(found)
