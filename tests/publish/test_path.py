"""The path of a release."""

import pytest

from publish.path import PATH, State, advance, has_reached, mermaid
from schemas.errors import NotApprovedError
from schemas.periods import Quarter

QUARTER = Quarter(2026, 3)


def test_only_declared_steps_are_allowed() -> None:
    allowed = {(step.before, step.verb): step.after for step in PATH}
    for before in (None, *State):
        for step in PATH:
            if (before, step.verb) in allowed:
                assert advance(before, step.verb, QUARTER, 1) is allowed[before, step.verb]
            else:
                with pytest.raises(NotApprovedError) as refused:
                    advance(before, step.verb, QUARTER, 1)
                assert refused.value.next_step


def test_the_way_through_is_one_line() -> None:
    state: State | None = None
    for verb in ("plan", "measure", "check", "approve", "publish", "supersede"):
        assert not has_reached(state, State.SUPERSEDED)
        state = advance(state, verb, QUARTER, 1)
    assert state is State.SUPERSEDED and has_reached(state, State.PLANNED)


def test_refusal_names_the_next_verb() -> None:
    with pytest.raises(NotApprovedError) as refused:
        advance(State.CHECKED, "publish", QUARTER, 2)
    assert "commons approve 2026Q3" in refused.value.next_step


def test_diagram_has_every_step() -> None:
    diagram = mermaid()
    assert diagram.startswith("stateDiagram-v2\n")
    assert all(f"--> {step.after}: {step.verb}" in diagram for step in PATH)
