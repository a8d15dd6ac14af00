"""The ledger on both databases: what it refuses to alter, and every alteration seen where its owner made one."""

from collections.abc import Iterator
from fractions import Fraction

import pytest
from pooled import QUARTER, answered, never, privacy, registered
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, OperationalError

from aggregate.ledger import APPEND_ONLY, Fault, Ledger, Part
from aggregate.ledger.book import _append
from aggregate.ledger.tables import PLANS
from aggregate.mechanisms.conversion import epsilon_of
from schemas.canonical import digest
from schemas.errors import BudgetRefusedError
from schemas.periods import Quarter
from schemas.plan import RegisteredPlan

BUDGET = privacy().budget


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
