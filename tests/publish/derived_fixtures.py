"""Derived tables made by hand: what grows, which terms are new, what followed changes. Nonsense words, made-up numbers."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa

from publish.cells import ReleaseCells
from publish.content import table_names
from schemas.derived_tables import (
    BEFORE_AFTER,
    DESIGNS,
    DIFFERENCE,
    EFFECTS,
    GROWING,
    NO_CHANGE_SEEN,
    PATTERNS,
    PUBLIC,
    RANDOMISED,
    READINGS,
    RECEDING,
    TERMS,
)
from schemas.emerging import PatternSearch, TermSearch
from schemas.keys import ALL
from schemas.parameters import PrivacyParameters
from schemas.periods import Quarter
from schemas.plan import ReleasePlan
from schemas.stages import MeasuredRelease, NoisyTable
from schemas.tables import CHANGES, Status, columns

Row = dict[str, Any]
WEEKLY = "week"


def asking_all(questions: ReleasePlan, privacy: PrivacyParameters) -> tuple[ReleasePlan, PrivacyParameters]:
    """A plan that asks for every declared table, with a split that names all of it."""
    plan = questions.model_dump(mode="json", by_alias=True)
    if questions.patterns is None:
        asked = [measure.name for measure in questions.measures]
        plan["patterns"] = PatternSearch(false_discovery_rate=0.1, quarters=4, measures=tuple(asked)).model_dump()
    if not questions.terms:
        plan["terms"] = [TermSearch(name=f"{s}_terms", speaker=s, most=20).model_dump(mode="json") for s in ("user", "assistant")]
    if CHANGES not in {measure.table for measure in questions.measures}:
        plan["change_classes"] = ["new_model_release", "system_prompt", "classifier"]
        measure = {
            "name": "change_user_reply",
            "table": CHANGES,
            "event": "change_outcome",
            "estimand": "share_of_user",
            "outcome_kind": "user_reply",
            "window": "next_turn",
            "marginals": [["change_class", "change_group", "outcome"]],
        }
        plan["measure"].append(measure)
    made = ReleasePlan.model_validate(plan)
    names = [m.name for m in made.measures] + [name for t in made.terms for name in (t.name, t.tracked)]
    missing = [name for name in names if name not in privacy.split]
    split = {name: str(share) for name, share in privacy.split.items()} | dict.fromkeys(missing, "4/100")
    deltas = {search.name: str(privacy.threshold_split.get(search.name, "1/2")) for search in made.terms}
    parameters = privacy.model_dump(mode="json") | {"split": split, "threshold_split": deltas}
    return made, PrivacyParameters.model_validate(parameters)


def with_derived(measured: MeasuredRelease, quarters: int) -> MeasuredRelease:
    """The same release with the derived tables that its plan asks for; compared with `quarters` earlier ones."""
    rows = {PATTERNS: _patterns(measured, quarters), TERMS: _terms(measured, quarters), EFFECTS: _effects(measured, quarters)}
    plan, made = measured.plan.release_plan, list(measured.tables)
    for name, found in rows.items():
        if name in table_names(plan):
            schema = pa.schema([(c.name, pa.float64() if c.type == "float" else pa.string()) for c in columns(name, plan)])
            made.append(NoisyTable(name, pa.Table.from_pylist(list(found), schema=schema)))
    return replace(measured, tables=tuple(made))


def _patterns(measured: MeasuredRelease, quarters: int) -> Iterator[Row]:
    search, cells = measured.plan.release_plan.patterns, ReleaseCells(measured)
    quarter, called = str(measured.quarter), 0
    for measure, marginal, listed in cells.marginals:
        if search is None or measure.name not in search.measures or WEEKLY in marginal:
            continue
        for place, cell in enumerate(listed):
            reading = cells.read(cell)
            told = quarters >= 2 and reading.status == Status.OK and reading.estimate is not None
            kind = [GROWING, RECEDING][called % 2] if told and place % 5 == 0 and called < 6 else NO_CHANGE_SEEN
            called += kind != NO_CHANGE_SEEN
            ratio = {GROWING: 1.9, RECEDING: 0.55, NO_CHANGE_SEEN: 1.04}[kind] if told else None
            status = reading.status if not reading.published else Status.OK if told else Status.NOT_COMPARABLE
            yield {
                "quarter": quarter,
                "of_table": cell.table,
                "outcome_kind": cell.code("outcome_kind"),
                "window": cell.code("window"),
                "keys": ",".join(marginal),
                "codes": ",".join(cell.code(key) for key in marginal),
                "direction": kind if told else None,
                "share_before": 0.1 if told else None,
                "share_now": 0.1 * ratio if ratio else None,
                "ratio": ratio,
                "ratio_ci_low": 0.8 * ratio if ratio else None,
                "ratio_ci_high": 1.25 * ratio if ratio else None,
                "q_value": (0.6 if kind == NO_CHANGE_SEEN else 0.02) if told else None,
                "detectable_ratio": 1.4 + 0.02 * (place % 9) if told else None,
                "quarters_before": float(quarters) if told else None,
                "first_seen": str(Quarter(measured.quarter.year - 1, measured.quarter.number) if told else measured.quarter),
                "status": status,
            }


NEW_TERM, GROWN_TERM, FLAT_TERM = "blorven", "quindle sarp", "mivash"


def _terms(measured: MeasuredRelease, quarters: int) -> Iterator[Row]:
    """A new term of users, one that grew, one that did not, one that is withheld this time, and one of assistants; none in a first release."""
    if not quarters:
        return
    none = dict.fromkeys(("estimate", "noise_stddev", "ci_low", "ci_high", "growth", "growth_ci_low", "growth_ci_high"))
    quarter = str(measured.quarter)
    before = str(Quarter(measured.quarter.year - 1, measured.quarter.number))
    common = {"quarter": quarter, "audience": PUBLIC, "status": Status.OK}
    number = {"estimate": 61.0, "noise_stddev": 9.0, "ci_low": 43.0, "ci_high": 79.0}
    yield none | common | number | {"speaker": "assistant", "term": "plome", "first_seen": quarter}
    yield none | common | number | {"speaker": "user", "term": NEW_TERM, "first_seen": quarter}
    grown = {"growth": 2.4, "growth_ci_low": 1.7, "growth_ci_high": 3.3}
    flat = {"growth": 1.1, "growth_ci_low": 0.8, "growth_ci_high": 1.5}
    yield none | common | number | flat | {"speaker": "user", "term": FLAT_TERM, "first_seen": before}
    yield none | common | number | grown | {"speaker": "user", "term": GROWN_TERM, "first_seen": before}
    withheld = {"speaker": "user", "term": "trelby", "first_seen": before, "status": Status.TOO_FEW_COMPANIES}
    yield none | common | withheld


def _effects(measured: MeasuredRelease, quarters: int) -> Iterator[Row]:
    """For each class another best design; one is too small to be told, the randomised one is not."""
    plan = measured.plan.release_plan
    for measure in plan.measures:
        if measure.table != CHANGES:
            continue
        outcomes = measure.scope(measured.quarter, plan).outcome_values
        for place, change in enumerate(plan.change_classes):
            for design in DESIGNS:
                for outcome in outcomes:
                    collected = measure.outcome_kind not in measured.plan.not_collected
                    told = quarters > 0 and collected and outcome == "engaged" and list(DESIGNS).index(design) == place
                    effect = {BEFORE_AFTER: 0.012, DIFFERENCE: -0.081, RANDOMISED: 0.094}[design]
                    others = told and design == DIFFERENCE
                    status = Status.OK if told else Status.NOT_COMPARABLE if collected else Status.NOT_COLLECTED
                    yield {
                        "quarter": str(measured.quarter),
                        "change_class": change,
                        "design": design,
                        "outcome_kind": measure.outcome_kind or ALL,
                        "window": measure.window or ALL,
                        "outcome": outcome,
                        "rate_before": 0.4 if told else None,
                        "rate_after": 0.4 + effect if told else None,
                        "others_before": 0.41 if others else None,
                        "others_after": 0.41 if others else None,
                        "effect": effect if told else None,
                        "ci_low": effect - 0.03 if told else None,
                        "ci_high": effect + 0.03 if told else None,
                        "detectable": 0.045 if told else None,
                        "reading": READINGS[design],
                        "status": status,
                    }
