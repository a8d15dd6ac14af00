"""Emerging patterns: which cells are compared, what is told of them, and what must not be told."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pooled import privacy, registered

from aggregate.answer import NoisyPanel
from aggregate.counts import public_cells
from aggregate.patterns import compared_with, emerging_patterns, marginals_tested, panels_of
from schemas.derived_tables import GROWING, NO_CHANGE_SEEN, RECEDING
from schemas.errors import InternalError
from schemas.keys import ALL
from schemas.periods import Quarter
from schemas.plan import RegisteredPlan
from schemas.stages import NoisyTable
from schemas.tables import Status, columns, key_columns

Rows = list[dict[str, Any]]
MARGINAL, STEP = ("surface", "failure_mode"), 2**20
NOW, NOISE = Quarter(2026, 4), 8.0
NUMBERS = (
    "share_before",
    "share_now",
    "ratio",
    "ratio_ci_low",
    "ratio_ci_high",
    "q_value",
    "detectable_ratio",
    "quarters_before",
)


def planned(quarter: Quarter = NOW, panel: str = "same", **changes: Any) -> RegisteredPlan:
    """A plan that tests one measure of two marginals, of which one is by week."""
    whole = registered().plan
    measure = next(m for m in whole["measure"] if m["name"] == "failure_modes") | {"marginals": [list(MARGINAL), ["week"]]}
    search = {"false_discovery_rate": 0.1, "quarters": 3, "measures": ["failure_modes"]}
    plan = whole | {"measure": [measure], "terms": [], "patterns": search, **changes.pop("plan", {})}
    return registered(quarter=quarter, panel=panel, plan=plan, **changes)


def cells_of(plan: RegisteredPlan) -> list[tuple[str, ...]]:
    measure = plan.release_plan.measures[0]
    return public_cells(MARGINAL, measure.scope(Quarter.parse(plan.quarter), plan.release_plan))


FIRST, SECOND = cells_of(planned())[:2]


def table(plan: RegisteredPlan, counts: Callable[[tuple[str, ...]], float | None]) -> tuple[NoisyTable, ...]:
    """A table as it is published; where a count is None the cell is withheld."""
    rows = []
    for cell in cells_of(plan):
        count, named = counts(cell), dict(zip(MARGINAL, cell, strict=True))
        keys = {"quarter": plan.quarter, **dict.fromkeys(key_columns("failure_modes", plan.release_plan), ALL), **named}
        told = {"estimate": count, "noise_stddev": NOISE, "sampling_factor": 1.0, "status": Status.OK}
        rows.append(keys | (told if count is not None else {"status": Status.TOO_FEW_COMPANIES}))
    listed = columns("failure_modes", plan.release_plan)
    schema = pa.schema([(c.name, pa.string() if c.type == "string" else pa.float64()) for c in listed])
    return (NoisyTable("failure_modes", pa.Table.from_pylist(rows, schema=schema)),)


def usual(seed: int, **factors: float) -> Callable[[tuple[str, ...]], float]:
    """Counts around one size for each cell; `first` and `second` are factors of the first two cells."""
    changed = {FIRST: factors.get("first", 1.0), SECOND: factors.get("second", 1.0)}
    drawn: dict[tuple[str, ...], float] = {}
    rng = np.random.default_rng(seed)
    for place, cell in enumerate(cells_of(planned())):
        mean = (150 + 10 * (place % 12)) * changed.get(cell, 1.0)
        drawn[cell] = float(rng.poisson(mean) + rng.normal(0, NOISE))
    return lambda cell: drawn[cell]


def history(quarters: int = 3, **changes: Any) -> list[tuple[RegisteredPlan, tuple[NoisyTable, ...]]]:
    found, quarter = [], NOW
    for number in range(quarters):
        quarter = quarter.previous()
        plan = planned(quarter, **changes)
        found.append((plan, table(plan, usual(100 + number))))
    return found


def told(
    plan: RegisteredPlan,
    now: Callable[[tuple[str, ...]], float | None],
    earlier: Sequence[tuple[RegisteredPlan, tuple[NoisyTable, ...]]],
    panels: Sequence[NoisyPanel] = (),
) -> dict[tuple[str, ...], dict[str, Any]]:
    rows: Rows = emerging_patterns(plan, table(plan, now), earlier, panels).rows.to_pylist()
    assert len(rows) == len(cells_of(plan))  # each public cell has a row, and cells of weeks have none
    assert {row["keys"] for row in rows} == {",".join(MARGINAL)}
    return {tuple(row["codes"].split(",")): row for row in rows}


def holds_a_number(row: dict[str, Any]) -> bool:
    return any(row[name] is not None for name in NUMBERS)


def test_what_grows_and_recedes_is_called_with_its_numbers() -> None:
    rows = told(planned(), usual(1, first=1.8, second=0.4), history())
    assert (rows[FIRST]["direction"], rows[SECOND]["direction"]) == (GROWING, RECEDING)
    assert rows[FIRST]["ratio_ci_low"] > 1.3 and rows[FIRST]["ratio_ci_low"] < 1.8 < rows[FIRST]["ratio_ci_high"]
    assert rows[FIRST]["q_value"] <= 0.1 and rows[FIRST]["quarters_before"] == 3
    others = [row for cell, row in rows.items() if cell not in (FIRST, SECOND)]
    assert sum(row["direction"] != NO_CHANGE_SEEN for row in others) <= 1
    assert all(row["status"] == Status.OK and row["first_seen"] == "2026Q1" for row in rows.values())


def test_no_more_earlier_quarters_are_compared_than_the_plan_says() -> None:
    rows = told(planned(), usual(1), history(5))
    assert {row["quarters_before"] for row in rows.values()} == {3}
    assert {row["first_seen"] for row in rows.values()} == {"2025Q3"}  # but all of them know since when a cell is there


def test_one_earlier_quarter_is_too_few() -> None:
    for earlier in ([], history(1)):
        rows = told(planned(), usual(1), earlier)
        assert {row["status"] for row in rows.values()} == {Status.NOT_COMPARABLE}
        assert not any(holds_a_number(row) or row["direction"] for row in rows.values())


def test_where_a_company_left_nothing_is_compared() -> None:
    """What it sent is in the earlier counts and cannot be taken out: every share would move with it."""
    fewer = planned(panel="others", contributors=3)
    for plan in (fewer, planned(panel="others", contributors=4, newcomers=1)):
        rows = told(plan, usual(1), history(contributors=4))
        assert {row["status"] for row in rows.values()} == {Status.NOT_COMPARABLE}
        assert not any(holds_a_number(row) or row["direction"] for row in rows.values())


def test_history_ends_where_the_companies_were_others() -> None:
    mixed = [*history(2), *history(4, panel="others")[2:]]
    assert len(compared_with(planned(), [plan for plan, _ in mixed])) == 2
    assert compared_with(planned(), [plan for plan, _ in mixed[1:]]) == ()
    assert compared_with(planned(panel=""), [plan for plan, _ in history(panel="")]) == ()  # who they were is not known


@pytest.mark.parametrize(
    "changed",
    [{"languages": ["en"]}, {"regions": ["US"]}, {"measure": [planned().plan["measure"][0] | {"estimand": "share_of_user"}]}],
)
def test_history_ends_where_something_else_was_counted(changed: dict[str, Any]) -> None:
    """The third is what is asked already: that a plan says the same again ends nothing."""
    run = compared_with(planned(), [plan for plan, _ in [*history(2), *history(3, plan=changed)[2:]]])
    assert len(run) == (3 if "measure" in changed else 2)


def newcomer(contributors: int = 4, newcomers: int = 1) -> RegisteredPlan:
    return planned(panel="more", contributors=contributors, newcomers=newcomers)


def panel(plan: RegisteredPlan, counts: Callable[[tuple[str, ...]], float]) -> NoisyPanel:
    values = tuple(round(counts(cell) * STEP) for cell in cells_of(plan))
    return NoisyPanel("failure_modes", MARGINAL, values, 2 * NOISE * STEP)


@pytest.mark.parametrize("newcomers", [1, 2, 3])
def test_where_companies_came_new_only_directions_are_told_and_theirs_do_not_count(newcomers: int) -> None:
    """What they sent doubles the second cell; among those who were there before the first one grew."""
    plan = newcomer(3 + newcomers, newcomers)
    like_for_like = usual(1, first=2.0)
    rows = told(plan, usual(1, first=2.0, second=3.0), history(), [panel(plan, like_for_like)])
    assert rows[FIRST]["direction"] == GROWING
    assert rows[SECOND]["direction"] == NO_CHANGE_SEEN
    assert {row["status"] for row in rows.values()} == {Status.TOO_FEW_COMPANIES}
    assert not any(holds_a_number(row) for row in rows.values())


def test_a_joining_company_that_counted_would_raise_an_alarm() -> None:
    """The same totals, were it not told that a company came new."""
    rows = told(planned(), usual(1, second=3.0), history())
    assert rows[SECOND]["direction"] == GROWING


def test_without_its_panel_a_quarter_with_newcomers_is_not_compared() -> None:
    rows = told(newcomer(), usual(1, first=2.0), history())
    assert {row["status"] for row in rows.values()} == {Status.NOT_COMPARABLE}


def test_a_panel_that_does_not_fit_its_plan_is_refused() -> None:
    plan = newcomer()
    short = replace(panel(plan, usual(1)), values=(1, 2))
    with pytest.raises(InternalError):
        told(plan, usual(1), history(), [short])


def test_panels_are_drawn_only_where_they_serve_a_comparison() -> None:
    earlier = [plan for plan, _ in history()]
    assert panels_of(newcomer(), earlier) == {"failure_modes": (MARGINAL,)}
    assert panels_of(planned(), earlier) == {}
    assert panels_of(newcomer(), earlier[:1]) == {}
    assert panels_of(newcomer(contributors=3), earlier) == {}  # one came, and one left
    assert panels_of(replace_share(newcomer()), earlier) == {}


def replace_share(plan: RegisteredPlan) -> RegisteredPlan:
    parameters = privacy().model_dump(mode="json")
    return plan.model_copy(update={"parameters": parameters | {"shares": parameters["shares"] | {"panel": "0"}}})


def test_withheld_cells_are_never_used() -> None:
    """A cell that is withheld in any of the quarters is not tested, and its counts of the others move nothing."""
    cells = cells_of(planned())
    for gone in range(4):  # this quarter, then each earlier one

        def made(of_gone: float, gone: int = gone) -> dict[tuple[str, ...], dict[str, Any]]:
            def counted(number: int) -> Callable[[tuple[str, ...]], float | None]:
                others, own = usual(50 + number), None if number == gone else of_gone
                return lambda key: own if key == FIRST else others(key)

            earlier = [(plan, table(plan, counted(number))) for number, (plan, _) in enumerate(history(), 1)]
            return told(planned(), counted(0), earlier)

        one, other = made(40.0), made(5000.0)
        assert one == other
        expected = Status.TOO_FEW_COMPANIES if gone == 0 else Status.NOT_COMPARABLE
        assert one[FIRST]["status"] == expected
        assert one[FIRST]["direction"] is None and not holds_a_number(one[FIRST])
        assert sum(one[cell]["share_now"] for cell in cells[1:]) == pytest.approx(1, abs=0.1)
        assert one[FIRST]["first_seen"] == ("2026Q4" if gone < 2 else str(Quarter(2026, 5 - gone)))


def test_measures_that_were_not_measured_say_so() -> None:
    plan = planned(contributors=2)
    rows = emerging_patterns(plan, (), history()).rows.to_pylist()
    assert {row["status"] for row in rows} == {Status.NOT_COLLECTED}


def test_weeks_are_not_tested_and_a_plan_without_a_search_has_no_table() -> None:
    plan = planned()
    assert marginals_tested(plan.release_plan.measures[0], plan) == (MARGINAL,)
    silent = planned(plan={"patterns": None})
    assert marginals_tested(silent.release_plan.measures[0], silent) == ()
    assert compared_with(silent, [other for other, _ in history()]) == ()
    with pytest.raises(InternalError):
        emerging_patterns(silent, (), [])


def test_the_same_published_numbers_give_the_same_table() -> None:
    one, two = (emerging_patterns(planned(), table(planned(), usual(1)), history()).rows for _ in range(2))
    assert one.equals(two)
