"""What words may say, in whatever form they are typed."""

import pytest

from publish.wording import Direction, HouseRules, Text, compares, directions_said, holds_number, is_causal

LINES = (
    {"name": "Samaritans", "contact": "116 123, samaritans.org"},
    {"name": "988 Suicide & Crisis Lifeline", "contact": "988, 1-800-273-TALK"},
)
HOUSE = HouseRules(companies=("alder", "blue-birch"), withheld=("zzmethod", "a secret phrase"), helplines=LINES)


def reasons(text: str) -> set[str]:
    folded = Text.of(text)
    return {reason for _, reason in (*HOUSE.broken(folded), *HOUSE.broken_outside_claims(folded))}


@pytest.mark.parametrize(
    "text",
    [
        "What we read this quarter left us careful. Silence is not calm.",
        "Call 988, text 988, or call 116 123: people on these lines listen.",
        "Samaritans (116 123) and the 988 Suicide & Crisis Lifeline answer at any hour.",
        "One of us reads every label; no one is assessed.",
        "People who write at night, we think, write for longer stretches.",
    ],
)
def test_plain_careful_words_may_stand(text: str) -> None:
    assert reasons(text) == set()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("At Alder it differs.", "company"),
        ("At blue birch and BLUE_BIRCH it differs.", "company"),
        ("At al\u00adder it differs.", "company"),  # an invisible hyphen inside
        ("At ａｌｄｅｒ it differs.", "company"),  # full-width letters
        ("It was seen in 40 conversations.", "number"),
        ("It was seen in ４０ conversations.", "number"),
        ("In ½ of them.", "number"),
        ("In nine of ten.", "number"),
        ("In a third of them.", "number"),
        ("In ninety\nper\ncent of them.", "number"),
        ("Of users, 988 replied.", "number"),  # the number of a line is one only where somebody is told to call it
        ("Replies were seen more often.", "comparison"),
        ("Replies were seen mo**re** often.", "comparison"),
        ("Silence is as\ncommon as replies.", "comparison"),
        ("There was no difference.", "comparison"),
        ("Replies have been growing.", "comparison"),
        ("Asking helps.", "causes"),
        ("Silence was due\nto the refusal.", "causes"),
        ("It took the easy way out.", "guidance"),
        ("Nobody should say committed suicide.", "guidance"),
        ("See https://example.org.", "address"),
        ("See example.com today.", "address"),
        ("Write to someone@example.org.", "address"),
        ("A <b>tag</b>.", "markup"),
        ("A [link](x).", "markup"),
        ("mo\\re", "markup"),
        ("&#109;ore", "markup"),
        ("It names zzmethod.", "own list"),
        ("It names a\nSecret Phrase.", "own list"),
    ],
)
def test_what_may_not_stand_is_found_in_any_form(text: str, reason: str) -> None:
    assert any(reason in found for found in reasons(text)), reasons(text)


def test_the_line_is_named_and_the_word_is_not() -> None:
    found = HOUSE.broken(Text.of("One.\n\nTwo lines on: *al*der.\nThen a\nsecret phrase."))
    assert [line for line, _ in found] == [3, 4]
    assert not any(word in reason for _, reason in found for word in ("alder", "secret"))


def test_nothing_is_held_against_a_text_where_there_is_no_list() -> None:
    assert HouseRules().broken(Text.of("Alder and zzmethod.")) == []


def test_words_point_a_way() -> None:
    assert directions_said("it grew") == {Direction.HIGHER} and directions_said("it faded") == {Direction.LOWER}
    assert directions_said("fewer and fewer, then a surge") == {Direction.LOWER, Direction.HIGHER}
    assert compares("as rare as before") and not compares("as seen before")
    assert is_causal("this resulted  in calm") and not is_causal("this was seen beside calm")
    assert holds_number("Ⅳ times") and holds_number("twelve") and not holds_number("one of them, first and last")
