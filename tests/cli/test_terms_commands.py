"""`commons terms`: a reviewer decides on one term after the other, or on a file of them."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "flows"))
from terms_pool import FIRST, key, measured_by_hand, terms_pool

from cli.main import run
from flows.pool import Pool
from flows.terms import quarters_terms

TERMS = {"ondrake": 400.0, "sar\u202emel": 300.0, "veltri": 140.0}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pool = terms_pool(tmp_path_factory.mktemp("made") / "pool")
    measured_by_hand(pool, FIRST, TERMS)
    pool.engine.dispose()
    return pool.root


@pytest.fixture
def pool(made: Path, tmp_path: Path) -> Pool:
    return Pool(Path(shutil.copytree(made, tmp_path / "pool")))


def review(pool: Pool, monkeypatch: pytest.MonkeyPatch, answers: str, *more: str) -> int:
    given: Iterator[str] = iter(answers)

    def answer(_: str) -> str:
        try:
            return next(given)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", answer)
    return run(["terms", "review", "2026Q1", "--key", str(key(pool, "carl")), "--root", str(pool.root), *more])


def decisions(pool: Pool) -> dict[str, str]:
    return {term: str(review.decision) for (_, term), review in quarters_terms(pool, FIRST).reviews.items()}


def test_one_term_after_the_other(pool: Pool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert review(pool, monkeypatch, "mrp") == 0
    shown = capsys.readouterr().out
    assert decisions(pool) == dict(zip(TERMS, ("members", "reject", "public"), strict=True))
    for told in (
        "1 of 3   “ondrake”",
        "3 of 3   “veltri”",
        "at least 400 users-equivalent (",
        "0 terms of 2026Q1 wait for review",
    ):
        assert told in shown, told
    assert shown.count("In doubt choose the stricter one") == 1
    assert "\u202e" not in shown and "sar\ufffdmel" in shown  # it would turn the line around


def test_who_stops_goes_on_where_they_stopped(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert review(pool, monkeypatch, "mq") == 0
    assert "2 terms of 2026Q1 wait for review" in capsys.readouterr().out
    assert review(pool, monkeypatch, "x") == 0  # no answer that is known: asked again, and then there is nobody
    assert "1 of 2" in capsys.readouterr().out
    assert decisions(pool) == {"ondrake": "members"}


def test_going_back_skipping_and_deciding_anew(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert review(pool, monkeypatch, "bpsbbm") == 0
    assert decisions(pool) == {"ondrake": "members"}
    assert review(pool, monkeypatch, "rss", "--all") == 0
    assert decisions(pool) == {"ondrake": "reject"}


@pytest.mark.parametrize("form", ["json", "csv"])
def test_what_is_listed_can_be_filled_in_and_given_back(
    form: str, pool: Pool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["--key", str(key(pool, "carl")), "--root", str(pool.root), "--json"]
    assert run(["terms", "list", "2026Q1", *call]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert (listed["waiting"], [each["term"] for each in listed["terms"]]) == (3, list(TERMS))
    assert all(each["ci_low"] <= each["estimate"] <= each["ci_high"] for each in listed["terms"])
    listed["terms"][0]["decision"] = "public"
    path = tmp_path / f"decisions.{form}"
    rows = ["speaker,term,decision", *(f"{each['speaker']},{each['term']},{each['decision']}" for each in listed["terms"])]
    path.write_text(json.dumps(listed) if form == "json" else "\n".join(rows))
    assert run(["terms", "review", "2026Q1", "--decide", str(path), *call]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "quarter": "2026Q1", "decided": 1, "waiting": 2, "public": 1, "members": 0, "reject": 0,
    }  # fmt: skip
    assert decisions(pool) == {"ondrake": "public"}


def test_without_a_key_it_only_counts(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["terms", "list", "2026Q1", "--root", str(pool.root)]) == 0
    assert capsys.readouterr().out == "3 wait for review, 0 public, 0 for members, 0 rejected\n"
    assert run(["status", "--root", str(pool.root)]) == 0
    shown = capsys.readouterr().out
    assert "3 terms wait for review" in shown and "commons terms review 2026Q1" in shown


def test_a_quarter_that_is_not_measured_has_no_terms(pool: Pool) -> None:
    assert run(["terms", "list", "2026Q2", "--root", str(pool.root)]) == 2
