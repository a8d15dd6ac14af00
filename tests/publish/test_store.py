"""State, checks and sign-offs in the database."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from release_fixtures import PRIVATE_KEYS, SIGNED_AT, both_sign, change_rows
from sqlalchemy import Engine, create_engine

from publish import store
from publish.path import State
from publish.signoff import People, sign_off
from schemas.errors import CheckFailedError, NotApprovedError
from schemas.stages import CheckResult, MeasuredRelease, SignOff

GOOD = [CheckResult("columns", True, True, "fine"), CheckResult("signal", False, False, "little signal")]
BAD = [CheckResult("columns", False, True, "not fine")]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    made = create_engine(f"sqlite:///{tmp_path}/state.db")
    store.create_tables(made)
    store.create_tables(made)  # again is fine
    return made


def _to_checked(engine: Engine, measured: MeasuredRelease) -> None:
    store.mark_planned(engine, measured.quarter, measured.version, measured.plan.hash)
    store.mark_measured(engine, measured)
    assert store.record_checks(engine, measured, GOOD) is State.CHECKED


def test_the_whole_path(engine: Engine, measured: MeasuredRelease, people: People, signoffs: tuple[SignOff, ...]) -> None:
    assert store.state_of(engine, measured.quarter, 1) is None
    _to_checked(engine, measured)
    assert store.stored_checks(engine, measured.quarter, 1) == GOOD
    assert store.record_signoff(engine, measured, people, signoffs[0]) is State.CHECKED
    assert store.record_signoff(engine, measured, people, signoffs[0]) is State.CHECKED  # again changes nothing
    assert store.record_signoff(engine, measured, people, signoffs[1]) is State.APPROVED
    assert store.record_signoff(engine, measured, people, signoffs[1]) is State.APPROVED
    assert store.stored_signoffs(engine, measured.quarter, 1) == signoffs
    assert store.mark_published(engine, measured.quarter, 1) is State.PUBLISHED
    assert store.mark_published(engine, measured.quarter, 1) is State.PUBLISHED
    assert store.states(engine) == {("2026Q3", 1): State.PUBLISHED}


def test_a_later_version_supersedes(engine: Engine, measured: MeasuredRelease, people: People) -> None:
    for version in (1, 2):
        plan = measured.plan.model_copy(update={"version": version})
        release = replace(measured, version=version, plan=plan)
        _to_checked(engine, release)
        for signoff in both_sign(release, people):
            store.record_signoff(engine, release, people, signoff)
        store.mark_published(engine, release.quarter, version)
    assert store.states(engine) == {("2026Q3", 1): State.SUPERSEDED, ("2026Q3", 2): State.PUBLISHED}
    store.mark_published(engine, measured.quarter, 1)
    assert store.state_of(engine, measured.quarter, 1) is State.SUPERSEDED


def _steps(measured: MeasuredRelease, people: People, signoffs: tuple[SignOff, ...]) -> list[Callable[[Engine], Any]]:
    return [
        lambda e: store.mark_measured(e, measured),
        lambda e: store.record_checks(e, measured, GOOD),
        lambda e: store.record_signoff(e, measured, people, signoffs[0]),
        lambda e: store.mark_published(e, measured.quarter, 1),
    ]


def test_no_step_can_be_skipped(engine: Engine, measured: MeasuredRelease, people: People, signoffs: tuple[SignOff, ...]) -> None:
    steps = _steps(measured, people, signoffs)
    for step in steps:
        with pytest.raises(NotApprovedError):
            step(engine)
    store.mark_planned(engine, measured.quarter, 1, measured.plan.hash)
    for done in range(3):
        for step in steps[done + 1 :]:
            with pytest.raises(NotApprovedError):
                step(engine)
        steps[done](engine)
    with pytest.raises(NotApprovedError):  # one signature is not two
        steps[3](engine)
    store.record_signoff(engine, measured, people, signoffs[1])
    steps[3](engine)
    with pytest.raises(NotApprovedError):
        store.record_checks(engine, measured, GOOD)


def test_failed_checks_hold_the_release(engine: Engine, measured: MeasuredRelease, people: People, signoffs: Any) -> None:
    store.mark_planned(engine, measured.quarter, 1, measured.plan.hash)
    store.mark_measured(engine, measured)
    assert store.record_checks(engine, measured, BAD) is State.MEASURED
    assert store.stored_checks(engine, measured.quarter, 1) == BAD
    assert store.record_checks(engine, measured, []) is State.MEASURED  # no check is no pass
    with pytest.raises(NotApprovedError):
        store.record_signoff(engine, measured, people, signoffs[0])
    assert store.record_checks(engine, measured, GOOD) is State.CHECKED
    with pytest.raises(NotApprovedError):
        store.record_checks(engine, measured, BAD)
    assert store.stored_checks(engine, measured.quarter, 1) == GOOD


def test_other_tables_or_plan_are_refused(engine: Engine, measured: MeasuredRelease, people: People) -> None:
    _to_checked(engine, measured)
    other = change_rows(measured, "risk_profile", lambda rows: rows[0].update(estimate=1.0))
    with pytest.raises(NotApprovedError):
        store.mark_measured(engine, other)
    with pytest.raises(NotApprovedError):
        store.record_checks(engine, other, GOOD)
    with pytest.raises(NotApprovedError):
        store.record_signoff(engine, other, people, both_sign(other, people)[0])
    with pytest.raises(NotApprovedError):
        store.mark_planned(engine, measured.quarter, 1, "f" * 64)
    assert store.mark_planned(engine, measured.quarter, 1, measured.plan.hash) is State.CHECKED


def test_a_second_signature_in_a_role_is_refused(engine: Engine, measured: MeasuredRelease, people: People) -> None:
    _to_checked(engine, measured)
    store.record_signoff(engine, measured, people, sign_off(measured, people, "carmen", PRIVATE_KEYS["carmen"], SIGNED_AT))
    with pytest.raises(NotApprovedError):
        store.record_signoff(engine, measured, people, sign_off(measured, people, "cleo", PRIVATE_KEYS["cleo"], SIGNED_AT))
    assert len(store.stored_signoffs(engine, measured.quarter, 1)) == 1


def test_both_signing_at_once_approves(engine: Engine, measured: MeasuredRelease, people: People, signoffs: Any) -> None:
    _to_checked(engine, measured)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda s: store.record_signoff(engine, measured, people, s), signoffs))
    assert store.state_of(engine, measured.quarter, 1) is State.APPROVED


def test_required_checks() -> None:
    store.require_checks(GOOD)
    for given in (BAD, [], [*GOOD, *BAD]):
        with pytest.raises(CheckFailedError):
            store.require_checks(given)
