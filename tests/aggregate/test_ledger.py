"""The ledger: reserved before drawn, answered once, never over a cap, and every alteration seen."""

import multiprocessing
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from pooled import QUARTER, privacy, registered
from sqlalchemy import Engine, create_engine, text

from aggregate.ledger import Ledger
from aggregate.mechanisms.conversion import epsilon_of
from schemas.errors import BudgetRefusedError
from schemas.periods import Quarter


def ledger_at(path: Path) -> Ledger:
    return Ledger(engine_at(path), privacy().budget, epsilon_of)


def engine_at(path: Path) -> Engine:
    return create_engine(f"sqlite:///{path}", connect_args={"timeout": 60})


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return ledger_at(tmp_path / "state.db")


def never() -> bytes:
    raise AssertionError("noise was drawn")


def test_an_unregistered_plan_is_refused_before_the_draw(ledger: Ledger) -> None:
    with pytest.raises(BudgetRefusedError):
        ledger.answer_once(registered(), never)
    assert ledger.entries() == []


def test_a_plan_is_answered_once_and_the_same_for_ever(ledger: Ledger) -> None:
    plan = registered()
    ledger.register(plan)
    first = ledger.answer_once(plan, lambda: b"noise")
    assert [ledger.answer_once(plan, never) for _ in range(1000)] == [first] * 1000
    assert ledger.line(quarter=QUARTER).rho_spent == privacy().budget.first_release_rho
    assert ledger.line(quarter=QUARTER).releases == 1


def test_budget_is_charged_before_the_draw_and_stays_spent_when_it_fails(ledger: Ledger) -> None:
    plan = registered()
    ledger.register(plan)
    seen: list[Fraction] = []

    def fails() -> bytes:
        seen.append(ledger.line(quarter=QUARTER).rho_spent)
        raise OSError

    with pytest.raises(OSError):
        ledger.answer_once(plan, fails)
    assert seen == [privacy().budget.first_release_rho]
    with pytest.raises(BudgetRefusedError, match="stays spent"):
        ledger.answer_once(plan, never)
    assert ledger.line(quarter=QUARTER).rho_spent == privacy().budget.first_release_rho


def test_another_plan_of_the_same_version_is_refused(ledger: Ledger) -> None:
    ledger.register(registered())
    ledger.register(registered())
    with pytest.raises(BudgetRefusedError):
        ledger.register(registered(reason="another"))


@pytest.mark.parametrize("rho", ["0", "-1/100", "0.016017", "1"])
def test_no_plan_spends_nothing_less_than_nothing_or_too_much(rho: str, ledger: Ledger) -> None:
    plan = registered(rho=rho)
    ledger.register(plan)
    with pytest.raises(BudgetRefusedError):
        ledger.answer_once(plan, never)
    assert ledger.line(quarter=QUARTER).rho_spent == 0


@pytest.mark.parametrize("rho", ["nan", "inf", "1e400 ", "two"])
def test_no_number_no_plan(rho: str, ledger: Ledger) -> None:
    plan = registered(rho=rho)
    ledger.register(plan)
    with pytest.raises((BudgetRefusedError, ValueError)):
        ledger.answer_once(plan, never)
    assert ledger.line(quarter=QUARTER).rho_spent == 0


def test_superseding_versions_spend_the_reserve_and_no_more(ledger: Ledger) -> None:
    budget = privacy().budget
    for version, rho in ((1, budget.first_release_rho), (2, budget.reserve_rho)):
        plan = registered(version=version, rho=str(rho))
        ledger.register(plan)
        ledger.answer_once(plan, lambda: b"noise")
    line = ledger.line(quarter=QUARTER)
    assert (line.rho_left, line.reserve_rho_left) == (0, 0)
    assert line.epsilon_spent <= 1.0
    third = registered(version=3, rho="1/1000000000")
    ledger.register(third)
    with pytest.raises(BudgetRefusedError):
        ledger.answer_once(third, never)


def test_the_year_is_capped_too(tmp_path: Path) -> None:
    budget = privacy().budget.model_copy(update={"year_rho": Fraction("0.02")})
    ledger = Ledger(engine_at(tmp_path / "state.db"), budget, epsilon_of)
    for number, refused in ((1, False), (2, True)):
        plan = registered(quarter=Quarter(2026, number))
        ledger.register(plan)
        if refused:
            with pytest.raises(BudgetRefusedError, match="year"):
                ledger.answer_once(plan, never)
        else:
            ledger.answer_once(plan, lambda: b"noise")


def test_the_epsilon_caps_hold_by_the_same_call_that_reports(tmp_path: Path) -> None:
    budget = privacy().budget.model_copy(update={"quarter_epsilon": Fraction("0.5")})
    ledger = Ledger(engine_at(tmp_path / "state.db"), budget, epsilon_of)
    plan = registered()
    ledger.register(plan)
    with pytest.raises(BudgetRefusedError):
        ledger.answer_once(plan, never)


def test_the_full_budget_is_what_the_design_promises() -> None:
    budget = privacy().budget
    quarter = epsilon_of(budget.quarter_rho, budget.delta - budget.quarter_threshold_delta)
    year = epsilon_of(budget.year_rho, budget.delta - budget.year_threshold_delta)
    assert 0.99 < quarter <= 1.0
    assert 2.10 < year <= 2.13


def _break_entry(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("update ledger set rho = '1/1000000' where kind = 'reserve'"))


def _drop_last(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("delete from ledger where kind = 'answer'"))


def _break_answer(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("update answers set body = x'00'"))


def _break_plan(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("update plans set body = replace(body, '0.016016', '0.5')"))
        connection.execute(text("update plans set body = replace(body, '1001/62500', '1/2')"))


@pytest.mark.parametrize("alter", [_break_entry, _drop_last, _break_answer, _break_plan])
def test_every_alteration_is_seen(alter: Callable[[Engine], None], tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "state.db")
    plan = registered()
    ledger.register(plan)
    ledger.answer_once(plan, lambda: b"noise")
    assert ledger.chain_holds()
    alter(engine_at(tmp_path / "state.db"))
    assert not ledger_at(tmp_path / "state.db").chain_holds()


def test_an_altered_answer_is_never_given_out(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "state.db")
    plan = registered()
    ledger.register(plan)
    ledger.answer_once(plan, lambda: b"noise")
    _break_answer(engine_at(tmp_path / "state.db"))
    with pytest.raises(BudgetRefusedError):
        ledger.stored_answer(plan.hash)


def _spend(path: str, index: int, results: Any) -> None:
    plan = registered(version=2, rho="0.004004", quarter=Quarter(2026, 1), reason=f"race {index}")
    ledger = ledger_at(Path(path))
    try:
        ledger.register(plan)
        ledger.answer_once(plan, lambda: str(index).encode())
        results.put("spent")
    except BudgetRefusedError:
        results.put("refused")


def test_of_four_processes_one_wins_the_last_of_the_budget(tmp_path: Path) -> None:
    ledger_at(tmp_path / "state.db")
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    racers = [context.Process(target=_spend, args=(str(tmp_path / "state.db"), index, results)) for index in range(4)]
    for racer in racers:
        racer.start()
    outcomes = sorted(results.get(timeout=120) for _ in racers)
    for racer in racers:
        racer.join()
    assert outcomes == ["refused", "refused", "refused", "spent"]
    assert ledger_at(tmp_path / "state.db").line(quarter=Quarter(2026, 1)).rho_spent == privacy().budget.reserve_rho
