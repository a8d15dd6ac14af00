"""What only the whole conversation shows: a name caught once is masked everywhere, and values split over turns are put together."""

import re
from collections.abc import Sequence

from anonymize.detect import Detector
from anonymize.introductions import introductions
from anonymize.mentions import Mentions, folded
from anonymize.spans import Span, merge
from anonymize.vocabulary import WORD, is_ordinary

_CARRIED = frozenset(("PERSON", "USERNAME", "EMAIL_ADDRESS", "ORGANIZATION", "LOCATION", "ADDRESS", "UNKNOWN_WORD"))
_ASKS_NAME = re.compile(
    r"(?:\b(?:what(?:'s|’s| is| should i call| can i call| do i call)|may i (?:ask|have|know)|can i (?:ask|have|get)|tell me)\b.{0,30}\b(?:name|call you|you)\b"
    r"|\b(?:my name is|name's|i'm called|call me|they call me|his name is|her name is|their name is)\s*[.…:,]*\s*$)",
    re.IGNORECASE,
)
_SHORT_ANSWER = re.compile(
    r"^\s*(?:(?:i'm|im|it's|its|call me|just|my name is|i am)\s+)?(?P<name>[^\W\d_][\w'’.-]*(?:\s[^\W\d_][\w'’.-]*){0,2})\s*[.!]?\s*$",
    re.IGNORECASE,
)
_TAIL = 40
_NEVER_CARRIED = frozenset(
    "the a an i me my you your he she it we they and or but if in on at to of "
    "for from with is was are be been am do did has have had not no so as by will can may".split()
)


def propagate(turns: Sequence[str], found: list[list[Span]]) -> list[list[Span]]:
    """Mask every other mention of each caught value: whole, and for names each part that is not an ordinary word."""
    values = _values(turns, found)
    if not values:
        return found
    mentions, values = Mentions(values), {folded(form): about for form, about in reversed(values.items())}
    result: list[list[Span]] = []
    for turn, spans in zip(turns, found, strict=True):
        extra = []
        for start, end in mentions(turn):
            entity, capital_only = values[folded(turn[start:end])]
            if not capital_only or _stands_as_name(turn, start, end):
                extra.append(Span(start, end, entity, 0.6))
        result.append(merge([*spans, *extra]) if extra else spans)
    return result


# Before a name that is an ordinary word in lower case ("tell guy", "hi faith").
_ADDRESSED = re.compile(
    r"(?:^|\b(?:want|tell|told|ask|asked|miss|hi|hey|hello|dear|thanks|thank you|sorry|hate|call|called|text|texted|met|"
    r"friend|boyfriend|girlfriend|partner|husband|wife|sister|brother|cousin|son|daughter),?) $",
    re.IGNORECASE,
)
# After a name that begins a sentence: a comma that addresses it, nothing (it signs), or what a person does.
_ACTS = re.compile(r", |[.!]?\s{0,3}$| (?:said|says|told|asked|works|worked|thinks|called|calls|texted|texts)\b")


def _stands_as_name(turn: str, start: int, end: int) -> bool:
    if turn[start].isupper():
        return _ACTS.match(turn, end) is not None or not _begins_sentence(turn, start)
    return _ADDRESSED.search(turn[max(0, start - 14) : start]) is not None and start > 0


def _begins_sentence(turn: str, at: int) -> bool:
    before = turn[:at].rstrip(" \"'“*-–—")
    return not before or before[-1] in ".!?…\n:"


def _values(turns: Sequence[str], found: Sequence[Sequence[Span]]) -> dict[str, tuple[str, bool]]:
    """Give each form to look for, with its entity and whether only a capitalised mention counts."""
    values: dict[str, tuple[str, bool]] = {}
    for turn, spans in zip(turns, found, strict=True):
        for span in spans:
            if span.entity not in _CARRIED:
                continue
            value = turn[span.start : span.end].strip().lower()
            if len(value) > 1 and len(value) <= 80 and not value.isdigit() and value not in _NEVER_CARRIED:
                values.setdefault(value, (span.entity, is_ordinary(value)))
            if span.entity not in ("PERSON", "USERNAME", "EMAIL_ADDRESS"):
                continue
            for word in WORD.findall(turn[span.start : span.end].split("@")[0]):
                lowered = re.sub(r"['’]s$", "", word.lower())
                if len(lowered) < 2 or lowered in _NEVER_CARRIED:
                    continue
                if span.entity == "PERSON":
                    values.setdefault(lowered, ("PERSON", is_ordinary(lowered)))
                elif len(lowered) > 3 and not is_ordinary(lowered) and lowered not in ("gmail", "hotmail", "yahoo", "mail"):
                    values.setdefault(lowered, ("PERSON", False))
    return values


def across_turns(turns: Sequence[str], found: list[list[Span]], detector: Detector, language: str) -> list[list[Span]]:
    """Find values that begin in one turn and end in the next: a number in two halves, a name that answers a question."""
    result = [list(spans) for spans in found]
    for number in range(len(turns) - 1):
        for step in (1, 2):
            if number + step < len(turns):
                _halves(turns, number, number + step, result, detector, language)
        if _ASKS_NAME.search(turns[number][-200:]):
            answer = _SHORT_ANSWER.match(turns[number + 1])
            if answer and not all(is_ordinary(word) for word in WORD.findall(answer.group("name"))):
                result[number + 1].append(Span(*answer.span("name"), "PERSON", 0.7))
    if language == "en":
        for number, span in introductions(turns):
            result[number].append(span)
    return [merge(spans) for spans in result]


def _halves(turns: Sequence[str], first: int, second: int, result: list[list[Span]], detector: Detector, language: str) -> None:
    head = turns[first].rstrip(" .…-,")
    tail = turns[second].lstrip(" .…-,")
    if not head or not tail or not head[-1].isdigit() or not tail[0].isdigit():
        return
    head_start, tail_start = max(0, len(head) - _TAIL), len(turns[second]) - len(turns[second].lstrip(" .…-,"))
    piece = tail[:_TAIL]
    joined = head[head_start:] + " " + piece
    border = len(head) - head_start
    for span in detector.patterns(joined, language):
        if span.start < border < span.end - 1:
            result[first].append(Span(head_start + span.start, len(head), span.entity, span.score))
            result[second].append(Span(tail_start, tail_start + span.end - border - 1, span.entity, span.score))


def without_helplines(turns: Sequence[str], found: list[list[Span]], detector: Detector) -> list[list[Span]]:
    """Cut reviewed services out once more: propagation may have reached into one."""
    return [detector.without_helplines(turn, spans) if spans else spans for turn, spans in zip(turns, found, strict=True)]
