"""The whole way through, as a user runs it: the command line, real Prefect, real models, real noise."""

import functools
import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from prefect_server import own_environment, prefect_server

from benchmarks.demo import counted
from benchmarks.survivors import survival
from flows.pool import Pool
from schemas.at_rest import Room, decryption
from schemas.periods import Quarter

COMMONS = Path(sys.executable).parent / "commons"
USERS = "600"
CANARY = "kzqcanary"


def commons(*arguments: str | Path, check: bool = True, api: str = "") -> subprocess.CompletedProcess[str]:
    environment = own_environment() | ({"PREFECT_API_URL": api} if api else {})
    done = subprocess.run([COMMONS, *map(str, arguments)], capture_output=True, text=True, env=environment)
    assert not check or done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    root = tmp_path_factory.mktemp("demo") / "pool"
    return root, json.loads(commons("demo", "--root", root, "--users", USERS, "--json").stdout)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A real Prefect server, as a pool with workers has: its address and its database."""
    home = tmp_path_factory.mktemp("prefect")
    with prefect_server(home) as api:
        yield api, home


def artifacts(api: str) -> list[dict[str, Any]]:
    """The latest artifacts on a server's page, one for each key."""
    asked = urllib.request.Request(f"{api}/artifacts/latest/filter", b"{}", {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return found


def tree(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_quarantined_records_equal_the_truth_by_code(demo: tuple[Path, dict[str, Any]]) -> None:
    planted, found = counted(demo[0])
    assert planted == found
    assert demo[1]["quarantined"] == planted.total() > 0


def test_three_releases_each_charged_once(demo: tuple[Path, dict[str, Any]]) -> None:
    root, summary = demo
    assert [r["quarter"] for r in summary["releases"]] == ["2025Q4", "2026Q1", "2026Q2"]
    lines = json.loads(commons("budget", "--root", root, "--verify", "--json").stdout)["lines"]
    assert {line["scope"]: line["rho_spent_exact"] for line in lines} == {
        "2025Q4": "1001/62500",
        "2026Q1": "1001/62500",
        "2026Q2": "1001/62500",
        "2025": "1001/62500",
        "2026": "1001/31250",
    }
    assert all(line["epsilon_spent"] <= line["epsilon_cap"] for line in lines)


def test_run_twice_changes_nothing_and_spends_nothing(demo: tuple[Path, dict[str, Any]]) -> None:
    root, _ = demo
    folders = ("made", "accepted", "answers", "drops", "scrubbed", "releases", "config", "keys", "secrets")
    before, entries = {name: tree(root / name) for name in folders}, Pool(root).ledger.entries()
    audit = Pool(root).catalogue.audit_rows()
    commons("demo", "--root", root, "--users", USERS, "--json")
    assert {name: tree(root / name) for name in folders} == before
    assert Pool(root).ledger.entries() == entries
    assert Pool(root).catalogue.audit_rows() == audit


def test_every_file_and_page_of_a_release_says_synthetic(demo: tuple[Path, dict[str, Any]]) -> None:
    for folder in sorted((demo[0] / "releases").glob("*/v*")):
        for path in (p for p in sorted(folder.rglob("*")) if p.is_file() and p.suffix != ".pdf" and p.name != "SHA256SUMS"):
            assert b"synthetic" in path.read_bytes().lower(), path.name


def test_a_release_verifies_and_a_flipped_byte_does_not(demo: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder = demo[0] / "releases" / "2026Q1" / "v1"
    commons("verify", folder)
    copy = tmp_path / "v1"
    shutil.copytree(folder, copy)
    table = copy / "data" / "risk_profile" / "risk_profile.parquet"
    data = bytearray(table.read_bytes())
    data[len(data) // 2] ^= 1
    table.chmod(0o644)
    table.write_bytes(data)
    assert commons("verify", copy, check=False).returncode == 14


def test_anyone_can_read_a_release_with_duckdb_alone(demo: tuple[Path, dict[str, Any]]) -> None:
    for table in ("risk_profile", "intervention_outcomes", "depth_of_conversation"):
        path = demo[0] / "releases" / "2026Q1" / "v1" / "data" / table / f"{table}.parquet"
        rows = duckdb.connect().execute(f"select count(*), count(status), sum((estimate is null)::int) from '{path}'").fetchone()
        withheld = (
            duckdb.connect()
            .execute(f"select count(*) from '{path}' where status in ('too_few_companies', 'not_collected')")
            .fetchone()
        )
        assert rows is not None
        assert withheld is not None
        assert rows[0] == rows[1] > 0
        assert rows[2] == withheld[0]


def test_query_reads_the_releases_and_nothing_else(demo: tuple[Path, dict[str, Any]]) -> None:
    root, _ = demo
    rows = json.loads(commons("query", "select distinct quarter from risk_profile order by 1", "--root", root, "--json").stdout)
    assert rows == [{"quarter": "2025Q4"}, {"quarter": "2026Q1"}, {"quarter": "2026Q2"}]
    accepted = next((root / "accepted").rglob("*.parquet"))
    for sql in (f"from '{accepted}'", "set enable_external_access = true", "from nothing"):
        assert commons("query", sql, "--root", root, check=False).returncode == 2


def test_helplines_survive_and_most_private_values_do_not(demo: tuple[Path, dict[str, Any]]) -> None:
    seen = survival(demo[0], demo[0] / "made")
    assert seen.helplines > 20
    assert seen.helplines_kept + seen.helplines_withheld == seen.helplines
    assert seen.planted.total() > 100
    # A floor, not a goal: `make bench-demo` prints the figure by kind.
    assert seen.survived.total() / seen.planted.total() < 0.1


def test_no_term_is_told_but_planted_ones_and_never_the_decoy(demo: tuple[Path, dict[str, Any]]) -> None:
    root, summary = demo
    shared, decoy = (plant["text"] for plant in json.loads((root / "made/truth.json").read_bytes())["terms"])
    told = {row[0] for row in summary["emerging"]["What is new"]["rows"]}
    assert told <= {shared}
    for folder in sorted((root / "releases").glob("*/v*")):
        assert not any(
            decoy.encode() in path.read_bytes() for path in folder.rglob("*") if path.suffix in (".csv", ".json", ".html")
        )


def test_the_registered_change_is_compared(demo: tuple[Path, dict[str, Any]]) -> None:
    root, _ = demo
    rows = json.loads(
        commons(
            "query",
            "select distinct quarter, change_class, design from change_effects "
            "where status not in ('not_collected', 'not_comparable')",
            "--root",
            root,
            "--json",
        ).stdout
    )
    assert rows == [{"quarter": "2026Q2", "change_class": "new_model_release", "design": "before_after"}]


@pytest.mark.long
def test_each_step_by_hand(server: tuple[str, Path], tmp_path: Path) -> None:
    """On a folder made elsewhere: validate, submit, ingest, plan, measure, check, approve twice, publish, query."""
    made, root = tmp_path / "made", tmp_path / "pool"
    pooled = functools.partial(commons, api=server[0])
    commons("simulate", "--out", made, "--users", "300", "--quarters", "1", "--seed", "5")
    config = root / "config"
    config.mkdir(parents=True)
    shutil.copy(made / "companies.toml", config)
    recipient = json.loads(commons("status", "--keys", "--root", root, "--json").stdout)["pool_recipient"]
    folders = sorted(path.parent for path in made.glob("*/*/manifest.json"))
    for folder in folders:
        report = commons("validate", folder, "--json", check=False)
        assert report.returncode in (0, 11)
        assert json.loads(report.stdout)["refused"] is False
        commons("submit", folder, "--to", root / "drops" / folder.parent.name, "--recipient", recipient)
    people = ""
    for person, role in (("olga", "operator"), ("carl", "clinical"), ("petra", "privacy")):
        public = json.loads(commons("keygen", tmp_path / f"{person}.key", "--json").stdout)["public_key"]
        people += f'[[person]]\nid = "{person}"\nrole = "{role}"\npublic_key = "{public}"\n'
    (config / "people.toml").write_text(people)
    assert pooled("ingest", "--root", root, check=False).returncode == 11
    assert pooled("measure", "2026Q1", "--root", root, check=False).returncode == 2  # no plan yet
    assert commons("plan", "2026Q1", "--root", root, "--key", tmp_path / "carl.key", check=False).returncode == 15
    commons("plan", "2026Q1", "--root", root, "--key", tmp_path / "olga.key")
    pooled("measure", "2026Q1", "--root", root)
    pooled("check", "2026Q1", "--root", root)
    assert commons("approve", "2026Q1", "--root", root, "--key", tmp_path / "olga.key", check=False).returncode == 15
    commons("approve", "2026Q1", "--root", root, "--key", tmp_path / "carl.key")
    refused = pooled("publish", "2026Q1", "--root", root, check=False)
    assert refused.returncode == 15
    assert "Traceback" not in refused.stderr
    commons("approve", "2026Q1", "--root", root, "--key", tmp_path / "petra.key")
    pooled("publish", "2026Q1", "--root", root)
    assert json.loads(commons("query", "select count(*) as n from risk_profile", "--root", root, "--json").stdout)[0]["n"] > 0
    status = json.loads(commons("status", "--root", root, "--json").stdout)
    assert status["releases"][0]["state"] == "published"
    shown = {each["key"]: json.loads(each["data"]) for each in artifacts(server[0])}
    assert shown.keys() >= {"intake", "scrub", "budget", "checks-2026q1"}
    assert sum(row["quarantined"] for row in shown["intake"]) == sum(row["quarantined"] for row in status["submissions"])
    assert all(row["passed"] for row in shown["checks-2026q1"] if row["kind"] == "stops")
    assert Pool(root).ledger.line(quarter=Quarter(2026, 1)).releases == 1


@pytest.fixture(scope="session")
def leaking(server: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """A pool into which a canary was sent in text, pseudonym, a bad field, a key, ids and a bad line; and what was printed."""
    from submissions import json_lines, rewrite, write_lines

    from sample_data.parameters import SimulationParameters
    from sample_data.simulate import simulate

    folder = tmp_path_factory.mktemp("canary")
    made, root = folder / "made", folder / "pool"
    parameters = SimulationParameters(
        seed=9, users=120, quarters=1, formats=("jsonl",), files_per_submission=1, submissions_per_quarter=1, malformed_share=0,
        text_share=0.3,
    )  # fmt: skip
    simulate(made, parameters)
    (root / "config").mkdir(parents=True)
    shutil.copy(made / "companies.toml", root / "config")
    recipient = json.loads(commons("status", "--keys", "--root", root, "--json").stdout)["pool_recipient"]
    printed = ""
    for manifest in sorted(made.glob("*/*/manifest.json")):
        export = manifest.parent
        records = json_lines(export, "part-1.jsonl")
        with_text = [r for r in records if r.get("turns")]
        for record in with_text[:3]:
            record["turns"][0]["text"] = f"Write to {CANARY}.a@example.org, I am {CANARY.title()} Smith."
            record["user_pseudonym"] = f"{CANARY}-pseudonym"
        records[0]["n_turns"] = f"{CANARY}-field"
        records[1][f"{CANARY}-key"] = 1
        records[2]["record_id"] = f"{CANARY}-" + "x" * 80
        lines: list[Any] = [*records, f'{{"{CANARY}-broken": ']
        write_lines(export, "part-1.jsonl", lines)
        rewrite(export, made / "keys" / f"{export.parent.name}.key")
        report = commons("validate", export, "--json", check=False)
        printed += report.stdout + report.stderr
        sent = commons("submit", export, "--to", root / "drops" / export.parent.name, "--recipient", recipient, check=False)
        printed += sent.stdout + sent.stderr
    done = commons("ingest", "--root", root, check=False, api=server[0])
    return root, server[1], printed + done.stdout + done.stderr


def test_a_canary_is_nowhere_but_where_the_data_are(leaking: tuple[Path, Path, str]) -> None:
    """Only `accepted/` holds text as it was sent, and that under its key: not logs, Prefect's rows, findings, receipts, state, scrubbed files or output."""
    root, prefect_home, printed = leaking
    assert any(_parquet_has(root, p) for p in (root / "accepted").rglob("*.parquet"))
    assert CANARY not in printed.lower()
    written = [p for p in sorted(root.rglob("*")) if p.is_file()]
    for path in [*written, *(p for p in sorted(prefect_home.rglob("*")) if p.is_file())]:
        assert CANARY.encode() not in path.read_bytes().lower(), path.name
    assert not any(_parquet_has(root, p) for p in (root / "scrubbed").rglob("*.parquet"))
    assert _prefect_rows(prefect_home) > 0


def test_the_canary_test_sees_a_planted_leak(leaking: tuple[Path, Path, str]) -> None:
    root = leaking[0]
    leak = root / "answers" / "leak.json"
    leak.write_text(CANARY)
    with pytest.raises(AssertionError):
        test_a_canary_is_nowhere_but_where_the_data_are(leaking)
    leak.unlink()


def _parquet_has(root: Path, path: Path) -> bool:
    room, quarter, company = path.relative_to(root).parts[:3]
    key = Pool(root).keys_at_rest.existing(Room(room), Quarter.parse(quarter), company)
    rows = pq.ParquetFile(path, decryption_properties=decryption(key)).read().to_pylist()
    return CANARY in str(rows).lower()


def _prefect_rows(home: Path) -> int:
    with sqlite3.connect(home / "prefect.db") as connection:
        found = connection.execute("select count(*) from task_run").fetchone()
    return int(found[0])
