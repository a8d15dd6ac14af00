"""Each check of the derived tables passes on sound ones and fails when its promise is broken on purpose."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from release_fixtures import build_measured, change_rows, withhold

from publish.check_derived import (
    check_derived_names,
    check_derived_numbers,
    check_derived_statuses,
    check_derived_text,
    check_newcomers,
    is_term,
)
from publish.checks import CHECKS, Inspection
from schemas.derived_tables import DIFFERENCE, EFFECTS, GROWING, NO_CHANGE_SEEN, PATTERNS, RANDOMISED, TERMS
from schemas.stages import MeasuredRelease
from schemas.tables import Status

Row = dict[str, Any]
OWN = (check_derived_text, check_derived_names, check_derived_statuses, check_derived_numbers, check_newcomers)


@pytest.fixture(scope="module")
def compared() -> MeasuredRelease:
    return build_measured(quarters=4)


def _failed(measured: MeasuredRelease) -> set[str]:
    inspection = Inspection(measured)
    return {check.__name__.removeprefix("check_") for check in OWN if not check(inspection)[0]}


def _first(rows: list[Row], **wanted: Any) -> Row:
    return next(row for row in rows if all(row[name] == value for name, value in wanted.items()))


def test_sound_ones_pass_and_all_checks_are_listed(compared: MeasuredRelease) -> None:
    assert _failed(compared) == set() == _failed(build_measured(quarters=0))
    assert {check.run for check in CHECKS} >= set(OWN) and all(check.stops for check in CHECKS if check.run in OWN)


BREAKS: list[tuple[str, str, Row, Row]] = [
    # table, the check that must fail, the row, what is done to it
    (PATTERNS, "derived_names", {"status": Status.OK}, {"codes": "nobody,nowhere"}),
    (PATTERNS, "derived_names", {"status": Status.OK}, {"keys": "week", "codes": "2026-W30"}),
    (PATTERNS, "derived_names", {"status": Status.OK}, {"of_table": "noise_covariance"}),
    (PATTERNS, "derived_text", {"status": Status.OK}, {"direction": "somebody wrote this"}),
    (PATTERNS, "derived_text", {"status": Status.OK}, {"first_seen": "2027Q1"}),
    (PATTERNS, "derived_text", {"status": Status.OK}, {"first_seen": "long ago"}),
    (PATTERNS, "derived_statuses", {"status": Status.OK}, {"q_value": None}),
    (PATTERNS, "derived_statuses", {"status": Status.OK}, {"ratio_ci_low": None}),
    (PATTERNS, "derived_statuses", {"status": Status.OK}, {"status": Status.NOT_COMPARABLE}),
    (PATTERNS, "derived_numbers", {"status": Status.OK}, {"q_value": 1.2}),
    (PATTERNS, "derived_numbers", {"direction": GROWING}, {"q_value": 0.3}),
    (PATTERNS, "derived_numbers", {"direction": GROWING}, {"direction": NO_CHANGE_SEEN}),
    (PATTERNS, "derived_numbers", {"direction": GROWING}, {"share_now": 0.01}),
    (PATTERNS, "derived_numbers", {"status": Status.OK}, {"ratio_ci_high": 0.1}),
    (PATTERNS, "derived_numbers", {"status": Status.OK}, {"share_now": float("inf")}),
    (PATTERNS, "derived_numbers", {"status": Status.OK}, {"detectable_ratio": 0.9}),
    (TERMS, "derived_text", {"status": Status.OK}, {"audience": "members"}),
    (TERMS, "derived_text", {"status": Status.OK}, {"speaker": "company"}),
    (TERMS, "derived_text", {"status": Status.OK}, {"term": "call 555 0100"}),
    (TERMS, "derived_names", {"term": "blorven"}, {"term": "mivash"}),
    (TERMS, "derived_statuses", {"term": "blorven"}, {"estimate": None}),
    (TERMS, "derived_statuses", {"term": "blorven"}, {"growth": 2.0, "growth_ci_low": 1.5, "growth_ci_high": 3.0}),
    (TERMS, "derived_statuses", {"term": "trelby"}, {"estimate": 4.0}),
    (TERMS, "derived_numbers", {"term": "mivash"}, {"ci_low": 70.0}),
    (TERMS, "derived_numbers", {"term": "mivash"}, {"noise_stddev": 0.0}),
    (EFFECTS, "derived_text", {"status": Status.OK}, {"change_class": "somebody wrote this"}),
    (EFFECTS, "derived_text", {"status": Status.OK}, {"design": "guess"}),
    (EFFECTS, "derived_text", {"status": Status.OK}, {"reading": "it works"}),
    (EFFECTS, "derived_names", {"status": Status.OK}, {"outcome": "nothing of the kind"}),
    (EFFECTS, "derived_statuses", {"design": DIFFERENCE, "status": Status.OK}, {"others_before": None}),
    (EFFECTS, "derived_statuses", {"design": RANDOMISED, "status": Status.OK}, {"others_before": 0.1, "others_after": 0.1}),
    (EFFECTS, "derived_statuses", {"status": Status.NOT_COMPARABLE}, {"effect": 0.1}),
    (EFFECTS, "derived_numbers", {"status": Status.OK}, {"effect": 0.5}),
    (PATTERNS, "derived_statuses", {"status": Status.NOT_COMPARABLE}, {"direction": GROWING}),
    (PATTERNS, "derived_statuses", {"status": Status.OK}, {"ratio": None, "ratio_ci_low": None, "ratio_ci_high": None}),
    (EFFECTS, "derived_numbers", {"status": Status.OK}, {"detectable": 0.0}),
]


@pytest.mark.parametrize(("table", "check", "wanted", "done"), BREAKS, ids=[f"{t}-{c}-{','.join(d)}" for t, c, _, d in BREAKS])
def test_a_broken_promise_fails_its_check(compared: MeasuredRelease, table: str, check: str, wanted: Row, done: Row) -> None:
    assert check in _failed(change_rows(compared, table, lambda rows: _first(rows, **wanted).update(done)))


def test_a_pattern_over_a_withheld_cell_fails(compared: MeasuredRelease) -> None:
    pattern = next(table for table in compared.tables if table.name == PATTERNS).rows.to_pylist()
    told = _first(pattern, of_table="risk_profile", keys="ideation,age_band", status=Status.OK)
    named = dict(zip(told["keys"].split(","), told["codes"].split(","), strict=True))
    hidden = change_rows(compared, "risk_profile", lambda rows: withhold(_first(rows, **named), Status.TOO_FEW_COMPANIES))
    assert _failed(hidden) == {"derived_names"}


def test_a_class_that_is_not_compared_has_no_effect(compared: MeasuredRelease) -> None:
    row = _first(next(table for table in compared.tables if table.name == EFFECTS).rows.to_pylist(), status=Status.OK)
    few = tuple(group for group in compared.plan.compared if not group.startswith(row["change_class"]))
    plan = compared.plan.model_copy(update={"compared": few})
    assert _failed(replace(compared, plan=plan)) == {"derived_names"}


@pytest.mark.parametrize(("newcomers", "failed"), [(0, set()), (1, {"newcomers"}), (2, {"newcomers"}), (3, set())])
def test_few_newcomers_are_not_told_apart(compared: MeasuredRelease, newcomers: int, failed: set[str]) -> None:
    assert _failed(replace(compared, plan=compared.plan.model_copy(update={"newcomers": newcomers}))) == failed


@pytest.mark.parametrize("text", ["blorven", "quindle sarp", "trois mots dits", "слово", "言葉", "don't", "well-kept"])
def test_terms_have_a_form(text: str) -> None:
    assert is_term(text)


@pytest.mark.parametrize(
    "text", ["", " ", "two  words", "a b c d", "r2", "me@there", "x" * 81, "-", "a\nb", "<b>", "www/there", None, "١٢", " lead"]
)
def test_what_is_no_term_is_refused(text: object) -> None:
    assert not is_term(text)


def _directions_alone(rows: list[Row]) -> None:
    for row in rows:
        if row["direction"] is not None:
            row.update({name: None for name, value in row.items() if isinstance(value, float)}, status=Status.TOO_FEW_COMPANIES)


def test_where_companies_came_new_the_direction_alone_is_told(compared: MeasuredRelease) -> None:
    alone = change_rows(compared, PATTERNS, _directions_alone)
    assert _failed(alone) == {"derived_statuses"}
    assert not _failed(replace(alone, plan=compared.plan.model_copy(update={"newcomers": 1})))


def test_details_repeat_no_value(compared: MeasuredRelease) -> None:
    def plant(rows: list[Row]) -> None:
        rows[0].update(term="canaryword 99", audience="canaryword")

    inspection = Inspection(change_rows(compared, TERMS, plant))
    run: Callable[[Inspection], tuple[bool, str]]
    for run in OWN:
        assert "canaryword" not in run(inspection)[1]
