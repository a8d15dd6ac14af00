"""What words may say: numbers, comparisons and causes are for claims; some wording, addresses and names for nowhere."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property


class Direction(StrEnum):
    """Which way a comparison or a trend goes."""

    HIGHER = "higher"
    LOWER = "lower"


def _words(*words: str) -> re.Pattern[str]:
    # A space in a phrase is any white space: a line may break there.
    return re.compile(r"\b(?:" + "|".join(words).replace(" ", r"\s+") + r")\b", re.I)


_DIRECTIONS: Mapping[Direction, re.Pattern[str]] = {
    Direction.HIGHER: _words(
        *"more higher greater larger oftener most best highest largest greatest majority".split(),
        *"rise[sn]? rising rose gr[eo]w grows growing grown growth climb\\w* surg\\w+ soar\\w* spik\\w+ exceed\\w*".split(),
        *"doubl\\w+ trebl\\w+ tripl\\w+ outnumber\\w* outweigh\\w* increas\\w+ rais(?:es|ed|ing) boost\\w*".split(),
    ),
    Direction.LOWER: _words(
        *"less lesser fewer lower smaller rarer least worst lowest smallest fewest minority".split(),
        *"falls? fell falling fallen fad(?:es?|ed|ing) drop(?:s|ped|ping)? declin\\w+ halv(?:es?|ed|ing) plung\\w+".split(),
        *"shrinks? shrank shrinking dwindl\\w+ vanish\\w* reduc\\w+ decreas\\w+ lower(?:s|ed|ing) curb\\w*".split(),
    ),
}
_COMPARES = _words(
    *"than versus vs compared twice thrice equal equally alike better worse stronger weaker unlike outperform\\w*".split(),
    "as (?:often|much|many|common|rare|likely|frequent(?:ly)?|high|low) as",
    "no difference",
)
_CAUSAL = _words(
    *"works? worked working caus\\w+ effects? effective\\w* impact\\w* reduc\\w+ prevent\\w* improv\\w+ because therefore".split(),
    *"help(?:s|ed|ing)? protect\\w* sav(?:e|es|ed|ing) rais(?:es|ed|ing) lower(?:s|ed|ing) increas\\w+ decreas\\w+ mak(?:es|ing)".split(),
    *"made trigger\\w* driv(?:es|en|ing) drove deters? deterred brings? brought boost\\w* curb\\w* benefit\\w* harms? harmed".split(),
    *("thanks to", "due to", "leads? to", "leading to", "led to", "results? in", "resulted in", "resulting in", "so that"),
)
_NUMBER = _words(
    *"two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty sixty seventy eighty ninety".split(),
    *"dozens? hundreds? thousands? millions? half halves percent percentage per\\scent".split(),
    "(?:one|a|every) (?:in|out of)",
    "(?:a|one) (?:third|quarter|fifth|tenth) of",
)
# What guidance on reporting suicide advises against (WHO 2023; reportingonsuicide.org). No word here is about a method.
_HARMFUL = _words(
    *(
        "commit(?:s|ted|ting)? suicide",
        "(?:un)?successful(?:ly)?",
        "(?:failed|botched) (?:suicide |attempts?)",
        "suicide victims?",
    ),
    *("epidemics?", "skyrocket\\w*", "contagio\\w+", "cry for help", "suicidals", "attention[- ]seek\\w+", "easy way out"),
    *("crazy", "insane", "lunatics?", "completed suicide", "chose suicide", "final exit", "at peace now"),
)
_ADDRESS = re.compile(
    r"https?:|www\.|\b[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:com|org|net|info|io|ai|gov|edu|app|chat|[a-z]{2})\b|\S@|(?<!\w)@\w", re.I
)
_MARKUP = re.compile(r"[<>`\\|\[\]]|&#?\w+;|!\(|^\s*(?:~~~|---|===)", re.M)


def directions_said(text: str) -> set[Direction]:
    """Ways that the words of a text point."""
    return {direction for direction, words in _DIRECTIONS.items() if words.search(text)}


def compares(text: str) -> bool:
    """Whether the words of a text compare, whichever way."""
    return _COMPARES.search(text) is not None


def is_causal(text: str) -> bool:
    """Whether the words of a text speak of causes."""
    return _CAUSAL.search(text) is not None


def holds_number(text: str) -> bool:
    """Whether a number stands in a text, in digits of any script, as a fraction, or in words."""
    return any(character.isnumeric() or character in "%‰" for character in text) or _NUMBER.search(text) is not None


@dataclass(frozen=True)
class Text:
    """A text as its words are compared: one form for look-alikes, without marks that split words, and the line of each character."""

    characters: str
    lines: tuple[int, ...]

    @classmethod
    def of(cls, source: str) -> "Text":
        """Folds a text: compatibility forms become plain ones; invisible characters and marks of emphasis go."""
        characters, lines, line = [], [], 1
        for character in source:
            if unicodedata.category(character) not in ("Cf", "Mn") and character not in "*_":
                plain = unicodedata.normalize("NFKC", character)
                characters.append(plain)
                lines += [line] * len(plain)
            line += character == "\n"
        return cls("".join(characters), tuple(lines))

    def line(self, match: re.Match[str]) -> int:
        """The line on which a match begins."""
        start = match.start() + len(match.group()) - len(match.group().lstrip())
        return self.lines[min(start, len(self.lines) - 1)]

    def without(self, pattern: re.Pattern[str]) -> "Text":
        """The same text with spaces where a pattern is found."""
        return Text(pattern.sub(lambda found: " " * len(found.group()), self.characters), self.lines)


@dataclass(frozen=True)
class HouseRules:
    """What no text of a release may say, beside what is so everywhere.

    `companies`: names that must not stand; `withheld`: words that the pool's own people keep out of what is public; `helplines`:
    the listed help lines (`name`, `contact`), whose numbers and addresses may stand.
    """

    companies: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()
    helplines: tuple[Mapping[str, str], ...] = ()

    @cached_property
    def _names(self) -> re.Pattern[str]:
        return _any_of(self.companies)

    @cached_property
    def _own(self) -> re.Pattern[str]:
        return _any_of(self.withheld)

    @cached_property
    def listed(self) -> re.Pattern[str]:
        """Names of help lines, and their numbers and addresses where the words say that one calls or writes to them."""
        names = [line["name"] for line in self.helplines]
        contacts = [part for line in self.helplines for part in line["contact"].split(", ")]
        called = rf"\b(?:calls?|texts?|dials?|rings?|chats?|phones?|at|visit|see|or)\s+(?:\w+\s+to\s+)?(?:{_either(contacts)})"
        named = rf"(?:{_either(names)})(?:\s*[:(,]?\s*(?:{_either(contacts)}))?"
        return re.compile(rf"(?<!\w)(?:{named}|{called})(?!\w)", re.I)

    def broken(self, text: Text) -> list[tuple[int, str]]:
        """Lines of a text that break a rule which holds everywhere, with the reason. Fixed texts: no word of it is repeated."""
        text = text.without(self.listed)
        rules = (
            (self._names, "a company of the registry is named"),
            (self._own, "a word stands on the pool's own list of words that are not made public"),
            (_HARMFUL, "guidance on writing about suicide advises against this wording"),
            (_ADDRESS, "an address that is not one of a listed help line"),
            (_MARKUP, "markup other than headings, paragraphs, lists and emphasis"),
        )
        return [(text.line(found), reason) for pattern, reason in rules for found in pattern.finditer(text.characters)]

    def broken_outside_claims(self, text: Text) -> list[tuple[int, str]]:
        """Lines of what stands outside claims that say what only a claim may say, with the reason."""
        text = text.without(self.listed)
        number = re.compile(rf"[^\W\d_]*(?:\d|[%‰{_NUMERIC}])+|{_NUMBER.pattern}", re.I)
        rules = (
            (number, "a number outside a claim"),
            *((pattern, "a comparison or a direction outside a claim") for pattern in (*_DIRECTIONS.values(), _COMPARES)),
            (_CAUSAL, "a word for causes outside a claim"),
        )
        return [(text.line(found), reason) for pattern, reason in rules for found in pattern.finditer(text.characters)]


def _either(words: Iterable[str]) -> str:
    """A pattern for any of some phrases, however their parts are joined; one that nothing matches where there is none."""
    parts = (re.split(r"[\s._-]+", _folded(word)) for word in sorted(set(words), key=lambda w: (-len(w), w)) if word.strip())
    return "|".join(r"[\s._-]*".join(map(re.escape, filter(None, each))) for each in parts) or r"(?!)"


def _any_of(words: Iterable[str]) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{_either(words)})(?!\w)", re.I)


def _folded(word: str) -> str:
    return unicodedata.normalize("NFKC", word)


_NUMERIC = "".join(chr(n) for n in range(0x80, 0x3400) if chr(n).isnumeric() and not chr(n).isdecimal())
"""Numerals that are no digits: fractions, Roman and circled ones."""
