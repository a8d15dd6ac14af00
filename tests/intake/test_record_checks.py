"""Every record rule, by a table of examples: one thing broken, one code found, no value told."""

import copy
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from submissions import json_lines

from intake.record_checks import MOST_PROBLEMS, RecordContext, check_record, parse_record

CONTEXT = RecordContext(
    frozenset({"flagged-main", "comparison", "fp-review", "user-report"}),
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2026, 4, 1, tzinfo=UTC),
    True,
    datetime(2026, 3, 20, tzinfo=UTC),
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


def again(name: str, times: int) -> Callable[[dict[str, Any]], None]:
    def change(raw: dict[str, Any]) -> None:
        raw[name] = [raw[name][0]] * times

    return change


OUTCOME = {"kind": "user_reply", "value": "engaged", "window": "24h", "basis": "observed"}
EXAMPLES: list[tuple[str, Callable[[dict[str, Any]], Any], str, str]] = [
    ("missing", drop("n_turns"), "E202", "n_turns"),
    ("missing status", drop("record_status"), "E202", "record_status"),
    ("unknown field", put(CANARY, 1), "E203", "?"),
    ("unknown nested field", put(f"person.{CANARY}", 1), "E203", "person.?"),
    ("supersedes in a new record", put("supersedes", "r1"), "E203", "?"),
    ("wrong type", put("n_turns", CANARY), "E204", "n_turns"),
    ("number as text", put("n_turns", "12"), "E237", "n_turns"),
    ("boolean as number", put("n_turns", True), "E204", "n_turns"),
    ("list as code", put("event_class", [CANARY]), "E204", "event_class"),
    ("unknown code", put("event_class", CANARY), "E205", "event_class"),
    ("code in capitals", put("person.age_band", "UNKNOWN"), "E229", "person.age_band"),
    ("code with spaces", put("person.age_band", " unknown\t"), "E229", "person.age_band"),
    ("status in capitals", put("record_status", "New"), "E229", "record_status"),
    ("listed code in capitals", put("failure_modes", ["Missed_Risk"]), "E229", "failure_modes[0]"),
    ("outcome value in capitals", put("interventions.0.outcomes", [{"kind": "user_reply", "value": "Engaged", "window": "24h", "basis": "observed"}]), "E229", "interventions[0].outcomes[0].value"),
    ("region in lower case", put("person.region", "de"), "E229", "person.region"),
    ("language in capitals", put("person.language", "EN"), "E229", "person.language"),
    ("Cyrillic letter in a code", put("person.age_band", "unkn\u043ewn"), "E228", "person.age_band"),
    ("Greek capitals as a code", put("human_review", "\u039d\u039f\u039d\u0395"), "E228", "human_review"),
    ("full-width code", put("person.age_band", "\uff11\uff13_\uff11\uff15"), "E228", "person.age_band"),
    ("Arabic digits in a code", put("person.age_band", "\u0661\u0663_\u0661\u0665"), "E228", "person.age_band"),
    ("accent in a code", put("person.age_band", "unknów n".replace(" ", "")), "E228", "person.age_band"),
    ("long dash in a stratum", put("selection_stratum", "flagged\u2013main"), "E228", "selection_stratum"),
    ("another word in another script", put("person.age_band", "\u043d\u0435\u0442"), "E205", "person.age_band"),
    ("invisible character in a code", put("person.age_band", "unk\u200bnown"), "E227", "person.age_band"),
    ("soft hyphen in a stratum", put("selection_stratum", "flagged\u00adx"), "E227", "selection_stratum"),
    ("control character in a code", put("person.age_band", "unk\x00nown"), "E226", "person.age_band"),
    ("control character in a pseudonym", put("user_pseudonym", "u\x07"), "E226", "user_pseudonym"),
    ("Cyrillic letter in a pseudonym", put("user_pseudonym", "\u043e1"), "E228", "user_pseudonym"),
    ("control character in an id", put("record_id", "r\x85"), "E226", "record_id"),
    ("change of direction in an id", put("record_id", "r\u202e1"), "E227", "record_id"),
    ("no-break space in an id", put("record_id", "r\u00a01"), "E227", "record_id"),
    ("space before an id", put("record_id", " r1"), "E227", "record_id"),
    ("id that is not in NFC", put("record_id", "e\u0301"), "E227", "record_id"),
    ("control character in a text", put("turns.0.text", "a\x1b[0m"), "E226", "turns[0].text"),
    ("C1 control character in a text", put("turns.0.text", "a\x9bm"), "E226", "turns[0].text"),
    ("text not in NFC", put("turns.0.text", "e\u0301"), "W304", "turns[0].text"),
    ("change of direction in a text", put("turns.0.text", "a\u202eb"), "W305", "turns[0].text"),
    ("invisible character in a text", put("turns.0.text", "a\u200bb"), "W305", "turns[0].text"),
    ("tag character in a text", put("turns.0.text", "a\U000e0061b"), "W305", "turns[0].text"),
    ("id as number", put("record_id", 12), "E237", "record_id"),
    ("code as number", put("human_review", 3.5), "E237", "human_review"),
    ("code as boolean", put("human_review", False), "E204", "human_review"),
    ("turn as text", put("turns.0.index", "1"), "E237", "turns[0].index"),
    ("number with a fraction", put("n_turns", 12.0), "E204", "n_turns"),
    ("number beyond 64 bits", put("n_turns", 1e30), "E207", "n_turns"),
    ("number beyond 32 bits", put("n_turns", 2**62), "E207", "n_turns"),
    ("null in a list", put("failure_modes", [None]), "E208", "failure_modes[0]"),
    ("null for a list", put("turns", None), "E208", "turns"),
    ("null for a struct", put("risk", None), "E208", "risk"),
    ("list for a struct", put("risk", []), "E204", "risk"),
    ("too many turns listed", again("turns", 100_001), "E206", "turns"),
    ("too many interventions", again("interventions", 10_001), "E206", "interventions"),
    ("too many outcomes", put("interventions.0.outcomes", [OUTCOME] * 65), "E206", "interventions[0].outcomes"),
    ("too many codes", put("failure_modes", ["missed_risk"] * 65), "E206", "failure_modes"),
    ("future", put("started_at", "2026-11-30T12:00:00Z"), "E230", "started_at"),
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
    ("outside the period", put("started_at", "2025-12-31T23:59:59Z"), "E210", "started_at"),
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


def test_clocks_may_differ_a_little_and_simulations_run_ahead(record: dict[str, Any]) -> None:
    def future(at: str, origin: str = "production", now: datetime | None = CONTEXT.now) -> bool:
        parsed, _ = parse_record({**record, "started_at": at, "origin": origin})
        assert parsed is not None
        codes = {code for code, _ in check_record(parsed, replace(CONTEXT, synthetic=False, now=now))}
        return "E230" in codes

    assert not future("2026-03-20T00:14:00Z") and future("2026-03-20T00:16:00Z")
    assert not future("2026-03-30T00:00:00Z", "synthetic") and future("2026-04-01T00:00:00Z", "synthetic")
    assert not future("2999-01-01T00:00:00Z", now=None)


@pytest.mark.parametrize(
    "text",
    ["tab\tline\r\nend", "\u00e9", "\u05e9\u05dc\u05d5\u05dd\u200f", "\U0001f469\u200d\U0001f467", "\u0928\u094d\u200d\u0930"],
)
def test_what_languages_and_emoji_need_is_no_problem(text: str, record: dict[str, Any]) -> None:
    broken = copy.deepcopy(record)
    put("turns.0.text", text)(broken)
    assert problems(broken) == []


def test_each_fault_of_texts_is_told_once_a_record(record: dict[str, Any]) -> None:
    broken = copy.deepcopy(record)
    broken["n_turns"], broken["person"]["age_band"] = 50, "25_44"
    texts = ["e\u0301", "e\u0301", "a\u200b", "a\x00"] * 5
    broken["turns"] = [{"index": i + 1, "role": "user", "text": text} for i, text in enumerate(texts)]
    assert problems(broken) == [("W304", "turns[0].text"), ("W305", "turns[2].text"), ("E226", "turns[3].text")]


def test_a_record_has_at_most_so_many_problems(record: dict[str, Any]) -> None:
    wide = {**record, **{f"{CANARY}{i}": 0 for i in range(1_000_000)}}
    assert problems(wide) == [("E203", "?")]
    many = dict.fromkeys(record) | {"record_status": "new"} | {f"x{i}": 0 for i in range(20)}
    assert len(problems(many)) == MOST_PROBLEMS
    turns = [{"index": 90_000, "role": "user", "text": ""}] * 1_000
    assert len(problems({**record, "turns": turns})) <= MOST_PROBLEMS


def test_a_million_faulty_items_cost_no_memory(record: dict[str, Any]) -> None:
    raw = {**record, "turns": [{}] * 100_000, "interventions": [{}] * 10_000, "failure_modes": [7] * 64}
    tracemalloc.start()
    found = problems(raw)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert {("E202", "turns[0].index"), ("E202", "interventions[0].turn"), ("E237", "failure_modes[0]")} <= set(found)
    assert peak < 1 << 20


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
