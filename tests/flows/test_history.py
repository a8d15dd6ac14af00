"""Which earlier quarters a plan goes on from: the latest measured version of each, as far back as none is missing."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pooled import privacy, registered
from sqlalchemy import create_engine

from aggregate.ledger import Ledger
from aggregate.mechanisms.conversion import epsilon_of
from flows.history import earlier_plans, newcomers
from flows.pool import Pool
from schemas.periods import Quarter
from schemas.plan import RegisteredPlan

NOW = Quarter(2026, 4)


class _Pool(SimpleNamespace):
    """A real ledger, and a catalogue of who contributed when."""

    ledger: Ledger

    def planned(self, quarter: Quarter, *, measured: bool = True, **changes: Any) -> RegisteredPlan:
        rho = privacy().budget.first_release_rho if changes.get("version", 1) == 1 else privacy().budget.reserve_rho / 4
        plan = registered(quarter=quarter, **{"rho": str(rho), **changes})
        self.ledger.register(plan)
        if measured:
            self.ledger.answer_once(plan, lambda: b"{}")
        return plan


@pytest.fixture
def pool(tmp_path: Path) -> _Pool:
    ledger = Ledger(create_engine(f"sqlite:///{tmp_path / 'state.db'}"), privacy().budget, epsilon_of)
    sent: dict[Quarter, list[str]] = {}
    moments: list[str] = []

    def contributors(quarter: Quarter, until: str = "") -> list[str]:
        moments.append(until)
        return sent.get(quarter, [])

    return _Pool(ledger=ledger, sent=sent, moments=moments, catalogue=SimpleNamespace(contributors=contributors))


def told(pool: _Pool, quarter: Quarter = NOW, *, synthetic: bool = True) -> list[tuple[str, int]]:
    return [(plan.quarter, plan.version) for plan in earlier_plans(cast("Pool", pool), quarter, synthetic=synthetic)]


def test_a_missing_quarter_ends_the_history(pool: _Pool) -> None:
    for quarter in (Quarter(2025, 3), Quarter(2025, 4), Quarter(2026, 2), Quarter(2026, 3)):
        pool.planned(quarter)
    assert told(pool) == [("2026Q3", 1), ("2026Q2", 1)]
    assert told(pool, Quarter(2026, 2)) == []
    assert told(pool, Quarter(2026, 1)) == [("2025Q4", 1), ("2025Q3", 1)]


def test_the_latest_version_that_was_measured_counts(pool: _Pool) -> None:
    pool.planned(Quarter(2026, 3))
    pool.planned(Quarter(2026, 3), version=2, reason="a withdrawal")
    pool.planned(Quarter(2026, 3), version=3, reason="another", measured=False)
    assert told(pool) == [("2026Q3", 2)]


def test_a_quarter_that_was_only_planned_is_none(pool: _Pool) -> None:
    pool.planned(Quarter(2026, 3), measured=False)
    pool.planned(Quarter(2026, 2))
    assert told(pool) == []


def test_synthetic_and_real_quarters_are_not_one_history(pool: _Pool) -> None:
    pool.planned(Quarter(2026, 2), synthetic=False)
    pool.planned(Quarter(2026, 3))
    assert told(pool) == [("2026Q3", 1)]
    assert told(pool, synthetic=False) == []


def test_newcomers_are_those_whom_the_quarter_before_did_not_count(pool: _Pool) -> None:
    before = pool.planned(Quarter(2026, 3))
    pool.sent[Quarter(2026, 3)] = ["alder", "birch", "cedar"]
    asking = cast("Pool", pool)
    assert newcomers(asking, ["alder", "birch", "cedar", "elder"], before) == ("elder",)
    assert newcomers(asking, ["alder"], before) == ()
    assert newcomers(asking, ["alder", "birch"], None) == ()  # with nothing before there is nothing to compare with
    assert pool.moments == [pool.ledger.planned_at(before.hash)] * 2  # what came in after that plan was not counted by it
