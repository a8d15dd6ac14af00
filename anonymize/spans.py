"""Spans: what a layer found, and how overlapping findings become one answer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WITHHELD_ENTITY = "WITHHELD"


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """One finding over a text: `text[start:end]` is an `entity`. It never holds the text itself."""

    start: int
    end: int
    entity: str
    score: float


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
