"""Planted values: none may survive; and the lists they come from stay out of the scrub."""

import re
from pathlib import Path

import pytest
from planting import EMAILS, HANDLES, NAMES, adversarial_inputs, leaks, planted_conversations

from anonymize.scrub import Conversation, Scrubber

PACKAGE = Path(__file__).resolve().parents[2] / "anonymize"


def test_no_list_used_for_planting_is_in_the_scrub() -> None:
    source = "\n".join(path.read_text() for path in PACKAGE.rglob("*") if path.suffix in (".py", ".txt")).lower()
    words = set(re.findall(r"[^\W\d_]+", source))
    assert not {part.lower() for name in NAMES for part in name.split()} & words
    assert not [value for value in (*EMAILS, *HANDLES) if value in source]
    assert not re.search(r"\b(?:import|from) (?:faker|names|planting|sample_data|tests)\b", source)


def test_ordinary_words_are_hardly_ever_given_names() -> None:
    person = pytest.importorskip("faker.providers.person.en_US")
    given = {name.lower() for name in (*person.Provider.first_names_female, *person.Provider.first_names_male)}
    words = set((PACKAGE / "ordinary_words_en.txt").read_text().split())
    assert len(given & words) / len(given) < 0.005


def test_no_adversarial_input_leaks_in_full(scrubber: Scrubber) -> None:
    inputs = adversarial_inputs()
    assert len(inputs) >= 100
    found = scrubber.find([text for _, text, _ in inputs])
    leaked = []
    for (kind, text, value), spans in zip(inputs, found, strict=True):
        at = text.index(value)
        if not any(span.start < at + len(value) and at < span.end for span in spans):
            leaked.append((kind, value))
    assert leaked == []


def test_no_planted_mention_leaks_a_few(scrubber: Scrubber) -> None:
    pytest.importorskip("faker")
    assert _leaking(scrubber, 24, seed=3) == []


@pytest.mark.long
def test_no_planted_mention_leaks_of_many(scrubber: Scrubber) -> None:
    pytest.importorskip("faker")
    assert _leaking(scrubber, 240, seed=11) == []


def _leaking(scrubber: Scrubber, count: int, seed: int) -> list[tuple[list[str], tuple[str, ...]]]:
    planted = planted_conversations(count, seed)
    scrubbed = scrubber.scrub_conversations([Conversation("en", item.turns) for item in planted])
    return [(left, item.turns) for item, done in zip(planted, scrubbed, strict=True) if (left := leaks(item, done.turns))]
