"""Malformed records: each kind breaks exactly one rule and names the finding code that it must get."""

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice
from typing import Any

import orjson

from schemas.fields import MAX_TURN_CHARACTERS

Record = dict[str, Any]

MOST_CANDIDATES = 200  # a fault that fits none of so many good records waits for another file


@dataclass(frozen=True)
class Situation:
    """What a malformed record is made from: a good record of the same file, under a fresh id, and what stands around it."""

    record: Record  # a copy that the maker may change
    original: Record
    other: Record | None  # a record of another user that an earlier submission of the company holds
    month: bool  # whether the period of the submission is a month
    next_month: str  # a moment of the quarter outside that month
    next_quarter: str  # a moment of the next quarter


Maker = Callable[[Situation], Record | bytes | None]


@dataclass(frozen=True)
class Malformed:
    """One kind: the code that it must get, whether Parquet can say it, and whether only the pool's memory can find it."""

    kind: str
    code: str
    make: Maker  # returns None where the record does not lend itself to this fault
    jsonl_only: bool = False
    needs_memory: bool = False
    needs: str = ""  # what of the situation the kind cannot do without: `other` or `month`


KINDS: dict[str, Malformed] = {}


def _kind(
    name: str, code: str, jsonl_only: bool = False, needs_memory: bool = False, needs: str = ""
) -> Callable[[Maker], Maker]:
    def add(maker: Maker) -> Maker:
        KINDS[name] = Malformed(name, code, maker, jsonl_only, needs_memory, needs)
        return maker

    return add


def _set(name: str, code: str, path: str, value: Any, jsonl_only: bool = False) -> None:
    """A kind that puts a fixed value at a path of keys."""

    def make(s: Situation) -> Record:
        *parents, last = path.split(".")
        target = s.record
        for key in parents:
            target = target[key]
        target[last] = deepcopy(value)
        return s.record

    _kind(name, code, jsonl_only)(make)


def _at_risk(record: Record) -> bool:
    return record["risk"]["peak_turn"] is not None


def _acted(record: Record) -> bool:
    """Whether there is an intervention other than `no_intervention`, which has rules of its own."""
    return bool(record["interventions"]) and record["interventions"][0]["type"] != "no_intervention"


# E201 and E231 to E236: what is no sound JSON object. Only a line of JSON can be that.
@_kind("line_cut_off", "E201", jsonl_only=True)
def _line_cut_off(s: Situation) -> bytes:
    return orjson.dumps(s.record)[:-40]


@_kind("line_is_a_list", "E201", jsonl_only=True)
def _line_is_a_list(s: Situation) -> bytes:
    return orjson.dumps([s.record])


@_kind("not_a_number", "E232", jsonl_only=True)
def _not_a_number(s: Situation) -> bytes:
    s.record["n_turns"] = "NAN"
    return orjson.dumps(s.record).replace(b'"NAN"', b"NaN")


@_kind("not_utf8", "E233", jsonl_only=True)
def _not_utf8(s: Situation) -> bytes:
    s.record["user_pseudonym"] = "MARK"
    return orjson.dumps(s.record).replace(b"MARK", b"u\xff\xfe")


@_kind("lone_surrogate", "E233", jsonl_only=True)
def _lone_surrogate(s: Situation) -> bytes:
    s.record["user_pseudonym"] = "MARK"
    return orjson.dumps(s.record).replace(b"MARK", rb"u\ud800")


@_kind("byte_order_mark", "E235", jsonl_only=True)
def _byte_order_mark(s: Situation) -> bytes:
    return b"\xef\xbb\xbf" + orjson.dumps(s.record)


@_kind("deep_nesting", "E234", jsonl_only=True)
def _deep_nesting(s: Situation) -> bytes:
    s.record["turns"] = "MARK"
    return orjson.dumps(s.record).replace(b'"MARK"', b"[" * 5_000 + b"]" * 5_000)


@_kind("number_over_all_floats", "E232", jsonl_only=True)
def _number_over_all_floats(s: Situation) -> bytes:
    s.record["n_turns"] = "BIG"
    return orjson.dumps(s.record).replace(b'"BIG"', b"1e400")


@_kind("number_beyond_64_bits", "E207", jsonl_only=True)
def _number_beyond_64_bits(s: Situation) -> bytes:
    s.record["n_turns"] = "BIG"
    return orjson.dumps(s.record).replace(b'"BIG"', b"1" + b"0" * 30)


@_kind("blank_line", "E236", jsonl_only=True)
def _blank_line(s: Situation) -> bytes:
    return b" "


@_kind("key_twice", "E231", jsonl_only=True)
def _key_twice(s: Situation) -> bytes:
    return orjson.dumps(s.record)[:-1] + b',"n_turns":1}'


@_kind("nested_key_twice", "E231", jsonl_only=True)
def _nested_key_twice(s: Situation) -> bytes:
    return orjson.dumps(s.record).replace(b'"person":{', b'"person":{"reg\\u0069on" : "unknown",')


@_kind("field_missing", "E202", jsonl_only=True)
def _field_missing(s: Situation) -> Record:
    del s.record["human_review"]
    return s.record


@_kind("nested_field_missing", "E202", jsonl_only=True)
def _nested_field_missing(s: Situation) -> Record:
    del s.record["person"]["region"]
    return s.record


_set("field_unknown", "E203", "sentiment", "low", jsonl_only=True)
_set("nested_field_unknown", "E203", "person.given_name", "withheld", jsonl_only=True)
_set("supersedes_in_new", "E203", "supersedes", "r0")
_set("number_as_text", "E237", "n_turns", "12", jsonl_only=True)
_set("id_as_number", "E237", "record_id", 4_711, jsonl_only=True)
_set("code_as_number", "E237", "human_review", 3, jsonl_only=True)
_set("number_as_bool", "E204", "n_turns", True, jsonl_only=True)
_set("number_with_fraction", "E204", "n_turns", 12.0, jsonl_only=True)
_set("struct_as_text", "E204", "risk", "high", jsonl_only=True)
_set("list_as_null", "E208", "failure_modes", None, jsonl_only=True)
_set("code_unknown", "E205", "event_class", "catastrophe")
_set("code_by_case", "E229", "human_review", "None")
_set("code_with_a_space", "E229", "human_review", "none ")
_set("code_with_a_look_alike_letter", "E228", "human_review", "n\u043ene")
_set("code_with_an_invisible_character", "E227", "human_review", "none\u200b")
_set("code_in_full_width", "E228", "human_review", "\uff4e\uff4f\uff4e\uff45")
_set("code_with_a_control_character", "E226", "human_review", "no\x00ne")
_set("listed_code_by_case", "E229", "failure_modes", ["False_Alarm"])
_set("region_in_lower_case", "E229", "person.region", "fr")
_set("status_by_case", "E229", "record_status", "NEW")
_set("id_with_a_control_character", "E226", "record_id", "r\x1b1")
_set("id_with_a_change_of_direction", "E227", "record_id", "r\u202e1")
_set("id_with_an_invisible_character", "E227", "record_id", "r\u200b1")
_set("id_with_a_space_behind", "E227", "record_id", "r1 ")
_set("id_not_in_nfc", "E227", "record_id", "re\u0301")
_set("listed_code_unknown", "E205", "failure_modes", ["unhelpful"])
_set("status_unknown", "E205", "record_status", "update")
_set("record_id_too_long", "E206", "record_id", "r" * 65)
_set("record_id_empty", "E206", "record_id", "")
_set("pseudonym_empty", "E206", "user_pseudonym", "")
_set("turns_over_the_limit", "E207", "n_turns", 100_001)
_set("number_far_over_the_limit", "E207", "n_turns", 2**60, jsonl_only=True)
_set("null_in_a_list", "E208", "failure_modes", [None], jsonl_only=True)
_set("null_not_permitted", "E208", "event_class", None, jsonl_only=True)
_set("time_without_zone", "E209", "started_at", "2026-01-15T10:00:00", jsonl_only=True)
_set("time_of_no_day", "E209", "started_at", "2026-02-30T10:00:00Z", jsonl_only=True)
_set("time_in_nanoseconds", "E209", "started_at", "2026-01-15T10:00:00.123456789Z", jsonl_only=True)
_set("time_as_a_number", "E209", "started_at", 1_768_471_200, jsonl_only=True)
_set("time_in_the_future", "E230", "started_at", "2999-01-15T10:00:00Z")
_set("stratum_undeclared", "E216", "selection_stratum", "undeclared")
_set("pattern_of_region", "E220", "person.region", "usa")
_set("pattern_of_language", "E220", "person.language", "en-US")
_set("pattern_of_version", "E220", "deployment.model_version", "Version 2!")
_set("code_listed_twice", "E222", "failure_modes", ["false_alarm", "false_alarm"])
_set("origin_of_real_data", "E224", "origin", "production")


@_kind("time_of_another_zone", "E209", jsonl_only=True)
def _time_of_another_zone(s: Situation) -> Record:
    s.record["started_at"] = s.record["started_at"].replace("Z", "+02:00")
    return s.record


@_kind("text_too_long", "E206")
def _text_too_long(s: Situation) -> Record | None:
    if s.record["person"]["age_band"] == "under_13":
        return None
    s.record["turns"] = [{"index": 1, "role": "user", "text": "low " * (MAX_TURN_CHARACTERS // 4) + "."}]
    return s.record


@_kind("control_character_in_a_text", "E226")
def _control_character_in_a_text(s: Situation) -> Record | None:
    if s.record["person"]["age_band"] == "under_13":
        return None
    s.record["turns"] = [{"index": 1, "role": "user", "text": "I feel\x07 low today."}]
    return s.record


@_kind("intervention_at_turn_zero", "E207")
def _intervention_at_turn_zero(s: Situation) -> Record | None:
    if not _acted(s.record):
        return None
    s.record["interventions"][0]["turn"] = 0
    return s.record


@_kind("outside_the_period", "E210", needs="month")
def _outside_the_period(s: Situation) -> Record:
    s.record["started_at"] = s.next_month
    return s.record


@_kind("correction_of_another_quarter", "E211")
def _correction_of_another_quarter(s: Situation) -> Record:
    s.record.update({"record_status": "correction", "supersedes": "r0", "supersedes_started_at": s.next_quarter})
    return s.record


@_kind("first_turn_after_peak", "E212")
def _first_turn_after_peak(s: Situation) -> Record | None:
    risk = s.record["risk"]
    if not _at_risk(s.record) or risk["peak_turn"] >= s.record["n_turns"]:
        return None
    risk["first_turn"] = risk["peak_turn"] + 1
    return s.record


@_kind("peak_after_the_end", "E212")
def _peak_after_the_end(s: Situation) -> Record | None:
    if not _at_risk(s.record) or not _acted(s.record):
        return None
    s.record["risk"]["peak_turn"] = s.record["n_turns"] + 1
    return s.record


@_kind("no_turn_where_risk", "E212")
def _no_turn_where_risk(s: Situation) -> Record | None:
    if not _at_risk(s.record) or not _acted(s.record):
        return None
    s.record["risk"]["first_turn"] = None
    return s.record


@_kind("turn_where_no_risk", "E212")
def _turn_where_no_risk(s: Situation) -> Record | None:
    if _at_risk(s.record):
        return None
    s.record["risk"]["first_turn"] = 1
    return s.record


def _nothing(turn: int) -> Record:
    return {
        "turn": turn,
        "type": "no_intervention",
        "layer": "model",
        "ideation_at": "none",
        "imminence_at": "unknown",
        "outcomes": [],
    }


@_kind("no_intervention_beside_others", "E213")
def _no_intervention_beside_others(s: Situation) -> Record | None:
    if not _acted(s.record):
        return None
    s.record["interventions"].append(_nothing(s.record["risk"]["peak_turn"]))
    s.record["interventions"].sort(key=lambda i: i["turn"])
    return s.record


@_kind("no_intervention_without_risk", "E213")
def _no_intervention_without_risk(s: Situation) -> Record | None:
    if _at_risk(s.record):
        return None
    s.record["interventions"] = [_nothing(1)]
    return s.record


@_kind("no_intervention_off_the_peak", "E213")
def _no_intervention_off_the_peak(s: Situation) -> Record | None:
    if not _at_risk(s.record) or s.record["risk"]["peak_turn"] == 1:
        return None
    s.record["interventions"] = [_nothing(s.record["risk"]["peak_turn"] - 1)]
    return s.record


def _with_outcome(s: Situation, *outcomes: tuple[str, str]) -> Record | None:
    if not s.record["interventions"]:
        return None
    s.record["interventions"][0]["outcomes"] = [
        {"kind": kind, "value": value, "window": "next_turn", "basis": "observed"} for kind, value in outcomes
    ]
    return s.record


@_kind("value_of_another_kind", "E214")
def _value_of_another_kind(s: Situation) -> Record | None:
    return _with_outcome(s, ("user_reply", "deescalated"))


@_kind("outcome_listed_twice", "E222")
def _outcome_listed_twice(s: Situation) -> Record | None:
    return _with_outcome(s, ("user_reply", "engaged"), ("user_reply", "silent"))


def _with_turns(s: Situation, *indices: int) -> Record:
    s.record["turns"] = [{"index": i, "role": "user", "text": ""} for i in indices]
    return s.record


@_kind("turn_after_the_end", "E215")
def _turn_after_the_end(s: Situation) -> Record:
    return _with_turns(s, s.record["n_turns"] + 1)


@_kind("turn_repeated", "E215")
def _turn_repeated(s: Situation) -> Record:
    return _with_turns(s, 1, 1)


@_kind("intervention_after_the_end", "E215")
def _intervention_after_the_end(s: Situation) -> Record | None:
    if not _acted(s.record):
        return None
    s.record["interventions"][-1]["turn"] = s.record["n_turns"] + 1
    return s.record


@_kind("interventions_out_of_order", "E215")
def _interventions_out_of_order(s: Situation) -> Record | None:
    turns = [i["turn"] for i in s.record["interventions"]]
    if len(set(turns)) < 2:
        return None
    s.record["interventions"].reverse()
    return s.record


@_kind("text_of_under_13", "E217")
def _text_of_under_13(s: Situation) -> Record:
    s.record["person"]["age_band"] = "under_13"
    s.record["turns"] = [{"index": 1, "role": "user", "text": "I feel sad today."}]
    return s.record


@_kind("supersedes_another_users_record", "E218", needs_memory=True, needs="other")
def _supersedes_another_users_record(s: Situation) -> Record | None:
    if s.other is None:
        return None
    s.record.update({"record_status": "correction", "started_at": s.other["started_at"]})
    s.record.update({"supersedes": s.other["record_id"], "supersedes_started_at": s.other["started_at"]})
    return s.record


@_kind("withdraws_another_users_record", "E218", needs_memory=True, needs="other")
def _withdraws_another_users_record(s: Situation) -> Record | None:
    if s.other is None:
        return None
    return {
        "domain": s.record["domain"],
        "record_id": s.record["record_id"],
        "record_status": "withdrawal",
        "scope": "record",
        "user_pseudonym": s.record["user_pseudonym"],
        "supersedes": s.other["record_id"],
        "supersedes_started_at": s.other["started_at"],
    }


@_kind("supersedes_nothing", "E218", needs_memory=True)
def _supersedes_nothing(s: Situation) -> Record:
    s.record.update({"record_status": "correction", "supersedes": "r0", "supersedes_started_at": s.record["started_at"]})
    return s.record


@_kind("record_id_used_twice", "E219")
def _record_id_used_twice(s: Situation) -> Record:
    s.record["record_id"] = s.original["record_id"]
    s.record["n_turns"] += 1
    return s.record


@_kind("withdraws_unknown_submission", "E223", needs_memory=True)
def _withdraws_unknown_submission(s: Situation) -> Record:
    return {
        "domain": s.record["domain"],
        "record_id": s.record["record_id"],
        "record_status": "withdrawal",
        "scope": "submission",
        "submission_id": "never-sent",
    }


MALFORMED_KINDS: Mapping[str, Malformed] = KINDS


def make(
    kind: Malformed, candidates: Iterable[tuple[Record, float]], record_id: str, frame: Mapping[str, Any]
) -> tuple[Record | bytes, float] | None:
    """One malformed record of a kind from the first candidate that lends itself to it, and that candidate's place in its file."""
    for original, place in islice(candidates, MOST_CANDIDATES):
        copy = orjson.loads(orjson.dumps({**original, "turns": []}))  # much faster than deepcopy
        copy["record_id"] = record_id
        broken = kind.make(Situation(copy, original, **frame))
        if broken is not None:
            return broken, place
    return None
