"""Keys of the public tables: every key has a public domain, known before any data are read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from schemas.codes import OPEN_OUTCOMES, code_lists
from schemas.periods import Quarter

ALL = "all"
OTHER = "other"
UNKNOWN = "unknown"

DEPTH_BANDS: tuple[tuple[str, int], ...] = (("1-5", 1), ("6-10", 6), ("11-20", 11), ("21-40", 21), ("41-80", 41), ("81+", 81))
EARLIER_BANDS: tuple[tuple[str, int], ...] = (("0", 0), ("1", 1), ("2", 2), ("3+", 3))

# Codes that the measurement makes of a record, each with the label that readers see.
NO_FAILURE = "none_seen"
FAILURE_MODES: Mapping[str, str] = {NO_FAILURE: "no failure seen", **code_lists()["failure_mode"]}
STAGES: Mapping[str, str] = {
    "shown": "shown, known not to be taken up",
    "opened": "opened",
    "handed_off": "handed off to a person",
    UNKNOWN: "not known",
}
ENDED, FOLLOWED = "ended", "followed_to_end"
ENDINGS: Mapping[str, str] = {ENDED: "the outcome was seen", FOLLOWED: "not seen as far as it can be followed"}

CHANGED_BEFORE, CHANGED_AFTER, OTHERS_BEFORE, OTHERS_AFTER, ARM_WITH, ARM_WITHOUT = (
    "changed_before", "changed_after", "others_before", "others_after", "arm_with", "arm_without",
)  # fmt: skip
CHANGE_GROUPS: Mapping[str, str] = {
    CHANGED_BEFORE: "companies with the change, before it",
    CHANGED_AFTER: "companies with the change, after it",
    OTHERS_BEFORE: "companies without it, before",
    OTHERS_AFTER: "companies without it, after",
    ARM_WITH: "assigned the change by chance",
    ARM_WITHOUT: "assigned no change by chance",
}

PUBLIC_AGE_BANDS: Mapping[str, str] = {
    code: "under_18" if code in ("under_13", "13_15", "16_17") else code for code in code_lists()["age_band"]
}


@dataclass(frozen=True)
class Scope:
    """What a public domain may depend on: the quarter, and the languages, regions and classes of changes that the plan lists."""

    quarter: Quarter
    languages: tuple[str, ...]
    regions: tuple[str, ...]
    outcome_values: tuple[str, ...] = ()
    change_classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Key:
    """One key column of public tables.

    `description` is its column documentation, `labels` what readers see for its codes (where there is none, codes speak for
    themselves), `domain` its public values in a scope, in order, `open_codes` those that say that nothing is known yet: a rate
    over the codes of this key leaves them out of its denominator.
    """

    name: str
    description: str
    domain: Callable[[Scope], tuple[str, ...]]
    labels: Mapping[str, str]
    open_codes: frozenset[str] = frozenset()

    def label(self, code: str) -> str:
        """Plain-language label of one of its codes."""
        special = {ALL: "all", OTHER: "other", "under_18": "under 18"}
        return special.get(code) or self.labels.get(code, code)


def _key(
    name: str,
    description: str,
    domain: Callable[[Scope], tuple[str, ...]],
    list_name: str = "",
    open_codes: frozenset[str] = frozenset(),
) -> Key:
    return Key(name, description, domain, code_lists().get(list_name, {}), open_codes)


def _coded(name: str, description: str, list_name: str, open_codes: frozenset[str] = frozenset()) -> Key:
    """A key whose domain is a code list."""
    return _key(name, description, lambda _: tuple(code_lists()[list_name]), list_name, open_codes)


def _made(name: str, description: str, labels: Mapping[str, str], open_codes: frozenset[str] = frozenset()) -> Key:
    """A key whose codes the measurement makes."""
    return Key(name, description, lambda _: tuple(labels), labels, open_codes)


def _banded(name: str, description: str, bands: tuple[tuple[str, int], ...]) -> Key:
    return _key(name, description, lambda _: tuple(band for band, _ in bands))


KEYS: Mapping[str, Key] = {
    key.name: key
    for key in (
        _key("week", "ISO week of the start of the conversation", lambda s: tuple(s.quarter.weeks())),
        _coded("ideation", "peak ideation, C-SSRS-informed, inferred from text", "ideation"),
        _coded("behavior", "suicidal behaviour, inferred from text", "behavior"),
        _coded("imminence", "imminence at the peak, inferred from text", "imminence"),
        _coded("selection_reason", "why the conversation was submitted", "selection_reason"),
        _key(
            "age_band",
            "age band; known minors are one band",
            lambda _: tuple(dict.fromkeys(PUBLIC_AGE_BANDS.values())),
            "age_band",
        ),
        _key("language", "primary language; those the plan does not list are `other`", lambda s: (*s.languages, OTHER, UNKNOWN)),
        _key("region", "region; those the plan does not list are `other`", lambda s: (*s.regions, OTHER, UNKNOWN)),
        _coded("surface", "kind of product", "surface"),
        _coded("tactic", "tactic of rephrasing", "tactic"),
        _coded("intervention", "type of intervention", "intervention"),
        _coded("layer", "layer of the product that acted", "layer"),
        _coded("ideation_before", "ideation just before the intervention, inferred from text", "ideation"),
        _coded("imminence_before", "imminence just before the intervention", "imminence"),
        _banded("depth_band", "turn of the event, in bands: of the intervention, or as the table says", DEPTH_BANDS),
        _banded("length_band", "turns of the whole conversation, in bands", DEPTH_BANDS),
        _banded("earlier_interventions", "interventions earlier in the conversation", EARLIER_BANDS),
        _made("failure_mode", "failure seen in the conversation", FAILURE_MODES),
        _made("stage", "how far the referral is known to have got", STAGES, frozenset({UNKNOWN})),
        _key("outcome", "value of the outcome", lambda s: s.outcome_values, "outcome_value", frozenset(OPEN_OUTCOMES)),
        _coded("bypassed", "whether a safeguard was got around", "bypassed", frozenset({UNKNOWN, "not_attempted"})),
        _made("ending", "how following the conversation ended", ENDINGS),
        _key("change_class", "class of registered model and product changes", lambda s: s.change_classes, "change_class"),
        _made("change_group", "whether the change was there, and where it was not", CHANGE_GROUPS),
    )
}
