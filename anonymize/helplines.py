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
# ... or where someone is told to call them,
_DIALLED = re.compile(
    r"(?:\b(?:call|text|dial|ring|message|contact|reach|use)(?:ing|ed)?(?: or (?:call|text|chat))?(?: out)?(?: to| at)?"
    r"|\b(?:appel|compos)(?:er?|ez|é)(?: le| au)?|\b(?:llam|marc)(?:a|ar|e|é)(?: al?)?(?: n[úu]mero)?|\blig(?:ue|ar?)(?: para)?(?: o)?"
    r"|\bchiam(?:a|are|ate)(?: il| lo)?|\b(?:ruf|wähl)(?:e|en)?(?: die)?)[ :*]{1,4}(?P<code>\d{3,4})(?![\w/-]*\d)",
    re.IGNORECASE,
)
# ... or where several stand side by side ("911/112").
_CHOICE = re.compile(r"(?<![\w.,@+#‐-―-])(?<!\d/)\d{3,6}(?: ?/ ?\d{3,6}){1,5}(?![\w/‐-―-]|[.,]\d)")
_ADDRESS = re.compile(r"\w\.\w")
_MAX_LEFT_OVER = 3
# A name of so many words is no turn of phrase ("Mind", "What's Up").
_SPEAKING_NAME = 3
# No part of a longer number, sum or word.
_ALONE = r"(?<![\w.,$€£#@+‐-―-])(?<!\d )(?P<code>{codes})(?![\w%‐-―-]|[.,:]\d| \d)"
# Between the marks of a list or a sentence: what precedes a street has a space after it.
_LISTED = r"(?:^|(?<=[/\n:(;|•*])|(?<=[/\n:(;|•*–-] )|(?<=\bor ))(?P<code>{codes})(?=\s*(?:$|[\n/);:|])|[.!?,](?:\s|$))(?!/\d)"


class Helpline(BaseModel):
    """One reviewed service: what it is called, how it is reached, and where that was read."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, Field(min_length=2)]
    region: Annotated[str, Field(pattern=r"^(?:[A-Z]{2}|001|EU)$")]
    numbers: tuple[Annotated[str, Field(pattern=r"^\+?[\d ]{2,20}$")], ...] = ()
    unmistakable: tuple[Annotated[str, Field(pattern=r"^\d{3,4}$")], ...] = ()
    vanity: tuple[str, ...] = ()
    handles: tuple[str, ...] = ()
    urls: tuple[Annotated[str, Field(pattern=r"^[a-z0-9.-]+\.[a-z]{2,}(?:/[A-Za-z0-9._-]+)*$")], ...] = ()
    aliases: tuple[str, ...] = ()
    source: Annotated[str, Field(pattern=r"^https://")]
    reviewed: date


class Helplines:
    """Finds the reviewed services in a text, in any usual way of writing them."""

    def __init__(self, lines: Iterable[Helpline]) -> None:
        lines = tuple(lines)
        # Digits as written -> number as listed; of two lines that share one the first is told.
        self._numbers: dict[str, str] = {}
        for line in lines:
            for number in line.numbers:
                for form in _forms(number, line.region):
                    self._numbers.setdefault(form, number)
        codes = "|".join(sorted({code for line in lines for code in line.unmistakable})) or r"(?!)"
        self._alone, self._listed = re.compile(_ALONE.format(codes=codes)), re.compile(_LISTED.format(codes=codes), re.MULTILINE)
        # Domain -> its listed paths, longest first.
        self._paths: dict[str, tuple[str, ...]] = {}
        for url in sorted({url for line in lines for url in line.urls}):
            domain, _, path = url.partition("/")
            known = self._paths.get(domain, ())
            self._paths[domain] = tuple(sorted((*known, path) if path else known, key=lambda item: (-len(item), item)))
        self._url = re.compile(
            r"(?<![\w@-])(?P<scheme>https?://)?(?P<www>www\.)?(?P<below>(?:[\w-]{1,40}\.){1,3}?)?"
            r"(?P<domain>"
            + "|".join(map(re.escape, self._paths))
            + r")(?![\w-]|(?-i:\.[a-z0-9]))(?P<rest>[/?#][^\s<>\"')]{0,300})?",
            re.IGNORECASE,
        )
        # A name of digits alone ("1737") is a number, and read as one.
        names = {name for line in lines for name in (line.name, *line.aliases) if not name.isdigit()}
        written = {item for line in lines for item in (*line.vanity, *line.handles)}
        # Plain form -> form as listed; names that are a turn of phrase do not speak for themselves.
        self._literals = {_plain(item): item for item in sorted(names | written)}
        self._speaking = {_plain(item) for item in written} | {
            _plain(item) for item in names if len(item.split()) >= _SPEAKING_NAME
        }
        self._by_first_word: dict[str, list[str]] = {}
        for plain in sorted(self._literals, key=lambda item: (-len(item), item)):
            self._by_first_word.setdefault(_first_word(plain), []).append(plain)

    def kept(self, text: str) -> list[tuple[int, int]]:
        """Give the ranges of `text` that name or reach a reviewed service, for texts in which anything was found.

        Of an address only scheme, domain and a listed path: what else stands in it can tell who wrote it.
        """
        ranges: list[tuple[int, int]] = []
        if any(character.isdigit() for character in text):
            ranges.extend((start, end) for start, end, _ in self._number_ranges(text))
            ranges.extend((start, end) for start, end, _ in self._code_ranges(text))
            ranges.extend(code.span("code") for code in self._listed.finditer(text))
        if _ADDRESS.search(text):
            ranges.extend(part for match in self._url.finditer(text) for part in self._of_address(match)[0])
        ranges.extend((start, end) for start, end, _ in self._literal_ranges(text))
        return sorted(ranges)

    def beside(self, text: str) -> list[tuple[int, int]]:
        """Give the ranges of parts of addresses under a listed domain that no entry lists: hosts below it, paths, queries."""
        if not _ADDRESS.search(text):
            return []
        return [part for match in self._url.finditer(text) for part in self._of_address(match)[1]]

    def told(self, text: str) -> list[str]:
        """Give each mention of a reviewed service in the form that its entry lists, in the order of the text.

        Nothing of the text itself is in it, so that it may stand where the text may not. Names that are a turn of phrase are
        left out, and codes of few digits that nobody is told to call, except unmistakable ones ("988").
        """
        found = [*self._number_ranges(text), *self._code_ranges(text)]
        found.extend((*code.span("code"), code.group("code")) for code in self._alone.finditer(text))
        for match in self._url.finditer(text):
            found.append((*match.span("domain"), match.group("domain").lower()))
        found.extend(
            (start, end, self._literals[plain]) for start, end, plain in self._literal_ranges(text) if plain in self._speaking
        )
        told: list[str] = []
        last = 0
        for start, end, form in sorted(found, key=lambda item: (item[0], -item[1])):
            if start >= last:
                told.append(form)
                last = end
        return told

    def is_number(self, digits: str) -> bool:
        """Say whether a plain run of digits is, as a whole, a reviewed number, short codes ("988") included."""
        return digits in self._numbers

    def _number_ranges(self, text: str) -> list[tuple[int, int, str]]:
        ranges: list[tuple[int, int, str]] = []
        for run in _DIGIT_RUN.finditer(text):
            groups = list(_GROUP.finditer(text, *run.span()))
            found: list[tuple[int, int, str]] = []
            uncovered = 0
            first = 0
            while first < len(groups):
                last, number = self._longest_number(groups, first)
                if last == first:
                    uncovered += len(groups[first].group())
                    first += 1
                    continue
                start = groups[first].start()
                while start > run.start() and text[start - 1] in "+(":
                    start -= 1
                found.append((start, groups[last - 1].end(), number))
                first = last
            # "116 123" inside a longer private number is no helpline: little may be left over (a country code, "24/7").
            if found and uncovered <= _MAX_LEFT_OVER:
                ranges.extend(found)
        return ranges

    def _longest_number(self, groups: list[re.Match[str]], first: int) -> tuple[int, str]:
        """Give the end (in groups) of the longest reviewed number that begins at group `first`, and that number as listed."""
        for last in range(min(len(groups), first + _MAX_GROUPS), first, -1):
            digits = "".join(group.group() for group in groups[first:last])
            if len(digits) > _SHORT and digits in self._numbers:
                return last, self._numbers[digits]
        return first, ""

    def _code_ranges(self, text: str) -> list[tuple[int, int, str]]:
        ranges = [
            (*code.span("code"), code.group("code")) for code in _DIALLED.finditer(text) if self.is_number(code.group("code"))
        ]
        for choice in _CHOICE.finditer(text):
            codes = list(_GROUP.finditer(text, *choice.span()))
            if all(self.is_number(code.group()) for code in codes):
                ranges.extend((*code.span(), self._numbers[code.group()]) for code in codes)
        return ranges

    def _of_address(self, match: re.Match[str]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Give the ranges of one address that are listed, and those that are not."""
        start, below, rest = match.start(), match.group("below") or "", match.group("rest") or ""
        domain_end = match.end("domain")
        for path in self._paths[match.group("domain").lower()]:
            if re.match(rf"/{re.escape(path)}/?(?![\w/=&%-])", rest, re.IGNORECASE):
                domain_end += len(path) + 1
                break
        tail = match.start() + len(match.group().rstrip("/.,;:!?"))
        listed = [(match.start("domain") if below else start, domain_end)]
        other = [(start, match.start("domain"))] if below else []
        if tail > domain_end:
            other.append((domain_end, tail))
        return listed, other

    def _literal_ranges(self, text: str) -> list[tuple[int, int, str]]:
        lowered = _plain(text)
        if len(lowered) != len(text):
            return []
        ranges: list[tuple[int, int, str]] = []
        for word in _WORD.finditer(lowered):
            for literal in self._by_first_word.get(word.group(), ()):
                at = word.start() - literal.index(word.group())
                end = at + len(literal)
                if at >= 0 and lowered.startswith(literal, at) and not lowered[end : end + 1].isalnum():
                    ranges.append((at, end, literal))
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
