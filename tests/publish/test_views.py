"""The macros of `views.sql`, in DuckDB alone: what they say of one cell is what the release says, and they add noise rightly."""

import math
import re
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from release_fixtures import build_measured, change_rows, withhold
from shipped import answer, answers, condition, covariance_of, opened, ship

from publish.card import data_card
from publish.content import marginal_cells
from schemas.keys import ALL, KEYS
from schemas.plan import Measure
from schemas.stages import MeasuredRelease
from schemas.tables import TABLES, Status, key_columns

Connection = duckdb.DuckDBPyConnection
NEAR = 1e-3  # what follows from noise_covariance, whose directions are of length 1 but for rounding


@pytest.fixture(scope="module")
def folder(measured: MeasuredRelease, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ship(measured, tmp_path_factory.mktemp("releases"))


@pytest.fixture
def release(folder: Path) -> Connection:
    return opened(folder)


def _measures(measured: MeasuredRelease) -> list[tuple[Measure, tuple[str, ...]]]:
    return [(measure, marginal) for measure in measured.plan.release_plan.measures for marginal in measure.marginals]


def _cells(measured: MeasuredRelease, measure: Measure, marginal: tuple[str, ...]) -> list[dict[str, str]]:
    names = key_columns(measure.table, measured.plan.release_plan)
    return [dict(zip(names, cell, strict=True)) for cell in marginal_cells(measure, marginal, measured.plan)]


def test_the_sum_of_one_cell_is_what_the_release_says_of_it(release: Connection, measured: MeasuredRelease) -> None:
    random = np.random.default_rng(5)
    statuses = set()
    for measure, marginal in _measures(measured):
        for place in random.integers(0, 10**9, 2):
            cells = _cells(measured, measure, marginal)
            where = condition(cells[place % len(cells)].items())
            published = answer(release, f"FROM {measure.table} WHERE {where}")
            found = answer(release, f"FROM sum_of('{measure.table}', {where})")
            statuses.add(found["status"])
            assert found["cells"] == 1 and found["status"] == published["status"]
            for name in ("estimate", "noise_stddev", "ci_low", "ci_high"):
                assert found[name] == pytest.approx(published[name], rel=NEAR, abs=0.05), (where, name)
    assert {"ok", "too_noisy"} <= statuses


def test_the_rate_of_one_line_is_what_the_release_says_of_it(release: Connection, measured: MeasuredRelease) -> None:
    random, seen = np.random.default_rng(6), 0
    for measure, marginal in _measures(measured):
        key = TABLES[measure.table].rate_key(marginal)
        if not key:
            continue
        rated = answers(release, f"FROM _cells_of_{measure.table} WHERE rate IS NOT NULL AND len(_marginal) = {len(marginal)} "
                        f"AND list_has_all(_marginal, {list(marginal)}) AND _kind = '{measure.outcome_kind or ALL}' ORDER BY ALL")  # fmt: skip
        names = key_columns(measure.table, measured.plan.release_plan)
        for place in random.integers(0, len(rated), 2) if rated else ():
            row = rated[place]
            line = condition((name, row[name]) for name in names if name != key)
            marginal_only = f"{line} AND {key} <> 'all'"
            found = answer(release, f"FROM rate_of('{measure.table}', {key} = '{row[key]}', {marginal_only})")
            seen += 1
            for name, own in (("rate", "rate"), ("ci_low", "rate_ci_low"), ("ci_high", "rate_ci_high"), ("status", "status")):
                assert found[name] == (row[own] if own == "status" else pytest.approx(row[own], rel=NEAR, abs=1e-4)), line
    assert seen > 10


def test_the_noise_of_sums_and_differences_is_that_of_what_makes_the_estimates(
    release: Connection, measured: MeasuredRelease
) -> None:
    random, looked = np.random.default_rng(7), set()
    for measure, marginal in _measures(measured):
        if len(marginal) < 2:
            continue
        looked.add(measure.table)
        covariance, names = covariance_of(measured, measure, marginal), key_columns(measure.table, measured.plan.release_plan)
        cells = _cells(measured, measure, marginal)
        one, other = (random.choice(len(cells), size=min(4, len(cells) // 2), replace=False) for _ in range(2))
        first, second = (" OR ".join(f"({condition(cells[p].items())})" for p in places) for places in (one, other))
        chosen = np.zeros(len(cells))
        chosen[one] += 1
        found = answer(release, f"SELECT sqrt(v11) AS noise FROM _moments('{measure.table}', {first}, false, false, false)")
        assert found["noise"] == pytest.approx(math.sqrt(chosen @ covariance @ chosen), rel=NEAR)
        chosen[other] -= 1
        both = answer(
            release, f"SELECT v11 - 2 * v13 + v33 AS noise FROM _moments('{measure.table}', {first}, false, {second}, false)"
        )
        assert both["noise"] == pytest.approx(chosen @ covariance @ chosen, rel=NEAR, abs=1e-6), (measure.name, names)
    assert {measure.table for measure, _ in _measures(measured)} == looked


def test_marginals_tell_one_total_with_one_noise(release: Connection) -> None:
    for table, where in (("depth_of_conversation", "true"), ("intervention_outcomes", "outcome_kind = 'user_reply'")):
        totals = answers(release, f"FROM sum_of('{table}', {where})")
        assert len(totals) == 3 and {row["status"] for row in totals} == {"ok"}
        for row in totals[1:]:
            assert row["estimate"] == pytest.approx(totals[0]["estimate"]) and row["noise_stddev"] == pytest.approx(
                totals[0]["noise_stddev"]
            )


def test_added_variances_would_be_wrong(release: Connection) -> None:
    total = answer(release, "FROM sum_of('depth_of_conversation', outcome_kind = 'user_reply' AND length_band <> 'all')")
    added = answer(release, "SELECT sqrt(sum(noise_stddev ** 2)) AS noise FROM depth_of_conversation WHERE length_band <> 'all'")
    assert added["noise"] > 1.5 * total["noise_stddev"]


WITHHELD = "age_band = '65_plus' AND ideation IN ('active_intent_no_plan', 'active_plan_intent')"


@pytest.mark.parametrize(
    ("call", "status", "number"),
    [
        (f"sum_of('risk_profile', {WITHHELD})", "too_few_companies", "estimate"),
        ("sum_of('risk_profile', age_band = '65_plus')", "too_few_companies", "estimate"),
        ("sum_of('risk_profile', ideation = 'no such code')", "no_such_cells", "estimate"),
        ("difference_of('risk_profile', age_band = '18_24', age_band = '65_plus')", "too_few_companies", "difference"),
        ("difference_of('risk_profile', age_band = '18_24', language = 'en')", "no_such_cells", "difference"),
        (f"share_of('risk_profile', {WITHHELD}, age_band <> 'all')", "too_few_companies", "share"),
        ("share_of('risk_profile', age_band <> 'all', ideation = 'none')", "part_outside_whole", "share"),
        ("rate_of('intervention_outcomes', outcome = 'engagd', outcome_kind = 'user_reply')", "no_such_cells", "rate"),
        ("rate_difference('intervention_outcomes', outcome = 'engaged', age_band = '18_24', surface = 'companion')", "no_such_cells",
         "difference"),
        ("trend_of('intervention_outcomes', outcome = 'engaged', surface = 'companion')", "too_few_quarters", "change_a_quarter"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_null_and_says_why(release: Connection, call: str, status: str, number: str) -> None:
    rows = answers(release, f"FROM {call}")
    assert rows and all(row["status"] == status for row in rows)
    assert all(row[name] is None for row in rows for name in (number, "ci_low", "ci_high"))


def test_what_is_not_collected_and_what_is_too_noisy_say_so(tmp_path: Path) -> None:
    few = opened(ship(build_measured(users=60, not_collected=("resource_opened",)), tmp_path))
    missing = answers(few, "FROM rate_of('intervention_outcomes', outcome = 'yes', outcome_kind = 'resource_opened')")
    assert {row["status"] for row in missing} == {"not_collected"} and {row["rate"] for row in missing} == {None}
    noisy = answers(few, "FROM rate_of('intervention_outcomes', outcome = 'engaged', surface = 'companion')")
    assert [(row["rate"], row["status"]) for row in noisy] == [(None, "too_noisy")]
    flagged = answers(few, "FROM sum_of('intervention_outcomes', outcome = 'engaged' AND surface = 'companion')")
    assert [(row["status"], row["estimate"] is None) for row in flagged] == [("too_noisy", False)]


def test_a_withheld_cell_is_never_left_out_of_a_sum(release: Connection) -> None:
    whole = answers(release, "FROM sum_of('risk_profile', age_band <> 'all' AND ideation <> 'all')")
    published = answer(release, "SELECT sum(estimate) AS e FROM risk_profile WHERE age_band <> 'all' AND ideation <> 'all'")
    assert published["e"] > 0 and [(row["estimate"], row["status"]) for row in whole] == [(None, "too_few_companies")]


def test_the_queries_of_the_data_card_run_on_its_release(release: Connection, measured: MeasuredRelease) -> None:
    shown = re.findall(r"^```sql\n(.+?)^```$", data_card(measured, "0.1.0"), re.M | re.S)
    assert len(shown) == 2
    for query in shown:
        rows = answers(release, query)
        assert rows and all(value is not None for row in rows for name, value in row.items() if name in ("engaged", "estimate"))


def test_an_unknown_table_is_an_error(release: Connection) -> None:
    with pytest.raises(duckdb.Error):
        release.execute("FROM sum_of('no_such_table', true)")


def test_each_table_of_the_plan_can_be_summed(release: Connection, measured: MeasuredRelease) -> None:
    for name in {table.name for table in measured.cell_tables}:
        rows: list[dict[str, Any]] = answers(release, f"FROM sum_of('{name}', true)")
        marginals = {(row["outcome_kind"], row["marginal"]) for row in rows}
        assert len(marginals) == sum(measure.table == name for measure, _ in _measures(measured))
        assert all(set(row["marginal"].split(" x ")) <= set(KEYS) for row in rows)


def test_a_line_with_a_withheld_cell_has_no_rate_and_others_keep_theirs(tmp_path: Path) -> None:
    """As the release publishes it: a rate would give its denominator away, and with it what is withheld."""
    whole = opened(ship(build_measured(), tmp_path / "whole"))

    def hide(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            if row["intervention"] == "content_refusal":
                row.update(rate=None, rate_ci_low=None, rate_ci_high=None)
                if row["outcome"] == "rejected":
                    withhold(row, Status.TOO_FEW_COMPANIES)

    hidden = opened(ship(change_rows(build_measured(), "intervention_outcomes", hide), tmp_path / "hidden"))
    lines = "outcome_kind = 'user_reply' AND intervention IN ('content_refusal', 'safety_plan_offer')"
    for call in (
        f"rate_of('intervention_outcomes', outcome = 'engaged', {lines})",
        f"rate_of('intervention_outcomes', outcome = 'engaged', {lines} AND intervention = 'content_refusal')",
        "rate_difference('intervention_outcomes', outcome = 'engaged', outcome_kind = 'user_reply' AND intervention = 'content_refusal', "
        "outcome_kind = 'user_reply' AND intervention = 'safety_plan_offer')",
        f"rate_of('intervention_outcomes', outcome = 'rejected', {lines})",
        f"share_of('intervention_outcomes', outcome = 'engaged' AND {lines}, {lines})",
        f"sum_of('intervention_outcomes', {lines})",
    ):
        told = answer(hidden, f"FROM {call}")
        assert told["status"] == "too_few_companies" and told["ci_low"] is None and told["ci_high"] is None, call
    other = f"FROM rate_of('intervention_outcomes', outcome = 'engaged', {lines} AND intervention = 'safety_plan_offer')"
    before, after = answer(whole, other), answer(hidden, other)
    assert before["status"] == after["status"] == "ok" and after["rate"] == pytest.approx(before["rate"])
