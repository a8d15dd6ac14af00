"""Canaries: by chance none is missed, and the loss of what catches them is seen."""

from collections.abc import Iterator
from typing import Any

import pytest

from anonymize.canaries import canaries
from anonymize.scrub import Conversation, Scrubber
from schemas.errors import ScrubStoppedError

KINDS = 12


@pytest.fixture
def patterns(scrubber: Scrubber) -> Iterator[list[Any]]:
    """The English pattern recognizers of the scrubber that tests share, put back afterwards."""
    found = scrubber._detector._patterns["en"]
    whole = list(found)
    yield found
    found[:] = whole
    scrubber._detector._cache.clear()


@pytest.mark.long
def test_of_six_thousand_none_is_missed(scrubber: Scrubber) -> None:
    """A part that is stopped by chance would stay so: its canaries are the same each time."""
    planted = canaries(6_000, "other ones than any part has")
    scrubbed = scrubber.scrub_conversations([Conversation("en", (canary.turn,)) for canary in planted])
    assert not [result.turns for canary, result in zip(planted, scrubbed, strict=True) if canary.value in result.turns[0]]
    assert sum(result.withheld for result in scrubbed) == 0


@pytest.mark.parametrize("entity", ["PHONE_NUMBER", "CREDIT_CARD", "DATE"])
def test_a_recognizer_that_is_lost_stops_the_next_batch(scrubber: Scrubber, patterns: list[Any], entity: str) -> None:
    """Its canaries are withheld by the residual gate: none survives, and still the batch is stopped."""
    before = len(patterns)
    patterns[:] = [each for each in patterns if entity != each.ENTITY]
    assert len(patterns) == before - 1
    scrubber._detector._cache.clear()
    planted = canaries(KINDS, "seed")
    scrubbed = scrubber.scrub_conversations([Conversation("en", (canary.turn,)) for canary in planted])
    assert not any(canary.value in result.turns[0] for canary, result in zip(planted, scrubbed, strict=True))
    with pytest.raises(ScrubStoppedError, match="1 of 12 canaries"):
        scrubber.scrub_with_canaries([], "seed")


def test_models_that_fail_stop_the_next_batch(scrubber: Scrubber, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every text would be withheld, batch for batch, and nobody would look."""

    def fail(texts: object, language: str) -> None:
        raise RuntimeError

    monkeypatch.setattr(scrubber._detector, "detect", fail)
    with pytest.raises(ScrubStoppedError, match="12 of 12 canaries"):
        scrubber.scrub_with_canaries([], "seed")
