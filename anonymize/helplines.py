"""Helplines and public crisis services stay: they are the intervention that is measured, not someone's private number."""

import re
from collections.abc import Iterable
from datetime import date
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_DIGIT_RUN = re.compile(r"(?<![\w@])\+?\(?\d(?:[\d\s().\-‐-―]{0,24}\d)?(?!\w)")
_GROUP = re.compile(r"\d+")
_WORD = re.compile(r"[^\W_]+")
_MAX_GROUPS = 8
# Codes of so few digits stand in every second date and house number: they are kept only where they are the whole finding,
_SHORT = 4
# ... or where someone is told to call them.
_DIALLED = re.compile(
    r"\b(?:call|text|dial|ring|message|contact|reach)(?:ing)?(?: or (?:call|text|chat))?(?: to| at)?[ :*]{1,4}(?P<code>\d{3,4})(?![\w/-]*\d)",
    re.IGNORECASE,
)
_MAX_LEFT_OVER = 3


class Helpline(BaseModel):
    """One reviewed service: what it is called, how it is reached, and where that was read."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, Field(min_length=2)]
    region: Annotated[str, Field(pattern=r"^(?:[A-Z]{2}|001|EU)$")]
    numbers: tuple[Annotated[str, Field(pattern=r"^\+?[\d ]{2,20}$")], ...] = ()
    vanity: tuple[str, ...] = ()
    handles: tuple[str, ...] = ()
    urls: tuple[Annotated[str, Field(pattern=r"^[a-z0-9.-]+\.[a-z]{2,}$")], ...] = ()
    aliases: tuple[str, ...] = ()
    source: Annotated[str, Field(pattern=r"^https://")]
    reviewed: date


class Helplines:
    """Finds the reviewed services in a text, in any usual way of writing them."""

    def __init__(self, lines: Iterable[Helpline]) -> None:
        lines = tuple(lines)
        numbers = frozenset(form for line in lines for number in line.numbers for form in _forms(number, line.region))
        self._numbers = frozenset(digits for digits in numbers if len(digits) > _SHORT)
        self._short_numbers = frozenset(digits for digits in numbers if len(digits) <= _SHORT)
        self._urls = tuple(sorted({url for line in lines for url in line.urls}))
        literals = {line.name for line in lines}
        literals.update(item for line in lines for item in (*line.aliases, *line.vanity, *line.handles))
        self._literals = tuple(sorted((_plain(item) for item in literals), key=lambda item: (-len(item), item)))
        self._by_first_word: dict[str, list[str]] = {}
        for item in self._literals:
            self._by_first_word.setdefault(_first_word(item), []).append(item)
        self._url = re.compile(
            r"(?<![\w-])(?:https?://)?(?:[\w-]{1,40}\.){0,3}?(?:" + "|".join(map(re.escape, self._urls)) + r")(?![\w-])"
            r"(?:[/?#][^\s<>\"')]{0,200})?",
            re.IGNORECASE,
        )

    def kept(self, text: str) -> list[tuple[int, int]]:
        """Give the ranges of `text` that name or reach a reviewed service, for texts in which anything was found."""
        ranges: list[tuple[int, int]] = []
        if any(character.isdigit() for character in text):
            ranges.extend(self._number_ranges(text))
            ranges.extend(code.span("code") for code in _DIALLED.finditer(text) if code.group("code") in self._short_numbers)
        if "." in text:
            ranges.extend(match.span() for match in self._url.finditer(text))
        lowered = _plain(text)
        if len(lowered) == len(text):
            ranges.extend(self._literal_ranges(lowered))
        return sorted(ranges)

    def is_number(self, digits: str) -> bool:
        """Say whether a plain run of digits is, as a whole, a reviewed number, short codes ("988") included."""
        return digits in self._numbers or digits in self._short_numbers

    def _number_ranges(self, text: str) -> list[tuple[int, int]]:
        ranges: list[tuple[int, int]] = []
        for run in _DIGIT_RUN.finditer(text):
            groups = list(_GROUP.finditer(text, *run.span()))
            found: list[tuple[int, int]] = []
            uncovered = 0
            first = 0
            while first < len(groups):
                last = self._longest_number(groups, first)
                if last == first:
                    uncovered += len(groups[first].group())
                    first += 1
                    continue
                start = groups[first].start()
                while start > run.start() and text[start - 1] in "+(":
                    start -= 1
                found.append((start, groups[last - 1].end()))
                first = last
            # "116 123" inside a longer private number is no helpline: little may be left over (a country code, "24/7").
            if found and uncovered <= _MAX_LEFT_OVER:
                ranges.extend(found)
        return ranges

    def _longest_number(self, groups: list[re.Match[str]], first: int) -> int:
        """Give the end (in groups) of the longest reviewed number that begins at group `first`; `first` where none does."""
        for last in range(min(len(groups), first + _MAX_GROUPS), first, -1):
            if "".join(group.group() for group in groups[first:last]) in self._numbers:
                return last
        return first

    def _literal_ranges(self, lowered: str) -> list[tuple[int, int]]:
        ranges: list[tuple[int, int]] = []
        for word in _WORD.finditer(lowered):
            for literal in self._by_first_word.get(word.group(), ()):
                at = word.start() - literal.index(word.group())
                end = at + len(literal)
                if at >= 0 and lowered.startswith(literal, at) and not lowered[end : end + 1].isalnum():
                    ranges.append((at, end))
                    break
        return ranges


def _plain(text: str) -> str:
    return text.lower().replace("’", "'")


def _first_word(text: str) -> str:
    match = _WORD.search(text)
    return match.group() if match else ""


_COUNTRY_CODE = {
    "US": "1", "CA": "1", "GB": "44", "IE": "353", "AU": "61", "NZ": "64", "FR": "33", "DE": "49", "ES": "34", "PT": "351",
    "IT": "39", "BR": "55", "MX": "52", "AR": "54", "IN": "91", "ZA": "27", "JP": "81", "NL": "31", "BE": "32", "CH": "41",
    "AT": "43", "DK": "45", "SE": "46", "NO": "47", "FI": "358", "PL": "48", "HK": "852", "SG": "65",
}  # fmt: skip


def _forms(number: str, region: str) -> set[str]:
    """Give the digit strings under which one number is written: as listed, and with its country code."""
    digits = re.sub(r"\D", "", number)
    forms = {digits}
    code = _COUNTRY_CODE.get(region)
    if region in ("US", "CA") and len(digits) == 11 and digits.startswith("1"):
        forms.add(digits[1:])
    elif code and len(digits) >= 6:
        forms.update({code + digits.removeprefix("0"), "00" + code + digits.removeprefix("0")})
    return forms
