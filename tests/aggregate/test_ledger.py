"""The ledger on both databases: reserved before drawn, answered once, never over a cap, and every alteration seen."""

from collections.abc import Iterator
from fractions import Fraction

import pytest
from pooled import QUARTER, privacy, registered
from sqlalchemy import URL, Engine, text
from sqlalchemy.exc import DBAPIError, OperationalError

from aggregate.ledger import APPEND_ONLY, Fault, Ledger, Part
from aggregate.ledger.book import _append
from aggregate.ledger.tables import PLANS
from aggregate.mechanisms.conversion import epsilon_of
from flows.state import open_state
from schemas.canonical import digest
from schemas.errors import BudgetRefusedError, UsageError
from schemas.parameters import BudgetParameters
from schemas.periods import Quarter
from schemas.plan import RegisteredPlan

BUDGET = privacy().budget


@pytest.fixture
def engine(state: URL) -> Iterator[Engine]:
    opened = open_state(state)
    yield opened
    opened.dispose()


@pytest.fixture
def ledger(engine: Engine) -> Ledger:
    return Ledger(engine, BUDGET, epsilon_of)


def never() -> bytes:
    raise AssertionError("noise was drawn")


def answered(ledger: Ledger, version: int = 1, **changes: object) -> bytes:
    plan = registered(version=version, **changes)
    ledger.register(plan)
    return ledger.answer_once(plan, lambda: b"noise")


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


# What the database itself refuses, and what is seen where somebody who owns it switched that off.

ALTERATIONS: dict[str, tuple[str, set[Fault]]] = {
    "a charge is made smaller": ("update ledger set rho = '1/1000000' where kind = 'reserve'", {Fault(Part.CHAIN, 2)}),
    "the last entry is removed": ("delete from ledger where number = 3", {Fault(Part.ANSWER, 0)}),
    "an entry is removed": (
        "delete from ledger where number = 2",
        {Fault(Part.CHAIN, 2), Fault(Part.ORDER, 2)},
    ),
    "an entry is put in": (
        "insert into ledger select 4, 'charge', plan, quarter, year, version, rho, delta, at, answer, previous, hash "
        "from ledger where number = 2",
        {Fault(Part.CHAIN, 4), Fault(Part.ORDER, 4)},
    ),
    "an answer is altered": ("update answers set body = cast('x' as {binary})", {Fault(Part.ANSWER, 3)}),
    "an answer is removed": ("delete from answers", {Fault(Part.ANSWER, 3)}),
    "an answer is put in": ("insert into answers values ('other', cast('x' as {binary}))", {Fault(Part.ANSWER, 0)}),
    "a plan is altered": (
        "update plans set body = cast(replace(cast(body as text), '1001/62500', '1/2') as {json})",
        {Fault(Part.PLAN, 1), Fault(Part.CHAIN, 2)},
    ),
    "a plan is removed": ("delete from plans", {Fault(Part.PLAN, 1), Fault(Part.CHAIN, 2)}),
    "a plan is put in": (
        "insert into plans select 'other', quarter, 9, body from plans",
        {Fault(Part.PLAN, 0)},
    ),
}


def alter(engine: Engine, statement: str) -> None:
    types = {"sqlite": ("blob", "text"), "postgresql": ("bytea", "json")}[engine.dialect.name]
    with engine.begin() as connection:
        connection.execute(text(statement.format(binary=types[0], json=types[1])))


def as_its_owner(engine: Engine) -> None:
    """Takes away what keeps the tables append-only, as whoever owns the database can."""
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            names = connection.execute(text("select name from sqlite_master where type = 'trigger'")).scalars().all()
            for name in names:
                connection.execute(text(f"drop trigger {name}"))
        else:
            connection.execute(text("drop function append_only cascade"))


@pytest.mark.parametrize("what", ALTERATIONS)
def test_every_alteration_is_seen_and_named(what: str, engine: Engine, ledger: Ledger) -> None:
    answered(ledger)
    assert ledger.faults() == [] and ledger.chain_holds()
    as_its_owner(engine)
    statement, expected = ALTERATIONS[what]
    alter(engine, statement)
    assert set(ledger.faults()) == expected
    assert not ledger.chain_holds()


def test_a_plan_of_an_older_program_is_as_it_was_written_too(engine: Engine, ledger: Ledger) -> None:
    """Fields of a plan come and go; what was registered is told by its own bytes."""
    older = {"quarter": "2025Q1", "version": 1, "rho": "1/1000", "of_old": [1, 2.5, "ε"]}
    answered(ledger)
    with ledger._writing() as (connection, entries):
        row = {"hash": digest(older), "quarter": "2025Q1", "version": 1, "body": older}
        connection.execute(PLANS.insert().values(**row))
        _append(connection, entries, "plan", registered(quarter=Quarter(2025, 1)))
    assert {fault.part for fault in ledger.faults()} == {Part.PLAN}  # an entry and a plan that do not belong together
    entry = {**ledger.entries()[-1], "plan": digest(older)}
    del entry["hash"]
    as_its_owner(engine)
    alter(engine, f"update ledger set plan = '{digest(older)}', hash = '{digest(entry)}' where number = 4")
    assert ledger.faults() == []


@pytest.mark.parametrize("part", [-1, 0, Fraction(1, 2)])
def test_a_rightly_linked_charge_that_is_not_its_plans_is_seen_and_frees_no_budget(part: int | Fraction, ledger: Ledger) -> None:
    """Who may append can link a hash as well as we can."""
    plan = registered()
    ledger.register(plan)
    with ledger._writing() as (connection, entries):
        _append(connection, entries, "reserve", plan, rho=part * Fraction(plan.rho), delta=Fraction(plan.threshold_delta))
    assert ledger.faults() == [Fault(Part.CHAIN, 2)]
    second = registered(version=2)
    ledger.register(second)
    with pytest.raises(BudgetRefusedError, match="not as it was written"):
        ledger.answer_once(second, never)


def test_a_charge_to_another_quarter_is_seen(engine: Engine, ledger: Ledger) -> None:
    answered(ledger)
    entry = {**ledger.entries()[-2], "quarter": "2019Q1", "year": 2019}
    del entry["hash"]
    as_its_owner(engine)
    alter(engine, f"update ledger set quarter = '2019Q1', year = 2019, hash = '{digest(entry)}' where number = 2")
    assert Fault(Part.CHAIN, 2) in ledger.faults()


@pytest.mark.parametrize("column", ["version = 0", "quarter = '2019Q1'"])
def test_a_plan_that_would_be_found_by_another_name_is_seen(column: str, engine: Engine, ledger: Ledger) -> None:
    answered(ledger)
    as_its_owner(engine)
    alter(engine, f"update plans set {column}")
    assert ledger.faults() == [Fault(Part.PLAN, 1)]


def test_a_plan_that_could_not_be_paid_is_told_before_it_is_registered(ledger: Ledger) -> None:
    answered(ledger)
    reserve = {"rho": str(BUDGET.reserve_rho), "threshold_delta": "0"}
    ledger.refuse_unpayable(registered(version=2, **reserve))
    answered(ledger, version=2, **reserve)
    with pytest.raises(BudgetRefusedError, match="would be exceeded"):
        ledger.refuse_unpayable(registered(version=3, **reserve))


def test_an_answer_is_stored_once_the_database_is_there_again(
    ledger: Ledger, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = registered()
    ledger.register(plan)
    store, away = ledger._store_now, iter((True, True, False))

    def sometimes(plan: RegisteredPlan, answer: bytes) -> None:
        if next(away):
            raise OperationalError("select", {}, Exception())
        store(plan, answer)

    monkeypatch.setattr(ledger, "_store_now", sometimes)
    monkeypatch.setattr("aggregate.ledger.book._STORE_LOOK_SECONDS", 0)
    if engine.dialect.name == "sqlite":  # a file that fails does not come back
        with pytest.raises(OperationalError):
            ledger.answer_once(plan, lambda: b"noise")
    else:
        assert ledger.answer_once(plan, lambda: b"noise") == b"noise" == ledger.stored_answer(plan.hash)


DEEDS = {
    "sqlite": ("update {0} set {1} = 'x'", "delete from {0}", "insert or replace into {0} select * from {0}"),
    "postgresql": ("update {0} set {1} = 'x'", "delete from {0}", "truncate {0}"),
}


@pytest.mark.parametrize("deed", range(3))
@pytest.mark.parametrize("table", APPEND_ONLY)
def test_the_database_refuses_to_change_or_remove_what_stands_in_it(
    table: str, deed: int, engine: Engine, ledger: Ledger
) -> None:
    answered(ledger)
    key = {"plans": "hash", "ledger": "rho", "answers": "plan"}[table]
    statement, before = DEEDS[engine.dialect.name][deed].format(table, key), ledger.entries()
    with pytest.raises(DBAPIError, match="append-only"):
        alter(engine, statement)
    assert ledger.entries() == before and ledger.faults() == []
    as_its_owner(engine)  # without the triggers the same goes through: the refusal was theirs
    alter(engine, statement)


def test_no_step_of_a_plan_is_entered_twice(engine: Engine, ledger: Ledger) -> None:
    answered(ledger)
    columns = "kind, plan, quarter, year, version, rho, delta, at, answer, previous, hash"
    for number in (1, 2, 3):
        with pytest.raises(DBAPIError):
            alter(engine, f"insert into ledger select 4, {columns} from ledger where number = {number}")


def test_nothing_is_spent_from_a_ledger_that_is_not_as_it_was_written(engine: Engine, ledger: Ledger) -> None:
    answered(ledger)
    second = registered(version=2, rho=str(BUDGET.reserve_rho))
    ledger.register(second)
    as_its_owner(engine)
    alter(engine, "update ledger set rho = '0' where kind = 'reserve'")
    with pytest.raises(BudgetRefusedError, match="not as it was written"):
        ledger.answer_once(second, never)


@pytest.mark.parametrize("what", ["an answer is altered", "an answer is removed", "the last entry is removed"])
def test_an_altered_answer_is_never_given_out_or_drawn_again(what: str, engine: Engine, ledger: Ledger) -> None:
    answered(ledger)
    as_its_owner(engine)
    alter(engine, ALTERATIONS[what][0])
    for attempt in (lambda: ledger.stored_answer(registered().hash), lambda: ledger.answer_once(registered(), never)):
        with pytest.raises(BudgetRefusedError):
            attempt()


def test_an_altered_plan_is_never_given_out(engine: Engine, ledger: Ledger) -> None:
    answered(ledger)
    assert ledger.plan(QUARTER) == registered()
    assert ledger.plan(QUARTER, 2) is None
    as_its_owner(engine)
    alter(engine, ALTERATIONS["a plan is altered"][0])
    with pytest.raises(BudgetRefusedError):
        ledger.plan(QUARTER)


def test_what_is_read_is_of_one_moment(engine: Engine, ledger: Ledger) -> None:
    """An answer that is stored between two reads is not taken for an altered one."""
    plan = registered()
    ledger.register(plan)
    ledger._reserve(plan)
    other = Ledger(engine, BUDGET, epsilon_of)
    with ledger._reading() as connection:
        connection.execute(text("select count(*) from answers"))
        other._store(plan, b"noise")
        assert connection.execute(text("select count(*) from ledger")).scalar() == 2
    assert ledger.stored_answer(plan.hash) == b"noise"


def test_who_read_an_older_ledger_cannot_append_to_it(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the lock lost, the numbers of the entries would still hold: the second of two fails, and spends nothing."""
    from contextlib import contextmanager

    plans = [registered(quarter=Quarter(2026, number)) for number in (1, 2)]
    for plan in plans:
        ledger.register(plan)
    stale, writing = ledger.entries(), Ledger._writing

    @contextmanager
    def with_what_was_read_before(self: Ledger) -> Iterator[object]:
        with writing(self) as (connection, _):
            yield connection, stale

    ledger._reserve(plans[0])
    monkeypatch.setattr(Ledger, "_writing", with_what_was_read_before)
    with pytest.raises(DBAPIError):
        ledger._reserve(plans[1])
    assert ledger.line(year=2026).rho_spent == BUDGET.first_release_rho
