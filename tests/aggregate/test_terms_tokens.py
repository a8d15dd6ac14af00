"""Words and terms of scrubbed text: a table over scripts; nothing that looks like an identifier is ever part of a term."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregate.terms.grams import Words
from aggregate.terms.tokens import BREAK, LONGEST, join, words_of
from aggregate.terms.vocabulary import Vocabulary, vocabulary

NOTHING_KNOWN = Vocabulary(frozenset(), frozenset())
KEY = bytes(32)

WORDS = [
    ("Don’t tell them again", ["don't", "tell", "them", "again"]),
    ("one. two", ["one", BREAK, "two"]),
    ("one\ntwo", ["one", BREAK, "two"]),
    ("well-known rock-n-roll", ["well", "known", "rock", "n", "roll"]),
    ("Ｆｕｌｌ ﬁne STRASSE straße", ["full", "fine", "strasse", "strasse"]),
    ("l’été aujourd'hui", ["l'été", "aujourd'hui"]),
    ("Ёлка и ёж", ["ёлка", "и", "ёж"]),
    ("ΣΟΦΟΣ", ["σοφοσ"]),
    ("مرحبا بك", ["مرحبا", "بك"]),
    ("שלום לך", ["שלום", "לך"]),
    ("यह नहीं है", ["यह", "नहीं", "है"]),
    ("நான் இங்கே", ["நான்", "இங்கே"]),
    ("안녕 하세요", ["안녕", "하세요"]),
    ("我想要", ["我", "想", "要"]),
    ("カタカナ", ["カ", "タ", "カ", "ナ"]),
    ("さんが", ["さ", "ん", "が"]),
    ("ไหม", ["ไ", "ห", "ม"]),
    ("ສະບາຍ", ["ສ", "ະ", "ບ", "າ", "ຍ"]),
    ("ខ្ញុំ", ["ខ្", "ញុំ"]),
    ("မြန်မာ", ["မြ", "န်", "မာ"]),
    ("call me\u200bnow so\u00adft", ["call", "menow", "soft"]),
]


@pytest.mark.parametrize(("text", "expected"), WORDS)
def test_words_of_every_script(text: str, expected: list[str]) -> None:
    found = words_of(text)
    assert [word for word, before in zip(found, [None, *found], strict=False) if word or before] == expected


IDENTIFIERS = [
    "<PERSON_1>",
    "<DATE:2012>",
    "<AGE:90+>",
    "<WITHHELD>",
    "x<WITHHELD>y",
    "a@b.org",
    "@handle",
    "#tag",
    "http://a.b/c",
    "www.example",
    "example.com",
    "gr8",
    "k1ll",
    "12",
    "²",
    "snake_case",
    "iPhone",
    "fooBar",
    "p\u0430ypal",  # with a Cyrillic a
    "r/place",
    "C:\\dir",
    "a=b",
    "x" * (LONGEST + 1),
]


def terms_of(text: str, public: Vocabulary = NOTHING_KNOWN) -> set[str]:
    grams = Words(public, KEY).read([text], np.zeros(1, np.int64))
    return {grams.text(number) for number in range(len(grams))}


@pytest.mark.parametrize("identifier", IDENTIFIERS)
def test_an_identifier_is_no_term_and_breaks_one(identifier: str) -> None:
    assert terms_of(f"before {identifier} after") == {"before", "after"}
    assert terms_of(f"{identifier},") == set()


@settings(max_examples=200, deadline=None)
@given(
    before=st.lists(st.sampled_from(["ab", "cd", "ef"]), max_size=3),
    letters=st.text(st.characters(codec="utf-8", categories=("L", "M", "N", "P", "S")), max_size=8),
    sign=st.sampled_from("@_/\\<>=#0123456789"),
    more=st.text("abcXYZ", max_size=8),
    after=st.lists(st.sampled_from(["gh", "ij"]), max_size=3),
)
def test_no_term_holds_any_of_a_run_with_a_sign_of_an_identifier(
    before: list[str], letters: str, sign: str, more: str, after: list[str]
) -> None:
    """Of scripts with spaces the whole run is left out; no term reaches across it."""
    run = "q" + "".join(letter for letter in letters if ord(letter) < 0x0E00) + sign + more
    apart = terms_of(" ".join(before)) | terms_of(" ".join(after))
    assert terms_of(" ".join([*before, run, *after])) == apart


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80))
def test_words_are_letters_of_ordinary_length_in_one_form(text: str) -> None:
    for word in words_of(text):
        assert len(word) <= 3 * LONGEST  # folding may write one letter as three
        assert not any(letter.isdigit() or letter.isspace() or letter in "@_/<>" for letter in word)
        assert not word or words_of(word) == [word] or "'" in word


def test_terms_reach_over_three_words_of_one_sentence_and_one_turn() -> None:
    assert terms_of("one two three four") == {
        *("one", "two", "three", "four", "one two", "two three", "three four", "one two three", "two three four"),
    }
    assert terms_of("one. two") == {"one", "two"}
    grams = Words(NOTHING_KNOWN, KEY).read(["one", "two"], np.array([0, 1]))
    assert [(int(owner), grams.text(n)) for n, owner in enumerate(grams.owners)] == [(0, "one"), (1, "two")]


def test_scripts_without_spaces_join_without_one() -> None:
    assert terms_of("我想") == {"我", "想", "我想"}
    assert join(("user", "山", "田")) == "user 山田"


def test_known_words_are_no_news_and_no_phrase_begins_or_ends_with_a_function_word() -> None:
    public = vocabulary(("en",))
    assert terms_of("the quiet grumfling of the moon and the quiet night", public) == {
        "grumfling",
        "quiet grumfling",
        "quiet night",
    }
    assert terms_of("today's don't", public) == set()


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40))
def test_the_print_of_a_term_is_found_again_from_its_spelling(text: str) -> None:
    words = Words(NOTHING_KNOWN, KEY)
    grams = words.read([text], np.zeros(1, np.int64))
    for number in range(len(grams)):
        spelled = grams.text(number)
        if join(tuple(words_of(spelled))) == spelled and BREAK not in words_of(spelled):
            assert words.print_of(spelled) == int(grams.prints[number])


def test_prints_say_nothing_without_the_secret() -> None:
    assert Words(NOTHING_KNOWN, KEY).print_of("word") != Words(NOTHING_KNOWN, b"x" * 32).print_of("word")
    assert KEY.hex() not in repr(Words(NOTHING_KNOWN, KEY))


def test_what_is_remembered_is_forgotten_and_numbers_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aggregate.terms.grams._TURN_LIMIT", 2)
    words = Words(NOTHING_KNOWN, KEY)
    assert [sorted(map(words.read([t], np.zeros(1, np.int64)).text, range(3))) for t in ("a b", "c d", "a b")] == [
        ["a", "a b", "b"],
        ["c", "c d", "d"],
        ["a", "a b", "b"],
    ]
