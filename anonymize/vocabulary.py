"""Ordinary words: what a text may hold without any model having to look at it.

`ordinary_words_en.txt` was derived, not collected: words of wordfreq's English list that the token classifier, asked in four
neutral carrier sentences, does not take for any private thing; words that are also usual given names were then taken out.
The list says only that a word alone names nobody. It is no name list, and no name list was used to write any rule here.
"""

import re
from functools import cache, lru_cache
from pathlib import Path

WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_HARDLY_EVER = 2.8e-8
_SUFFIXES = frozenset(("s", "t", "re", "ve", "ll", "d", "m", "em", "all", "know"))


@cache
def ordinary_words() -> frozenset[str]:
    """Read the packaged lists once per process."""
    folder = Path(__file__).parent
    words: set[str] = set()
    for name in ("ordinary_words_en.txt", "ordinary_terms_en.txt"):
        text = (folder / name).read_text(encoding="utf-8")
        words.update(line for line in text.splitlines() if line and not line.startswith("#"))
    return frozenset(words)


def is_ordinary(word: str) -> bool:
    """Say whether one word, in any case, is an ordinary English word or a contraction or plural of one."""
    return _is_ordinary_lower(word.lower())


def _is_ordinary_lower(word: str) -> bool:
    words = ordinary_words()
    if word in words:
        return True
    for mark in ("'", "’"):
        base, found, suffix = word.partition(mark)
        if found and suffix in _SUFFIXES:
            return base in words or (suffix == "t" and base[:-1] in words)
    if word.endswith("s") and len(word) > 4 and word[:-1] in words:
        return True
    # A stretched word ("sooo", "pleaseee").
    if len(word) > 4 and word[-1] == word[-2] == word[-3]:
        return word.rstrip(word[-1]) + word[-1] in words or word.rstrip(word[-1]) + 2 * word[-1] in words
    return False


def unexplained(text: str) -> list[tuple[int, int]]:
    """Give the ranges of the words in `text` that are not ordinary, and of the numbers of three and more digits."""
    words = ordinary_words()
    ranges: list[tuple[int, int]] = []
    for match in WORD.finditer(text):
        lowered = match.group().lower()
        if lowered not in words and not _is_ordinary_lower(lowered):
            ranges.append(match.span())
    return ranges


@cache
def _frequencies(language: str = "en") -> dict[str, float]:
    from wordfreq import get_frequency_dict

    frequencies: dict[str, float] = get_frequency_dict(language, "best")
    return frequencies


def is_common(word: str, least: float = 1e-6, language: str = "en") -> bool:
    """Say whether a word is used at least `least` of the time in a language (1e-6: once in a million words)."""
    return _frequencies(language).get(word.lower(), 0.0) >= least


def is_unheard_of(word: str) -> bool:
    """Say whether no English word list knows a word, even as a slip of the keys or an ordinary stem with an ending."""
    lowered = word.lower()
    if len(lowered) < 4 or _frequencies().get(lowered, 0.0) > _HARDLY_EVER or is_typo_of_ordinary(lowered):
        return False
    for ending in ("ing", "ed", "er", "est", "ly", "ness", "ish", "less", "able", "in", "y", "ies", "es", "s"):
        stem = lowered.removesuffix(ending)
        if stem != lowered and len(stem) > 2 and (is_common(stem) or is_common(stem + "e") or is_common(stem[:-1])):
            return False
    return not re.search(r"(.)\1\1", lowered)


@lru_cache(maxsize=20_000)
def is_typo_of_ordinary(word: str) -> bool:
    """Say whether a word of five and more letters is one edit away from an ordinary word of five and more (a slip of the keys)."""
    return one_edit_from(word.lower(), ordinary_words())


def one_edit_from(lowered: str, words: frozenset[str]) -> bool:
    """Say whether a lower-case word of five to twenty-four letters is one letter more, less, other or exchanged from one of `words`."""
    if not 5 <= len(lowered) <= 24 or not lowered.isascii():
        return False
    letters = "abcdefghijklmnopqrstuvwxyz"
    for place in range(len(lowered)):
        head, tail = lowered[:place], lowered[place:]
        if head + tail[1:] in words:
            return True
        if len(tail) > 1 and head + tail[1] + tail[0] + tail[2:] in words:
            return True
        for letter in letters:
            if head + letter + tail[1:] in words or head + letter + tail in words:
                return True
    return False
