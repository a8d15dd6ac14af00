"""Text with planted PII: every span is exact, helplines are found, nothing else of a file's text is touched."""

import random
from collections import Counter
from itertools import pairwise
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from submission_files import read_rows

from sample_data.conversations import (
    Conversation,
    FileConversation,
    from_file,
    from_templates,
    helpline_spans,
    read_conversations,
)
from sample_data.generate import generate
from sample_data.outcome_plants import DOMAIN
from sample_data.parameters import PII_RATES, SimulationParameters
from sample_data.phrases import HELPLINES, TEXT_LANGUAGES
from sample_data.pii import PII_KINDS
from sample_data.simulate import simulate
from sample_data.texts import TextSource
from schemas.errors import UsageError
from schemas.fields import MAX_TURN_CHARACTERS

VERA = Path(__file__).parents[3] / "shared/data/conversations/vera_mh.jsonl"
ALL_KINDS = SimulationParameters(pii_rates=dict.fromkeys(PII_RATES, 0.6), helpline_rate=1.0)
REFERRAL = {"turn": 2, "type": "crisis_resource_referral", "outcomes": []}


def _assert_exact(conversation: Conversation) -> None:
    texts = {turn["index"]: turn["text"] for turn in conversation.turns}
    for span in (*conversation.planted, *conversation.must_survive):
        assert texts[span.turn][span.start : span.end] == span.value != ""
    taken = sorted((s.turn, s.start, s.end) for s in (*conversation.planted, *conversation.must_survive))
    for (turn, _, end), (next_turn, start, _) in pairwise(taken):
        assert turn < next_turn or end <= start
    assert {span.kind for span in conversation.planted} <= set(PII_KINDS)


@given(
    st.integers(0, 100_000),
    st.sampled_from(TEXT_LANGUAGES),
    st.sampled_from(["US", "GB", "MX", "FR", "unknown"]),
    st.integers(2, 60),
)
@settings(max_examples=80, deadline=None)
def test_spans_of_our_own_text_are_exact(seed: int, language: str, region: str, n_turns: int) -> None:
    conversation = from_templates(ALL_KINDS, random.Random(seed), language, region, n_turns, [REFERRAL])
    _assert_exact(conversation)
    assert [turn["index"] for turn in conversation.turns] == list(range(1, min(n_turns, ALL_KINDS.text_turns) + 1))
    assert any(span.turn == 2 for span in conversation.must_survive)  # the referral
    assert any(span.turn % 2 for span in conversation.must_survive)  # the user's own mention
    names = [span.value.split(" ")[0] for span in conversation.planted if span.kind == "person_name"]
    assert len(set(names)) <= 1  # one name a conversation, often said again


TEXT = st.text(max_size=300)


@given(
    st.integers(0, 100_000),
    st.lists(st.tuples(st.sampled_from(["user", "assistant", "human", "model"]), TEXT), min_size=1, max_size=12),
)
@settings(max_examples=80, deadline=None)
def test_planting_into_a_file_keeps_its_own_words(seed: int, turns: list[tuple[str, str]]) -> None:
    plain = from_file(SimulationParameters(pii_rates={}), random.Random(seed), FileConversation("en", tuple(turns)), 10)
    assert [t["text"] for t in plain.turns] == [text for _, text in turns[:10]]
    assert plain.planted == ()
    planted = from_file(ALL_KINDS, random.Random(seed), FileConversation("en", tuple(turns)), 10)
    _assert_exact(planted)
    roles = {t["index"]: t["role"] for t in planted.turns}
    assert all(roles[span.turn] == "user" for span in planted.planted)
    for before, after in zip(plain.turns, planted.turns, strict=True):
        letters = iter(after["text"])
        assert all(letter in letters for letter in before["text"])  # a subsequence: nothing of it is lost


def test_long_turns_are_cut_to_the_limit() -> None:
    source = FileConversation("en", (("user", "I feel low. " * 4_000),))
    (turn,) = from_file(ALL_KINDS, random.Random(1), source, 5).turns
    assert MAX_TURN_CHARACTERS - 100 < len(turn["text"]) <= MAX_TURN_CHARACTERS


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Call 988, or text 741741.", ["988", "741741"]),
        ("(1-866-488-7386) or 116 123!", ["1-866-488-7386", "116 123"]),
        ("988", ["988"]),
        ("My code is 98812, flat 1988, 988-12 and 3.988", []),
        ("Lifeline 13 11 14.", ["13 11 14"]),
    ],
)
def test_helplines_are_found_where_they_stand_alone(text: str, found: list[str]) -> None:
    spans = helpline_spans([{"index": 1, "role": "user", "text": text}], [], HELPLINES)
    assert [span.value for span in spans] == found


def test_names_come_again_without_the_words_that_gave_them_away() -> None:
    again = 0
    for seed in range(300):
        conversation = from_templates(ALL_KINDS, random.Random(seed), "en", "US", 12, [])
        again += sum(span.kind == "person_name" for span in conversation.planted) > 1
    assert again > 90


def test_written_spans_are_exact(tmp_path: Path) -> None:
    truth = simulate(tmp_path / "out", SimulationParameters(seed=4, users=200, quarters=1, text_share=0.5))
    rows = {path: read_rows(path) for path in (tmp_path / "out").rglob("part-*")}
    values: Counter[str] = Counter()
    for company, submission, file, row, record_id, turn, start, end, kind in truth.pii + truth.must_survive:
        record = rows[tmp_path / "out" / company / submission / file][row - 1]
        assert record is not None and record["record_id"] == record_id and record["domain"] == DOMAIN
        (text,) = (t["text"] for t in record["turns"] if t["index"] == turn)
        value = text[start:end]
        assert value == value.strip() != ""
        assert (value in HELPLINES) == (kind == "helpline")
        values[kind] += 1
    assert len(values) > 12


def test_texts_in_memory_are_those_that_are_written(tmp_path: Path) -> None:
    plain = {"duplicate_share": 0.0, "correction_share": 0.0, "malformed_share": 0.0}
    parameters = SimulationParameters(seed=2, users=80, quarters=1, text_share=0.4).model_copy(update=plain)
    truth = simulate(tmp_path / "out", parameters)
    texts = list(TextSource(parameters, None).of(generate(parameters).quarters[0]).all())
    told = {(row[0], row[4], row[5], row[6], row[7], row[8]) for row in truth.pii}
    assert told == {(c, r, s.turn, s.start, s.end, s.kind) for c, r, text in texts for s in text.planted}
    assert len(texts) == sum(counts.conversations_with_text for counts in truth.counts["2026Q1"].values())


def test_an_under_13_carries_no_text(tmp_path: Path) -> None:
    ages = {"under_13": 0.9, "13_15": 0.1}
    simulate(tmp_path / "out", SimulationParameters(users=150, quarters=1, text_share=1.0, age_bands=ages, malformed_share=0.0))
    records = [row for path in (tmp_path / "out").rglob("part-*") for row in read_rows(path) if row and "person" in row]
    assert any(row["turns"] for row in records if row["person"]["age_band"] == "13_15")
    assert not any(row["turns"] for row in records if row["person"]["age_band"] == "under_13")


def _write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return path


def test_each_conversation_of_a_file_is_used_once(tmp_path: Path) -> None:
    rows = [{"turns": [{"role": "user", "text": f"This is row {n}."}], "lang": "en"} for n in range(40)]
    file = _write(tmp_path / "talk.jsonl", rows)  # type: ignore[arg-type]
    plain = SimulationParameters(users=100, pii_rates={}, duplicate_share=0.0, correction_share=0.0, malformed_share=0.0)
    simulate(tmp_path / "out", plain, file)
    texts = [
        t["text"] for path in (tmp_path / "out").rglob("part-*") for row in read_rows(path) if row for t in row.get("turns", ())
    ]
    assert sorted(texts) == sorted(f"This is row {n}." for n in range(40))


@pytest.mark.parametrize("content", [b"", b"{", b'{"turns": 3}', b'{"turns": [{"role": "user"}]}', b"[]"])
def test_an_unreadable_file_of_conversations_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "talk.jsonl").write_bytes(content)
    with pytest.raises(UsageError):
        read_conversations(tmp_path / "talk.jsonl")


@pytest.mark.shared_data
@pytest.mark.skipif(not VERA.exists(), reason="../shared/data is absent")
def test_real_conversations_with_planted_pii(tmp_path: Path) -> None:
    truth = simulate(tmp_path / "out", SimulationParameters(users=400), VERA)
    assert sum(c.conversations_with_text for by in truth.counts.values() for c in by.values()) >= 105
    assert len({row[8] for row in truth.pii}) >= 12
    assert len(truth.must_survive) > 1_000
