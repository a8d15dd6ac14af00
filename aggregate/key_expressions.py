"""SQL of each public key, over the rows of an event. The one place where a key meets the record's columns."""

import re
from collections.abc import Mapping

from schemas.arrow import pool_schema
from schemas.keys import DEPTH_BANDS, EARLIER_BANDS, OTHER, PUBLIC_AGE_BANDS, UNKNOWN
from schemas.plan import ReleasePlan

SEVERITY: Mapping[str, Mapping[str, int]] = {
    "ideation": {
        "none": 0,
        "unknown": 1,
        "present_level_unknown": 2,
        "wish_to_be_dead": 3,
        "active_nonspecific": 4,
        "active_method_no_intent": 5,
        "active_intent_no_plan": 6,
        "active_plan_intent": 7,
    },
    "behavior": {"none": 0, "unknown": 1, "preparatory": 2, "aborted": 3, "interrupted": 4, "attempt_disclosed": 5},
    "imminence": {"unknown": 0, "not_imminent": 1, "imminent": 2, "in_progress": 3},
}
"""Order of severity within each field of `risk`; a user's most severe record is the largest by these in turn."""


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _band(expression: str, bands: tuple[tuple[str, int], ...]) -> str:
    steps = " ".join(f"when {expression} >= {low} then {_text(name)}" for name, low in reversed(bands))
    return f"case {steps} end"


def _mapped(expression: str, mapping: Mapping[str, str]) -> str:
    steps = " ".join(f"when {_text(old)} then {_text(new)}" for old, new in mapping.items())
    return f"case {expression} {steps} end"


def _listed(expression: str, listed: tuple[str, ...]) -> str:
    shown = ", ".join(_text(code) for code in (*listed, UNKNOWN))
    return f"case when {expression} in ({shown}) then {expression} else {_text(OTHER)} end"


def severity_order() -> str:
    """ORDER BY terms, most severe first."""
    terms = []
    for field, order in SEVERITY.items():
        steps = " ".join(f"when {_text(code)} then {rank}" for code, rank in order.items())
        terms.append(f"case risk.{field} {steps} else 0 end desc")
    return ", ".join(terms)


def key_expressions(plan: ReleasePlan) -> dict[str, str]:
    """SQL expression of every key, over the rows of an event that has it (`schemas.plan.EVENT_KEYS`)."""
    return {
        "week": "strftime(started_at at time zone 'UTC', '%G-W%V')",
        "ideation": "risk.ideation",
        "behavior": "risk.behavior",
        "imminence": "risk.imminence",
        "selection_reason": "selection_reason",
        "age_band": _mapped("person.age_band", PUBLIC_AGE_BANDS),
        "language": _listed("person.language", plan.languages),
        "region": _listed("person.region", plan.regions),
        "surface": "deployment.surface",
        "intervention": "intervention.type",
        "layer": "intervention.layer",
        "ideation_before": "intervention.ideation_at",
        "imminence_before": "intervention.imminence_at",
        "depth_band": _band("intervention.turn", DEPTH_BANDS),
        "length_band": _band("n_turns", DEPTH_BANDS),
        "earlier_interventions": _band("earlier", EARLIER_BANDS),
        "outcome": "seen.value",
        "tactic": "tactic",
        "bypassed": "evasion.bypassed",
        "failure_mode": "failure_mode",
        "stage": "stage",
        "ending": "ending",
        "change_class": "change_class",
        "change_group": "change_group",
    }


_WITHIN = {"intervention": "interventions", "seen": "interventions.outcomes"}  # what an event unnests, and where it comes from


def columns_of(expression: str) -> set[str]:
    """Columns of the record that an expression names, fields in them with dots."""
    names = re.findall(r"[a-z_]+(?:\.[a-z_]+)*", re.sub("'[^']*'", "", expression))
    places = (".".join((_WITHIN.get(first, first), *rest)) for first, *rest in (name.split(".") for name in names))
    return {place for place in places if place.split(".")[0] in pool_schema().names}
