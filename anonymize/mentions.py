"""Where any of many values stands in a text: by looking up, so that ten thousand names cost what ten do."""

import re
from collections.abc import Iterable, Iterator

# Before a mention stands no letter or digit; after it neither, but for a genitive or plural s.
_START = re.compile(r"(?<![^\W_])\S")
_END = re.compile(r"(?:['’]?s)?(?![^\W_])", re.IGNORECASE)
_SAME = str.maketrans("ſςµ", "sσμ")  # pairs of letters that differ in form alone, in lower case too
_HEAD = 2


class Mentions:
    """Finds whole mentions of `values`, in any case; of several that begin at one place, the longest."""

    def __init__(self, values: Iterable[str]) -> None:
        self._values = frozenset(map(folded, values))
        self._lengths = sorted({len(value) for value in self._values}, reverse=True)
        self._heads = frozenset(value[:_HEAD] for value in self._values)

    def __call__(self, text: str) -> Iterator[tuple[int, int]]:
        """Disjoint ranges, in order."""
        plain, last = folded(text), 0
        for begun in _START.finditer(text):
            start = begun.start()
            if start >= last and plain[start : start + _HEAD] in self._heads and (end := self._end(text, plain, start)):
                yield start, end
                last = end

    def _end(self, text: str, plain: str, start: int) -> int:
        for length in self._lengths:
            end = start + length
            if end <= len(text) and plain[start:end] in self._values and _END.match(text, end):
                return end
        return 0


def folded(text: str) -> str:
    """A text without its case, of the same length."""
    lowered = text.lower()
    if len(lowered) != len(text):  # İ becomes two
        lowered = "".join(letter.lower()[0] for letter in text)
    return lowered.translate(_SAME)
