"""Every record rule, by a table of examples: one thing broken, one code found, no value told."""

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from submissions import json_lines

from intake.record_checks import RecordContext, check_record, parse_record

CONTEXT = RecordContext(
    frozenset({"flagged-main", "comparison", "fp-review", "user-report"}),
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2026, 4, 1, tzinfo=UTC),
    True,
)
CANARY = "canary-7c1e90"


def problems(raw: dict[str, Any]) -> list[tuple[str, str]]:
    record, found = parse_record(raw)
    return found if record is None else check_record(record, CONTEXT)


@pytest.fixture(scope="module")
def record(clean: Path) -> dict[str, Any]:
    """A valid record with risk, turns and two interventions."""
    for folder in sorted((clean / "alder").iterdir()):
        for raw in json_lines(folder, "part-1.jsonl"):
            if len(raw["interventions"]) >= 2 and raw["turns"] and raw["risk"]["peak_turn"]:
                return raw
    raise AssertionError("the simulation has no such record")


def put(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(raw: dict[str, Any]) -> None:
        *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        at: Any = raw
        for step in steps:
            at = at[step]
        at[last] = value

    return change


def drop(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda raw: raw.pop(name)


EXAMPLES: list[tuple[str, Callable[[dict[str, Any]], Any], str, str]] = [
    ("missing", drop("n_turns"), "E202", "n_turns"),
    ("missing status", drop("record_status"), "E202", "record_status"),
    ("unknown field", put(CANARY, 1), "E203", "?"),
    ("unknown nested field", put(f"person.{CANARY}", 1), "E203", "person.?"),
    ("supersedes in a new record", put("supersedes", "r1"), "E203", "?"),
    ("wrong type", put("n_turns", CANARY), "E204", "n_turns"),
    ("number as text", put("n_turns", "12"), "E204", "n_turns"),
    ("boolean as number", put("n_turns", True), "E204", "n_turns"),
    ("list as code", put("event_class", [CANARY]), "E204", "event_class"),
    ("unknown code", put("event_class", CANARY), "E205", "event_class"),
    ("code in capitals", put("person.age_band", "UNKNOWN"), "E205", "person.age_band"),
    ("unknown status", put("record_status", CANARY), "E205", "record_status"),
    ("status as number", put("record_status", 7), "E204", "record_status"),
    ("id too long", put("record_id", CANARY * 10), "E206", "record_id"),
    ("empty pseudonym", put("user_pseudonym", ""), "E206", "user_pseudonym"),
    ("turn too long", put("turns.0.text", "a" * 32_769), "E206", "turns[0].text"),
    ("no turns at all", put("n_turns", 0), "E207", "n_turns"),
    ("too many turns", put("n_turns", 10**9), "E207", "n_turns"),
    ("null", put("event_class", None), "E208", "event_class"),
    ("null text", put("turns.0.text", None), "E208", "turns[0].text"),
    ("null time", put("started_at", None), "E208", "started_at"),
    ("time zone", put("started_at", "2026-02-01T12:00:00+01:00"), "E209", "started_at"),
    ("no time zone", put("started_at", "2026-02-01T12:00:00"), "E209", "started_at"),
    ("nanoseconds", put("started_at", "2026-02-01T12:00:00.123456789Z"), "E209", "started_at"),
    ("unix time", put("started_at", 1_770_000_000), "E209", "started_at"),
    ("31 February", put("started_at", "2026-02-31T12:00:00Z"), "E209", "started_at"),
    ("outside the period", put("started_at", "2026-04-01T00:00:00Z"), "E210", "started_at"),
    ("peak before first", put("risk.first_turn", 90_000), "E212", "risk.peak_turn"),
    ("null peak with risk", put("risk.peak_turn", None), "E212", "risk.peak_turn"),
    ("nothing done beside something", put("interventions.0.type", "no_intervention"), "E213", "interventions[0].type"),
    ("risk and no intervention", put("interventions", []), "E213", "interventions"),
    ("value of another kind", put("interventions.0.outcomes", [{"kind": "user_reply", "value": "yes", "window": "24h", "basis": "observed"}]), "E214", "interventions[0].outcomes[0].value"),
    ("intervention after the end", put("interventions.1.turn", 99_999), "E215", "interventions[1].turn"),
    ("turn out of order", put("turns.0.index", 99_999), "E215", "turns[0].index"),
    ("unknown stratum", put("selection_stratum", "other"), "E216", "selection_stratum"),
    ("text of an under-13", put("person.age_band", "under_13"), "E217", "turns"),
    ("language", put("person.language", "english"), "E220", "person.language"),
    ("region", put("person.region", "usa"), "E220", "person.region"),
    ("model version", put("deployment.model_version", "V 1"), "E220", "deployment.model_version"),
    ("code twice", put("failure_modes", ["missed_risk", "missed_risk"]), "E222", "failure_modes"),
    ("real record of a synthetic company", put("origin", "production"), "E224", "origin"),
]  # fmt: skip


def test_the_valid_record_is_valid(record: dict[str, Any]) -> None:
    assert problems(record) == []


@pytest.mark.parametrize(("name", "change", "code", "field"), EXAMPLES, ids=[example[0] for example in EXAMPLES])
def test_one_broken_rule_one_code(
    name: str, change: Callable[[dict[str, Any]], Any], code: str, field: str, record: dict[str, Any]
) -> None:
    broken = copy.deepcopy(record)
    change(broken)
    found = problems(broken)
    assert (code, field) in found
    assert {c for c, _ in found} == {code}
    assert CANARY not in str(found)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    name=st.sampled_from(["record_status", "person", "risk", "turns", "interventions", "started_at", "scope"]), value=json_values
)
def test_no_value_of_any_shape_gets_past_or_breaks_out(name: str, value: Any, record: dict[str, Any]) -> None:
    broken = {**record, name: value}
    if broken != record:
        found = problems(broken)
        assert found or name == "turns"  # an empty list of turns is an honest excerpt
        assert all(code.startswith("E2") for code, _ in found)


@given(raw=st.dictionaries(st.text(max_size=12), json_values, max_size=6))
def test_any_object_is_answered_with_findings(raw: dict[str, Any]) -> None:
    assert problems(raw)
