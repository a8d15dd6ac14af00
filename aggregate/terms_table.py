"""The table of found terms, from stored answers and reviewers' decisions alone: a fixed function of them, no data are read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aggregate.answer import Answer, NoisyRound, NoisyTracked
from aggregate.intervals import count_interval, growth_interval, selected_count, z_value
from aggregate.tabulation import as_table, status_of
from aggregate.withholding import CompanyRules
from schemas.derived_tables import TERMS
from schemas.plan import RegisteredPlan
from schemas.stages import NoisyTable
from schemas.tables import Status

TermKey = tuple[str, str]
"""Whose turns it was found in, and the term."""

History = Sequence[tuple[RegisteredPlan, Answer]]
"""Plans of earlier quarters that a plan goes on from, newest first, each with its answer (`aggregate.measurement.earlier`)."""


@dataclass(frozen=True)
class FoundTerm:
    """One term with what may be told of it, should a reviewer let it out. `row` has the columns of `emerging_terms` but `audience`."""

    speaker: str
    term: str = field(repr=False)
    is_new: bool
    row: Mapping[str, Any] = field(repr=False)

    @property
    def key(self) -> TermKey:
        """By what it is decided on."""
        return self.speaker, self.term


def found_terms(plan: RegisteredPlan, answer: Answer, before: History) -> tuple[FoundTerm, ...]:
    """Every term that a plan found or follows, with its numbers, sorted by key. It holds what users wrote: not to be published.

    New terms tell the mass that was over the threshold, with an interval that knows they were seen because it was. Terms that
    are followed tell all users, under the company rules of cells, and their growth where the quarter before counted all
    users of the very same companies by the very same list.
    """
    found: dict[TermKey, FoundTerm] = {}
    speakers = _speakers(plan)
    for drawn in answer.rounds:
        for word, value in zip(drawn.words, drawn.values, strict=True):
            speaker = speakers[drawn.search]
            row = {"first_seen": plan.quarter, **_new(drawn, value, plan)}
            found[speaker, word] = _found(speaker, word, True, row)
    first_seen, counted = _first_seen(before), _counted_before(plan, answer, before)
    for tracked in answer.tracked:
        noise, speaker = tracked.scale / plan.privacy.unit.weight_scale, speakers[tracked.search]
        counts = _counts(tracked, plan)
        for word in tracked.words:
            row = _followed(counts.get(word), counted.get((speaker, word)), noise, plan)
            found[speaker, word] = _found(
                speaker, word, False, {"first_seen": first_seen.get((speaker, word), plan.quarter), **row}
            )
    return tuple(found[key] for key in sorted(found))


def terms_table(found: Iterable[FoundTerm], audiences: Mapping[TermKey, str], plan: RegisteredPlan) -> NoisyTable:
    """The table of the terms that `audiences` names, each with its audience; others are left out of it."""
    rows = [{**each.row, "audience": audiences[each.key]} for each in found if each.key in audiences]
    return as_table(TERMS, rows, plan)


def _found(speaker: str, word: str, is_new: bool, row: Mapping[str, Any]) -> FoundTerm:
    return FoundTerm(speaker, word, is_new, {"speaker": speaker, "term": word, **row})


def _speakers(plan: RegisteredPlan) -> dict[str, str]:
    return {name: search.speaker for search in plan.release_plan.terms for name in (search.name, search.tracked)}


def _new(drawn: NoisyRound, value: int, plan: RegisteredPlan) -> dict[str, Any]:
    step = plan.privacy.unit.weight_scale
    noise, threshold = drawn.scale / step, drawn.threshold / step
    estimate, interval = selected_count(value / step, threshold, noise, plan.privacy.confidence)
    return {
        "estimate": estimate,
        "noise_stddev": noise,
        "ci_low": interval.low,
        "ci_high": interval.high,
        "status": str(status_of(estimate, noise, plan)),
    }


def _followed(count: float | None, before: tuple[float, float] | None, noise: float, plan: RegisteredPlan) -> dict[str, Any]:
    if count is None:
        return {"status": str(Status.TOO_FEW_COMPANIES)}
    z = z_value(plan.privacy.confidence)
    interval = count_interval(count, noise, z)
    row: dict[str, Any] = {
        "estimate": count,
        "noise_stddev": noise,
        "ci_low": interval.low,
        "ci_high": interval.high,
        "status": str(status_of(count, noise, plan)),
    }
    growth = growth_interval((count, noise), before, z) if before else None
    if growth is not None:
        row |= {"growth": growth.value, "growth_ci_low": growth.interval.low, "growth_ci_high": growth.interval.high}
    return row


def _counts(tracked: NoisyTracked, plan: RegisteredPlan) -> dict[str, float]:
    """Counts of all users, of the terms for which the company rules hold."""
    step = plan.privacy.unit.weight_scale
    rules = CompanyRules.of_each(tracked, plan)
    return {
        word: value / step
        for word, value, rule in zip(tracked.words, tracked.values, rules, strict=True)
        if CompanyRules.hold([rule])
    }


def _counted_before(plan: RegisteredPlan, answer: Answer, before: History) -> dict[TermKey, tuple[float, float]]:
    """What the quarter before told of all users of the same companies by the same list, with its noise: only that is compared with.

    A user's weight is shared among the terms of the list that they wrote: with another list it is another one.
    """
    if not before or not plan.panel or before[0][0].panel != plan.panel:
        return {}
    earlier, then = before[0]
    step, speakers = earlier.privacy.unit.weight_scale, _speakers(earlier)
    lists = {tracked.search: frozenset(tracked.words) for tracked in answer.tracked}
    return {
        (speakers[tracked.search], word): (count, tracked.scale / step)
        for tracked in then.tracked
        if frozenset(tracked.words) == lists.get(tracked.search)
        for word, count in _counts(tracked, earlier).items()
    }


def _first_seen(before: History) -> dict[TermKey, str]:
    found: dict[TermKey, str] = {}
    for plan, answer in before:  # newest first: the earliest stays
        speakers = _speakers(plan)
        found |= {(speakers[drawn.search], word): plan.quarter for drawn in answer.rounds for word in drawn.words}
    return found
