"""Checks of one record: the pydantic declaration first, then what holds between its fields. All findings, never a value."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from operator import itemgetter
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from intake.quick_check import quick_check
from intake.text_checks import id_problem, misspelling, text_problem
from schemas.codes import Coded, code_lists, domains
from schemas.periods import Quarter
from schemas.record import RECORD_MODELS, model_for

_CODE_OF_TYPE = {
    "missing": "E202",
    "extra_forbidden": "E203",
    "literal_error": "E205",
    "string_too_long": "E206",
    "string_too_short": "E206",
    "too_long": "E206",
    "too_short": "E206",
    "greater_than": "E207",
    "greater_than_equal": "E207",
    "less_than": "E207",
    "less_than_equal": "E207",
    "int_parsing_size": "E207",
    "string_pattern_mismatch": "E220",
    "string_unicode": "E220",
    "value_error": "E209",
}

TIMESTAMPS = ("started_at", "supersedes_started_at")
MOST_PROBLEMS = 20  # of one record; more would say nothing more
MOST_KEYS = 64  # of one object; no object of the contract has half as many
FUTURE_TOLERANCE = timedelta(minutes=15)  # clocks differ

_NUMBER = re.compile(r"\s*[+-]?\d+(\.\d+)?([eE][+-]?\d+)?\s*", re.ASCII)
_BEYOND_INTEGERS = 2.0**63  # the parser gives an integer beyond 64 bits as a float

Record = dict[str, Any]
"""A JSON object on its way to be a record; one that `parse_record` returned has every field as declared."""

Problem = tuple[str, str]
"""A finding code and the field that it is about."""


@dataclass(frozen=True)
class RecordContext:
    """What a record is checked against besides itself: the manifest's strata and period, the registration, the clock."""

    strata: frozenset[str]
    start: datetime
    end: datetime
    synthetic: bool | None  # None: the registration is not known here
    now: datetime | None = None  # None: nothing is in the future

    def is_future(self, record: Record) -> bool:
        """Whether a record begins after the clock. Simulated ones may lie anywhere in their period."""
        moment = record["started_at"]
        if self.now is None or moment <= self.now + FUTURE_TOLERANCE:
            return False
        return bool(record["origin"] != "synthetic" or moment >= self.end)


def parse_record(raw: Record) -> tuple[Record | None, list[Problem]]:
    """The record, or the problems for which it is none, at most MOST_PROBLEMS. Problems name fields of the contract only.

    A record is the raw object itself, each field as its model declares it, timestamps parsed in place.
    """
    model = model_for(raw)
    if model is None:
        return None, [_status_problem(raw)]
    if quick_check(model)(raw):
        return raw, []
    if len(raw) > MOST_KEYS:
        return None, [("E203", "?")]
    try:
        record = model.model_validate(raw)
    except ValidationError as error:
        problems = problems_of(error)
    else:
        raw.update({name: getattr(record, name) for name in TIMESTAMPS if name in raw})
        return raw, []
    return None, problems


def problems_of(error: ValidationError) -> list[Problem]:
    """Codes and field paths of a validation error of any contract model, without its values; at most MOST_PROBLEMS."""
    details = error.errors(include_url=False)[:MOST_PROBLEMS]
    return [(_code(d), _path(d["loc"], unknown=d["type"] == "extra_forbidden")) for d in details]


def _status_problem(raw: dict[str, Any]) -> Problem:
    field = "scope" if raw.get("record_status") == "withdrawal" else "record_status"
    if field not in raw:
        return "E202", field
    value = raw[field]
    if not isinstance(value, str):
        return ("E208" if value is None else "E204"), field
    permitted = code_lists()["withdrawal_scope" if field == "scope" else field]
    return misspelling(value, permitted.__contains__) or "E205", field


def _code(detail: ErrorDetails) -> str:
    kind, value = detail["type"], detail["input"]
    if kind == "missing" or kind == "extra_forbidden":
        return _CODE_OF_TYPE[kind]
    if value is None:
        return "E208"
    if kind == "literal_error":
        return _code_of_literal(value, _field_path(detail["loc"]))
    if kind == "string_pattern_mismatch" and isinstance(value, str):
        return misspelling(value, _matching(detail["ctx"]["pattern"])) or "E220"
    if kind in _CODE_OF_TYPE:
        return _CODE_OF_TYPE[kind]
    return _code_of_type(kind, value)


def _matching(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda value: compiled.fullmatch(value) is not None


def _code_of_literal(value: Any, path: str) -> str:
    if not isinstance(value, str):
        return "E237" if isinstance(value, int | float) and not isinstance(value, bool) else "E204"
    return misspelling(value, _permitted().get(path, frozenset()).__contains__) or "E205"


def _code_of_type(kind: str, value: Any) -> str:
    if kind in ("int_type", "float_type") and isinstance(value, str):
        return "E237" if _NUMBER.fullmatch(value[:64]) else "E204"
    if kind in ("int_type", "int_from_float") and isinstance(value, float) and abs(value) >= _BEYOND_INTEGERS:
        return "E207"
    if kind == "string_type" and isinstance(value, int | float) and not isinstance(value, bool):
        return "E237"
    return "E204"


def _path(location: tuple[int | str, ...], unknown: bool) -> str:
    # A key that the contract does not know is the sender's text: it is shown as `?`, never as it stands.
    steps = (*location[:-1], "?") if unknown else location
    path = ""
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


def _field_path(location: Iterable[int | str]) -> str:
    return ".".join(step for step in location if isinstance(step, str))


@cache
def _permitted() -> Mapping[str, frozenset[str]]:
    """The codes of each coded field of a record, by its path without places in lists."""
    return {path: codes for model in RECORD_MODELS for path, codes in _coded_fields(model, "")}


def _coded_fields(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, frozenset[str]]]:
    for name, field in model.model_fields.items():
        for kind in (field.annotation, *field.metadata, *_inner(field.annotation)):
            if isinstance(kind, Coded):
                yield prefix + name, frozenset(code_lists()[kind.list_name])
            elif isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _coded_fields(kind, f"{prefix}{name}.")


def _inner(annotation: Any) -> Iterator[Any]:
    for argument in get_args(annotation):
        yield argument
        yield from _inner(argument)


def check_record(record: Record, context: RecordContext, plain: bool = False) -> list[Problem]:
    """Problems between the fields of a record that is sound field by field, and warnings (W3xx) about its texts.

    At most MOST_PROBLEMS, the graver ones first. `plain`: its texts are known to be plain ASCII, and are not looked at.
    """
    found: list[Problem] = []  # not `list[Problem]()`: that takes a microsecond
    _id(found, "record_id", record["record_id"])
    if record["record_status"] == "withdrawal":
        if "supersedes" in record:
            _id(found, "supersedes", record["supersedes"])
        return found
    _frame(found, record, context)
    risk, n_turns, turns, interventions = record["risk"], record["n_turns"], record["turns"], record["interventions"]
    present = shows_risk(risk)
    if present or risk["first_turn"] is not None or risk["peak_turn"] is not None:
        _risk(found, risk, n_turns, present)
    if interventions:
        _interventions(found, record, interventions, n_turns)
    elif present:
        found.append(("E213", "interventions"))
    if turns:
        _turns(found, turns, n_turns)
        if not plain and text_problem("\n".join([turn["text"] for turn in turns])):
            _texts(found, turns)
    forms, tactics, failures = risk["speech_form"], record["evasion"]["tactics"], record["failure_modes"]
    if len(forms) > 1 or len(tactics) > 1 or len(failures) > 1:
        _repeats(found, forms, tactics, failures)
    if len(domains()) > 1:
        found += _domain(record)
    return found[:MOST_PROBLEMS] if found else found


def _id(found: list[Problem], field: str, value: str) -> None:
    if not (value.isalnum() and value.isascii()) and (code := id_problem(value)):
        found.append((code, field))


def _frame(found: list[Problem], record: Record, context: RecordContext) -> None:
    moment, new = record["started_at"], record["record_status"] == "new"
    if context.is_future(record):
        found.append(("E230", "started_at"))
    elif new and not context.start <= moment < context.end:
        found.append(("E210", "started_at"))
    if record["selection_stratum"] not in context.strata:
        found.append(("E216", "selection_stratum"))
    if context.synthetic and record["origin"] != "synthetic":
        found.append(("E224", "origin"))
    if record["person"]["age_band"] == "under_13" and any(turn["text"] for turn in record["turns"]):
        found.append(("E217", "turns"))
    if not new:
        _id(found, "supersedes", record["supersedes"])
        if Quarter.of(record["supersedes_started_at"]) != Quarter.of(moment):
            found.append(("E211", "supersedes_started_at"))


_NO_RISK = frozenset({"none", "unknown"})
_INDEX = itemgetter("index")


def shows_risk(risk: Mapping[str, Any]) -> bool:
    """Whether any of ideation, behaviour or self-injury is present."""
    return risk["ideation"] not in _NO_RISK or risk["behavior"] not in _NO_RISK or risk["nssi"] not in _NO_RISK


def _risk(found: list[Problem], risk: Mapping[str, Any], n_turns: int, present: bool) -> None:
    first, peak = risk["first_turn"], risk["peak_turn"]
    if (first is None) == present:
        found.append(("E212", "risk.first_turn"))
    if (peak is None) == present or (first is not None and peak is not None and not first <= peak <= n_turns):
        found.append(("E212", "risk.peak_turn"))


def _interventions(found: list[Problem], record: Record, interventions: list[dict[str, Any]], n_turns: int) -> None:
    pairs, last = _outcome_values(record["domain"]), 0
    for i, intervention in enumerate(interventions):
        turn = intervention["turn"]
        if intervention["type"] == "no_intervention" and (len(interventions) > 1 or turn != record["risk"]["peak_turn"]):
            found.append(("E213", f"interventions[{i}].type"))
        if turn > n_turns or turn < last:
            found.append(("E215", f"interventions[{i}].turn"))
        last = turn
        outcomes = intervention["outcomes"]
        for j, outcome in enumerate(outcomes):
            if (outcome["kind"], outcome["value"]) not in pairs:
                found.append(("E214", f"interventions[{i}].outcomes[{j}].value"))
        if len(outcomes) > 1 and len({(outcome["kind"], outcome["window"]) for outcome in outcomes}) < len(outcomes):
            found.append(("E222", f"interventions[{i}].outcomes"))


@cache
def _outcome_values(domain: str) -> frozenset[tuple[str, str]]:
    return frozenset((kind, value) for kind, values in domains()[domain].outcome_values.items() for value in values)


def _turns(found: list[Problem], turns: list[dict[str, Any]], n_turns: int) -> None:
    indices = [*map(_INDEX, turns)]
    if indices[-1] <= n_turns and indices == sorted({*indices}):
        return
    last = 0
    for i, index in enumerate(indices):
        if not last < index <= n_turns:
            found.append(("E215", f"turns[{i}].index"))
        last = index


def _texts(found: list[Problem], turns: list[dict[str, Any]]) -> None:
    told = set[str]()
    for i, turn in enumerate(turns):
        code = text_problem(turn["text"])
        if code and code not in told:  # once a record: the first text that has it
            told.add(code)
            found.append((code, f"turns[{i}].text"))


def _repeats(found: list[Problem], forms: list[str], tactics: list[str], failures: list[str]) -> None:
    for field, codes in (("risk.speech_form", forms), ("evasion.tactics", tactics), ("failure_modes", failures)):
        if len(set(codes)) < len(codes):
            found.append(("E222", field))


def _domain(record: Record) -> Iterator[Problem]:
    codes = domains()[record["domain"]].codes
    used = [
        ("ideation", "risk.ideation", record["risk"]["ideation"]),
        ("behavior", "risk.behavior", record["risk"]["behavior"]),
        *(("tactic", "evasion.tactics", code) for code in record["evasion"]["tactics"]),
        *(("failure_mode", "failure_modes", code) for code in record["failure_modes"]),
        *(("intervention", "interventions.type", each["type"]) for each in record["interventions"]),
    ]
    for list_name, field, code in used:
        if code not in codes.get(list_name, code_lists()[list_name]):
            yield "E221", field
