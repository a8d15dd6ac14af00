"""The scrubber's promises: consistent placeholders, helplines, closed when it fails, the same bytes whoever is beside."""

import random
from collections.abc import Callable

import pytest

from anonymize.scrub import WITHHELD, Conversation, Scrubber

CHATS = [
    (
        "Hi, I'm Marguerite Okonkwo-Blythe and I can't sleep.",
        "Thank you, Marguerite. Is someone with you?",
        "only my sister tamsyn",
    ),
    ("my number is (303) 555-0142, my email is q.lark@postbox.example", "You can call or text 988 at any time."),
    ("i just feel empty today", "That sounds heavy. What happened?", "work was awful, everyone is mad at me"),
    ("Dr. Abernethy-Voss at Saltmarsh General Hospital said they had no beds",),
    ("text me on discord, i'm velvetgrief_88", "I can't do that, but Samaritans are there on 116 123."),
    ("i moved to Little Haverbrook in march and i don't know anyone",) * 3,
    ("sono triste", "ok"),
    ("dob: 1991-04-17, patient id 88213077", "Thank you."),
]


def conversations() -> list[Conversation]:
    return [Conversation("en", turns) for turns in CHATS]


def test_a_caught_name_is_masked_through_its_conversation(scrubber: Scrubber) -> None:
    [result] = scrubber.scrub_conversations(
        [Conversation("en", ("my name is Oluwaseyi Branthwaite", "hello Oluwaseyi", "nobody calls me oluwaseyi anymore"))]
    )
    assert result.turns[0] == "my name is <PERSON_1>"
    assert result.turns[1:] == ("hello <PERSON_1>", "nobody calls me <PERSON_1> anymore")
    assert result.counts == {"PERSON": 3}


def test_placeholders_mean_nothing_outside_their_conversation(scrubber: Scrubber) -> None:
    first, second = scrubber.scrub_conversations(
        [Conversation("en", ("my name is Yevgenia",)), Conversation("en", ("my name is Thandiwe",))]
    )
    assert first.turns == second.turns == ("my name is <PERSON_1>",)


@pytest.mark.parametrize(
    "text",
    [
        "call or text 988 any time, or 1-800-273-8255",
        "Text HOME to 741741 or visit 988lifeline.org/chat.",
        "Samaritans are on 116 123 or jo@samaritans.org (free, day and night)",
        "Lifeline is on 13 11 14, Talk Suicide Canada is 1-833-456-4566",
        "The Trevor Project: 1-866-488-7386 or text 678-678",
        "+44 116 123 from abroad",
    ],
)
def test_helplines_stay(scrubber: Scrubber, text: str) -> None:
    [result] = scrubber.scrub_conversations([Conversation("en", (text,))])
    assert result.turns == (text,)


def test_a_helpline_inside_a_private_number_does_not_open_it(scrubber: Scrubber) -> None:
    [result] = scrubber.scrub_conversations([Conversation("en", ("my cell is +44 7116 123 988", "or 0207 116 123 4"))])
    assert "116" not in " ".join(result.turns)


def test_another_language_is_withheld_and_counted(scrubber: Scrubber) -> None:
    [result] = scrubber.scrub_conversations([Conversation("xx", ("hello there", ""))])
    assert result.turns == (WITHHELD, "")
    assert (result.withheld, dict(result.withheld_by_reason)) == (1, {"language": 1})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a" * 40_000, "too_long"),
        ("half a pair \ud83d", "undecodable"),
        ("Меня зовут кто-то и я живу где-то", "script"),
    ],
)
def test_what_cannot_be_read_is_withheld(scrubber: Scrubber, text: str, reason: str) -> None:
    [result] = scrubber.scrub_conversations([Conversation("en", (text, "i feel better today"))])
    assert result.turns == (WITHHELD, "i feel better today")
    assert dict(result.withheld_by_reason) == {reason: 1}
    [spans, clean] = scrubber.find([text, "i feel better today"])
    assert [(span.start, span.end, span.entity) for span in spans] == [(0, len(text), "WITHHELD")]
    assert clean == []


def test_a_failing_layer_withholds_only_its_text(scrubber: Scrubber, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = scrubber._detector
    whole: Callable[..., object] = detector.detect

    def detect(texts: list[str], language: str) -> object:
        if any("trigger" in text for text in texts):
            raise RuntimeError("a library quoting: trigger Yevgenia")
        return whole(texts, language)

    monkeypatch.setattr(detector, "detect", detect)
    [result] = scrubber.scrub_conversations([Conversation("en", ("trigger Yevgenia", "i feel better today"))])
    assert result.turns == (WITHHELD, "i feel better today")
    assert dict(result.withheld_by_reason) == {"layer_failed": 1}


def test_the_same_bytes_whoever_is_in_the_batch(scrubber: Scrubber) -> None:
    chats = conversations()
    alone = [scrubber.scrub_conversations([chat])[0].turns for chat in chats]
    chance = random.Random(7)
    for _ in range(6):
        order = chance.sample(range(len(chats)), k=chance.randint(2, len(chats)))
        scrubber._detector._cache.clear()
        together = scrubber.scrub_conversations([chats[number] for number in order])
        for number, result in zip(order, together, strict=True):
            assert result.turns == alone[number]


def test_nothing_shows_in_a_repr(scrubber: Scrubber) -> None:
    chat = conversations()[0]
    [result] = scrubber.scrub_conversations([chat])
    assert "Marguerite" not in repr(chat) + repr(result) + repr(scrubber.find(list(chat.turns)))


def test_spans_are_over_the_input(scrubber: Scrubber) -> None:
    text = "mail me: zora\u200b.quill [at] postbox [dot] example please"
    [spans] = scrubber.find([text])
    assert [text[span.start : span.end] for span in spans] == ["zora\u200b.quill [at] postbox [dot] example"]


def test_canaries_are_caught_beside_what_is_scrubbed(scrubber: Scrubber) -> None:
    mine = [Conversation("en", ("it is late", "my name is Oluwaseyi")), Conversation("xx", ("hello",))]
    assert scrubber.scrub_with_canaries(mine, "a seed") == scrubber.scrub_conversations(mine)
