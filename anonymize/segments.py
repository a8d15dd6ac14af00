"""Cut a text into the pieces that models read: a few sentences each, never more than the budget, overlapping only inside a sentence."""

import re

# A sentence ends where its mark is followed by white space; not after a title, an initial or a number. Of a run of marks only
# the first two are begun with, and nothing is gone back on: that finds the same, in linear time.
_END = re.compile(
    r"(?<![\s.][A-Za-z])(?<!\b[Dd]r)(?<!\b[Mm]r)(?<!\b[Mm]s)(?<!\b[Ss]t)(?<!\bMrs)(?<!\bmrs)(?<!\bNo)"
    r"(?<![.!?…]{2})[.!?…]++[\"'”’)]*+\s++|\n+"
)
_TARGET = 120


def segments_of(text: str, most: int, overlap: int) -> list[tuple[int, int]]:
    """Give `(start, end)` of the pieces, covering the text. Depends on this text alone."""
    if len(text) <= _TARGET:
        return [(0, len(text))]
    pieces: list[tuple[int, int]] = []
    start = 0
    for end in (*(match.end() for match in _END.finditer(text)), len(text)):
        if end - start > most:
            pieces.extend(_windows(text, start, end, most, overlap))
            start = end
        elif end - start >= _TARGET:
            pieces.append((start, end))
            start = end
    if start < len(text):
        if pieces and len(text) - pieces[-1][0] <= most:
            pieces[-1] = (pieces[-1][0], len(text))
        else:
            pieces.append((start, len(text)))
    return pieces


def _windows(text: str, start: int, end: int, most: int, overlap: int) -> list[tuple[int, int]]:
    windows: list[tuple[int, int]] = []
    while end - start > most:
        stop = start + most
        space = text.rfind(" ", start + most // 2, stop)
        if space > 0:
            stop = space
        windows.append((start, stop))
        back = text.find(" ", stop - overlap, stop)
        start = back + 1 if back >= 0 else stop - overlap
    windows.append((start, end))
    return windows
