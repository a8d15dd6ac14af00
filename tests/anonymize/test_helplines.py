"""Reviewed services stay, in any usual way of writing; nothing of who wrote about them stays with them."""

import pytest

from anonymize.helplines import Helplines
from anonymize.scrub import WITHHELD, Conversation, Scrubber
from anonymize.settings import ScrubSettings


@pytest.fixture(scope="module")
def helplines(settings: ScrubSettings) -> Helplines:
    return Helplines(settings.helplines)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("use 988, or go to a hospital", ["988"]),
        ("Alex/Maya/988, and call +44 116 123", ["988", "116 123"]),
        ("988/741741 as backups, 988 again", ["988", "741741", "988"]),
        ("like 911/112/999).", ["911", "112", "999"]),
        ("(800) 273-8255, https://988lifeline.org/me/tamsyn?mail=q@lark.example", ["1 800 273 8255", "988lifeline.org"]),
        ("the trevor project has helped Tamsyn", ["The Trevor Project"]),
        ("appelez le 3114", ["3114"]),
    ],
)
def test_what_is_told_of_a_withheld_text_is_what_the_entries_list(helplines: Helplines, text: str, told: list[str]) -> None:
    assert helplines.told(text) == told


@pytest.mark.parametrize(
    "text",
    [
        "503-988-4888",
        "503‑988‑4888",
        "+1 503 988 4888",
        "chat988.org",
        "i weigh 135 and am 15",
        "my pin is 1737",
        "what's up? mind the step",
        "tamsyn@nhs.uk",
        "$988 or 9.88",
        "0207 116 123 45",
    ],
)
def test_what_only_looks_like_a_service_is_not_told(helplines: Helplines, text: str) -> None:
    assert helplines.told(text) == []


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("988lifeline.org/tamsyn", "988lifeline.org/<URL_1>"),
        ("https://988lifeline.org/chat?name=tamsyn#q", "https://988lifeline.org/chat?<URL_1>"),
        ("tamsyn.988lifeline.org", "<URL_1>.988lifeline.org"),
        ("988lifeline.org/chat/tamsyn", "988lifeline.org/<URL_1>"),
        ("988lifeline.org/chat.", "988lifeline.org/chat."),
    ],
)
def test_of_an_address_only_what_is_listed_stays(scrubber: Scrubber, text: str, masked: str) -> None:
    [result] = scrubber.scrub_conversations([Conversation("en", (text,))])
    assert result.turns == (masked,)


def test_a_withheld_turn_keeps_its_helplines_and_nothing_else(scrubber: Scrubber) -> None:
    turns = ("hallo Tamsyn, bel 0800 0113 of 988 of 06 12345678", "Tamsyn")
    [result] = scrubber.scrub_conversations([Conversation("nl", turns)])
    assert result.turns == (f"{WITHHELD} 0800 0113, 988", WITHHELD)
    assert dict(result.withheld_by_reason) == {"language": 2}


@pytest.mark.parametrize("text", ["988 " * 20_000, "988 \ud83d"])
def test_a_turn_that_was_not_read_tells_nothing(scrubber: Scrubber, text: str) -> None:
    [result] = scrubber.scrub_conversations([Conversation("en", (text,))])
    assert result.turns == (WITHHELD,)


def test_a_turn_is_withheld_bare_where_its_helplines_cannot_be_told(scrubber: Scrubber, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(text: str) -> list[str]:
        raise RuntimeError(text)

    monkeypatch.setattr(scrubber._detector.helplines, "told", told)
    [result] = scrubber.scrub_conversations([Conversation("nl", ("Tamsyn belt 988",))])
    assert result.turns == (WITHHELD,)


def test_helplines_in_a_list_beside_names_and_places_stay(scrubber: Scrubber) -> None:
    text = "snack ready, Tamsyn/988/741741 as backups\n- Canada: 988\n- Australia: Lifeline 13 11 14"
    [result] = scrubber.scrub_conversations([Conversation("en", (text,))])
    assert "988/741741" in result.turns[0]
    assert ": 988\n" in result.turns[0]
    assert "Tamsyn" not in result.turns[0]


@pytest.mark.parametrize("text", ["i live at 988 Larkspur Road", "flat 12, 988 Larkspur Road"])
def test_a_house_number_like_a_helpline_is_masked(scrubber: Scrubber, text: str) -> None:
    [result] = scrubber.scrub_conversations([Conversation("en", (text,))])
    assert "988" not in result.turns[0]
