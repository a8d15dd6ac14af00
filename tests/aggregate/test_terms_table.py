"""Found terms: what is told of each, with intervals that know why it was seen; and the table for those who may read it."""

from typing import Any

import numpy as np
import pytest
from pooled import privacy, registered

from aggregate.answer import Answer, NoisyRound, NoisyTracked
from aggregate.intervals import growth_interval, selected_count, z_value
from aggregate.terms_table import FoundTerm, found_terms, terms_table
from schemas.derived_tables import MEMBERS, PUBLIC
from schemas.periods import Quarter
from schemas.plan import RegisteredPlan
from schemas.tables import Status

STEP = privacy().unit.weight_scale
SEARCH = {"name": "user_terms", "speaker": "user", "most": 8}


def plan_of(quarter: str = "2026Q1", panel: str = "p", **changes: Any) -> RegisteredPlan:
    plan = registered(quarter=Quarter.parse(quarter))
    return plan.model_copy(update={"panel": panel, "plan": {**plan.plan, "terms": [SEARCH]}, **changes})


def found_now(**terms: float) -> NoisyRound:
    """Terms over a threshold of 100 users-equivalent, with noise of 20."""
    values = tuple(int(value * STEP) for value in terms.values())
    return NoisyRound("user_terms", 1, tuple(terms), values, 20.0 * STEP, 100 * STEP, 1e-9)


def followed(**terms: float) -> NoisyTracked:
    """Counts of terms, with noise of 10, of which enough lies in several companies; of those below 0 it does not."""
    words, values = tuple(terms), tuple(int(abs(value) * STEP) for value in terms.values())
    rules = tuple(10**9 * (1 if value >= 0 else -1) for value in terms.values())
    return NoisyTracked("user_terms", words, values, 10.0 * STEP, rules, 1.0, tuple(-rule for rule in rules), 1.0)


def by_term(found: tuple[FoundTerm, ...]) -> dict[str, dict[str, Any]]:
    return {each.term: dict(each.row) for each in found}


FIRST = Answer((), (), rounds=(found_now(veltri=140, ondrake=400),))
SECOND = Answer((), (), rounds=(found_now(sarmel=300),), tracked=(followed(veltri=200, ondrake=-500),))
THIRD = Answer((), (), tracked=(followed(veltri=500, ondrake=600),))
LONGER = Answer((), (), tracked=(followed(veltri=500, ondrake=600, sarmel=300),))
PLANS = plan_of("2026Q1"), plan_of("2026Q2"), plan_of("2026Q3")


def test_a_term_is_told_with_a_lower_bound_first_then_with_all_users_then_with_its_growth() -> None:
    first = by_term(found_terms(PLANS[0], FIRST, []))
    assert all(row["first_seen"] == "2026Q1" and "growth" not in row for row in first.values())
    assert first["ondrake"]["estimate"] == pytest.approx(400, rel=0.01)
    assert first["veltri"]["estimate"] < 140 < first["veltri"]["ci_high"]  # it was told because it was large
    second = by_term(found_terms(PLANS[1], SECOND, [(PLANS[0], FIRST)]))
    assert (second["veltri"]["estimate"], second["veltri"]["first_seen"]) == (200, "2026Q1")
    assert "growth" not in second["veltri"]  # what it is compared with counted otherwise
    assert second["ondrake"] == {"speaker": "user", "term": "ondrake", "first_seen": "2026Q1", "status": Status.TOO_FEW_COMPANIES}
    third = by_term(found_terms(PLANS[2], THIRD, [(PLANS[1], SECOND), (PLANS[0], FIRST)]))
    assert third["veltri"]["growth"] == 2.5
    assert third["veltri"]["growth_ci_low"] < 2.5 < third["veltri"]["growth_ci_high"]
    assert "growth" not in third["ondrake"]  # the quarter before withheld it


def test_no_growth_is_told_against_another_list() -> None:
    """Who wrote two terms counts less for each, so a list that gets longer makes its terms look as if they receded."""
    third = by_term(found_terms(PLANS[2], LONGER, [(PLANS[1], SECOND), (PLANS[0], FIRST)]))
    assert third["veltri"]["estimate"] == 500 and "growth" not in third["veltri"]
    assert third["sarmel"]["first_seen"] == "2026Q2"


@pytest.mark.parametrize("panel", ["", "q"])
def test_no_growth_is_told_against_other_companies(panel: str) -> None:
    third = by_term(found_terms(plan_of("2026Q3", panel), THIRD, [(PLANS[1], SECOND), (PLANS[0], FIRST)]))
    assert "growth" not in third["veltri"]


def test_a_table_holds_those_terms_that_it_is_told_and_no_other() -> None:
    found = found_terms(PLANS[1], SECOND, [(PLANS[0], FIRST)])
    audiences = {("user", "veltri"): PUBLIC, ("user", "sarmel"): MEMBERS, ("user", "never-found"): PUBLIC}
    rows = terms_table(found, audiences, PLANS[1]).rows.to_pylist()
    assert [(row["term"], row["audience"], row["quarter"]) for row in rows] == [
        ("sarmel", "members", "2026Q2"),
        ("veltri", "public", "2026Q2"),
    ]
    assert terms_table(found, {}, PLANS[1]).rows.num_rows == 0
    assert "veltri" not in repr(found)


def coverage(interval: Any, masses: np.ndarray, noise: float, threshold: float, seed: int = 5) -> float:
    """Share of intervals that hold the mean, over sums that reached the threshold; masses are those of the third company of three."""
    random = np.random.default_rng(seed)
    held = tried = 0
    for mass in masses:
        # Three companies, users at random: what lies outside the two largest is the least of them.
        least = np.sort(random.poisson(mass, (200, 3)), axis=1)[:, 0]
        values = least + random.normal(0, noise, 200)
        mean = np.sort(random.poisson(mass, (4000, 3)), axis=1)[:, 0].mean()
        for value in values[values >= threshold]:
            low, high = interval(float(value))
            held, tried = held + (low <= mean <= high), tried + 1
    assert tried > 1000
    return held / tried


def test_the_interval_of_a_term_that_was_selected_covers_and_a_plain_one_does_not() -> None:
    noise, threshold = 20.0, 100.0
    masses = np.random.default_rng(3).uniform(45, 115, 250)  # most of them below the threshold, as in a Zipf tail

    def selected(value: float) -> tuple[float, float]:
        _, found = selected_count(value, threshold, noise, 0.95)
        return found.low, found.high

    assert coverage(selected, masses, noise, threshold) >= 0.93
    plain = z_value(0.95) * noise
    assert coverage(lambda value: (value - plain, value + plain), masses, noise, threshold) < 0.9


def test_what_is_told_of_a_selected_term_is_as_often_too_large_as_too_small() -> None:
    random = np.random.default_rng(11)
    values = 90 + random.normal(0, 20, 4000)
    told = [selected_count(float(value), 100.0, 20.0, 0.95)[0] for value in values[values >= 100]]
    assert 0.44 < np.mean(np.array(told) > 90) < 0.56
    assert (values[values >= 100] > 90).all()  # the drawn value never is too small


@pytest.mark.parametrize("value", [100.0, 100.01, 101, 120, 180, 400, 5000])
def test_an_interval_holds_its_estimate_whatever_was_drawn(value: float) -> None:
    estimate, interval = selected_count(value, 100.0, 20.0, 0.95)
    assert 0 <= interval.low <= estimate <= value <= interval.high
    wider, _ = selected_count(value + 10, 100.0, 20.0, 0.95)
    assert wider >= estimate


def test_growth_covers_and_is_not_told_of_what_was_nothing() -> None:
    random, z = np.random.default_rng(7), z_value(0.95)
    now, before = random.poisson(300, 3000) + random.normal(0, 15, 3000), random.poisson(150, 3000) + random.normal(0, 15, 3000)
    intervals = [growth_interval((n, 15.0), (b, 15.0), z) for n, b in zip(now, before, strict=True)]
    held = np.mean([rate is not None and rate.interval.low <= 2 <= rate.interval.high for rate in intervals])
    assert 0.93 <= held <= 0.97
    assert growth_interval((300.0, 15.0), (20.0, 15.0), z) is None
    assert growth_interval((300.0, 15.0), (-150.0, 15.0), z) is None
