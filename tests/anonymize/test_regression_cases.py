"""The labelled corpus is the specification: the cases that fail must be the cases known to fail, no more and no fewer.

One file an entity. `[[...]]` marks what must be masked, all of it; everything else must stay. `"known_failure": true` marks a case
that is known to fail today: when it begins to pass, the mark has to go.
"""

import json
import re
from pathlib import Path

import pytest

from anonymize.scrub import Scrubber

CASES = sorted((Path(__file__).parent / "regression_cases").glob("*.jsonl"))
MARK = re.compile(r"\[\[(.+?)\]\]")


def parse(marked: str) -> tuple[str, list[tuple[int, int]]]:
    """Take the marks out of a case."""
    text, spans, last = "", [], 0
    for match in MARK.finditer(marked):
        text += marked[last : match.start()]
        spans.append((len(text), len(text) + len(match.group(1))))
        text += match.group(1)
        last = match.end()
    return text + marked[last:], spans


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_failures_are_the_known_failures(scrubber: Scrubber, path: Path) -> None:
    cases = [json.loads(line) for line in path.read_text().splitlines()]
    parsed = [parse(case["text"]) for case in cases]
    found = scrubber.find([text for text, _ in parsed])
    failing = []
    for case, (text, wanted), spans in zip(cases, parsed, found, strict=True):
        masked = {place for span in spans for place in range(span.start, span.end)}
        private = {place for start, end in wanted for place in range(start, end)}
        letters = {place for place, character in enumerate(text) if character.isalnum()}
        if masked & letters != private & letters:
            failing.append(case["text"])
    assert failing == [case["text"] for case in cases if case.get("known_failure")]


def test_every_entity_has_cases() -> None:
    from anonymize.recognizers import pattern_recognizers

    named = {path.stem.upper() for path in CASES}
    assert {recognizer.ENTITY for recognizer in pattern_recognizers("en")} <= named
