"""What only the whole conversation shows."""

import pytest

from anonymize.operators import Masker, Placeholders
from anonymize.scrub import Conversation, Scrubber
from anonymize.spans import Span


def scrub(scrubber: Scrubber, *turns: str) -> tuple[str, ...]:
    return scrubber.scrub_conversations([Conversation("en", turns)])[0].turns


@pytest.mark.parametrize(
    ("turns", "gone"),
    [
        (("my number is 303 555", "0142 please"), ("303", "0142")),
        (("my number is 303 555", "go on", "0142"), ("303", "0142")),
        (("What's your name?", "oluchi"), ("oluchi",)),
        (("i think her name is", "tamsyn okwuosa"), ("tamsyn", "okwuosa")),
        (("Zorvane came by", "zorvane's mother too", "ZORVANE again"), ("zorvane",)),
        (("write me at quill.lark@postbox.org", "quill here"), ("quill", "lark")),
    ],
)
def test_values_over_turns(scrubber: Scrubber, turns: tuple[str, ...], gone: tuple[str, ...]) -> None:
    text = " ".join(scrub(scrubber, *turns)).lower()
    assert [value for value in gone if value in text] == []


def test_part_of_a_name_has_the_number_of_the_whole(scrubber: Scrubber) -> None:
    turns = scrub(scrubber, "my name is Oluwaseyi Branthwaite", "my friend tamsyn is here", "hi Oluwaseyi")
    assert turns == ("my name is <PERSON_1>", "my friend <PERSON_2> is here", "hi <PERSON_1>")


def test_a_name_that_is_a_word_is_not_carried_into_ordinary_sentences(scrubber: Scrubber) -> None:
    turns = scrub(scrubber, "call me Guy", "some guy at work shouted at me")
    assert turns == ("call me <PERSON_1>", "some guy at work shouted at me")


@pytest.mark.parametrize(
    ("turns", "gone"),
    [
        (("im guy and i feel alone", "Guy, are you safe right now?", "ok.\n- guy"), ("guy",)),
        (("you can call me wage", "I'm here with you, Wage."), ("wage",)),
        (("Hey. I'm Else. I can't sleep.", "Else, are you safe right now?"), ("else",)),
        (("i just want urban to understand", "urban is calling me now"), ("urban",)),
        (("Dr. van changed my pills", "was van kind?"), ("dr. van",)),
    ],
)
def test_a_name_that_is_a_word_is_caught_where_only_a_name_can_stand(
    scrubber: Scrubber, turns: tuple[str, ...], gone: tuple[str, ...]
) -> None:
    text = " ".join(scrub(scrubber, *turns)).lower()
    assert [value for value in gone if value in text] == []


def test_what_is_said_of_oneself_and_begins_an_answer_is_no_name(scrubber: Scrubber) -> None:
    turns = ("im ok i guess", "Okay, are you safe?", "im sure everyone told me so", "Sure, go on.", "you can call me back later")
    assert scrub(scrubber, *turns) == turns


def test_dates_keep_their_year_and_high_ages_their_class(scrubber: Scrubber) -> None:
    turns = scrub(scrubber, "admitted on 2012-03-06, born 04/05/1931", "my nan is 94 years old and i am 19")
    assert turns == ("admitted on <DATE:2012>, born <DATE>", "my nan is <AGE:90+> years old and i am 19")


@pytest.mark.parametrize(("as_of_year", "told"), [(2026, "<DATE:1937> <DATE>"), (2030, "<DATE> <DATE>"), (2100, "<DATE> <DATE>")])
def test_a_year_of_birth_over_89_years_ago_is_not_told(as_of_year: int, told: str) -> None:
    masker = Masker(as_of_year)
    assert masker.mask("1937-05-02 1936-05-02", [Span(0, 10, "DATE", 1.0), Span(11, 21, "DATE", 1.0)], Placeholders()) == told
