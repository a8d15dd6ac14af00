"""The survival curve is Kaplan and Meier's, and its intervals cover with noise and sampling, also where few are left."""

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pooled import QUARTER, registered

from aggregate.intervals import z_value
from aggregate.survival import DepthSurvival, survival_curve
from aggregate.workload import Workload
from schemas.keys import DEPTH_BANDS, ENDINGS
from schemas.plan import Measure, Names

Z = z_value(0.95)
DEPTHS = len(DEPTH_BANDS)
SURVIVAL = next(m for m in registered().release_plan.measures if m.table == "depth_survival")
HAZARDS = np.array([0.05, 0.10, 0.16, 0.20, 0.30, 0.40])
LAST = np.array([0.25, 0.30, 0.30, 0.35, 0.50, 1.0])  # of those who go on, how many end at this depth without the outcome


def by_hand(ended: np.ndarray, followed: np.ndarray) -> list[float]:
    """Kaplan and Meier's estimate, one conversation at a time."""
    stays = [
        (depth, seen) for seen, cells in ((True, ended), (False, followed)) for depth, n in enumerate(cells) for _ in range(n)
    ]
    curve, share = [], 1.0
    for depth in range(len(ended)):
        at_risk = [seen for last, seen in stays if last >= depth]
        seen_here = [seen for last, seen in stays if last == depth and seen]
        if not at_risk or len(seen_here) == len(at_risk):
            break
        share *= 1 - len(seen_here) / len(at_risk)
        curve.append(share)
    return curve


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=DEPTHS, max_size=DEPTHS))
def test_without_noise_it_is_the_estimate_of_kaplan_and_meier(cells: list[tuple[int, int]]) -> None:
    ended, followed = (np.array(column) for column in zip(*cells, strict=True))
    told = survival_curve(ended.astype(float), followed.astype(float), np.zeros((2 * DEPTHS, 2 * DEPTHS)), Z)
    wanted = by_hand(ended, followed)
    assert len(told) <= len(wanted)
    assert [point.surviving.value for point in told] == pytest.approx(wanted[: len(told)])


def noise_of(scale: float) -> np.ndarray:
    """Covariance of the plan's cells, the ended ones first, for residuals of one scale."""
    load = Workload.of(SURVIVAL, SURVIVAL.scope(QUARTER, registered().release_plan))
    return load.covariance(SURVIVAL.marginals[0], ("ending", "depth_band"), {r.keys: scale for r in load.residuals})


def test_the_covariance_is_that_of_the_drawn_noise() -> None:
    """Against marginals that are made of drawn residuals; for a marginal of two keys and a line of one of three."""
    random = np.random.default_rng(3)
    keys: Names = ("surface", "depth_band", "outcome")
    three = Measure(
        name="m", table="intervention_outcomes", event="intervention_outcome", estimand="share_of_user",  # type: ignore[arg-type]
        outcome_kind="user_reply", window="next_turn", marginals=(keys,),
    )  # fmt: skip
    for measure, over in ((SURVIVAL, ("ending", "depth_band")), (three, ("outcome",)), (three, ("outcome", "depth_band"))):
        load = Workload.of(measure, measure.scope(QUARTER, registered().release_plan))
        scales = {r.keys: 100.0 + 50 * place for place, r in enumerate(load.residuals)}
        marginal = measure.marginals[0]
        line = tuple(slice(None) if key in over else 0 for key in marginal)  # other keys are held at their first code
        kept = [key for key in marginal if key in over]
        drawn = []
        for _ in range(4000):
            values = {r.keys: random.normal(0, scales[r.keys], math.prod(r.shape)) for r in load.residuals}
            noise = load.marginal(marginal, values).reshape([load.codes[key] for key in marginal])  # type: ignore[arg-type]
            drawn.append(np.ravel(np.transpose(noise[line], [kept.index(key) for key in over])))
        found, told = np.cov(np.array(drawn).T), load.covariance(marginal, over, scales)
        assert np.abs(found - told).max() < 0.1 * told.max(), measure.name


def true_curve() -> np.ndarray:
    return np.cumprod(1 - HAZARDS)


def shares() -> np.ndarray:
    """Chances of the cells, ended first, from hazards and last depths."""
    cells, left = [], 1.0
    for hazard, last in zip(HAZARDS, LAST, strict=True):
        cells.append((left * hazard, left * (1 - hazard) * last))
        left *= (1 - hazard) * (1 - last)
    ended, followed = zip(*cells, strict=True)
    return np.array([*ended, *followed])


def curves(users: int, noise: float, draws: int, seed: int, told: float | None = None) -> Iterator[list[DepthSurvival]]:
    random, covariance = np.random.default_rng(seed), noise_of(noise)
    drawn = random.multivariate_normal(np.zeros(2 * DEPTHS), covariance, draws, method="eigh")
    counts = random.multinomial(users, shares(), draws) + drawn
    for cells in counts:
        yield survival_curve(cells[:DEPTHS], cells[DEPTHS:], covariance if told is None else noise_of(told), Z)


def coverage(users: int, noise: float, draws: int = 3000, told: float | None = None) -> tuple[float, float]:
    """Of the intervals of hazards and of surviving shares, by truth, over all depths that are told."""
    hits = np.zeros((2, 2))
    for curve, truth in zip(curves(users, noise, draws, 7, told), itertools.repeat(true_curve())):
        for depth, point in enumerate(curve):
            for row, (rate, true) in enumerate(((point.hazard, HAZARDS[depth]), (point.surviving, truth[depth]))):
                hits[row] += (rate.interval.low <= true <= rate.interval.high, 1)
    hazard, surviving = hits[:, 0] / hits[:, 1]
    return float(hazard), float(surviving)


@pytest.mark.parametrize(("users", "noise"), [(20_000, 30.0), (3_000, 30.0), (3_000, 5.0), (800, 20.0)])
def test_its_intervals_cover(users: int, noise: float) -> None:
    hazard, surviving = coverage(users, noise)
    assert 0.93 <= hazard <= 0.98 and 0.93 <= surviving <= 0.98, (hazard, surviving)


def test_intervals_without_the_noise_would_not_cover() -> None:
    assert min(coverage(3_000, 30.0, told=0.0)) < 0.9


def test_there_is_a_cell_for_each_depth_and_ending() -> None:
    assert noise_of(1.0).shape == (DEPTHS * len(ENDINGS),) * 2
