"""Questions over all releases: the views beside `catalog.json`, what was known as of a release, and `commons query`."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from derived_fixtures import GROWN_TERM
from release_fixtures import build_measured
from shipped import answer, answers, opened, ship

from cli.main import run
from flows.querying import run_query
from publish import catalog as catalog_module
from publish.catalog import write_catalog
from publish.views import data_path
from schemas.errors import UsageError
from schemas.periods import Quarter

EARLIER, LATER = Quarter(2026, 2), Quarter(2026, 3)
TOTAL = "SELECT quarter, sum(estimate) AS users FROM risk_profile WHERE selection_reason <> 'all' GROUP BY ALL ORDER BY ALL"
TREND = "FROM trend_of('intervention_outcomes', outcome = 'engaged', intervention = 'direct_suicide_question')"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool of which 2026Q2 was superseded after 2026Q3 had come out."""
    root = tmp_path_factory.mktemp("pool")
    releases = root / "releases"
    ship(build_measured(seed=2, quarter=EARLIER, users=10_000), releases, "2026-08-20T12:00:00+00:00")
    ship(build_measured(seed=3, quarter=LATER, users=20_000), releases, "2026-11-20T12:00:00+00:00")
    ship(build_measured(seed=4, quarter=EARLIER, users=30_000, version=2), releases, "2026-12-01T12:00:00+00:00")
    write_catalog(releases)
    return root


def _asked(root: Path, *arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = run(["query", *arguments, "--root", str(root)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def _thousands(rows: list[Any]) -> list[int]:
    return [round(row["users"] / 1000) for row in rows]


def test_the_views_beside_the_catalogue_show_the_latest_version_of_each_quarter(root: Path) -> None:
    catalogue = opened(root / "releases")
    assert _thousands(answers(catalogue, TOTAL)) == [30, 20]
    assert [row["release"] for row in answers(catalogue, "FROM releases ORDER BY place")] == [
        "2026Q2/v1",
        "2026Q3/v1",
        "2026Q2/v2",
    ]
    assert len(answers(catalogue, "SELECT DISTINCT release FROM _versions_of_risk_profile")) == 3


def test_everything_is_as_it_was_when_a_release_came_out(root: Path) -> None:
    catalogue = opened(root / "releases")
    for release, known in (("2026Q2/v1", [10]), ("2026Q3/v1", [10, 20]), ("2026Q2/v2", [30, 20])):
        catalogue.execute(f"SET VARIABLE as_of = '{release}'")
        assert _thousands(answers(catalogue, TOTAL)) == known
        summed = answers(catalogue, "FROM sum_of('risk_profile', selection_reason <> 'all')")
        assert [round(row["estimate"] / 1000) for row in summed] == known
        assert answer(catalogue, TREND)["quarters"] == len(known)
        catalogue.execute("RESET VARIABLE as_of")
        one = answers(
            catalogue, f"WITH t AS (FROM as_of('risk_profile', '{release}')) {TOTAL.replace('FROM risk_profile', 'FROM t')}"
        )
        assert _thousands(one) == known
    assert _thousands(answers(catalogue, TOTAL)) == [30, 20]


def test_a_release_that_is_not_there_is_an_error_and_no_empty_table(root: Path) -> None:
    catalogue = opened(root / "releases")
    with pytest.raises(duckdb.Error, match="no such release"):
        answers(catalogue, "FROM as_of('risk_profile', '2026Q2/v9')")
    catalogue.execute("SET VARIABLE as_of = '2026Q4/v1'")
    with pytest.raises(duckdb.Error, match="no such release"):
        answers(catalogue, TOTAL)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two quarters with derived tables, the earlier one superseded after the later came out."""
    releases = tmp_path_factory.mktemp("told")
    ship(build_measured(seed=2, quarter=EARLIER, users=10_000), releases, "2026-08-20T12:00:00+00:00")
    ship(build_measured(seed=3, quarter=LATER, users=20_000, quarters=4), releases, "2026-11-20T12:00:00+00:00")
    ship(build_measured(seed=4, quarter=EARLIER, users=30_000, version=2, quarters=4), releases, "2026-12-01T12:00:00+00:00")
    write_catalog(releases)
    return releases


def test_a_cell_has_a_history_over_releases_as_of_any(told: Path) -> None:
    history = "FROM history_of_cell('risk_profile', 'ideation,age_band', 'wish_to_be_dead,25_44')"
    connection = opened(told)
    rows = answers(connection, history)
    assert [(row["release"], row["current"]) for row in rows] == [
        (f"{EARLIER}/v1", False),
        (f"{LATER}/v1", True),
        (f"{EARLIER}/v2", True),
    ]
    assert {(row["ideation"], row["age_band"], row["week"]) for row in rows} == {("wish_to_be_dead", "25_44", "all")}
    assert len({row["estimate"] for row in rows}) == 3 and not any(name.startswith("_") for name in rows[0])
    turned = history.replace("ideation,age_band", "age_band,ideation").replace("wish_to_be_dead,25_44", "25_44,wish_to_be_dead")
    assert answers(connection, turned) == rows
    rated = answers(
        connection, "FROM history_of_cell('intervention_outcomes', 'intervention,outcome', 'content_refusal,engaged')"
    )
    assert len(rated) == 3 and all(row["rate"] is not None for row in rated)
    assert answers(connection, "FROM history_of_cell('risk_profile', 'ideation', 'wish_to_be_dead')") == []  # no such marginal
    connection.execute(f"SET VARIABLE as_of = '{EARLIER}/v1'")
    assert [(row["release"], row["current"]) for row in answers(connection, history)] == [(f"{EARLIER}/v1", True)]


def test_a_term_has_a_history_and_derived_tables_are_as_of_too(told: Path) -> None:
    connection = opened(told)
    rows = answers(connection, f"FROM history_of_term('{GROWN_TERM}')")
    assert [row["release"] for row in rows] == [f"{LATER}/v1", f"{EARLIER}/v2"]
    assert {row["first_seen"] for row in rows} == {"2025Q2", "2025Q3"} and all(row["growth"] for row in rows)
    assert answers(connection, "FROM history_of_term('nowhere')") == []
    for table in ("emerging_patterns", "emerging_terms", "change_effects"):
        now, then = (
            answer(connection, f"SELECT count(*) AS n FROM {each}") for each in (table, f"as_of('{table}', '{EARLIER}/v1')")
        )
        assert now["n"] > then["n"], table
    connection.execute(f"SET VARIABLE as_of = '{EARLIER}/v1'")
    assert answers(connection, f"FROM history_of_term('{GROWN_TERM}')") == []
    assert {row["status"] for row in answers(connection, "FROM emerging_patterns")} == {"not_comparable", "too_few_companies"}


def test_a_trend_runs_over_quarters_and_stops_at_a_gap(root: Path, tmp_path: Path) -> None:
    found = answer(opened(root / "releases"), TREND)
    assert found["status"] == "ok" and found["ci_low"] < found["change_a_quarter"] < found["ci_high"]
    assert (found["first_quarter"], found["last_quarter"]) == ("2026Q2", "2026Q3")
    ship(build_measured(quarter=EARLIER, users=10_000), tmp_path)
    ship(build_measured(quarter=LATER, users=10_000, not_collected=("user_reply",)), tmp_path)
    write_catalog(tmp_path)
    gap = answer(opened(tmp_path), f"{TREND} WHERE outcome_kind = 'user_reply'")
    assert (gap["status"], gap["change_a_quarter"], gap["quarters"]) == ("not_collected", None, 2)


def test_a_key_that_an_earlier_release_had_not_was_summed_over_in_it(tmp_path: Path) -> None:
    folder = ship(build_measured(quarter=EARLIER, users=10_000), tmp_path)
    path = folder / data_path("risk_profile")
    whole = pq.read_table(path)
    kept = whole.filter([language == "all" for language in whole.column("language").to_pylist()])
    pq.write_table(kept.drop_columns(["language"]), path)
    ship(build_measured(quarter=LATER, users=20_000), tmp_path)
    write_catalog(tmp_path)
    catalogue = opened(tmp_path)
    assert _thousands(answers(catalogue, TOTAL)) == [10, 20]
    assert _thousands(answers(catalogue, TOTAL.replace("WHERE", "WHERE language = 'all' AND"))) == [10, 20]
    assert [row["quarter"] for row in answers(catalogue, "FROM sum_of('risk_profile', language = 'en')")] == ["2026Q3"]


def test_a_reader_sees_the_old_catalogue_or_the_new_one(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ship(build_measured(quarter=EARLIER, users=10_000), tmp_path)
    write_catalog(tmp_path)
    before = (tmp_path / "catalog.json").read_bytes()
    ship(build_measured(quarter=LATER, users=20_000), tmp_path)
    real = catalog_module.write_synced

    def dies(path: Path, data: bytes) -> None:
        if path.name.startswith(".catalog.json"):
            raise KeyboardInterrupt
        real(path, data)

    monkeypatch.setattr(catalog_module, "write_synced", dies)
    with pytest.raises(KeyboardInterrupt):
        write_catalog(tmp_path)
    assert (tmp_path / "catalog.json").read_bytes() == before
    assert _thousands(answers(opened(tmp_path), TOTAL)) == [10, 20]  # the views are right beside either


def test_the_command_answers_over_all_releases(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _asked(root, TOTAL, "--json", capsys=capsys)
    assert code == 0 and _thousands(json.loads(out)) == [30, 20]
    code, out, _ = _asked(root, TOTAL, "--json", "--as-of", "2026Q3/v1", capsys=capsys)
    assert code == 0 and _thousands(json.loads(out)) == [10, 20]
    code, out, _ = _asked(
        root, "select 1.5::decimal(3,1) as d, date '2026-01-01' as day, null as n, [1, 2] as l", "--json", capsys=capsys
    )
    assert code == 0 and json.loads(out) == [{"d": 1.5, "day": "2026-01-01", "n": None, "l": [1, 2]}]


def test_the_command_prints_csv(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _asked(root, "from sum_of('risk_profile', age_band = '65_plus')", "--csv", capsys=capsys)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0 and [(row["quarter"], row["estimate"], row["status"]) for row in rows] == [
        (quarter, "", "too_few_companies") for quarter in ("2026Q2", "2026Q3")
    ]
    assert _asked(root, "select 1", "--csv", "--json", capsys=capsys)[0] == 2


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("from no_such_table", "Tables: "),
        ("from sum_of('risk_profile')", "Macros: sum_of"),
        ("from risk_profile where no_such_column = 1", "no_such_column"),
        ("selec 1", "syntax error"),
        ("", "no question"),
        ("select 1 as a, 2 as a", "one name"),
    ],
)
def test_what_cannot_be_answered_says_what_to_do(root: Path, sql: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = _asked(root, sql, "--json", capsys=capsys)
    assert (code, out) == (2, "") and said in err and len(err.strip().splitlines()) == 2


def test_an_unknown_release_names_those_there_are(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = _asked(root, TOTAL, "--as-of", "2026Q1/v1", capsys=capsys)
    assert code == 2 and "2026Q2/v1, 2026Q2/v2, 2026Q3/v1" in err


def test_nothing_is_written_and_nothing_else_is_read(root: Path) -> None:
    releases, outside = root / "releases", root / "private.csv"
    outside.write_text("a\n1\n")
    before = {path: path.read_bytes() for path in releases.rglob("*") if path.is_file()}
    for sql in (
        f"copy (select 1) to '{releases}/planted.csv'",
        f"explain analyze copy (select 1) to '{releases}/planted.csv'",
        f"attach '{releases}/planted.db'",
        f"export database '{releases}/planted'",
        f"select 1; copy (select 1) to '{releases}/planted.csv'",
        f"from read_csv('{outside}')",
        "from '/etc/passwd'",
        "set allowed_directories = ['/']; select 1",
        "set enable_external_access = true; select 1",
        "install httpfs; load httpfs",
        "from catalog",  # a variable of the process
    ):
        with pytest.raises(UsageError):
            run_query(releases, sql)
    assert {path: path.read_bytes() for path in releases.rglob("*") if path.is_file()} == before
