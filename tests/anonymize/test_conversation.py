"""What only the whole conversation shows."""

import pytest

from anonymize.scrub import Conversation, Scrubber


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


def test_dates_keep_their_year_and_high_ages_their_class(scrubber: Scrubber) -> None:
    turns = scrub(scrubber, "admitted on 2012-03-06, born 04/05/1931", "my nan is 94 years old and i am 19")
    assert turns == ("admitted on <DATE:2012>, born <DATE>", "my nan is <AGE:90+> years old and i am 19")
