"""Planted values: invented, well formed, and unknown to the scrub."""

import ast
import random
import re
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sample_data.names import FIRST_NAMES, LAST_NAMES
from sample_data.parameters import PII_RATES
from sample_data.phrases import HELPLINES, PII_SENTENCES, TEXT_LANGUAGES
from sample_data.pii import PII_KINDS, draw_value

ANONYMIZE = Path(__file__).parents[2] / "anonymize"
# A scrub may know a few names, as of months, medicines or scales; not the list from which ours are drawn.
NAMES_BY_CHANCE = 0.05


def test_at_least_twelve_kinds_each_with_sentences() -> None:
    assert len(PII_KINDS) >= 12 and set(PII_RATES) == set(PII_KINDS)
    assert set(PII_SENTENCES["en"]) == set(PII_KINDS) | {"name_again"}
    for language in TEXT_LANGUAGES:
        for kind, sentences in PII_SENTENCES[language].items():
            assert kind in PII_KINDS or kind == "name_again"
            assert all(sentence.count("{}") == 1 for sentence in sentences)


@given(st.integers(0, 10**9), st.sampled_from(sorted(PII_KINDS)), st.sampled_from(TEXT_LANGUAGES))
def test_values_are_drawn_from_the_seed_alone(seed: int, kind: str, language: str) -> None:
    value = draw_value(kind, random.Random(seed), language)
    assert value == draw_value(kind, random.Random(seed), language)
    assert value.strip() == value != ""
    assert value not in HELPLINES


def test_a_value_that_reads_like_a_helpline_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter(["3114", "3114", "4821"])
    monkeypatch.setitem(cast(dict[str, object], PII_KINDS), "last_four", lambda rng, language: next(values))
    assert draw_value("last_four", random.Random(1), "en") == "4821"


@given(st.integers(0, 10**9))
def test_check_digits_hold(seed: int) -> None:
    card = [int(d) for d in re.sub(r"\D", "", PII_KINDS["card_number"](random.Random(seed), "en"))]
    assert len(card) == 16
    assert sum(sum(divmod(d * (2 - i % 2), 10)) for i, d in enumerate(card)) % 10 == 0
    account = PII_KINDS["account_number"](random.Random(seed), "en").replace(" ", "")
    if account.startswith("GB"):
        assert int("".join(str(int(c, 36)) for c in account[4:] + account[:4])) % 97 == 1
    dni = PII_KINDS["national_number"](random.Random(seed), "es")
    assert dni[-1] == "TRWAGMYFPDXBNJZSQVHLCKE"[int(dni[:-1]) % 23]


@given(st.integers(0, 10**9))
def test_addresses_lie_in_ranges_kept_for_examples(seed: int) -> None:
    rng = random.Random(seed)
    assert PII_KINDS["email"](rng, "en").endswith(("example.com", "example.org", "example.net"))
    assert re.search(r"\bexample\.(com|org|net)/", PII_KINDS["url"](rng, "en"))
    assert PII_KINDS["ip_address"](rng, "en").startswith(("192.0.2.", "198.51.100.", "203.0.113.", "2001:db8::"))
    assert re.search(r"555\D01|7700 ?900|7946 0", PII_KINDS["phone"](rng, "en"))


def test_name_lists_are_broad() -> None:
    for names in (FIRST_NAMES, LAST_NAMES):
        assert len(names) >= 150 and len(set(names)) == len(names)


def _imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


def test_the_scrub_imports_nothing_of_the_generator() -> None:
    for path in ANONYMIZE.rglob("*.py"):
        assert not any(name.split(".")[0] == "sample_data" for name in _imported(path)), path.name


@pytest.mark.parametrize("names", [FIRST_NAMES, LAST_NAMES], ids=["first", "last"])
def test_the_scrub_holds_no_list_of_planted_names(names: tuple[str, ...]) -> None:
    for path in ANONYMIZE.rglob("*"):
        if path.suffix in (".py", ".txt", ".toml", ".json", ".csv"):
            words = set(re.findall(r"[^\W\d_][\w'-]*", path.read_text(encoding="utf-8")))
            found = [name for name in names if name in words]
            assert len(found) <= NAMES_BY_CHANCE * len(names), path.name
