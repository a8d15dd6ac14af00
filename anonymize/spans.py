"""Spans: what a layer found, and how overlapping findings become one answer."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

WITHHELD_ENTITY = "WITHHELD"


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """One finding over a text: `text[start:end]` is an `entity`. It never holds the text itself."""

    start: int
    end: int
    entity: str
    score: float


class Cover:
    """Tells in logarithmic time whether a place lies whole inside one of some ranges."""

    def __init__(self, ranges: Iterable[tuple[int, int]]) -> None:
        ordered = sorted(ranges)
        self._starts = [start for start, _ in ordered]
        self._furthest = list(accumulate((end for _, end in ordered), max))

    def holds(self, start: int, end: int) -> bool:
        """Whether any one range begins at or before `start` and ends at or after `end`."""
        before = bisect_right(self._starts, start)
        return before > 0 and self._furthest[before - 1] >= end


def cover_of(spans: Iterable[Span]) -> Cover:
    """The cover of the places of spans."""
    return Cover((span.start, span.end) for span in spans)


def merge(spans: Iterable[Span]) -> list[Span]:
    """Turn overlapping findings into disjoint ones, in order.

    The union of what any layer found is covered: an overlap is never a reason to uncover a character. The entity is that of the
    best-scored, then longest, member of each overlapping group.
    """
    merged: list[Span] = []
    best = Span(0, 0, "", 0.0)
    for span in sorted(spans):
        if merged and span.start < merged[-1].end:
            last = merged[-1]
            if (span.score, span.end - span.start) > (best.score, best.end - best.start):
                best = span
            merged[-1] = Span(last.start, max(last.end, span.end), best.entity, best.score)
        else:
            merged.append(span)
            best = span
    return merged


def subtract(spans: Sequence[Span], kept: Sequence[tuple[int, int]]) -> list[Span]:
    """Cut the `kept` ranges (helplines) out of the spans; what is left of a span stays a span."""
    if not kept:
        return list(spans)
    result: list[Span] = []
    for span in spans:
        pieces = [(span.start, span.end)]
        for low, high in kept:
            pieces = [
                piece
                for start, end in pieces
                for piece in ((start, min(end, low)), (max(start, high), end))
                if piece[0] < piece[1]
            ]
        result.extend(Span(start, end, span.entity, span.score) for start, end in pieces)
    return result


def trim(text: str, spans: Iterable[Span]) -> list[Span]:
    """Drop white space and lone punctuation from the edges of spans, and spans that hold nothing else."""
    result: list[Span] = []
    for span in spans:
        start, end = span.start, span.end
        while start < end and not (text[start].isalnum() or text[start] in "@+#("):
            start += 1
        while end > start and not (text[end - 1].isalnum() or text[end - 1] in ")/_"):
            end -= 1
        if start < end:
            result.append(span if (start, end) == (span.start, span.end) else Span(start, end, span.entity, span.score))
    return result
