"""The view reads as plain text, and every place of it leads back to the original."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anonymize.normalise import spelled_digit_runs, view_of


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("plain text", "plain text"),
        ("z\u200bo\u200dr\u00ada", "zora"),
        ("quill [at] post [dot] org", "quill@post.org"),
        ("quill at post dot org", "quill@post.org"),
        ("hxxps://quill.org", "https://quill.org"),
        ("\uff13\uff10\uff13", "303"),
        ("\u0663\u0660\u0663", "303"),
        ("&#64;home &amp; away", "@home & away"),
        ("J\u043ehn", "John"),
        ("meet at noon", "meet at noon"),
        ("Zo\u0336r\u0336a", "Zora"),
        ("caf\u00e9", "caf\u00e9"),
    ],
)
def test_the_view(raw: str, plain: str) -> None:
    assert view_of(raw).text == plain


def test_ranges_lead_back() -> None:
    raw = "mail z\u200bora [at] post.org now"
    view = view_of(raw)
    at = view.text.index("zora@post.org")
    start, end = view.to_original(at, at + len("zora@post.org"))
    assert raw[start:end] == "z\u200bora [at] post.org"


@given(st.text(max_size=80))
def test_any_text_has_a_view_that_leads_back(raw: str) -> None:
    view = view_of(raw)
    for place in range(len(view.text)):
        start, end = view.to_original(place, place + 1)
        assert 0 <= start <= end <= len(raw)
    if view.origin is not None:
        assert list(view.origin) == sorted(view.origin)
        assert len(view.origin) == len(view.text) + 1


def test_spelled_digits() -> None:
    assert [digits for _, _, digits in spelled_digit_runs("call five five five, double zero one 4 two")] == ["55500142"]
    assert spelled_digit_runs("one two three") == []
