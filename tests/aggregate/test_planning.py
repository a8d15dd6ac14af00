"""The planner foresees what the measurement then does: its noise is that of the draw, its differences are told in simulation."""

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from pooled import QUARTER, SECRET, as_scrubbed, pool_rows, privacy, registered

from aggregate.bounding import MeasurementSettings, bounded_tables
from aggregate.intervals import LineNoise, rate_interval, z_value
from aggregate.mechanisms.draw import prepare
from aggregate.planning import PlannedMarginal, foresee
from aggregate.workload import Workload
from sample_data.generate import generate
from sample_data.parameters import SimulationParameters
from schemas.codes import OPEN_OUTCOMES

PLAN = registered()
RHO = Fraction(PLAN.rho)


def planned(users: float = 40_000.0, rho: Fraction = RHO) -> tuple[PlannedMarginal, ...]:
    return foresee(PLAN.release_plan, privacy(), QUARTER, rho, users)


def test_the_noise_foreseen_is_the_noise_drawn(tmp_path: Path) -> None:
    pool = generate(SimulationParameters(seed=3, users=300, quarters=1))
    records = as_scrubbed(pool_rows(pool.quarters[0].records()), tmp_path / "records")
    with bounded_tables(records, PLAN, SECRET, tmp_path, MeasurementSettings()) as tables:
        answer = prepare(tables, PLAN, records.companies).draw()
    foreseen = {(marginal.measure, marginal.marginal): marginal.noise for marginal in planned()}
    for measure in PLAN.measured():
        load = Workload.of(measure, measure.scope(QUARTER, PLAN.release_plan))
        scales = {r.keys: r.scale / PLAN.privacy.unit.weight_scale for r in answer.residuals if r.measure == measure.name}
        for marginal in measure.marginals:
            assert foreseen[measure.name, marginal] == pytest.approx(load.deviation(marginal, scales), rel=1e-9)


def test_twice_epsilon_and_half_the_measures_tell_more() -> None:
    for marginal in planned():
        if marginal.difference is not None:
            assert marginal.difference_at_twice_epsilon is not None and marginal.difference_at_half_the_measures is not None
            assert marginal.difference_at_twice_epsilon < marginal.difference_at_half_the_measures < marginal.difference


def test_too_few_users_tell_no_difference() -> None:
    assert all(marginal.difference is None for marginal in planned(users=50.0))


@pytest.mark.parametrize("users", [40_000.0, 400_000.0])
def test_a_difference_of_the_size_foreseen_is_seen_as_often_as_said(users: float) -> None:
    """Simulated: two lines that differ by it, with the noise and sampling of the plan; seen in about 80 % of draws."""
    marginal = next(m for m in planned(users) if m.marginal == ("age_band", "outcome") and m.difference is not None)
    measure = next(m for m in PLAN.release_plan.measures if m.name == marginal.measure)
    parts = sum(value not in OPEN_OUTCOMES for value in measure.scope(QUARTER, PLAN.release_plan).outcome_values)
    assert marginal.line is not None and marginal.difference is not None
    assert seen(marginal, parts, marginal.difference) == pytest.approx(0.8, abs=0.06)
    assert seen(marginal, parts, marginal.difference / 2) < 0.5


def seen(marginal: PlannedMarginal, parts: int, difference: float) -> float:
    random, z, draws, hits = np.random.default_rng(4), z_value(0.95), 2000, 0
    noise, line = marginal.noise, marginal.line or 0.0
    for _ in range(draws):
        values = []
        for rate in (0.5 + difference / 2, 0.5 - difference / 2):
            cells = random.multinomial(round(line), [rate, *[(1 - rate) / (parts - 1)] * (parts - 1)]) + random.normal(
                0, noise, parts
            )
            found = rate_interval(float(cells[0]), float(cells.sum()), LineNoise(noise**2).ratio(parts), z)
            assert found is not None
            width = (found.interval.high - found.interval.low) / (2 * z)
            values.append((found.value, width))
        (a, s), (b, t) = values
        hits += abs(a - b) > z * math.hypot(s, t)
    return hits / draws


def test_the_budget_is_what_the_plan_has() -> None:
    """At twice the rho every deviation is smaller by √2, and nothing else changes."""
    for one, other in zip(planned(), planned(rho=2 * RHO), strict=True):
        assert other.noise == pytest.approx(one.noise / math.sqrt(2), rel=1e-6)
        same = replace(other, noise=one.noise, least_outside=one.least_outside, difference=one.difference)
        assert (same.cells, same.line, same.marginal) == (one.cells, one.line, one.marginal)


def test_the_workloads_are_the_measurements() -> None:
    for measure in PLAN.release_plan.measures:
        load = Workload.of(measure, measure.scope(QUARTER, PLAN.release_plan))
        assert {m.marginal for m in planned() if m.measure == measure.name} == set(measure.marginals)
        assert all(set(r.keys) <= set(load.codes) for r in load.residuals)
