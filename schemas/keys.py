"""Keys of the public tables: every key has a public domain, known before any data are read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from schemas.codes import code_lists, label
from schemas.periods import Quarter

ALL = "all"
OTHER = "other"
UNKNOWN = "unknown"

DEPTH_BANDS: tuple[tuple[str, int], ...] = (("1-5", 1), ("6-10", 6), ("11-20", 11), ("21-40", 21), ("41-80", 41), ("81+", 81))
EARLIER_BANDS: tuple[tuple[str, int], ...] = (("0", 0), ("1", 1), ("2", 2), ("3+", 3))

PUBLIC_AGE_BANDS: Mapping[str, str] = {
    code: "under_18" if code in ("under_13", "13_15", "16_17") else code for code in code_lists()["age_band"]
}


@dataclass(frozen=True)
class Scope:
    """What a public domain may depend on: the quarter, and the languages and regions that the plan lists."""

    quarter: Quarter
    languages: tuple[str, ...]
    regions: tuple[str, ...]
    outcome_values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Key:
    """One key column of public tables.

    `description` is its column documentation, `list_name` the code list that labels it (empty: codes speak for
    themselves), `domain` its public values in a scope, in order.
    """

    name: str
    description: str
    list_name: str
    domain: Callable[[Scope], tuple[str, ...]]

    def label(self, code: str) -> str:
        """Plain-language label of one of its codes."""
        special = {ALL: "all", OTHER: "other", "under_18": "under 18"}
        return special.get(code) or label(self.list_name, code)


def _codes(list_name: str) -> Callable[[Scope], tuple[str, ...]]:
    return lambda _: tuple(code_lists()[list_name])


def _declare(name: str, description: str, domain: Callable[[Scope], tuple[str, ...]], list_name: str = "") -> tuple[str, Key]:
    return name, Key(name, description, list_name, domain)


KEYS: Mapping[str, Key] = dict(
    (
        _declare("week", "ISO week of the start of the conversation", lambda s: tuple(s.quarter.weeks())),
        _declare("ideation", "peak ideation, C-SSRS-informed, inferred from text", _codes("ideation"), "ideation"),
        _declare("behavior", "suicidal behaviour, inferred from text", _codes("behavior"), "behavior"),
        _declare("imminence", "imminence at the peak, inferred from text", _codes("imminence"), "imminence"),
        _declare("selection_reason", "why the conversation was submitted", _codes("selection_reason"), "selection_reason"),
        _declare(
            "age_band",
            "age band; known minors are one band",
            lambda _: tuple(dict.fromkeys(PUBLIC_AGE_BANDS.values())),
            "age_band",
        ),
        _declare(
            "language", "primary language; those the plan does not list are `other`", lambda s: (*s.languages, OTHER, UNKNOWN)
        ),
        _declare("region", "region; those the plan does not list are `other`", lambda s: (*s.regions, OTHER, UNKNOWN)),
        _declare("surface", "kind of product", _codes("surface"), "surface"),
        _declare("intervention", "type of intervention", _codes("intervention"), "intervention"),
        _declare("layer", "layer of the product that acted", _codes("layer"), "layer"),
        _declare("ideation_before", "ideation just before the intervention, inferred from text", _codes("ideation"), "ideation"),
        _declare("imminence_before", "imminence just before the intervention", _codes("imminence"), "imminence"),
        _declare("depth_band", "turn of the intervention, in bands", lambda _: tuple(b for b, _ in DEPTH_BANDS)),
        _declare("length_band", "turns of the whole conversation, in bands", lambda _: tuple(b for b, _ in DEPTH_BANDS)),
        _declare(
            "earlier_interventions", "interventions earlier in the conversation", lambda _: tuple(b for b, _ in EARLIER_BANDS)
        ),
        _declare("outcome", "value of the outcome", lambda s: s.outcome_values, "outcome_value"),
    )
)
