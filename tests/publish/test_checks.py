"""Each check passes on a sound release and fails when its promise is broken on purpose."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from release_fixtures import build_measured, change_rows, withhold

from publish.checks import CHECKS, run_checks
from schemas.stages import MeasuredRelease, NoisyTable
from schemas.tables import Status

Rows = list[dict[str, Any]]


def failed(measured: MeasuredRelease) -> set[str]:
    """Names of the checks that fail."""
    return {result.name for result in run_checks(measured) if not result.passed}


def _first(rows: Rows, **wanted: Any) -> dict[str, Any]:
    return next(row for row in rows if all(row[name] == value for name, value in wanted.items()))


def test_a_sound_release_passes(measured: MeasuredRelease) -> None:
    results = run_checks(measured)
    assert [r.name for r in results] == [c.name for c in CHECKS] and all(r.passed for r in results)
    assert all(r.detail for r in results)


@pytest.mark.parametrize("seed", range(2, 6))
def test_sound_releases_pass_for_many_seeds(seed: int) -> None:
    assert not failed(build_measured(seed=seed))


def test_not_collected_is_a_sound_release() -> None:
    measured = build_measured(not_collected=("resource_opened",))
    assert not failed(measured)
    uncollected = replace(measured, plan=measured.plan.model_copy(update={"not_collected": ()}))
    assert "statuses" in failed(uncollected)  # the status must come from the registry, never from the data


def _estimate_where_withheld(rows: Rows) -> None:
    _first(rows, status=Status.TOO_FEW_COMPANIES)["estimate"] = 4.0


def _null_where_ok(rows: Rows) -> None:
    _first(rows, status=Status.OK)["estimate"] = None


def _not_flagged(rows: Rows) -> None:
    _first(rows, status=Status.TOO_NOISY)["status"] = Status.OK


def _falsely_flagged(rows: Rows) -> None:
    max((r for r in rows if r["status"] == Status.OK), key=lambda r: float(r["estimate"]))["status"] = Status.TOO_NOISY


def _text_in_key(rows: Rows) -> None:
    _first(rows, language="en")["language"] = "someone wrote this"


def _text_in_status(rows: Rows) -> None:
    rows[0]["status"] = "someone wrote this"


def _missing(rows: Rows) -> None:
    rows.pop(5)


def _twice(rows: Rows) -> None:
    rows.append(dict(rows[5]))


def _outside_interval(rows: Rows) -> None:
    row = _first(rows, status=Status.OK)
    row["ci_low"] = row["estimate"] + 1


def _no_noise(rows: Rows) -> None:
    _first(rows, status=Status.OK)["noise_stddev"] = 0.0


def _no_sampling(rows: Rows) -> None:
    _first(rows, status=Status.OK)["sampling_factor"] = 0.0


def _clipped_wrongly(rows: Rows) -> None:
    _first(rows, status=Status.OK)["estimate_nonneg"] = 0.0


def _infinite(rows: Rows) -> None:
    _first(rows, status=Status.OK)["ci_high"] = float("inf")


def _biased_marginal(rows: Rows) -> None:
    for row in rows:
        if row["week"] != "all":
            for name in ("estimate", "estimate_nonneg", "ci_low", "ci_high"):
                row[name] = row[name] + 200


def _noise_only_interval(rows: Rows) -> None:
    for row in rows:
        if row["estimate"] is not None:
            row["ci_low"] = row["estimate"] - 1.96 * row["noise_stddev"]
            row["ci_high"] = row["estimate"] + 1.96 * row["noise_stddev"]


def _another_quarter(rows: Rows) -> None:
    rows[0]["quarter"] = "2026Q2"


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (_estimate_where_withheld, "statuses"),
        (_null_where_ok, "statuses"),
        (_not_flagged, "statuses"),
        (_falsely_flagged, "statuses"),
        (_text_in_key, "domains"),
        (_text_in_key, "no_text"),
        (_text_in_status, "no_text"),
        (_another_quarter, "no_text"),
        (_missing, "complete"),
        (_twice, "complete"),
        (_outside_interval, "numbers"),
        (_no_noise, "numbers"),
        (_no_sampling, "numbers"),
        (_clipped_wrongly, "numbers"),
        (_infinite, "numbers"),
        (_biased_marginal, "totals_agree"),
        (_noise_only_interval, "intervals_cover"),
    ],
)
def test_a_broken_promise_is_caught(measured: MeasuredRelease, change: Callable[[Rows], None], name: str) -> None:
    results = {r.name: r for r in run_checks(change_rows(measured, "risk_profile", change))}
    assert not results[name].passed and results[name].stops
    assert "someone wrote" not in "".join(r.detail for r in results.values())


def test_rate_of_unknown_is_caught(measured: MeasuredRelease) -> None:
    def rate_of_unknown(rows: Rows) -> None:
        _first(rows, outcome="unknown", status=Status.OK).update(rate=0.1, rate_ci_low=0.05, rate_ci_high=0.15)

    assert "numbers" in failed(change_rows(measured, "intervention_outcomes", rate_of_unknown))


def test_narrow_rate_intervals_are_caught(measured: MeasuredRelease) -> None:
    def narrow(rows: Rows) -> None:
        for row in rows:
            if row["rate"] is not None:
                row["rate_ci_low"] += 0.4 * (row["rate"] - row["rate_ci_low"])
                row["rate_ci_high"] -= 0.4 * (row["rate_ci_high"] - row["rate"])

    assert "intervals_cover" in failed(change_rows(measured, "intervention_outcomes", narrow))


def _curve_of_followed(rows: Rows) -> None:
    row = _first(rows, ending="followed_to_end")
    row.update(hazard=0.1, hazard_ci_low=0.05, hazard_ci_high=0.15)


def _narrow_curve(rows: Rows) -> None:
    for row in rows:
        if row["surviving"] is not None:
            row["surviving_ci_low"] += 0.4 * (row["surviving"] - row["surviving_ci_low"])
            row["surviving_ci_high"] -= 0.4 * (row["surviving_ci_high"] - row["surviving"])


def _curve_above_one(rows: Rows) -> None:
    next(row for row in rows if row["surviving"] is not None)["surviving_ci_high"] = 1.2


def _rate_of_not_attempted(rows: Rows) -> None:
    _first(rows, bypassed="not_attempted").update(rate=0.1, rate_ci_low=0.05, rate_ci_high=0.15)


@pytest.mark.parametrize(
    ("table", "change", "name"),
    [
        ("depth_survival", _curve_of_followed, "numbers"),
        ("depth_survival", _curve_above_one, "numbers"),
        ("depth_survival", _narrow_curve, "intervals_cover"),
        ("evasion", _rate_of_not_attempted, "numbers"),
    ],
)
def test_shares_that_break_a_promise_are_caught(
    measured: MeasuredRelease, table: str, change: Callable[[Rows], None], name: str
) -> None:
    results = {r.name: r for r in run_checks(change_rows(measured, table, change))}
    assert not results[name].passed and results[name].stops


def test_a_withheld_cell_that_is_the_rest_of_a_sum_stops(measured: MeasuredRelease) -> None:
    def hide_one(rows: Rows) -> None:
        lines: dict[str, Rows] = {}
        for row in rows:
            if row["ideation"] != "all" and row["age_band"] != "all":
                lines.setdefault(row["ideation"], []).append(row)
        whole = next(line for line in lines.values() if all(row["estimate"] is not None for row in line))
        withhold(whole[0], Status.TOO_FEW_COMPANIES)

    results = {r.name: r for r in run_checks(change_rows(measured, "risk_profile", hide_one))}
    assert not results["no_rest"].passed and results["no_rest"].stops


def test_a_withheld_cell_that_follows_by_way_of_three_marginals_stops(measured: MeasuredRelease) -> None:
    """The total less the lines that one marginal tells is a line that it does not tell; of that, the other withholds one cell."""

    def hide(rows: Rows) -> None:
        withheld = {row["ideation"] for row in rows if row["estimate"] is None}
        alone, beside = sorted({row["ideation"] for row in rows} - withheld - {"all"})[:2]
        for key, hidden in (("age_band", {alone: 1, beside: 2}), ("imminence", {alone: 1})):
            for ideation, number in hidden.items():
                line = [row for row in rows if row["ideation"] == ideation and row[key] != "all"]
                for row in line[:number]:
                    withhold(row, Status.TOO_FEW_COMPANIES)

    results = {r.name: r for r in run_checks(change_rows(measured, "risk_profile", hide))}
    assert not results["no_rest"].passed and results["no_rest"].detail.startswith("2 withheld cells")


def test_fewer_than_k_companies_stop() -> None:
    assert "companies" in failed(build_measured(contributors=2))


def test_overspending_stops(measured: MeasuredRelease) -> None:
    assert "budget" in failed(replace(measured, spend=replace(measured.spend, epsilon=1.01)))
    assert "budget" in failed(replace(measured, spend=replace(measured.spend, entries=())))


def test_a_further_or_missing_column_stops_and_nothing_that_cannot_look_passes(measured: MeasuredRelease) -> None:
    first, *others = measured.tables
    wider = NoisyTable(first.name, first.rows.append_column("company", pa.array(["acme"] * first.rows.num_rows)))
    for broken in (wider, NoisyTable(first.name, first.rows.drop_columns(["status"]))):
        names = failed(replace(measured, tables=(broken, *others)))
        assert {"columns", "complete", "no_text", "statuses", "brief"} <= names
    assert "columns" in failed(replace(measured, tables=tuple(others)))


def test_a_withheld_outcome_beside_rates_stops(measured: MeasuredRelease) -> None:
    def hide_one(rows: Rows) -> None:
        withhold(_first(rows, intervention="coping_skill", outcome="unchanged"), Status.TOO_FEW_COMPANIES)

    results = {r.name: r for r in run_checks(change_rows(measured, "intervention_outcomes", hide_one))}
    assert not results["withheld"].passed and results["withheld"].stops


def test_mostly_noise_warns() -> None:
    assert "signal" in failed(build_measured(users=500))
