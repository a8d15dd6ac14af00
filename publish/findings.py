"""What the brief looks for: a family of comparisons that the plan alone fixes, and the claims that the cells support."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import comb

from publish.cells import Cell, ReleaseCells
from publish.claims import ORDERED_KEYS, Claim, ClaimChecker, Difference, Kind, Quantity, Trend
from publish.news import news_candidates
from publish.wording import Direction
from schemas.keys import ALL, DEPTH_BANDS
from schemas.plan import Measure, ReleasePlan
from schemas.tables import TABLES, Status

REFERENCE = "no_intervention"
_MORE: Mapping[Direction, str] = {Direction.HIGHER: "more", Direction.LOWER: "less"}
_MOVED: Mapping[Direction, str] = {Direction.HIGHER: "rose", Direction.LOWER: "fell"}


@dataclass(frozen=True)
class Question:
    """An outcome that the brief asks about: its value, its words, and whether `no intervention` is a fair reference."""

    outcome: str
    words: str
    title: str
    compared: bool


QUESTIONS: Mapping[str, Question] = {
    "risk_trajectory": Question("deescalated", "risk going down", "Risk went down", True),
    "user_reply": Question("engaged", "an engaged reply", "Engaged reply", True),
    "resource_opened": Question("yes", "the crisis resource being opened", "Crisis resource opened", False),
}


@dataclass(frozen=True)
class Finding:
    """One supported claim, rendered, with what it was about."""

    claim: Claim
    sentence: str
    topic: str
    size: float

    @property
    def cells(self) -> str:
        """Its cells in one line: what they share, and where they differ."""
        named = [dict(quantity.cell.keys) for quantity in self.claim.quantities.values()]
        table = next(iter(self.claim.quantities.values())).cell.table
        shared = {k: v for k, v in named[0].items() if all(other.get(k) == v for other in named)}
        own = {k: [other.get(k, ALL) for other in named] for k in named[0] if k not in shared}
        parts = [f"{k} = {v}" for k, v in shared.items()] + [f"{k} = {' | '.join(listed)}" for k, listed in own.items()]
        return f"{table}: {', '.join(parts)}"


def intervention_measures(plan: ReleasePlan) -> tuple[Measure, ...]:
    """Measures with a marginal of intervention by outcome, in the order of the plan."""
    wanted = {"intervention", "outcome"}
    return tuple(m for m in plan.measures if m.outcome_kind in QUESTIONS and any(set(g) == wanted for g in m.marginals))


def depth_measures(plan: ReleasePlan) -> tuple[Measure, ...]:
    """Measures with a marginal of depth by outcome."""
    wanted = {"depth_band", "outcome"}
    return tuple(m for m in plan.measures if m.outcome_kind in QUESTIONS and any(set(g) == wanted for g in m.marginals))


def outcome_cell(measure: Measure, **keys: str) -> Cell:
    """The cell of the outcome that the brief asks about, at some keys."""
    told = {"outcome_kind": measure.outcome_kind, "window": measure.window, "outcome": QUESTIONS[measure.outcome_kind].outcome}
    return Cell.of(measure.table, {**told, **keys})


def intervention_cells(cells: ReleaseCells, measure: Measure) -> list[Cell]:
    """The outcome by intervention, in the order of the contract."""
    found = [c for m, g, listed in cells.marginals if m is measure and set(g) == {"intervention", "outcome"} for c in listed]
    return [c for c in found if c.code("outcome") == QUESTIONS[measure.outcome_kind].outcome]


def length_bands(measure: Measure) -> tuple[str, ...]:
    """Length bands in which a trend over depth can be asked: those that hold at least three depth bands."""
    asked = any(set(g) == {"depth_band", "length_band", "outcome"} for g in measure.marginals)
    return tuple(band for band, _ in DEPTH_BANDS[2:]) if asked else ()


def depth_cells(measure: Measure, length_band: str | None = None) -> list[Cell]:
    """The outcome by depth, over all lengths or within one; depths beyond the length do not occur."""
    bands = [band for band, _ in DEPTH_BANDS]
    if length_band is None:
        return [outcome_cell(measure, depth_band=band) for band in bands]
    return [outcome_cell(measure, depth_band=b, length_band=length_band) for b in bands[: bands.index(length_band) + 1]]


def family_size(cells: ReleaseCells) -> int:
    """How many comparisons the brief looks at: fixed by the plan, before any number is seen."""
    compared = [m for m in intervention_measures(cells.plan) if QUESTIONS[m.outcome_kind].compared]
    pairs = sum(len(intervention_cells(cells, m)) - 1 for m in compared)
    return pairs + sum(1 + len(length_bands(m)) for m in depth_measures(cells.plan))


def _intervention_candidates(cells: ReleaseCells) -> Iterator[tuple[str, Claim]]:
    for measure in intervention_measures(cells.plan):
        question = QUESTIONS[measure.outcome_kind]
        reference = Quantity(outcome_cell(measure, intervention=REFERENCE))
        for cell in intervention_cells(cells, measure) if question.compared else []:
            if cell == reference.cell:
                continue
            for direction, word in _MORE.items():
                text = (
                    f"After “{{a.intervention}}”, {question.words} was seen {word} often than after “{{b.intervention}}”: "
                    "{a} against {b}; difference {d}."
                )
                asserted = (Difference("d", "a", "b", direction),)
                yield measure.name, Claim(Kind.ASSOCIATION, text, {"a": Quantity(cell), "b": reference}, asserted)


def _depth_claims(cells: ReleaseCells, listed: list[Cell], where: str, words: str) -> Iterator[Claim]:
    told = [Quantity(cell) for cell in listed if cells.read(cell).status == Status.OK and cells.read(cell).rate is not None]
    names = tuple(f"band{place}" for place in range(len(told)))
    if len(told) < 3:
        return
    for direction, word in _MOVED.items():
        text = (
            f"{where}, the share of {words} {word} with depth: {{{names[0]}}} at turns {{{names[0]}.depth_band}}, "
            f"{{{names[-1]}}} at turns {{{names[-1]}.depth_band}}."
        )
        yield Claim(Kind.ASSOCIATION, text, dict(zip(names, told, strict=True)), (Trend(names, direction),))


def _depth_candidates(cells: ReleaseCells) -> Iterator[tuple[str, Claim]]:
    for measure in depth_measures(cells.plan):
        words = QUESTIONS[measure.outcome_kind].words.replace("an engaged reply", "engaged replies")
        for claim in _depth_claims(cells, depth_cells(measure), "Over all conversations", words):
            yield measure.name, claim
        for band in length_bands(measure):
            listed = depth_cells(measure, band)
            where = "Within conversations of {band0.length_band} turns"
            for claim in _depth_claims(cells, listed, where, words):
                yield f"{measure.name}/length", claim


def _values(cells: ReleaseCells) -> Iterator[tuple[str, Claim]]:
    for measure in intervention_measures(cells.plan):
        question = QUESTIONS[measure.outcome_kind]
        if not question.compared:
            cell = outcome_cell(measure, intervention="crisis_resource_referral")
            text = f"After “{{a.intervention}}”, {question.words} was seen in {{a}}, where it is known."
            yield measure.name, Claim(Kind.DESCRIPTIVE, text, {"a": Quantity(cell)})


def registered(cells: ReleaseCells) -> frozenset[frozenset[Quantity]]:
    """What every comparison and trend of the brief's own family is about."""
    candidates = (claim for _, claim in (*_intervention_candidates(cells), *_depth_candidates(cells)))
    return frozenset(frozenset(claim.quantities.values()) for claim in candidates)


class StaffChecker(ClaimChecker):
    """Checks what staff claim. They may pick anything, so all that anyone could ask counts as looked at.

    What the brief itself looks at keeps the brief's family.
    """

    def __init__(self, cells: ReleaseCells) -> None:
        super().__init__(cells, open_family(cells))
        self._own, self._own_size = registered(cells), family_size(cells)

    def family(self, compared: Sequence[Quantity]) -> int:
        """The brief's family for its own comparisons, the open one for all others."""
        return self._own_size if frozenset(compared) in self._own else self.comparisons


def open_family(cells: ReleaseCells) -> int:
    """How many comparisons and trends anyone could ask of a release: fixed by the plan, before any number is seen."""
    found = 0
    for measure, marginal, listed in cells.marginals:
        columns = 2 if TABLES[measure.table].rate_key(marginal) else 1
        for key in marginal:
            lines = Counter(cell.without(key) for cell in listed)
            found += columns * sum(comb(length, 2) + (key in ORDERED_KEYS and length > 2) for length in lines.values())
    return found


def find(cells: ReleaseCells) -> list[Finding]:
    """Every claim of the brief's family that the cells support, each with its rendered sentence."""
    checker = ClaimChecker(cells, family_size(cells))
    found = []
    for topic, claim in (*_intervention_candidates(cells), *_depth_candidates(cells), *_values(cells)):
        if not checker.objections(claim):
            first = claim.asserts[0] if claim.asserts else None
            size = abs(checker.compare(claim, first).value) if isinstance(first, Difference) else 0.0
            found.append(Finding(claim, checker.render(claim), topic, size))
    news = ((topic, claim, size) for topic, claim, size in news_candidates(cells) if not checker.objections(claim))
    return found + [Finding(claim, checker.render(claim), topic, size) for topic, claim, size in news]
