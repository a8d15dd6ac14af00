"""One workload: marginals agree, nothing is lost, the noise is what is said, and no user moves a residual by more than charged."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pooled import QUARTER, registered

from aggregate.counts import public_cells
from aggregate.mechanisms.conversion import float_up
from aggregate.mechanisms.draw import noise_scale, residual_sensitivity, root_up
from aggregate.workload import UNIT, Residual, Workload, basis
from schemas.plan import ContributionBound, Measure, Names

PLAN = registered().release_plan
SCALE = 2**20


def workload(measure: Measure) -> Workload:
    return Workload.of(measure, measure.scope(QUARTER, PLAN))


def measure(*marginals: Names, estimand: str = "share_of_user") -> Measure:
    own = {"name": "m", "table": "intervention_outcomes", "event": "intervention_outcome", "outcome_kind": "user_reply"}
    return Measure.model_validate({**own, "window": "next_turn", "estimand": estimand, "marginals": marginals})


def exact_residuals(whole: np.ndarray, keys: Names, load: Workload) -> dict[Names, list[int]]:
    """Residuals of a table over `keys`, without noise."""
    found = {}
    for residual in load.residuals:
        away = tuple(place for place, key in enumerate(keys) if key not in residual.keys)
        kept = [key for key in keys if key in residual.keys]
        summed = np.transpose(whole.sum(axis=away), [kept.index(key) for key in residual.keys])
        found[residual.keys] = residual.of(summed)
    return found


KEYS_OF_TABLE: Names = ("depth_band", "length_band", "earlier_interventions", "outcome")
PAIRS = tuple(itertools.combinations(("intervention", "depth_band", "surface", "outcome"), 2))
STRATIFIED = next(m for m in PLAN.measures if m.stratum)
MEASURES = [measure(*PAIRS), measure(("intervention", "outcome"), ("surface",)), STRATIFIED]


def table_of(found: Measure, seed: int, most: int = 2**40) -> tuple[Names, np.ndarray]:
    load = workload(found)
    keys = tuple(dict.fromkeys(key for marginal in found.marginals for key in marginal))
    return keys, np.random.default_rng(seed).integers(0, most, [load.codes[key] for key in keys])


@pytest.mark.parametrize("codes", [2, 3, 5, 13])
def test_a_basis_is_orthogonal_to_the_sum_and_in_itself(codes: int) -> None:
    rows = np.array(basis(codes), dtype=object)
    assert (rows.sum(axis=1) == 0).all()
    products = rows @ rows.T
    assert all(products[i, j] == 0 for i in range(codes - 1) for j in range(codes - 1) if i != j)
    assert all(abs(products[i, i] / UNIT**2 - 1) < 1e-4 for i in range(codes - 1))


@pytest.mark.parametrize("found", MEASURES)
def test_without_noise_every_marginal_is_the_exact_sum(found: Measure) -> None:
    load = workload(found)
    keys, whole = table_of(found, 3)
    residuals = exact_residuals(whole, keys, load)
    for marginal in found.marginals:
        away = tuple(place for place, key in enumerate(keys) if key not in marginal)
        kept = [key for key in keys if key in marginal]
        truth = np.ravel(np.transpose(whole.sum(axis=away), [kept.index(key) for key in marginal]))
        assert len(truth) == len(public_cells(marginal, found.scope(QUARTER, PLAN)))
        # Each number of a residual is rounded to half a step.
        assert np.abs(load.marginal(marginal, residuals) - truth).max() < 1 + 1e-10 * truth.max()


@pytest.mark.parametrize("found", MEASURES)
def test_noisy_marginals_agree_with_each_other(found: Measure) -> None:
    load, random = workload(found), np.random.default_rng(5)
    values = {r.keys: random.integers(-(2**30), 2**30, math.prod(r.shape)).tolist() for r in load.residuals}
    for one, other in itertools.combinations(found.marginals, 2):
        shared = [key for key in one if key in other]
        sums = []
        for marginal in (one, other):
            cells = load.marginal(marginal, values).reshape([load.codes[key] for key in marginal])
            summed = cells.sum(axis=tuple(place for place, key in enumerate(marginal) if key not in shared))
            kept = [key for key in marginal if key in shared]
            sums.append(np.transpose(summed, [kept.index(key) for key in shared]))
        assert np.allclose(sums[0], sums[1], rtol=1e-9, atol=1e-3)


@pytest.mark.parametrize("found", MEASURES)
def test_the_noise_of_cells_and_lines_is_what_is_said(found: Measure) -> None:
    """Against the noise of each number of each residual, pushed through one at a time: the exact covariance."""
    load = workload(found)
    scales = {r.keys: 1.0 + 0.37 * place for place, r in enumerate(load.residuals)}
    for marginal in found.marginals:
        columns = []
        for residual in load.parts_of(marginal):
            for place in range(math.prod(residual.shape)):
                values = {r.keys: [0] * math.prod(r.shape) for r in load.residuals}
                values[residual.keys][place] = UNIT
                columns.append(load.marginal(marginal, values) / UNIT * scales[residual.keys])
        covariance = np.array(columns).T @ np.array(columns)
        assert np.sqrt(np.diag(covariance)) == pytest.approx(load.deviation(marginal, scales), rel=1e-4)
        for key in marginal:
            noise = load.line_noise(marginal, key, scales)
            shape = [load.codes[k] for k in marginal]
            line = np.moveaxis(np.arange(math.prod(shape)).reshape(shape), marginal.index(key), -1).reshape(-1, load.codes[key])[
                0
            ]
            block = covariance[np.ix_(line, line)]
            assert block[0, 0] == pytest.approx(noise.variance(), rel=1e-4)
            assert block[0, 1] == pytest.approx(noise.shared, rel=1e-3, abs=1e-4 * noise.own)
            assert block.sum() == pytest.approx(noise.variance(len(line)), rel=1e-3)
            assert block[0].sum() == pytest.approx(noise.covariance(len(line)), rel=1e-3, abs=1e-4 * noise.own)


weights = st.lists(st.integers(0, 50), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(parts=weights, seed=st.integers(0, 2**32), measured=st.sampled_from(MEASURES), start=st.integers(0, 2**44))
def test_no_user_moves_a_residual_by_more_than_is_charged(parts: list[int], seed: int, measured: Measure, start: int) -> None:
    """Any one user's sums added to any table: the integers that the noise is added to move by at most the sensitivity."""
    load, random = workload(measured), np.random.default_rng(seed)
    keys, before = table_of(measured, seed, start + 1)
    bound = measured.bound(SCALE)
    after = before.copy()
    strata = range(bound.strata) if bound.stratum else [None]
    for stratum in strata:
        total = max(sum(parts), 1)
        for part in parts:
            cell = [int(random.integers(n)) for n in before.shape]
            if stratum is not None:
                cell[keys.index(bound.stratum)] = stratum
            after[tuple(cell)] += part * SCALE // total
    with_user, without = exact_residuals(after, keys, load), exact_residuals(before, keys, load)
    for residual in load.residuals:
        moved = sum((a - b) ** 2 for a, b in zip(with_user[residual.keys], without[residual.keys], strict=True))
        assert moved <= Fraction(residual_sensitivity(bound, residual)) ** 2


def test_the_sensitivity_is_nearly_reached_and_less_would_not_do() -> None:
    """The bound is no looser than it must be: one user in one cell moves a residual by it, but for the rounding."""
    found = measure(("intervention", "outcome"))
    load, bound = workload(found), found.bound(SCALE)
    residual = load.residuals[-1]
    sums = np.zeros(residual.codes, dtype=np.int64)
    sums[-1, -1] = SCALE
    moved = math.sqrt(sum(value * value for value in residual.of(sums)))
    assert 0.9999 * residual_sensitivity(bound, residual) < moved <= residual_sensitivity(bound, residual)
    halved = ContributionBound(bound.mass // 2)
    assert moved > residual_sensitivity(halved, residual)


@pytest.mark.parametrize("found", MEASURES)
def test_shares_add_up_to_no_more_than_the_whole(found: Measure) -> None:
    shares = [residual.share for residual in workload(found).residuals]
    assert 1 - Fraction(1, 10**9) < sum(shares) <= 1
    assert all(share > 0 for share in shares)


def scales_at(load: Workload, found: Measure, rho: Fraction, shares: dict[Names, Fraction] | None = None) -> dict[Names, float]:
    bound = found.bound(1)
    told = {r.keys: (shares or {}).get(r.keys, r.share) for r in load.residuals}

    def scale(residual: Residual) -> float:
        return noise_scale(root_up(residual.l2(bound.mass, bound.strata)[0]), rho * told[residual.keys])

    return {residual.keys: scale(residual) for residual in load.residuals}


def mean_variance(load: Workload, found: Measure, scales: dict[Names, float]) -> float:
    return sum(load.deviation(marginal, scales) ** 2 for marginal in found.marginals)


@pytest.mark.parametrize("found", MEASURES)
def test_no_other_spread_of_the_noise_is_better(found: Measure) -> None:
    load, rho, random = workload(found), Fraction(1, 100), np.random.default_rng(9)
    best = mean_variance(load, found, scales_at(load, found, rho))
    for _ in range(20):
        turned = {r.keys: r.share * Fraction(float(random.uniform(0.7, 1.4))) for r in load.residuals}
        whole = sum(turned.values())
        others = {keys: share / whole for keys, share in turned.items()}
        assert mean_variance(load, found, scales_at(load, found, rho, others)) >= best * (1 - 1e-9)


def test_the_workload_beats_noise_on_each_marginal() -> None:
    """Fifteen three-way marginals and what is below them: the mean variance, against even noise and the same rho."""
    names = ("depth_band", "surface", "intervention", "age_band", "ideation_before", "language")
    found = measure(*[(*pair, "outcome") for pair in itertools.combinations(names, 2)])
    load, rho = workload(found), Fraction(16, 1000)
    ours = mean_variance(load, found, scales_at(load, found, rho)) / len(found.marginals)
    even = len(found.marginals) / (2 * float_up(rho))
    assert math.sqrt(ours / even) < 0.87
