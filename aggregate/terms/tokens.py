"""Words of scrubbed text, in every script: what may stand in a term, and where a term breaks off.

A word is a run of letters and marks of one alphabet, with apostrophes inside, in NFKC and folded in case. In scripts that are
written without spaces each character is a word. Words follow each other where only blanks or a hyphen stand between them;
all else breaks: the end of a sentence or a turn, a placeholder of the scrub, and whatever looks like an identifier.
"""

import itertools
import re
import unicodedata
from functools import lru_cache

BREAK = ""
"""Stands where two words do not follow each other."""

LONGEST = 24
_PLACEHOLDER = re.compile(r"<[A-Z_]+(?:_\d{1,4}|:\d{4}|:90\+)?>")  # as the scrub writes them
_HYPHENS = frozenset("-\u2010\u2011")
_APOSTROPHES = frozenset("'\u2019\u02bc\u2018")
_OF_IDENTIFIERS = frozenset("@#_/\\<>=&%$+^`|~*")
_SPACELESS = re.compile(
    "(["
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"  # Myanmar
    "\u1780-\u17ff"  # Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"  # Hiragana, Katakana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "])"
)


def is_spaceless(word: str) -> bool:
    """Whether a word is of a script that is written without spaces: it joins such a neighbour without one."""
    return _SPACELESS.match(word) is not None


def join(words: tuple[str, ...]) -> str:
    """A term as it is written."""
    text = ""
    for before, word in zip((BREAK, *words), words, strict=False):
        text += word if not before or (is_spaceless(before) and is_spaceless(word)) else f" {word}"
    return text


def words_of(text: str) -> list[str]:
    """Words of a turn in order, `BREAK` where two do not follow each other."""
    return [word for run in runs_of(text) for word in words_of_run(run)]


def runs_of(text: str) -> list[str]:
    """What stands between blanks, in order; the end of a line is a run of its own."""
    return text.replace("\n", " . ").split()


def words_of_run(run: str) -> tuple[str, ...]:
    """Words of a run without blanks, whatever stands beside it: `BREAK` alone where it looks like an identifier."""
    if run.isascii() and run.isalpha() and run[1:].islower() and len(run) <= LONGEST:  # most runs: nothing to look for
        return (run.lower(),)
    normal = unicodedata.normalize("NFKC", run)
    if not _SPACELESS.search(normal):
        return tuple(_spaced(normal))
    words: list[str] = []
    pieces = [piece for piece in _SPACELESS.split(_PLACEHOLDER.sub(".", normal)) if piece]
    if any(_OF_IDENTIFIERS & set(piece) for piece in pieces):
        return (BREAK,)
    for piece in pieces:
        if not _SPACELESS.match(piece):
            words += _spaced(piece)
        elif piece.isalpha():
            words.append(piece)
        elif _is_mark(piece) and words and is_spaceless(words[-1]):
            words[-1] += piece
        else:
            words.append(BREAK)
    return tuple(words)


def _spaced(run: str) -> list[str]:
    words, word = list[str](), ""
    for place, letter in enumerate(run):
        follows = word != "" and run[place + 1 : place + 2].isalpha()
        category = "L" if letter.isalpha() else unicodedata.category(letter)
        if category == "L" or (word and category[0] == "M"):
            word += letter
        elif letter in _OF_IDENTIFIERS or category[0] == "N" or (letter == "." and follows):
            return [BREAK]
        elif letter in _APOSTROPHES and follows:
            word += "'"
        elif category != "Cf":  # joiners, soft hyphens and marks of direction are as if they were not there
            words += [_told(word)] if letter in _HYPHENS and follows else [_told(word), BREAK]
            word = ""
    return [*words, _told(word)] if word else words


def _told(word: str) -> str:
    """The word as it counts, or BREAK: too long, of two alphabets, or with a capital inside."""
    mixed = not word.isascii() and len({_alphabet(letter) for letter in word if letter.isalpha()} - {"MODIFIER"}) > 1
    camel = not word.islower() and any(a.islower() and b.isupper() for a, b in itertools.pairwise(word))
    if mixed or camel or len(word) > LONGEST:
        return BREAK
    return unicodedata.normalize("NFKC", word.casefold())


@lru_cache(maxsize=2**16)
def _alphabet(letter: str) -> str:
    return unicodedata.name(letter, "").split(" ")[0]


def _is_mark(letter: str) -> bool:
    return unicodedata.category(letter)[0] == "M"
