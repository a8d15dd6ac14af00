"""How the English recognizers read the words after a cue: which of them can be a name."""

import re

from anonymize.vocabulary import is_ordinary, is_typo_of_ordinary

# The score of a name that its cue alone makes one, even if it is an ordinary word ("call me Rose").
CUED = 0.75

NAME_WORD = re.compile(r"[^\W\d_]+(?:['’.-][^\W\d_]+)*", re.UNICODE)
_GAP = re.compile(r"[ \t]{1,2}(?:(?:van|von|de|del|della|di|da|dos|bin|al|el|la|le|der|den|ter|mac|o)[ \t])?", re.IGNORECASE)
_PARTICLE = frozenset(
    [
        "van",
        "von",
        "de",
        "del",
        "della",
        "di",
        "da",
        "dos",
        "bin",
        "al",
        "el",
        "la",
        "le",
        "der",
        "den",
        "ter",
        "mac",
        "st",
        "saint",
    ]
)
_NEVER = frozenset(
    [
        "i",
        "a",
        "the",
        "and",
        "or",
        "but",
        "so",
        "if",
        "my",
        "your",
        "his",
        "her",
        "their",
        "our",
        "it",
        "im",
        "ive",
        "dont",
        "is",
        "was",
        "were",
        "are",
        "to",
        "of",
        "in",
        "on",
        "at",
    ]
)


def name_run(text: str, start: int, *, most: int, capital_is_enough: bool, typo_is_name: bool = True) -> tuple[int, int] | None:
    """Give the run of up to `most` name words that begins exactly at `start`, or nothing.

    A word can be a name if it is not ordinary. With `capital_is_enough`, a capitalised ordinary word in a text that has lower-case
    letters too is one as well ("Dr Young").
    """
    end = start
    position = start
    count = 0
    mixed_case = not text.isupper()
    while count < most:
        match = NAME_WORD.match(text, position)
        if match is None:
            break
        word = match.group()
        lowered = word.lower()
        if lowered in _PARTICLE and count < most - 1 and _leads_to_a_name(text, match.end()):
            position = match.end() + 1
            continue
        base = re.sub(r"['’]s$", "", word)
        if lowered in _NEVER or not base:
            break
        capital = mixed_case and base[0].isupper() and capital_is_enough and len(base) > 1
        # A particle can be the family name itself ("Amir Van"), where the cue is sure and nothing follows that it could lead to.
        particle = count > 0 and capital_is_enough and lowered in _PARTICLE
        if is_ordinary(base) and not capital and not particle:
            break
        if not capital and not typo_is_name and is_typo_of_ordinary(base):
            break
        end = match.start() + len(base)
        count += 1
        gap = _GAP.match(text, match.end())
        if gap is None or len(base) != len(word):
            break
        position = gap.end() if not gap.group().strip() else match.end() + 1
    return (start, end) if end > start else None


def _leads_to_a_name(text: str, end: int) -> bool:
    """ "de la Cruz": a particle counts where a word that can be a name follows it."""
    ahead = NAME_WORD.match(text, end + 1)
    return ahead is not None and text[end : end + 1] in " \t" and not is_ordinary(ahead.group())
