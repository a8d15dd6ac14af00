"""The ledger on both databases: reserved before drawn, answered once, never over a cap."""

from fractions import Fraction

import pytest
from pooled import QUARTER, answered, never, privacy, registered
from sqlalchemy import Engine

from aggregate.ledger import Ledger
from aggregate.mechanisms.conversion import epsilon_of
from schemas.errors import BudgetRefusedError, UsageError
from schemas.parameters import BudgetParameters
from schemas.periods import Quarter

BUDGET = privacy().budget


def test_an_unregistered_plan_is_refused_before_the_draw(ledger: Ledger) -> None:
    with pytest.raises(BudgetRefusedError):
        ledger.answer_once(registered(), never)
    with pytest.raises(BudgetRefusedError):
        ledger.planned_at(registered().hash)
    assert ledger.entries() == []


def test_a_changed_plan_is_refused_before_the_draw(ledger: Ledger) -> None:
    plan = registered()
    ledger.register(plan)
    for changes in ({"rho": "1/1000"}, {"parameters": {**plan.parameters, "confidence": 0.9}}, {"contributors": 4}):
        with pytest.raises(BudgetRefusedError, match="not registered"):
            ledger.answer_once(plan.model_copy(update=changes), never)
    assert ledger.line(quarter=QUARTER).rho_spent == 0


def test_a_plan_is_answered_once_and_the_same_for_ever(ledger: Ledger) -> None:
    plan = registered()
    ledger.register(plan)
    first = ledger.answer_once(plan, lambda: b"noise")
    assert [ledger.answer_once(plan, never) for _ in range(1000)] == [first] * 1000
    line = ledger.line(quarter=QUARTER)
    assert (line.rho_spent, line.rho_reserved, line.releases) == (BUDGET.first_release_rho, 0, 1)


def test_budget_is_charged_before_the_draw_and_stays_spent_when_it_fails(ledger: Ledger) -> None:
    plan = registered()
    ledger.register(plan)
    seen: list[Fraction] = []

    def fails() -> bytes:
        seen.append(ledger.line(quarter=QUARTER).rho_spent)
        raise OSError

    with pytest.raises(OSError):
        ledger.answer_once(plan, fails)
    assert seen == [BUDGET.first_release_rho]
    with pytest.raises(BudgetRefusedError, match="stays spent"):
        ledger.answer_once(plan, never)
    line = ledger.line(quarter=QUARTER)
    assert (line.rho_spent, line.rho_reserved) == (BUDGET.first_release_rho, BUDGET.first_release_rho)
    assert line.epsilon_reserved == line.epsilon_spent > 0
    assert ledger.faults() == []


def test_another_plan_of_the_same_version_is_refused(ledger: Ledger) -> None:
    ledger.register(registered())
    ledger.register(registered())
    with pytest.raises(BudgetRefusedError):
        ledger.register(registered(reason="another"))


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "two", "1/0", "", "-1/100", "1"])
@pytest.mark.parametrize("field", ["rho", "threshold_delta"])
def test_what_is_no_amount_or_too_much_is_neither_registered_nor_spent(field: str, number: str, ledger: Ledger) -> None:
    plan = registered(**{field: number})
    for attempt in (lambda: ledger.register(plan), lambda: ledger.answer_once(plan, never)):
        with pytest.raises(BudgetRefusedError) as refused:
            attempt()
        assert number not in refused.value.message.split() or not number
    assert ledger.entries() == []


@pytest.mark.parametrize("rho", ["0", "0.020021"])
def test_nothing_and_a_hair_more_than_a_quarter_has_are_refused(rho: str, ledger: Ledger) -> None:
    with pytest.raises(BudgetRefusedError):
        ledger.register(registered(rho=rho))


def test_a_hair_over_its_part_of_the_quarter_is_refused(ledger: Ledger) -> None:
    plan = registered(rho=str(BUDGET.first_release_rho + Fraction(1, 10**30)))
    ledger.register(plan)
    with pytest.raises(BudgetRefusedError, match="this part of the quarter"):
        ledger.answer_once(plan, never)


def test_superseding_versions_spend_the_reserve_and_no_more(ledger: Ledger) -> None:
    for version, rho in ((1, BUDGET.first_release_rho), (2, BUDGET.reserve_rho)):
        answered(ledger, version, rho=str(rho))
    line = ledger.line(quarter=QUARTER)
    assert (line.rho_left, line.first_release_rho_left, line.reserve_rho_left) == (0, 0, 0)
    assert 0 <= line.epsilon_left < 0.01
    third = registered(version=3, rho="1/1000000000")
    ledger.register(third)
    with pytest.raises(BudgetRefusedError):
        ledger.answer_once(third, never)


def test_the_reserve_is_kept_from_a_first_release(ledger: Ledger) -> None:
    plan = registered(rho=str(BUDGET.quarter_rho))
    ledger.register(plan)
    with pytest.raises(BudgetRefusedError, match="this part of the quarter"):
        ledger.answer_once(plan, never)


@pytest.mark.parametrize(
    ("cap", "value", "scope"),
    [("year_rho", "0.02", "the year"), ("quarter_epsilon", "0.5", "the quarter"), ("year_epsilon", "0.9", "the year")],
)
def test_every_cap_holds(cap: str, value: str, scope: str, engine: Engine) -> None:
    budget: BudgetParameters = BUDGET.model_copy(update={cap: Fraction(value)})
    ledger = Ledger(engine, budget, epsilon_of)
    refused = []
    for number in (1, 2):
        plan = registered(quarter=Quarter(2026, number))
        ledger.register(plan)
        try:
            ledger.answer_once(plan, lambda: b"noise")
        except BudgetRefusedError as error:
            refused.append(error.message)
    assert refused and all(f"budget of {scope} would" in message for message in refused)
    line = ledger.line(year=2026)
    assert line.rho_spent <= line.rho_cap and (line.epsilon_spent <= line.epsilon_cap)


def test_thresholded_mechanisms_spend_of_delta_what_they_may_and_no_more(ledger: Ledger) -> None:
    delta = BUDGET.first_release_threshold_delta
    over = registered(threshold_delta=str(delta + Fraction(1, 10**30)))
    ledger.register(over)
    with pytest.raises(BudgetRefusedError):
        ledger.answer_once(over, never)
    answered(ledger, quarter=Quarter(2026, 2), threshold_delta=str(delta))
    with_delta, without = ledger.line(quarter=Quarter(2026, 2)), epsilon_of(BUDGET.first_release_rho, BUDGET.delta)
    assert with_delta.threshold_delta_spent == delta
    assert with_delta.epsilon_spent > without


def test_a_year_is_the_sum_of_its_quarters(ledger: Ledger) -> None:
    quarters = [Quarter(2026, number) for number in (1, 2, 3, 4)]
    for quarter in quarters:
        answered(ledger, quarter=quarter)
    answered(ledger, quarter=Quarter(2027, 1))
    assert ledger.quarters() == [*quarters, Quarter(2027, 1)]
    year = ledger.line(year=2026)
    assert year.rho_spent == sum(ledger.line(quarter=quarter).rho_spent for quarter in quarters) == 4 * BUDGET.first_release_rho
    assert year.rho_spent + year.rho_left == year.rho_cap == BUDGET.year_rho
    with pytest.raises(UsageError):
        ledger.line()


def test_the_full_budget_is_what_the_design_promises() -> None:
    budget = privacy().budget
    quarter = epsilon_of(budget.quarter_rho, budget.delta - budget.quarter_threshold_delta)
    year = epsilon_of(budget.year_rho, budget.delta - budget.year_threshold_delta)
    assert 0.99 < quarter <= 1.0
    assert 2.10 < year <= 2.13
