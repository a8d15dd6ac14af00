"""The checks of tables whose rows are no cells: what grows, which terms are new, what followed changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from publish.cells import Cell
from publish.derived import DERIVED, Row, cell_of
from schemas.columns import Column
from schemas.derived_tables import (
    BEFORE_AFTER,
    DESIGNS,
    DIFFERENCE,
    DIRECTIONS,
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
from schemas.errors import UsageError
from schemas.keys import ARM_WITH, ARM_WITHOUT, CHANGED_AFTER, CHANGED_BEFORE, OTHERS_AFTER, OTHERS_BEFORE
from schemas.periods import Quarter
from schemas.plan import Measure
from schemas.tables import CHANGES, Status, columns

if TYPE_CHECKING:
    from publish.checks import Inspection, Outcome

LONGEST_TERM, MOST_WORDS = 80, 3
_ABSENT: Final = (Status.TOO_FEW_COMPANIES, Status.NOT_COLLECTED, Status.NOT_COMPARABLE)
_GROUPS: Mapping[str, tuple[str, ...]] = {
    BEFORE_AFTER: (CHANGED_BEFORE, CHANGED_AFTER),
    DIFFERENCE: (CHANGED_BEFORE, CHANGED_AFTER, OTHERS_BEFORE, OTHERS_AFTER),
    RANDOMISED: (ARM_WITH, ARM_WITHOUT),
}
_RATIO = ("ratio", "ratio_ci_low", "ratio_ci_high")
_GROWTH = ("growth", "growth_ci_low", "growth_ci_high")
_OTHERS = ("others_before", "others_after")
_FIXED: Mapping[str, tuple[str, ...]] = {
    PATTERNS: ("direction", "share_before", "share_now", "q_value"),
    TERMS: ("estimate", "noise_stddev", "ci_low", "ci_high"),
    EFFECTS: ("rate_before", "rate_after", "effect", "ci_low", "ci_high", "detectable"),
}
"""What stands in every row that has numbers."""
_PUBLIC_FACTS = ("quarters_before",)  # numbers of quarters, which follow from which companies contributed when


def _rows(inspection: Inspection) -> Iterator[tuple[str, Row]]:
    return ((table, row) for table in DERIVED for _, row in inspection.cells.rows(table))


def _numbers(inspection: Inspection, table: str) -> list[Column]:
    return [c for c in columns(table, inspection.questions) if c.type == "float" and c.name not in _PUBLIC_FACTS]


def is_term(text: object) -> bool:
    """Whether a text has the form of a term: one to three words of letters, none of them a number or an address."""
    if not isinstance(text, str) or not text or len(text) > LONGEST_TERM:
        return False
    words = text.split(" ")
    plain = all(word and word.isprintable() and any(map(str.isalpha, word)) for word in words)
    return plain and len(words) <= MOST_WORDS and not any(c.isnumeric() or c in '@/\\<>{}[]|`"' for c in text)


def check_derived_text(inspection: Inspection) -> Outcome:
    """Columns of text hold declared codes, but for terms, which have the form of one and are public."""
    strange = 0
    quarter = str(inspection.measured.quarter)
    allowed: Mapping[str, Mapping[str, Any]] = {
        PATTERNS: {"direction": {None, *DIRECTIONS}},
        TERMS: {"speaker": {search.speaker for search in inspection.questions.terms}, "audience": {PUBLIC}},
        EFFECTS: {
            "change_class": set(inspection.questions.change_classes),
            "design": set(DESIGNS),
            "reading": set(READINGS.values()),
        },
    }
    for table, row in _rows(inspection):
        known = {"quarter": {quarter}, "status": set(map(str, Status)), **allowed[table]}
        strange += sum(row[name] not in codes for name, codes in known.items())
        if "first_seen" in row:
            strange += not _is_quarter(row["first_seen"], inspection.measured.quarter)
        if table == TERMS:
            strange += not is_term(row["term"])
        if table == EFFECTS:
            strange += row["reading"] != READINGS.get(row["design"])
    # Names of cells and outcomes are held against the plan by `derived_names`.
    return strange == 0, "All text is a code, or has the form of a term." if not strange else f"{strange} values are neither."


def _is_quarter(text: object, latest: Quarter) -> bool:
    try:
        return isinstance(text, str) and Quarter.parse(text) <= latest and text == str(Quarter.parse(text))
    except UsageError:
        return False


def check_derived_names(inspection: Inspection) -> Outcome:
    """Each row is there once and names what the plan asks for; one with numbers names a published cell, or a class that is compared."""
    wrong = 0
    names = Counter(cell for table in DERIVED for cell, _ in inspection.cells.rows(table))
    wrong += sum(count - 1 for count in names.values())
    patterns = _tested(inspection)
    outcomes = {outcome for m in inspection.questions.measures if m.table == CHANGES for outcome in _outcomes(inspection, m)}
    for table, row in _rows(inspection):
        if table == PATTERNS:
            cell = cell_of(row)
            if cell is None or cell not in patterns:
                wrong += 1
                continue
            reading = inspection.cells.read(cell)
            told = row["direction"] is not None or _holds_number(inspection, table, row)
            wrong += not reading.published and (told or row["status"] != reading.status)
        elif table == EFFECTS:
            wrong += (row["outcome_kind"], row["window"], row["outcome"]) not in outcomes
            if _holds_number(inspection, table, row):
                groups = _GROUPS.get(row["design"], ())
                wrong += not all(f"{row['change_class']}:{group}" in inspection.plan.compared for group in groups)
    return (
        wrong == 0,
        "Every row names what is published, once." if not wrong else f"{wrong} rows name what is not published, or twice.",
    )


def _tested(inspection: Inspection) -> set[Cell]:
    search = inspection.questions.patterns
    asked = search.measures if search else ()
    return {
        cell
        for measure, marginal, listed in inspection.cells.marginals
        if measure.name in asked and "week" not in marginal
        for cell in listed
    }


def _outcomes(inspection: Inspection, measure: Measure) -> list[tuple[str, str, str]]:
    scope = measure.scope(inspection.measured.quarter, inspection.questions)
    return [(measure.outcome_kind, measure.window, value) for value in scope.outcome_values]


def _holds_number(inspection: Inspection, table: str, row: Row) -> bool:
    return any(row[column.name] is not None for column in _numbers(inspection, table))


def check_derived_statuses(inspection: Inspection) -> Outcome:
    """A number of a derived table is missing exactly where its status, or what its column says, tells why."""
    wrong = 0
    for table, row in _rows(inspection):
        if row["status"] in _ABSENT:
            # Where companies came new the direction alone is told.
            alone = row["status"] == Status.TOO_FEW_COMPANIES and inspection.plan.newcomers > 0
            wrong += _holds_number(inspection, table, row) or (row.get("direction") is not None and not alone)
            continue
        wrong += any(row[name] is None for name in _FIXED[table])
        wrong += any(_torn(row, names) for names in (_RATIO, _GROWTH, _OTHERS))
        if table == PATTERNS:
            wrong += (row["ratio"] is None) != (row["status"] == Status.TOO_NOISY)
        if table == TERMS:
            wrong += row["growth"] is not None and row["first_seen"] == row["quarter"]
        if table == EFFECTS:
            wrong += (row["others_before"] is not None) != (row["design"] == DIFFERENCE)
    return (
        wrong == 0,
        "Numbers are missing exactly where it is said why." if not wrong else f"{wrong} rows contradict their status.",
    )


def _torn(row: Row, names: tuple[str, ...]) -> bool:
    """Whether some of these are there and some are not."""
    return len({row.get(name) is None for name in names}) > 1


def check_derived_numbers(inspection: Inspection) -> Outcome:
    """Numbers are finite and within their intervals, and what is called agrees with its q-value and the registered rate."""
    wrong = 0
    search = inspection.questions.patterns
    rate = search.false_discovery_rate if search else 0.0
    for table, row in _rows(inspection):
        numbers = {
            c.name: row[c.name] for c in columns(table, inspection.questions) if c.type == "float" and row[c.name] is not None
        }
        wrong += sum(not abs(value) < float("inf") for value in numbers.values())
        for value, low, high in (_RATIO, _GROWTH, *((name, "ci_low", "ci_high") for name in ("estimate", "effect"))):
            if all(name in numbers for name in (value, low, high)):
                wrong += not numbers[low] <= numbers[value] <= numbers[high]
        wrong += sum(
            numbers[name] <= 0 for name in ("noise_stddev", "detectable", "ratio_ci_high", "growth_ci_high") if name in numbers
        )
        wrong += sum(
            not 0 <= numbers[name] <= 1 for name in ("q_value", "rate_before", "rate_after", *_OTHERS) if name in numbers
        )
        wrong += numbers.get("detectable_ratio", 2.0) <= 1
        if "q_value" in numbers:
            wrong += _contradicts(row, rate)
    return wrong == 0, "All numbers are finite and agree with each other." if not wrong else f"{wrong} numbers break a rule."


def _contradicts(row: Row, rate: float) -> bool:
    """Whether a cell is called though its q-value does not say so, or the other way than its shares moved; or is not called."""
    direction, now, before = row["direction"], row["share_now"], row["share_before"]
    if (row["q_value"] <= rate) != (direction != NO_CHANGE_SEEN):
        return True
    return bool((direction == GROWING and now < before) or (direction == RECEDING and now > before))


def check_newcomers(inspection: Inspection) -> Outcome:
    """With 1 to K - 1 companies that came new no number compares with earlier quarters: it would tell of them alone."""
    newcomers, minimum = inspection.plan.newcomers, inspection.privacy.companies.minimum
    told = sum(_holds_number(inspection, PATTERNS, row) for _, row in inspection.cells.rows(PATTERNS))
    few = 0 < newcomers < minimum
    return not (few and told), f"{newcomers} companies came new; {told} cells have numbers that compare with earlier quarters."
