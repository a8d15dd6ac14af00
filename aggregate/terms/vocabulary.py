"""Public vocabulary: words that are no news, from wordfreq's lists (Speer 2022). A term that stands in one is subtracted."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from aggregate.terms.tokens import BREAK, is_spaceless, join, words_of

KNOWN, FUNCTION = 100_000, 100
"""So many of a language's most frequent words are known, and so many are function words: no phrase begins or ends with one."""


@dataclass(frozen=True)
class Vocabulary:
    """What is known before any data are read: `terms` as they are written here, and `function` words among them."""

    terms: frozenset[str]
    function: frozenset[str]

    def knows(self, word: str) -> bool:
        """Whether a word is known, or all parts that its apostrophes join are (`j'ai`, `today's`)."""
        return word in self.terms or ("'" in word and all(part in self.terms for part in word.split("'")))


@lru_cache(maxsize=4)
def vocabulary(languages: Sequence[str], known: int = KNOWN) -> Vocabulary:
    """The public vocabulary of some languages (a tuple); a language that wordfreq has no list of adds nothing."""
    from wordfreq import available_languages, top_n_list

    listed = available_languages("best")
    terms, function = set[str](), set[str]()
    for language in languages:
        ranked = top_n_list(language, known) if language in listed else []
        spelled = [_as_here(word) for word in ranked]
        terms |= set(spelled)
        function |= set(spelled[:FUNCTION])
    return Vocabulary(frozenset(terms - {BREAK}), frozenset(function - {BREAK}))


def _as_here(word: str) -> str:
    if word.isalpha() and not is_spaceless(word):  # wordfreq's words are in NFKC and folded in case
        return word
    words = words_of(word)
    return BREAK if BREAK in words else join(tuple(words))
