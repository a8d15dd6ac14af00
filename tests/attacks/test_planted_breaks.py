"""Each planted break raises its alarm; none is raised over the right pipeline. Who is expected to see which stands here."""

import pytest

from aggregate.mechanisms.threshold import threshold_delta
from benchmarks.audit_breaks import BREAKS, RIGHT, Break, prepared_under, refused, run
from benchmarks.audit_canaries import coins, plan_of
from benchmarks.audit_detectors import (
    THRESHOLDS,
    fit,
    moved_rho,
    noises,
    threshold_costs_more,
    variance_z,
)

SEEN_BY = {
    "no_clip": {"canaries", "neighbours"},
    "doubled_bound": {"canaries", "neighbours"},
    "split_id": {"canaries", "neighbours"},
    "marginal_booked_once": {"canaries", "neighbours", "accountant"},
    "reused_release": {"repeats"},  # and by the canaries, in most runs
    "sigma_2_percent_low": {"noise"},
}
REFUSED = {"no_clip", "marginal_booked_once", "reused_release", "sigma_2_percent_low"}
"""Breaks that the pipeline's own checks, OpenDP's filter or the ledger refuse before anything is answered."""

each_break = pytest.mark.parametrize("fault", BREAKS, ids=[fault.name for fault in BREAKS])


def test_every_break_is_tried() -> None:
    assert {fault.name for fault in BREAKS} == set(SEEN_BY)


def test_nobody_sees_a_break_where_there_is_none() -> None:
    alarms = run(RIGHT, 401)
    assert not alarms.any, dict(alarms.by)
    assert not refused(RIGHT, 401)


@each_break
def test_a_break_is_seen(fault: Break) -> None:
    alarms = run(fault, 402, noise_draws=3 if "noise" in SEEN_BY[fault.name] else 0)
    assert SEEN_BY[fault.name] <= {name for name, alarm in alarms.by.items() if alarm}


@pytest.mark.parametrize("fault", [fault for fault in BREAKS if fault.name in REFUSED], ids=lambda fault: fault.name)
def test_the_pipeline_itself_refuses_what_it_can_see(fault: Break) -> None:
    assert refused(fault, 403)


@pytest.mark.long
@pytest.mark.timeout(3600)
@each_break
def test_a_break_is_seen_ten_times_of_ten(fault: Break) -> None:
    for seed in range(410, 420):
        alarms = run(fault, seed)
        assert SEEN_BY[fault.name] <= {name for name, alarm in alarms.by.items() if alarm}, seed
        assert refused(fault, seed) is (fault.name in REFUSED)


@pytest.mark.parametrize(("scale", "steps", "keys"), THRESHOLDS)
def test_a_threshold_off_by_one_is_seen(scale: float, steps: int, keys: int) -> None:
    assert not threshold_costs_more(threshold_delta, scale, steps, keys)
    assert threshold_costs_more(lambda s, threshold, *rest: threshold_delta(s, threshold + 1, *rest), scale, steps, keys)


def test_one_user_moves_all_that_is_charged_for() -> None:
    """The canaries are the worst case, or near it: but for the sum of squares they use up all of rho."""
    with prepared_under(RIGHT, coins(1), plan_of()) as before:
        included = coins(1)
        included[0] = not included[0]
        with prepared_under(RIGHT, included, plan_of()) as after:
            assert 0.97 < moved_rho(before, after) <= 1


def test_draws_are_of_the_exact_discrete_gaussian() -> None:
    """Chi-square against the sum over the integers and variance, of our own scales through our own draw; 2 % less is seen.

    The plan is in steps of one eighth: scales of some twenty, where the discrete Gaussian can be summed.
    """
    with prepared_under(RIGHT, coins(2), plan_of(weight_scale=8)) as prepared:
        every = [pair for _ in range(4) for pair in noises(prepared, prepared.draw())]
    drawn = [(values, scale) for values, scale in every if scale < 100]
    assert sum(len(values) for values, _ in drawn) > 50_000
    assert fit(drawn) > 1e-6
    assert variance_z(drawn) < 5
    too_high = [(values, scale / 0.98) for values, scale in drawn]  # as if the answer said more than was drawn
    assert variance_z(too_high) > 5
