"""The contract's rules, written here once more and apart from intake: what a simulated record must keep."""

import unicodedata
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from schemas.codes import code_lists, domains
from schemas.record import InteractionRecord, model_for

_CODE_OF_ERROR = {
    "missing": "E202", "extra_forbidden": "E203", "literal_error": "E205", "string_too_long": "E206", "string_too_short": "E206",
    "greater_than_equal": "E207", "less_than_equal": "E207", "value_error": "E209", "string_pattern_mismatch": "E220",
}  # fmt: skip


def broken_rules(raw: dict[str, Any], strata: set[str], start: datetime, end: datetime) -> set[str]:
    """Finding codes that a record earns by itself; empty for a record that is sound as far as it alone tells."""
    model = model_for(raw)
    if model is None:
        return {_spelling(raw["record_status"], {"new", "correction", "withdrawal"})}
    try:
        record = model.model_validate(raw)
    except ValidationError as error:
        return {_code(e["type"], e["input"]) for e in error.errors()}
    return _between_fields(record, strata, start, end) if isinstance(record, InteractionRecord) else set()


def _code(kind: str, value: object) -> str:
    if value is None and kind != "missing":
        return "E208"
    if kind in ("literal_error", "string_pattern_mismatch") and isinstance(value, str):
        found = _spelling(value, {code for codes in code_lists().values() for code in codes} | {"FR"})
        return "E220" if kind == "string_pattern_mismatch" and found == "E205" else found
    if (kind == "int_type" and isinstance(value, str)) or (kind in ("literal_error", "string_type") and type(value) is int):
        return "E237"
    if isinstance(value, float) and value > 2**63:
        return "E207"
    return _CODE_OF_ERROR.get(kind, "E204")


def _spelling(value: str, codes: set[str]) -> str:
    categories = {unicodedata.category(character) for character in value}
    if "Cc" in categories or "Cf" in categories:
        return "E226" if "Cc" in categories else "E227"
    if value.strip().lower() in codes or value.upper() in codes:
        return "E229"
    return "E205" if value.isascii() else "E228"


def _characters(r: InteractionRecord) -> set[str]:
    found = {"E226" for t in r.turns for c in t.text if unicodedata.category(c) == "Cc" and c not in "\t\n\r"}
    categories = {unicodedata.category(character) for character in r.record_id}
    if "Cc" in categories:
        return found | {"E226"}
    odd = "Cf" in categories or r.record_id != unicodedata.normalize("NFC", r.record_id.strip())
    return found | ({"E227"} if odd else set())


def _between_fields(r: InteractionRecord, strata: set[str], start: datetime, end: datetime) -> set[str]:
    superseded = getattr(r, "supersedes_started_at", r.started_at)
    risk, turns = r.risk, [t.index for t in r.turns]
    levels = {risk.ideation, risk.behavior, risk.nssi}
    present = not levels <= {"none", "unknown"}
    acted = [i.turn for i in r.interventions]
    nothing = [i for i in r.interventions if i.type == "no_intervention"]
    misplaced = nothing and (len(r.interventions) > 1 or not present or nothing[0].turn != risk.peak_turn)
    ordered = (risk.first_turn or 1) <= (risk.peak_turn or risk.first_turn or 1) <= r.n_turns
    kinds = domains()[r.domain].outcome_values
    listed = [risk.speech_form, r.evasion.tactics, r.failure_modes]
    listed += [[f"{o.kind} {o.window}" for o in i.outcomes] for i in r.interventions]
    rules = {
        "E210": r.record_status == "new" and not start <= r.started_at < end and r.started_at.year < 2900,
        "E230": r.started_at.year >= 2900,
        "E211": (superseded.year, (superseded.month - 1) // 3) != (r.started_at.year, (r.started_at.month - 1) // 3),
        "E212": (risk.first_turn is None) == present or (risk.peak_turn is None) == present or not ordered,
        "E213": bool(misplaced),
        "E214": any(o.value not in kinds[o.kind] for i in r.interventions for o in i.outcomes),
        "E215": turns != sorted(set(turns)) or acted != sorted(acted) or any(t > r.n_turns for t in turns + acted),
        "E216": r.selection_stratum not in strata,
        "E217": r.person.age_band == "under_13" and any(t.text for t in r.turns),
        "E222": any(len(set(codes)) < len(codes) for codes in listed),
        "E224": r.origin != "synthetic",
    }
    return {code for code, broken in rules.items() if broken} | _characters(r)
