"""Staff's own paragraphs of a brief: Markdown in which every number and every comparison is a claim, checked against its cells."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape

from publish.cells import ReleaseCells
from publish.claim_syntax import BLOCK, UnreadableClaim, read_claim
from publish.claims import Claim, ClaimChecker
from publish.findings import StaffChecker
from publish.wording import HouseRules, Text
from schemas.canonical import sha256_bytes
from schemas.errors import CheckFailedError

OPENING = ""
"""The place of what stands before the first heading: above everything else."""
_PRIVATE_USE = 0xE000  # claims are put back in place of one such character each
_MOST_CLAIMS = 200
_OPEN_BRACES = re.compile(r"\{\{|\}\}")
_HEADING = re.compile(r"^[ \t]{0,3}(#{1,6})[ \t]+(.*?)[ \t#]*$", re.M)
_SETEXT = re.compile(r"^[ \t]{0,3}(?:=+|-+)[ \t]*$", re.M)


@dataclass(frozen=True)
class Objection:
    """One reason why a text cannot stand, with its line (from 1). The reason is a fixed text: it repeats no word."""

    line: int
    reason: str


@dataclass(frozen=True)
class StaffText:
    """Staff's paragraphs as they wrote them, and the rules that they must keep.

    `headings` are the titles of the brief's sections: under each of them, and before the first, paragraphs may stand.
    """

    source: str = ""
    house: HouseRules = field(default_factory=HouseRules)
    headings: Sequence[str] = ()

    @property
    def digest(self) -> str:
        """What signatures cover: SHA-256 of the text; empty where there is none."""
        return sha256_bytes(self.source.encode()) if self.source else ""

    @cached_property
    def claims(self) -> tuple[tuple[int, Claim | UnreadableClaim], ...]:
        """Its claims, each with its line."""
        return tuple(
            (self.source.count("\n", 0, block.start()) + 1, read_claim(block[1])) for block in BLOCK.finditer(self.source)
        )

    @property
    def comparisons(self) -> int:
        """How many comparisons it makes."""
        return sum(len(claim.asserts) for _, claim in self.claims if isinstance(claim, Claim))

    @cached_property
    def _outside(self) -> str:
        """The text with every claim blanked out, line by line."""
        return BLOCK.sub(lambda block: re.sub(r"[^\n]", " ", block[0]), self.source)

    def objections(self, cells: ReleaseCells) -> list[Objection]:
        """Why the text cannot stand beside the numbers of a release, by line; empty where it can."""
        checker = StaffChecker(cells)
        found = [*self._form(), *self._words()]
        for line, claim in self.claims:
            if isinstance(claim, UnreadableClaim):
                found.append(Objection(line, f"this claim cannot be read: {claim.reason}"))
            else:
                found += [Objection(line, f"this claim is not supported: {reason}") for reason in checker.objections(claim)]
                found += [
                    Objection(line, reason) for _, reason in self.house.broken(Text.of(re.sub(r"\{[\w.]+\}", " ", claim.text)))
                ]
        return sorted(dict.fromkeys(found), key=lambda objection: objection.line)

    def _words(self) -> Iterator[Objection]:
        text = Text.of(_HEADING.sub(lambda heading: " " * len(heading[0]), self._outside))
        for line, reason in (*self.house.broken(text), *self.house.broken_outside_claims(text)):
            yield Objection(line, reason)

    def _form(self) -> Iterator[Objection]:
        outside = self._outside

        def line(found: re.Match[str]) -> int:
            return outside.count("\n", 0, found.start()) + 1

        for brace in _OPEN_BRACES.finditer(outside):
            yield Objection(line(brace), "braces that are no whole claim: `{{claim …}}`")
        seen = set()
        for heading in _HEADING.finditer(outside):
            if heading[2] not in self.headings or heading[2] in seen:
                yield Objection(line(heading), "this heading is not one of the brief's, or stands twice")
            seen.add(heading[2])
        for rule in _SETEXT.finditer(outside):
            yield Objection(line(rule), "headings begin with #")
        if any(0xE000 <= ord(character) <= 0xF8FF for character in self.source):
            yield Objection(1, "it holds a character that has no meaning of its own")
        if len(self.claims) > _MOST_CLAIMS:
            yield Objection(1, f"it makes more than {_MOST_CLAIMS} claims")

    def require(self, cells: ReleaseCells) -> None:
        """Raises CheckFailedError, which names the lines, where the text cannot stand."""
        if found := self.objections(cells):
            told = "; ".join(f"line {objection.line}: {objection.reason}" for objection in found)
            raise CheckFailedError(
                f"Staff's text of the brief is refused. {told}.", "`commons brief QUARTER --check` shows each."
            )

    def html(self, cells: ReleaseCells) -> Mapping[str, str]:
        """Its paragraphs by heading, as HTML with every claim rendered. Raises CheckFailedError where it cannot stand."""
        self.require(cells)
        checker = StaffChecker(cells)
        shown = [_span(checker, claim) for _, claim in self.claims if isinstance(claim, Claim)]
        places = iter(range(len(shown)))
        whole = BLOCK.sub(lambda _: chr(_PRIVATE_USE + next(places)), self.source)
        parts = _HEADING.split(whole)  # text, then (marks, title, text) for each heading
        named = zip((OPENING, *parts[2::3]), (parts[0], *parts[3::3]), strict=True)
        return {title: _put_back(_paragraphs(text), shown) for title, text in named if text.strip()}

    def rendered(self, cells: ReleaseCells) -> list[tuple[Claim, str]]:
        """Its claims with their sentences."""
        checker = StaffChecker(cells)
        return [(claim, checker.render(claim)) for _, claim in self.claims if isinstance(claim, Claim)]


def _span(checker: ClaimChecker, claim: Claim) -> str:
    told = escape("; ".join(str(quantity.cell) for quantity in claim.quantities.values()))
    sentence = escape(checker.render(claim), quote=False)
    return f'<span class="claim" data-kind="{claim.kind}" data-cells="{told}">{sentence}</span> <span class="kind">{claim.kind}</span>'


def _put_back(html: str, shown: Sequence[str]) -> str:
    return re.sub("[\ue000-\uf8ff]", lambda found: shown[ord(found[0]) - _PRIVATE_USE], html)


def _paragraphs(text: str) -> str:
    from markdown_it import MarkdownIt

    return str(MarkdownIt("zero", {"html": False}).enable(["emphasis", "list"]).render(text))
