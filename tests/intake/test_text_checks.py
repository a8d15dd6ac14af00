"""What is let pass at once as plain has nothing that a closer look would find."""

import sys

import orjson
from hypothesis import given
from hypothesis import strategies as st

from intake.text_checks import is_plain_json, text_problem


def test_no_character_with_a_problem_is_plain() -> None:
    faulty = [chr(n) for n in range(sys.maxunicode + 1) if not 0xD800 <= n < 0xE000 and text_problem(chr(n))]
    assert len(faulty) > 60
    assert not [c for c in faulty if is_plain_json(orjson.dumps({"text": f"a{c}b"}))]


@given(texts=st.lists(st.text(alphabet=st.characters(codec="utf-8"), max_size=20), max_size=3))
def test_plain_texts_have_no_problem(texts: list[str]) -> None:
    assert not (is_plain_json(orjson.dumps(texts)) and any(map(text_problem, texts)))


def test_plain_english_is_plain() -> None:
    assert is_plain_json(orjson.dumps({"text": "I'd rather not: it is late, (and) 100% cold; ok?"}))
