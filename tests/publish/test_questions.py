"""The guide of questions: every block of it runs, where its language is installed, and every picture says what it is."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from release_fixtures import build_measured
from shipped import answers, opened, reader, ship

from cli.guide import GUIDE, Question, picture, questions
from publish.catalog import write_catalog
from publish.parquet import SYNTHETIC_NOTICE
from schemas.periods import Quarter
from schemas.tables import Status

QUESTIONS = list(questions())


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.+?)^```$", GUIDE.read_text(), re.M | re.S)


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("releases")
    for place, quarter in enumerate((Quarter(2026, 1), Quarter(2026, 2))):
        ship(build_measured(seed=place, quarter=quarter, users=24_000, quarters=4), root)
    write_catalog(root)
    return root


def test_there_are_thirteen_each_with_query_and_picture_and_in_three_languages() -> None:
    assert len(QUESTIONS) == 13 == len(_blocks("sql"))
    assert len(_blocks("python")) > 5 and len(_blocks("r")) > 5
    for question in QUESTIONS:
        svg = (GUIDE.parent / question.path).read_text()
        assert SYNTHETIC_NOTICE[:14] in svg and question.alt in svg and "synthetic" in question.alt


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: Path(question.path).stem)
def test_each_query_answers_in_duckdb_alone(question: Question, releases: Path) -> None:
    rows = answers(opened(releases), question.sql)
    value, known = question.columns["value"], {str(status) for status in Status} | {"too_few_quarters"}
    assert rows and {row["status"] for row in rows} <= known
    assert any(row[value] is not None for row in rows)
    for row in rows:
        ends = [row[question.columns[end]] for end in ("low", "value", "high")]
        assert None not in ends or ends == [None] * 3
        assert None in ends or ends == sorted(ends)
        assert row["status"] in ("ok", "too_noisy") or ends == [None] * 3


def test_a_picture_shows_what_is_missing_and_why(releases: Path) -> None:
    rows = answers(opened(releases), QUESTIONS[0].sql)
    assert "too few companies" not in picture(QUESTIONS[0], rows)
    rows[0] |= {"share": None, "ci_low": None, "ci_high": None, "status": "too_few_companies"}
    svg = picture(QUESTIONS[0], rows)
    assert "too few companies" in svg and "SYNTHETIC DATA" in svg and QUESTIONS[0].title in svg
    assert svg == picture(QUESTIONS[0], rows)


def test_a_macro_asked_by_row_says_the_same_as_alone(releases: Path) -> None:
    connection = opened(releases)
    alone = answers(connection, "FROM rate_of('evasion', bypassed IN ('yes', 'partly'), tactic = 'role_play')")
    by_row = answers(
        connection,
        "SELECT found.* FROM (VALUES ('rephrase'), ('role_play')) AS t(tactic), "
        "LATERAL (FROM rate_of('evasion', bypassed IN ('yes', 'partly'), tactic = t.tactic)) AS found WHERE t.tactic = 'role_play'",
    )
    key = lambda row: str(row["quarter"])  # noqa: E731
    assert [row["rate"] for row in sorted(by_row, key=key)] == pytest.approx([row["rate"] for row in sorted(alone, key=key)])


def test_the_first_answer_of_the_readme_runs_in_a_release(releases: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    block = readme.split("```python\n", 1)[1].split("```", 1)[0]
    folder = next(releases.glob("*/v1"))
    done = subprocess.run([sys.executable, "-c", block], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "crisis_resource_referral" in done.stdout, done.stderr[-1000:]


def test_each_block_of_pandas_runs(releases: Path) -> None:
    python = reader("pandas", "pyarrow")
    setup, *blocks = _blocks("python")
    for block in blocks:
        done = subprocess.run([python, "-c", setup + block], cwd=releases, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0 and len(done.stdout.splitlines()) > 2, done.stderr[-1000:]


def test_each_block_of_r_runs(releases: Path) -> None:
    if shutil.which("Rscript") is None:
        pytest.skip("no R is installed")
    setup, *blocks = _blocks("r")
    if subprocess.run(["Rscript", "-e", "library(duckdb)"], capture_output=True).returncode:
        pytest.skip("R has no package duckdb")
    for block in blocks:
        done = subprocess.run(["Rscript", "-e", setup + block], cwd=releases, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0 and "status" in done.stdout, done.stderr[-1000:]
