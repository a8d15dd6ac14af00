"""The simulated pool in memory: sound records, and probabilities from which their outcomes were really drawn."""

from collections import Counter
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from record_rules import broken_rules

from sample_data.columnar import pool_table
from sample_data.generate import SimulatedPool, SimulatedQuarter, generate
from sample_data.parameters import SimulationParameters
from schemas.arrow import pool_schema
from schemas.errors import UsageError
from schemas.keys import DEPTH_BANDS
from schemas.periods import Quarter

OWN_COLUMNS = {"company", "submission", "pseudonym_unit", "selection_reason", "unit", "bucket", "content"}
MANY_CHANGES = {"correction_share": 0.05, "record_withdrawal_share": 0.05, "user_withdrawal_share": 0.05}


@pytest.fixture(scope="module")
def pool() -> SimulatedPool:
    return generate(SimulationParameters(seed=3, users=6_000))


@pytest.fixture(scope="module")
def quarter(pool: SimulatedPool) -> SimulatedQuarter:
    return pool.quarters[0]


def test_every_record_keeps_the_contract() -> None:
    pool = generate(SimulationParameters(seed=8, users=600))
    for simulated in pool.quarters:
        start, end = simulated.quarter.start, simulated.quarter.end
        strata = set(pool.parameters.strata)
        for valid in simulated.records():
            assert broken_rules(valid.record, strata, start, end) == set()


@given(st.integers(0, 10_000), st.integers(1, 40), st.sampled_from([1, 2, 3, 4, 5]), st.integers(1, 5))
@settings(max_examples=20, deadline=None)
def test_any_parameters_give_sound_records(seed: int, users: int, submissions: int, companies: int) -> None:
    drawn = SimulationParameters(seed=seed, users=users, quarters=1, submissions_per_quarter=submissions, companies=companies)
    parameters = drawn.model_copy(update=MANY_CHANGES)
    simulated = generate(parameters).quarters[0]
    for valid in simulated.records():
        found = broken_rules(valid.record, set(parameters.strata), simulated.quarter.start, simulated.quarter.end)
        assert found == set()
        for intervention, vectors in zip(valid.record["interventions"], valid.probabilities, strict=True):
            for outcome, vector in zip(intervention["outcomes"], vectors, strict=True):
                assert vector[outcome["value"]] > 0
                assert sum(vector.values()) == pytest.approx(1)


def test_probabilities_are_vectors_over_the_values(quarter: SimulatedQuarter) -> None:
    for block in quarter.columns.outcomes:
        assert block.probabilities.shape == (len(block.value), len(block.plant.values))
        assert (block.probabilities >= 0).all()
        np.testing.assert_allclose(block.probabilities.sum(axis=1), 1, atol=1e-12)


@pytest.mark.parametrize("key", ["intervention", "depth_band", "age_band", "week", "language"])
def test_outcomes_were_drawn_from_their_probabilities(quarter: SimulatedQuarter, key: str) -> None:
    squares, cells = 0.0, 0
    for kind, window in (("user_reply", "next_turn"), ("risk_trajectory", "same_session"), ("resource_opened", "24h")):
        events = quarter.outcome_events(kind, window)
        for code in np.unique(events.keys[key]):
            here = events.keys[key] == code
            for at, value in enumerate(events.values):
                p = events.probabilities[here, at]
                if p.sum() < 20:
                    continue
                seen = (events.keys["outcome"][here] == value).sum()
                z = (seen - p.sum()) / np.sqrt((p * (1 - p)).sum())
                assert abs(z) < 5
                squares, cells = squares + z * z, cells + 1
    assert cells >= 10
    # Values of one cell add up, so the cells are not independent: a wide band, which a wrong column of probabilities leaves far behind.
    assert 0.4 < squares / cells < 1.8


def test_records_and_columns_tell_the_same() -> None:
    quarter = generate(SimulationParameters(seed=6, users=1_500, quarters=1)).quarters[0]
    records = list(quarter.records())
    events = quarter.outcome_events("user_reply", "next_turn")
    seen = Counter(
        (v.company, v.selection_reason, v.record["risk"]["ideation"], i["type"], o["value"], round(p["engaged"], 9))
        for v in records
        for i, vectors in zip(v.record["interventions"], v.probabilities, strict=True)
        for o, p in zip(i["outcomes"], vectors, strict=True)
        if o["kind"] == "user_reply"
    )
    columns = (events.keys[k] for k in ("selection_reason", "ideation", "intervention", "outcome"))
    rows = zip(events.company, *columns, np.round(events.probabilities[:, 0], 9), strict=True)
    assert seen == Counter((str(a), str(b), str(c), str(d), str(e), float(f)) for a, b, c, d, e, f in rows)


def test_the_arrow_table_holds_the_same_records() -> None:
    simulated = generate(SimulationParameters(seed=5, users=800, quarters=1).model_copy(update=MANY_CHANGES)).quarters[0]
    table = pool_table(simulated)
    table.validate(full=True)
    assert table.schema == pool_schema()
    for valid, row in zip(simulated.records(), table.to_pylist(), strict=True):
        assert (row["company"], row["selection_reason"]) == (valid.company, valid.selection_reason)
        want = {k: v for k, v in valid.record.items() if k != "user_pseudonym"}
        want |= {k: datetime.fromisoformat(v) for k, v in want.items() if k in ("started_at", "supersedes_started_at")}
        assert {k: v for k, v in row.items() if k not in OWN_COLUMNS and v is not None} == want
    assert len(set(table["content"].to_pylist())) == table.num_rows
    assert len(set(table["unit"].to_pylist())) == len({v.record["user_pseudonym"] for v in simulated.records()})


@pytest.mark.parametrize("strata", [SimulationParameters().risk_by_stratum, dict.fromkeys(SimulationParameters().strata, 0.0)])
def test_the_smallest_pools_have_tables_too(strata: dict[str, float]) -> None:
    for users in (1, 2, 30):
        simulated = generate(SimulationParameters(users=users, quarters=1, risk_by_stratum=strata)).quarters[0]
        assert pool_table(simulated).num_rows == len(list(simulated.records()))


def test_users_are_skewed_and_companies_are_even(quarter: SimulatedQuarter) -> None:
    counts = quarter.columns.users.conversations
    assert counts.min() == 1 and counts.max() <= quarter.columns.parameters.max_conversations
    for k in (2, 5, 20):
        expected = len(counts) * k**-quarter.columns.parameters.pareto_exponent
        assert abs((counts >= k).sum() - expected) < 5 * np.sqrt(expected)
    shares = np.bincount(quarter.columns.users.company) / len(counts)
    np.testing.assert_allclose(shares, quarter.columns.parameters.sizes, atol=1e-3)


def test_all_depth_bands_and_weeks_occur(quarter: SimulatedQuarter) -> None:
    events = quarter.outcome_events("user_reply", "next_turn")
    bands = {band for band, _ in DEPTH_BANDS}
    assert set(events.keys["depth_band"]) == set(events.keys["length_band"]) == bands
    assert set(events.keys["week"]) == set(quarter.quarter.weeks())
    assert set(events.keys["earlier_interventions"]) == {"0", "1", "2", "3+"}


def test_acceptance_fades_with_depth_and_drops_at_the_release(pool: SimulatedPool) -> None:
    def chance(simulated: SimulatedQuarter, intervention: str, band: str) -> float:
        events = simulated.outcome_events("user_reply", "next_turn")
        here = (events.keys["intervention"] == intervention) & (events.keys["depth_band"] == band)
        here &= events.keys["age_band"] == "25_44"
        known = events.probabilities[here, :3]
        return float((known[:, 0] / known.sum(axis=1)).mean())

    before, after = pool.quarters
    assert chance(before, "crisis_resource_referral", "1-5") == pytest.approx(0.55)
    assert chance(before, "crisis_resource_referral", "21-40") == pytest.approx(0.55 - 3 * 0.06)
    assert chance(after, "crisis_resource_referral", "1-5") == pytest.approx(0.55 - 0.14, abs=0.02)  # from 6 April on
    assert chance(after, "warm_handoff", "1-5") == pytest.approx(0.60)


def test_a_plant_leaves_other_draws_as_they_were(pool: SimulatedPool) -> None:
    other = generate(pool.parameters.model_copy(update={"model_release": None, "text_share": 0.5, "quarters": 3}))
    for one, two in zip(pool.quarters, other.quarters, strict=False):
        assert one.columns.records.ids == two.columns.records.ids
        np.testing.assert_array_equal(one.columns.interventions.type, two.columns.interventions.type)


def test_outcomes_of_a_user_may_go_together() -> None:
    """Marginal probabilities stay; outcomes of one user agree more often than probabilities say."""
    agreement = []
    for correlation in (0.0, 0.8):
        parameters = SimulationParameters(seed=9, users=4_000, quarters=1, user_correlation=correlation)
        events = generate(parameters).quarters[0].outcome_events("user_reply", "next_turn")
        engaged, p = events.keys["outcome"] == "engaged", events.probabilities[:, 0]
        order = np.argsort(events.user, kind="stable")
        user, rest = events.user[order], (engaged - p)[order]
        neighbours = user[1:] == user[:-1]
        agreement.append(float((rest[1:] * rest[:-1])[neighbours].mean()))
        weights = 1 / np.bincount(events.user)[events.user]
        deviation = np.sqrt((weights * p * (1 - p)).sum())  # what the outcomes of a user would have if they were one
        assert abs((weights * (engaged - p)).sum()) < 4 * deviation
    assert abs(agreement[0]) < 0.01 and agreement[1] > 0.1


def test_a_joining_company_has_no_earlier_users() -> None:
    pool = generate(SimulationParameters(users=600, joining={"birch": "2026Q2"}))
    companies = [{v.company for v in simulated.records()} for simulated in pool.quarters]
    assert companies == [{"alder", "cedar"}, {"alder", "birch", "cedar"}]


def test_a_company_may_not_collect_a_kind(quarter: SimulatedQuarter) -> None:
    assert set(quarter.outcome_events("later_harm_reported", "30d").company) == {"alder", "birch"}


def test_unknown_quarters_and_outcomes_are_refused(pool: SimulatedPool) -> None:
    with pytest.raises(UsageError):
        pool.quarter(Quarter(2030, 1))
    with pytest.raises(UsageError):
        pool.quarters[0].block("user_reply", "30d")
