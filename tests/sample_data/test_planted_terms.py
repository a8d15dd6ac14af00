"""Planted terms: nobody else's words, written by as many as the truth says, and left alone by the scrub."""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import orjson
import pytest
from submission_files import read_rows
from wordfreq import get_frequency_dict

from sample_data.coined import KINDS, MATTERS, STEMS, SYLLABLES, coined
from sample_data.emerging_plants import TermPlant
from sample_data.generate import generate
from sample_data.parameters import SimulationParameters
from sample_data.phrases import TEXT_LANGUAGES
from sample_data.simulate import simulate
from sample_data.texts import TextSource
from schemas.periods import Quarter

WORD, PHRASE, DECOY, SEASONAL = range(4)
PARAMETERS = SimulationParameters(
    seed=21,
    users=500,
    quarters=3,
    text_share=0.3,
    correction_share=0.05,
    record_withdrawal_share=0.05,
    user_withdrawal_share=0.05,
    duplicate_share=0.03,
    terms=(
        TermPlant(begins="2026Q2", companies=("alder", "cedar"), share=0.5, growth=1.5),
        TermPlant(kind="phrase", begins="2026Q3", assistant=True),
        TermPlant(begins="2026Q2", companies=("birch",), writers=1, repeats=150),
        TermPlant(begins="2026Q1", share=0.08, season=3, season_factor=8),
    ),
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("terms") / "out"
    simulate(out, PARAMETERS)
    return out


@pytest.fixture(scope="module")
def truth(written: Path) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads((written / "truth.json").read_bytes())
    return found


@pytest.fixture(scope="module")
def rows(written: Path) -> dict[tuple[str, str, str, int], dict[str, Any]]:
    return {
        (path.parts[-3], path.parts[-2], path.name, at): row
        for path in sorted(written.glob("*/*/part-*"))
        for at, row in enumerate(read_rows(path), start=1)
        if row is not None
    }


def _texts(row: dict[str, Any]) -> Iterator[tuple[int, str, str]]:
    turns = row.get("turns")
    for turn in turns if isinstance(turns, list) else ():
        if isinstance(turn, dict) and isinstance(turn.get("text"), str):
            yield turn["index"], turn["role"], turn["text"]


def test_no_word_list_has_a_coined_word() -> None:
    words = {stem + syllable for stem, syllable in product(STEMS, SYLLABLES)}
    for language in TEXT_LANGUAGES:
        known = get_frequency_dict(language, "best")
        assert words & set(known) == set()
        assert language != "en" or {*STEMS, *KINDS, *MATTERS} <= set(known)


def test_terms_follow_from_the_seed_and_their_place() -> None:
    kinds = ["word", "phrase"] * 20
    found = coined(4, kinds)
    assert len(set(found)) == len(found) and found[:7] == coined(4, kinds[:7])
    assert found != coined(5, kinds)
    for kind, term in zip(kinds, found, strict=True):
        assert re.fullmatch(r"[a-z]+ [a-z]+ [a-z]+" if kind == "phrase" else r"[a-z]+", term)


def test_each_span_holds_its_term_and_nobody_else_says_it(truth: dict[str, Any], rows: dict[Any, dict[str, Any]]) -> None:
    terms = [plant["text"] for plant in truth["terms"]]
    assert terms == list(coined(21, ["word", "phrase", "word", "word"]))
    told: Counter[tuple[Any, int, str]] = Counter()
    for *place, record_id, turn, start, end, kind in truth["term_spans"]["rows"]:
        row = rows[tuple(place)]
        (text,) = (t for index, _, t in _texts(row) if index == turn)
        assert (row["record_id"], kind) == (record_id, "planted_term") and text[start:end] in terms
        told[tuple(place), turn, text[start:end]] += 1
    said = Counter(
        {(place, i, term): text.count(term) for place, row in rows.items() for i, _, text in _texts(row) for term in terms}
    )
    assert +said == told and told


def test_as_many_users_write_it_as_the_truth_says(truth: dict[str, Any], rows: dict[Any, dict[str, Any]]) -> None:
    quarter_of = {s["submission_id"]: s["quarter"] for s in truth["submissions"]}
    for plant in truth["terms"]:
        users: dict[tuple[str, str], set[tuple[str, bool]]] = {}
        for (company, submission, _, _), row in rows.items():
            if any(plant["text"] in text and role == "user" for _, role, text in _texts(row)):
                minor = row["person"]["age_band"] in ("13_15", "16_17")
                users.setdefault((quarter_of[submission], company), set()).add((row["user_pseudonym"], minor))
        found = {key: {"users": len(who), "known_minors": sum(minor for _, minor in who)} for key, who in users.items()}
        assert found == {(q, c): n for q, by in plant["written"].items() for c, n in by.items()}


def test_terms_begin_where_and_when_they_are_planted(truth: dict[str, Any]) -> None:
    written = [plant["written"] for plant in truth["terms"]]
    assert {q: sorted(by) for q, by in written[WORD].items()} == {
        "2026Q1": [],
        "2026Q2": ["alder", "cedar"],
        "2026Q3": ["alder", "cedar"],
    }
    assert [sorted(by) for by in written[PHRASE].values()] == [[], [], ["alder", "birch", "cedar"]]
    assert list(written[DECOY].values()) == [{}, *[{"birch": {"users": 1, "known_minors": 0}}] * 2]
    by_quarter = [sum(n["users"] for n in by.values()) for by in written[SEASONAL].values()]
    assert by_quarter[2] > 3 * max(by_quarter[:2]) > 0


def test_shares_are_of_the_users_with_text() -> None:
    plant = PARAMETERS.terms[WORD]
    assert [round(plant.share_in(Quarter(2026, n)), 3) for n in (1, 2, 3, 4)] == [0, 0.5, 0.75, 1.0]
    seasonal = PARAMETERS.terms[SEASONAL]
    years = [[seasonal.share_in(Quarter(year, n)) for n in (1, 2, 3, 4)] for year in (2026, 2027)]
    assert years[0] == years[1] == [0.08, 0.08, 0.64, 0.08]
    simulated = generate(PARAMETERS).quarter(Quarter(2026, 2))
    texts = TextSource(PARAMETERS, None).of(simulated)
    c = simulated.columns
    counting = [i for i in texts.from_templates if not c.changes.removed[i]]
    users = {u for u in c.records.user[counting].tolist() if c.users.company[u] != 1}
    assert abs(len(texts.terms.writers[WORD]) - len(users) / 2) < 4 * (len(users) / 4) ** 0.5


def test_the_decoy_is_one_user_who_says_it_150_times(truth: dict[str, Any], rows: dict[Any, dict[str, Any]]) -> None:
    decoy = truth["terms"][DECOY]["text"]
    times = {
        (submission[-6:-2], row["record_id"]): sum(text.count(decoy) for _, _, text in _texts(row))
        for (_, submission, _, _), row in rows.items()
        if any(decoy in text for _, _, text in _texts(row))
    }
    assert set(times.values()) == {150}


def test_the_assistant_takes_up_what_it_should(truth: dict[str, Any], rows: dict[Any, dict[str, Any]]) -> None:
    said = {
        place: {role for row in rows.values() for _, role, text in _texts(row) if truth["terms"][place]["text"] in text}
        for place in range(4)
    }
    assert said == {WORD: {"user"}, PHRASE: {"user", "assistant"}, DECOY: {"user"}, SEASONAL: {"user"}}


def test_terms_leave_all_other_words_and_draws_as_they_were() -> None:
    plain = PARAMETERS.model_copy(update={"terms": ()})
    for one, two in zip(generate(PARAMETERS).quarters, generate(plain).quarters, strict=True):
        texts, without = (TextSource(p, None).of(s) for p, s in ((PARAMETERS, one), (plain, two)))
        for (*where, talk), (*there, bare) in zip(texts.all(), without.all(), strict=True):
            assert where == there and talk.planted == bare.planted and talk.must_survive == bare.must_survive
            assert all(a["text"].startswith(b["text"]) for a, b in zip(talk.turns, bare.turns, strict=True))
            assert bool(talk.terms) == (talk.turns != bare.turns)


def test_terms_of_a_file_of_conversations_stay_below_the_limit(tmp_path: Path) -> None:
    talks = [
        {"turns": [{"role": "user", "text": "I feel low. " * 4_000}], "lang": "en"},
        {"turns": [{"role": "model", "text": "Hi."}]},
    ]
    file = tmp_path / "talks.jsonl"
    file.write_bytes(b"".join(orjson.dumps(talk) + b"\n" for talk in talks))
    terms = (TermPlant(begins="2026Q1", share=1.0, repeats=150),)
    told = simulate(tmp_path / "out", SimulationParameters(users=300, quarters=1, terms=terms, malformed_share=0.0), file)
    assert len({row[4] for row in told.terms}) == 1 and len(told.terms) >= 150
    assert sum(n["users"] for n in told.writers["2026Q1"][0].values()) == 1
