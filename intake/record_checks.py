"""Checks of one record: the pydantic declaration first, then what holds between its fields. All findings, never a value."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schemas.codes import code_lists, domains
from schemas.periods import Quarter
from schemas.record import AnyRecord, InteractionRecord, model_for

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

Problem = tuple[str, str]
"""A finding code and the field that it is about."""


@dataclass(frozen=True)
class RecordContext:
    """What a record is checked against besides itself: the manifest's strata and period, the registration."""

    strata: frozenset[str]
    start: datetime
    end: datetime
    synthetic: bool | None  # None: the registration is not known here


def parse_record(raw: dict[str, Any]) -> tuple[AnyRecord | None, list[Problem]]:
    """The record, or the problems for which it is none. Problems name fields of the contract only."""
    model = model_for(raw)
    if model is None:
        return None, [_status_problem(raw)]
    try:
        return model.model_validate(raw), []
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
    return None, _problems(details)


def problems_of(error: ValidationError) -> list[Problem]:
    """Codes and field paths of a validation error of any contract model, without its values."""
    return _problems(error.errors(include_url=False, include_context=False))


def _problems(details: list[ErrorDetails]) -> list[Problem]:
    return [(_code(d["type"], d["input"]), _path(d["loc"], unknown=d["type"] == "extra_forbidden")) for d in details]


def _status_problem(raw: dict[str, Any]) -> Problem:
    field = "scope" if raw.get("record_status") == "withdrawal" else "record_status"
    if field not in raw:
        return "E202", field
    return ("E208" if raw[field] is None else "E205" if isinstance(raw[field], str) else "E204"), field


def _code(kind: str, value: Any) -> str:
    if kind in _CODE_OF_TYPE:
        if value is None and kind in ("literal_error", "value_error"):
            return "E208"
        if kind == "literal_error" and not isinstance(value, str):
            return "E204"
        return _CODE_OF_TYPE[kind]
    return "E208" if value is None else "E204"


def _path(location: tuple[int | str, ...], unknown: bool) -> str:
    # A key that the contract does not know is the sender's text: it is shown as `?`, never as it stands.
    steps = (*location[:-1], "?") if unknown else location
    path = ""
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


def check_record(record: AnyRecord, context: RecordContext) -> list[Problem]:
    """Problems between the fields of a record that is sound field by field."""
    if not isinstance(record, InteractionRecord):
        return []
    return [
        *_frame(record, context),
        *_risk(record),
        *_interventions(record),
        *_turns(record),
        *_repeats(record),
        *(_domain(record) if len(domains()) > 1 else ()),
    ]


def _frame(record: InteractionRecord, context: RecordContext) -> Iterator[Problem]:
    if record.record_status == "new" and not context.start <= record.started_at < context.end:
        yield "E210", "started_at"
    if record.selection_stratum not in context.strata:
        yield "E216", "selection_stratum"
    if context.synthetic and record.origin != "synthetic":
        yield "E224", "origin"
    if record.person.age_band == "under_13" and any(turn.text for turn in record.turns):
        yield "E217", "turns"
    superseded = getattr(record, "supersedes_started_at", None)
    if superseded is not None and Quarter.of(superseded) != Quarter.of(record.started_at):
        yield "E211", "supersedes_started_at"


def shows_risk(record: InteractionRecord) -> bool:
    """Whether any of ideation, behaviour or self-injury is present."""
    risk = record.risk
    return any(level not in ("none", "unknown") for level in (risk.ideation, risk.behavior, risk.nssi))


def _risk(record: InteractionRecord) -> Iterator[Problem]:
    risk, present = record.risk, shows_risk(record)
    if (risk.first_turn is None) == present:
        yield "E212", "risk.first_turn"
    if (risk.peak_turn is None) == present:
        yield "E212", "risk.peak_turn"
    in_order = (risk.first_turn or 0) <= (risk.peak_turn or 0) <= record.n_turns
    if risk.first_turn is not None and risk.peak_turn is not None and not in_order:
        yield "E212", "risk.peak_turn"


def _interventions(record: InteractionRecord) -> Iterator[Problem]:
    interventions = record.interventions
    if not interventions and shows_risk(record):
        yield "E213", "interventions"
    for i, intervention in enumerate(interventions):
        if intervention.type == "no_intervention" and (len(interventions) > 1 or intervention.turn != record.risk.peak_turn):
            yield "E213", f"interventions[{i}].type"
        if intervention.turn > record.n_turns or (i and intervention.turn < interventions[i - 1].turn):
            yield "E215", f"interventions[{i}].turn"
        kinds = domains()[record.domain].outcome_values
        for j, outcome in enumerate(intervention.outcomes):
            if outcome.value not in kinds.get(outcome.kind, ()):
                yield "E214", f"interventions[{i}].outcomes[{j}].value"
        if len({(o.kind, o.window) for o in intervention.outcomes}) < len(intervention.outcomes):
            yield "E222", f"interventions[{i}].outcomes"


def _turns(record: InteractionRecord) -> Iterator[Problem]:
    last = 0
    for i, turn in enumerate(record.turns):
        if not last < turn.index <= record.n_turns:
            yield "E215", f"turns[{i}].index"
        last = turn.index


def _repeats(record: InteractionRecord) -> Iterator[Problem]:
    listed = (
        ("risk.speech_form", record.risk.speech_form),
        ("evasion.tactics", record.evasion.tactics),
        ("failure_modes", record.failure_modes),
    )
    for field, codes in listed:
        if len(set(codes)) < len(codes):
            yield "E222", field


def _domain(record: InteractionRecord) -> Iterator[Problem]:
    codes = domains()[record.domain].codes
    used = [
        *(("ideation", "risk.ideation", c) for c in (record.risk.ideation,)),
        *(("behavior", "risk.behavior", c) for c in (record.risk.behavior,)),
        *(("tactic", "evasion.tactics", c) for c in record.evasion.tactics),
        *(("failure_mode", "failure_modes", c) for c in record.failure_modes),
        *(("intervention", "interventions.type", i.type) for i in record.interventions),
    ]
    for list_name, field, code in used:
        if code not in codes.get(list_name, code_lists()[list_name]):
            yield "E221", field
