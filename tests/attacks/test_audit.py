"""The one-run canary audit: the pipeline gives away what it is charged for and no more, from scrubbed parts and the whole way."""

import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.audit_breaks import RIGHT, measured_under, run
from benchmarks.audit_canaries import CANARIES, CONFIDENCE, Verdict, audit, coins, lower_bound, plan_of
from benchmarks.audit_whole_way import measured_whole_way


def one_run(seed: int, rho: str = "1") -> Verdict:
    plan, included = plan_of(rho), coins(seed)
    with measured_under(RIGHT, included, plan) as measured:
        return audit(measured.answers, plan, included)


def test_no_alarm_over_the_right_pipeline_and_canaries_see_nearly_all_there_is() -> None:
    """Were µ seen far below what is charged, the audit would have no teeth."""
    verdict = one_run(301)
    assert not verdict.alarm
    assert 0.8 * verdict.mu_charged < verdict.mu_seen < 1.2 * verdict.mu_charged
    assert verdict.mu_lower < verdict.mu_seen


def test_who_guesses_without_an_answer_is_told_so() -> None:
    """Coins that are not those of the pool: nothing is known of them."""
    plan, included = plan_of(), coins(302)
    with measured_under(RIGHT, included, plan) as measured:
        verdict = audit(measured.answers, plan, coins(303))
    assert abs(verdict.mu_seen) < 0.35


def test_the_bound_holds_as_often_as_is_said() -> None:
    """Clopper and Pearson: of 4,000 experiments at most a hundredth may have a bound above the truth, twice over for both."""
    rng = np.random.default_rng(5)
    hits = rng.binomial(400, 0.3, size=4_000)
    above = np.mean([lower_bound(int(h), 400, CONFIDENCE) > 0.3 for h in hits])
    assert above <= (1 - CONFIDENCE) / 2 + 3 * math.sqrt(0.005 / 4_000)
    assert lower_bound(0, 400, CONFIDENCE) == 0.0
    assert np.mean([lower_bound(int(h), 400, 0.05) > 0.3 for h in hits]) > 0.2  # a bound at five in a hundred does fail


def test_each_canary_is_in_by_a_fair_coin() -> None:
    assert abs(coins(1).sum() - CANARIES / 2) < 5 * math.sqrt(CANARIES / 4)
    assert (coins(1) != coins(2)).any()


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_no_false_alarm_of_any_detector_in_50_runs() -> None:
    assert sum(run(RIGHT, seed).any for seed in range(50)) == 0


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_whole_way_through_intake_scrub_duckdb_and_opendp(tmp_path: Path) -> None:
    """Signed, sealed, taken in, scrubbed, planned, measured; then the same with each user under two pseudonyms."""
    for seed, split in ((311, False), (312, True)):
        root, included = tmp_path / f"pool-{seed}", coins(seed)
        root.mkdir()
        answer, plan = measured_whole_way(root, included, split)
        verdict = audit([answer], plan, included)
        assert verdict.alarm is split
        assert verdict.mu_seen > 0.8 * verdict.mu_charged
