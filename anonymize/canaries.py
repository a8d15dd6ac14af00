"""Synthetic private values, planted in every batch: if one survives, the batch is stopped.

They are made from syllables and a seed, so they belong to nobody and stand in no list.
"""

import random
from dataclasses import dataclass, field

_ONSET = ("b", "br", "d", "dr", "f", "g", "k", "kr", "l", "m", "n", "p", "r", "s", "t", "v", "z", "th", "sh")
_VOWEL = ("a", "e", "i", "o", "u", "ai", "eo", "ia")
_CODA = ("", "l", "n", "r", "s", "k", "m", "x")


@dataclass(frozen=True, slots=True)
class Canary:
    """One planted turn, and the value that must not be in what comes out."""

    turn: str = field(repr=False)
    value: str = field(repr=False)


def canaries(count: int, seed: str) -> list[Canary]:
    """Make `count` canaries of a dozen kinds; the same seed gives the same ones."""
    chance = random.Random(seed)  # noqa: S311 - no secret: the values only have to be new
    made: list[Canary] = []
    kinds = (_name, _short_name, _phone, _email, _handle, _card, _address, _record, _birthday, _link, _spelled, _hidden)
    for number in range(count):
        made.append(kinds[number % len(kinds)](chance))
    return made


def _word(chance: random.Random, syllables: int) -> str:
    return "".join(chance.choice(_ONSET) + chance.choice(_VOWEL) + chance.choice(_CODA) for _ in range(syllables))


def _digits(chance: random.Random, count: int) -> str:
    return str(chance.randint(2, 9)) + "".join(str(chance.randint(0, 9)) for _ in range(count - 1))


def _name(chance: random.Random) -> Canary:
    value = f"{_word(chance, 2).title()} {_word(chance, 3).title()}"
    return Canary(f"hi, my name is {value} and i need to talk", value)


def _short_name(chance: random.Random) -> Canary:
    value = _word(chance, 3)
    return Canary(f"my sister {value} is worried about me", value)


def _phone(chance: random.Random) -> Canary:
    value = f"({_digits(chance, 3)}) {_digits(chance, 3)}-{_digits(chance, 4)}"
    return Canary(f"my number is {value}, text me", value)


def _email(chance: random.Random) -> Canary:
    value = f"{_word(chance, 2)}.{_word(chance, 2)}@{_word(chance, 3)}.org"
    return Canary(f"write to {value} please", value)


def _handle(chance: random.Random) -> Canary:
    value = f"{_word(chance, 2)}_{_word(chance, 2)}{_digits(chance, 2)}"
    return Canary(f"my discord is {value}", value)


def _card(chance: random.Random) -> Canary:
    value = "4" + _digits(chance, 15)
    return Canary(f"they took my card {value}", value)


def _address(chance: random.Random) -> Canary:
    value = f"{_digits(chance, 4)} {_word(chance, 3).title()} Street"
    return Canary(f"i live at {value}", value)


def _record(chance: random.Random) -> Canary:
    value = f"{_digits(chance, 8)}"
    return Canary(f"my patient id is {value}", value)


def _birthday(chance: random.Random) -> Canary:
    value = f"19{chance.randint(50, 99)}-0{chance.randint(1, 9)}-1{chance.randint(0, 9)}"
    return Canary(f"dob: {value}", value)


def _link(chance: random.Random) -> Canary:
    value = f"https://{_word(chance, 3)}.com/{_word(chance, 3)}"
    return Canary(f"they posted it on {value}", value)


def _spelled(chance: random.Random) -> Canary:
    names = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    value = " ".join(names[int(digit)] for digit in _digits(chance, 10))
    return Canary(f"call me on {value}", value)


def _hidden(chance: random.Random) -> Canary:
    name, host = _word(chance, 3), _word(chance, 3)
    value = f"{name} [at] {host} [dot] com"
    return Canary(f"mail me: {value}", value)
