"""One to three words that follow each other, as numbers: 64 bits of a keyed SHA-256 stand for a word, a mix of them for a term.

So no text lies in a table or on a disk, and words are looked at once. A pool of 10^8 terms has two of one number with a
probability of 3 in 10^4, and nobody who lacks the sampling secret can make such a pair.
"""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from aggregate.terms.tokens import BREAK, is_spaceless, join, runs_of, words_of, words_of_run
from aggregate.terms.vocabulary import Vocabulary

Prints = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]

LENGTH = 3
_BREAK = np.int32(-1).tobytes()
_TURN_LIMIT = 500_000  # words and runs that are remembered: what repeats is among them


class _Runs(dict[str, bytes]):
    """The numbers of the words of each run of text, as bytes, made when first asked for."""

    def __init__(self, words: "Words") -> None:
        self._words = words

    def __missing__(self, run: str) -> bytes:
        numbers = [self._words.number(word) if word else -1 for word in words_of_run(run)]
        self[run] = found = np.array(numbers, np.int32).tobytes()
        return found


@dataclass
class Words:
    """Words as they come, numbered, with their prints. Forgets all where it has grown large: numbers hold within one `read`."""

    vocabulary: Vocabulary
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._runs = _Runs(self)
        self._numbers: dict[str, int] = {}
        self._prints: list[int] = []
        self._new: list[bool] = []
        self._edge: list[bool] = []

    def number(self, word: str) -> int:
        """The number of a word."""
        found = self._numbers.get(word)
        if found is None:
            found = self._numbers[word] = len(self._numbers)
            digest = hmac.digest(self.secret, word.encode("utf-8", "surrogatepass"), hashlib.sha256)
            self._prints.append(int.from_bytes(digest[:8], "little"))
            self._new.append(not self.vocabulary.knows(word))
            self._edge.append(word not in self.vocabulary.function)
        return found

    def read(self, turns: Sequence[str], owners: Places) -> "Grams":
        """All terms of some turns that may count, each with its turn's owner."""
        if max(len(self._numbers), len(self._runs)) > _TURN_LIMIT:
            self._forget()
        told = [b"".join(map(self._runs.__getitem__, runs_of(turn))) for turn in turns]
        words = np.frombuffer(_BREAK.join((*told, b"")), np.int32)
        lengths = np.array([len(numbers) // 4 + 1 for numbers in told], np.int64)
        return self._grams(words, np.repeat(owners, lengths))

    def print_of(self, term: str) -> int:
        """The print of a term. A function of secret and term alone."""
        words = [self.number(word) for word in words_of(term) if word != BREAK]
        prints = np.array(self._prints, np.uint64)[words]
        found = prints[:1]
        for place in range(1, len(words)):
            found = _fold(found, prints[place : place + 1])
        return int(found[0])

    def _grams(self, words: npt.NDArray[np.int32], owners: Places) -> "Grams":
        prints, new, edge = np.array(self._prints, np.uint64), np.array(self._new, bool), np.array(self._edge, bool)
        starts = np.flatnonzero(words >= 0)
        last, found = starts, prints[words[starts]] if len(starts) else np.zeros(0, np.uint64)
        singles = new[words[starts]] if len(starts) else np.zeros(0, bool)
        parts = [(starts[singles], found[singles], 1)]
        for length in range(2, LENGTH + 1):
            follows = last + 1 < len(words)
            starts, last, found = starts[follows], last[follows] + 1, found[follows]
            whole = words[last] >= 0 if len(last) else np.zeros(0, bool)
            starts, last, found = starts[whole], last[whole], found[whole]
            if len(starts):
                found = _fold(found, prints[words[last]])
                counts = edge[words[starts]] & edge[words[last]]
                parts.append((starts[counts], found[counts], length))
        places = np.concatenate([part[0] for part in parts])
        return Grams(
            owners=owners[places],
            prints=np.concatenate([part[1] for part in parts]),
            lengths=np.concatenate([np.full(len(part[0]), part[2], np.int8) for part in parts]),
            places=places,
            words=words,
            spelled=tuple(self._numbers),
        )


@dataclass(frozen=True)
class Grams:
    """Terms in the order of their lengths, then of the text: whose each is, its print, its length in words."""

    owners: Places = field(repr=False)
    prints: Prints = field(repr=False)
    lengths: npt.NDArray[np.int8] = field(repr=False)
    places: Places = field(repr=False)
    words: npt.NDArray[np.int32] = field(repr=False)
    spelled: tuple[str, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.prints)

    def text(self, number: int) -> str:
        """One of them as it is written."""
        start = int(self.places[number])
        return join(tuple(self.spelled[word] for word in self.words[start : start + int(self.lengths[number])]))


def prints_of(words: Words, terms: Iterable[str]) -> Prints:
    """Prints of some terms, sorted."""
    return np.sort(np.fromiter((words.print_of(term) for term in terms), np.uint64))


def is_among(prints: Prints, known: Prints) -> npt.NDArray[np.bool_]:
    """Which prints are among some that are sorted."""
    if not len(known):
        return np.zeros(len(prints), bool)
    at = np.minimum(np.searchsorted(known, prints), len(known) - 1)
    return np.asarray(known[at] == prints, bool)


def mixed(numbers: Prints) -> Prints:
    """A permutation of all numbers of 64 bits that looks like chance (the finalizer of SplitMix64)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(numbers ^ (numbers >> np.uint64(31)), np.uint64)


def _fold(before: Prints, word: Prints) -> Prints:
    return np.asarray(mixed(before + np.uint64(0x9E3779B97F4A7C15)) + word, np.uint64)


def multi_word(vocabulary: Vocabulary) -> list[str]:
    """Terms of the vocabulary that are several words here: with a hyphen, or of a script without spaces."""
    return [term for term in vocabulary.terms if " " in term or (is_spaceless(term) and len(words_of(term)) > 1)]
