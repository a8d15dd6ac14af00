"""Names that are ordinary words: one turn gives the word as a name might be given, another addresses somebody by it."""

import re
from collections.abc import Sequence

from anonymize.recognizers.names import stands_for_itself
from anonymize.spans import Span

_WORD = r"[^\W\d_][\w'’-]{1,20}"
_GIVEN = re.compile(
    rf"\b(?:i'm|i’m|im|i am|this is|call me|name is|name's|names) (?P<name>{_WORD})(?=[.,!\n]|$| (?:and|but|again|here|from)\b)",
    re.IGNORECASE,
)
_CALLED_BY = re.compile(
    r"(?:(?:^|(?<=[.!?] )|(?<=\n))(?P<first>[A-ZÀ-Þ][\w'’-]{1,20})(?=, (?i:are|do|did|can|could|would|will|have|please|thank|you|how|what|where|is there)\b)|(?<=, )(?P<last>[A-ZÀ-Þ][\w'’-]{1,20})(?=[.!?]|$))"
)
_SIGNED = re.compile(rf"(?:^|[.!?\n]\s{{0,3}})[-–—~]{{0,2}} ?(?P<name>{_WORD})[.!]?\s{{0,5}}$")
# What is said of oneself and also begins an answer: "i'm sure", "Sure, ..."; "im ok", "Okay, ...".
_ANSWERS = frozenset(
    "sure good great fine alright true cool nice honest honestly exactly absolutely perfect fair interesting amazing awesome curious glad "
    "grateful welcome easy hard weird strange funny lovely wonderful beautiful excellent understood agreed done ready first second next "
    "finally".split()
)


def introductions(turns: Sequence[str]) -> list[tuple[int, Span]]:
    """Give `(turn, span)` of each word that one turn gives like a name and another turn addresses somebody by."""
    given = _places(turns, _GIVEN)
    called = _places(turns, _CALLED_BY) if given else {}
    names = {
        word
        for word in given.keys() & called.keys()
        if {turn for turn, _, _ in given[word]} != {turn for turn, _, _ in called[word]} and _can_be_name(word)
    }
    if not names:
        return []
    signed = _places(turns, _SIGNED)
    return [
        (turn, Span(start, end, "PERSON", 0.7))
        for word in sorted(names)
        for places in (given[word], called[word], signed.get(word, []))
        for turn, start, end in places
    ]


def _can_be_name(word: str) -> bool:
    return word not in _ANSWERS and not word.endswith(("ed", "ing", "ly")) and not stands_for_itself(word)


def _places(turns: Sequence[str], pattern: re.Pattern[str]) -> dict[str, list[tuple[int, int, int]]]:
    places: dict[str, list[tuple[int, int, int]]] = {}
    for number, turn in enumerate(turns):
        for match in pattern.finditer(turn):
            start, end = match.span(match.lastgroup or 0)
            places.setdefault(turn[start:end].lower(), []).append((number, start, end))
    return places
