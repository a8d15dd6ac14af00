"""Second looks at English findings: what is no name after all, and what belongs to one."""

import re
from collections.abc import Callable, Sequence

from anonymize.recognizers.names import CUED
from anonymize.recognizers.spacy_entities import SCORE as SPACY_SCORE
from anonymize.spans import Cover, Span, cover_of, merge
from anonymize.vocabulary import WORD, is_common, is_ordinary, is_unheard_of, unexplained

UNHEARD = 0.4
UNKNOWN_WORD = "UNKNOWN_WORD"
_ABBREVIATIONS = frozenset(("u.s", "u.k", "u.s.a", "e.g", "i.e", "a.m", "p.m", "ph.d", "r.i.p", "d.c"))
_NAMING = frozenset(("PERSON", "LOCATION", "ORGANIZATION", "ADDRESS"))
_JOINED = frozenset(("ADDRESS", "LOCATION", "POSTCODE"))
_SURE_OF_LOWER_CASE = 0.95
_USES_CAPITALS = re.compile(r"(?:^|[.!?]\s+|\n)[A-Z][a-z]|(?<!\w)I(?!\w)")
_AFTER = re.compile(r"[ ](?P<word>[A-Z][a-z'’-]{1,20})(?![\w])")
_LEADING = re.compile(r"(?<![\w'’])(?P<word>[A-Z][a-z'’-]{1,20})[ ]$")
_INITIAL = re.compile(r"[ ][A-ZÀ-Þ]\.?[ ]")
_NUMBER_AFTER = re.compile(r"[ ,\n]{1,3}(?P<number>#?\d{1,6}[A-Za-z]?(?:-\d{1,5})?)(?![\w:%])")
_NUMBER_BEFORE = re.compile(r"(?<![\w.,/-])(?P<number>\d{1,6}[A-Za-z]?),?[ ]$")
_AGE = re.compile(r"(?<![\w.,/-])(?P<age>[1-9]\d)(?=[ -]?(?:years?[ -]old|y/?o\b|yrs?\b))", re.IGNORECASE)
_NEAR = 80
# A civil title tells the gender of the one it stands before; "Dr" and "Officer" tell a role, and stay.
_CIVIL_TITLE = re.compile(r"(?<!\w)(?P<title>(?:mr|mrs|ms|miss|mx)\.?[ ])$", re.IGNORECASE)
_SIGNED_LINE = re.compile(r"[ \t]*\n{1,2}(?P<line>[A-Z][^\n.!?:<@]{2,60})(?=\n)")
_EMPLOYED_AS = re.compile(r"[ ]as (?:an? |the )?(?P<job>[A-Z][^\n.!?:<@]{2,60}?)(?=[.!?,\n]|$)")
_BESIDE = re.compile(r"(?:, | and | & | or |, and )(?P<word>[^\W\d_][\w'’-]{2,20})(?!\w)", re.IGNORECASE)
_BEFORE = re.compile(r"(?<!\w)(?P<word>[^\W\d_][\w'’-]{2,20})(?:, | and | & | or )$", re.IGNORECASE)


def naming_test(text: str) -> Callable[[Span], bool]:
    """Tell which of a text's findings name something.

    A model's name that holds only ordinary words does not, nor a usual word in lower case by a writer who uses capitals.
    """
    uses_capitals = _USES_CAPITALS.search(text) is not None  # once a text: it reads all of it
    all_capitals = text.isupper()
    return lambda span: _names_something(text, span, uses_capitals, all_capitals)


def _names_something(text: str, span: Span, uses_capitals: bool, all_capitals: bool) -> bool:
    if span.entity not in _NAMING or span.score == CUED:
        return True
    value = text[span.start : span.end]
    if any(character.isdigit() for character in value):
        return True
    if value.lower().strip(". ") in _ABBREVIATIONS:
        return False
    words = WORD.findall(value)
    if all(is_ordinary(word) for word in words):
        # "Good Memorial", "Christopher Fields": ordinary words count if every one is capitalised inside a sentence.
        return (
            len(words) > 1
            and all(word[0].isupper() for word in words)
            and not all_capitals
            and (span.start > 0 or span.score == SPACY_SCORE)
        )
    if value.islower() and span.score < _SURE_OF_LOWER_CASE and uses_capitals:
        return not all(is_ordinary(word) or is_common(word) for word in words)
    return True


def by_line(text: str, spans: Sequence[Span]) -> list[Span]:
    """Cut names at line breaks: what stands on the next line (a job, a town) is something of its own."""
    lines: list[Span] = []
    for span in spans:
        if span.entity != "PERSON" or "\n" not in text[span.start : span.end]:
            lines.append(span)
            continue
        for part in re.finditer(r"[^\n]+", text[span.start : span.end]):
            lines.append(Span(span.start + part.start(), span.start + part.end(), span.entity, span.score))
    return lines


def complete(text: str, spans: list[Span]) -> list[Span]:
    """Add what stands beside a name or an address and is part of it, and the words that nothing knows."""
    found = merge(spans)
    extra: list[Span] = []
    for before, span in zip([None, *found], found, strict=False):
        if span.entity == "PERSON":
            extra.extend(_rest_of_name(text, span))
            if before and before.entity == "PERSON" and _INITIAL.fullmatch(text, before.end, span.start):
                extra.append(Span(before.start, span.end, "PERSON", span.score))
            line = _SIGNED_LINE.match(text, span.end) if text[: span.start].rpartition("\n")[2].strip(" >") == "" else None
            if line:
                extra.append(Span(*line.span("line"), "TITLE", 0.5))
        elif span.entity == "ADDRESS":
            extra.extend(_rest_of_address(text, span))
        elif span.entity == "ORGANIZATION":
            job = _EMPLOYED_AS.match(text, span.end)
            if job:
                extra.append(Span(*job.span("job"), "TITLE", 0.5))
    if any(span.entity in _JOINED for span in found):
        extra.extend(_ages_beside_places(text, found))
    known = cover_of([*found, *extra])
    for start, end in unexplained(text):
        if not known.holds(start, end) and is_unheard_of(text[start:end]):
            extra.append(Span(start, end, UNKNOWN_WORD, UNHEARD))
    return [*found, *extra]


def _rest_of_name(text: str, span: Span) -> list[Span]:
    rest: list[Span] = []
    head = text[max(0, span.start - 30) : span.start]
    shift = span.start - len(head)
    title = _CIVIL_TITLE.search(head)
    if title:
        rest.append(Span(title.start("title") + shift, span.start, "PERSON", span.score))
    if text[span.start : span.start + 1].isupper() and not text.isupper():
        after = _AFTER.match(text, span.end)
        if after and not _starts_like_a_clause(after.group("word")):
            rest.append(Span(span.end, after.end(), "PERSON", span.score))
        leading = _LEADING.search(head)
        if leading and not is_ordinary(leading.group("word")):
            rest.append(Span(leading.start("word") + shift, span.start, "PERSON", span.score))
    for beside, offset in ((_BESIDE.match(text, span.end), 0), (_BEFORE.search(head), shift)):
        if beside and not is_ordinary(beside.group("word")) and not is_common(beside.group("word"), 1e-5):
            start, end = beside.span("word")
            rest.append(Span(start + offset, end + offset, "PERSON", 0.5))
    return rest


def _rest_of_address(text: str, span: Span) -> list[Span]:
    rest: list[Span] = []
    head = text[max(0, span.start - 12) : span.start]
    before = _NUMBER_BEFORE.search(head)
    if before:
        rest.append(Span(span.start - len(head) + before.start("number"), span.start, "ADDRESS", span.score))
    after = _NUMBER_AFTER.match(text, span.end)
    if after:
        rest.append(Span(span.end, after.end("number"), "ADDRESS", span.score))
    return rest


def _ages_beside_places(text: str, found: Sequence[Span]) -> list[Span]:
    near = Cover((span.start - _NEAR + 1, span.end + _NEAR - 1) for span in found if span.entity in _JOINED)
    return [Span(*age.span("age"), "AGE", 0.5) for age in _AGE.finditer(text) if near.holds(age.start(), age.start())]


def _starts_like_a_clause(word: str) -> bool:
    return word.lower() in (
        "i",
        "i'm",
        "i’m",
        "and",
        "but",
        "he",
        "she",
        "they",
        "we",
        "you",
        "the",
        "my",
        "is",
        "it",
        "this",
        "that",
    )


def join(text: str, spans: Sequence[Span]) -> list[Span]:
    """Make one finding of an address in pieces, or a name in two: the commas between would still show its shape."""
    joined: list[Span] = []
    for span in spans:
        if joined:
            last = joined[-1]
            gap = text[last.end : span.start]
            same = last.entity == span.entity or (last.entity in _JOINED and span.entity in _JOINED)
            if span.entity == "PERSON" and "\n" in gap:
                same = False
            if same and len(gap) <= 3 and not gap.strip(" ,.\n-'") and not (gap == ", " and span.entity == "PERSON"):
                entity = last.entity if last.entity == span.entity else "ADDRESS"
                joined[-1] = Span(last.start, span.end, entity, max(last.score, span.score))
                continue
        joined.append(span)
    return joined
