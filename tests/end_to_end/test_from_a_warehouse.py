"""From tables in the shape of three warehouses to records: the same facts give the same records, and they are accepted."""

import json
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from warehouse import AS_OF, EXPECTED, FACTS, KEY, PERIOD, SHAPES, Facts, event, pseudonym

from cli.main import run
from intake.exporting import Export, export
from intake.starting import start
from intake.validation import validate_submission
from schemas.errors import ExitCode, UsageError


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A company's own folder, as `init` writes it, with the attestations made."""
    folder = tmp_path_factory.mktemp("company") / "alder"
    start("alder", "agr-alder-1", folder)
    manifest = folder / "manifest.toml"
    manifest.write_text(manifest.read_text().replace(" = false ", " = true "))
    (folder / "keys" / "test.key").write_text(KEY.hex() + "\n")
    return folder


def tables_of(shape: str, folder: Path, facts: Facts = FACTS) -> Path:
    folder.mkdir()
    SHAPES[shape](facts, folder)
    return folder


def run_mapping(home: Path, shape: str, tables: Path, into: Path, *, as_of: str = AS_OF, **more: Any) -> Path:
    wanted = Export(tables, into, PERIOD, KEY, datetime.fromisoformat(as_of), more.get("corrects"))
    made = export(home / "mappings" / f"{shape}.sql", wanted, more.get("writes", "jsonl"))
    return made[0] if made else into


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def by_id(records: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {record["record_id"]: record for record in records}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_facts_become_the_records_written_by_hand(home: Path, tmp_path: Path, shape: str) -> None:
    found = by_id(read(run_mapping(home, shape, tables_of(shape, tmp_path / "tables"), tmp_path / "export")))
    wanted = by_id(EXPECTED)
    assert sorted(found) == sorted(wanted)  # who opted out, is restricted or of another month is not among them
    for record_id, record in wanted.items():
        for field in record:
            assert found[record_id][field] == record[field], field
        assert set(found[record_id]) == set(record)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("format", ["jsonl", "parquet"])
def test_it_goes_through_prepare_and_validate_without_a_finding(home: Path, tmp_path: Path, shape: str, format: str) -> None:
    tables, into = tables_of(shape, tmp_path / "tables"), tmp_path / "export"
    mapping, key = home / "mappings" / f"{shape}.sql", home / "keys" / "test.key"
    call = ["export", mapping, "--tables", tables, "--period", PERIOD, "--into", into, "--key", key, "--format", format]
    assert run([str(word) for word in [*call, "--as-of", AS_OF]]) == ExitCode.DONE
    settings_file = str(home / "commons.toml")
    assert run(["prepare", str(into), "--period", PERIOD, "--settings", settings_file]) == ExitCode.DONE
    report = validate_submission(into)
    assert (report.records, report.findings) == (len(EXPECTED), [])
    assert run(["validate", str(into)]) == ExitCode.DONE


def test_parquet_holds_what_json_lines_hold(home: Path, tmp_path: Path) -> None:
    tables = tables_of("snowflake", tmp_path / "tables")
    lines = by_id(read(run_mapping(home, "snowflake", tables, tmp_path / "a")))
    rows = by_id(pq.read_table(run_mapping(home, "snowflake", tables, tmp_path / "b", writes="parquet")).to_pylist())
    assert sorted(lines) == sorted(rows)
    for record_id, line in lines.items():
        row = {name: value for name, value in rows[record_id].items() if name in line}
        row["started_at"] = row["started_at"].strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        assert row == line


def test_no_word_of_a_child_and_no_id_of_anyone_leaves(home: Path, tmp_path: Path) -> None:
    facts = {**FACTS, "conversations": [dict(c, user=f"canary-{c['user']}") for c in FACTS["conversations"]]}
    text = run_mapping(home, "postgres", tables_of("postgres", tmp_path / "tables", facts), tmp_path / "export").read_text()
    assert "canary" not in text
    child = next(r for r in map(json.loads, text.splitlines()) if r["person"]["age_band"] == "under_13")
    assert {turn["text"] for turn in child["turns"]} == {""}
    # The same message of an adult is sent: the test can fail.
    facts["conversations"] = [dict(c, age=30) for c in facts["conversations"]]
    adult = run_mapping(home, "postgres", tables_of("postgres", tmp_path / "adults", facts), tmp_path / "again").read_text()
    assert '"text":"k"' in adult


@pytest.mark.parametrize("shape", SHAPES)
def test_a_label_that_is_not_mapped_is_found_and_not_dropped(home: Path, tmp_path: Path, shape: str) -> None:
    facts = {
        **FACTS,
        "hits": [*FACTS["hits"], event("h9", "c2", "2026-07-01T00:00:01Z", "brand_new", message="0201", imminent=None)],
    }
    into = tmp_path / "export"
    run_mapping(home, shape, tables_of(shape, tmp_path / "tables", facts), into)
    assert run(["prepare", str(into), "--period", PERIOD, "--settings", str(home / "commons.toml")]) == ExitCode.DONE
    assert "E212" in validate_submission(into).counts


def altered(home: Path, tmp_path: Path, shape: str, old: str, new: str) -> Path:
    """A copy of the mappings with one edit, as a company makes it."""
    folder = tmp_path / "own"
    shutil.copytree(home / "mappings", folder / "mappings")
    mapping = folder / "mappings" / f"{shape}.sql"
    assert old in mapping.read_text()
    mapping.write_text(mapping.read_text().replace(old, new))
    return folder


def test_a_classifier_that_says_yes_or_no_is_enough(home: Path, tmp_path: Path) -> None:
    facts = {**FACTS, "hits": [dict(h, what="si_any", imminent=None) for h in FACTS["hits"]]}
    own = altered(home, tmp_path, "bigquery", "true AS behavior, true AS nssi", "false AS behavior, false AS nssi")
    into = tmp_path / "export"
    run_mapping(own, "bigquery", tables_of("bigquery", tmp_path / "tables", facts), into)
    for record in read(into / "records.jsonl"):
        levels = {name: record["risk"][name] for name in ("ideation", "behavior", "behavior_recency", "nssi", "imminence")}
        present = record["record_id"] != pseudonym("conversation:c2")[:32]
        ideation = "present_level_unknown" if present else "none"
        assert levels == {"ideation": ideation} | dict.fromkeys(("behavior", "behavior_recency", "nssi", "imminence"), "unknown")
    assert run(["prepare", str(into), "--period", PERIOD, "--settings", str(home / "commons.toml")]) == ExitCode.DONE
    assert validate_submission(into).findings == []


def test_timestamps_without_a_zone_may_be_local_time(home: Path, tmp_path: Path) -> None:
    """Snowflake's TIMESTAMP_NTZ in New York: the same moments once the mapping names the zone, others where it does not."""
    west = {
        name: [dict(row, at=row["at"] - timedelta(hours=4)) if "at" in row else row for row in rows]
        for name, rows in FACTS.items()
    }
    tables = tables_of("snowflake", tmp_path / "tables", west)
    own = altered(home, tmp_path, "snowflake", "AT TIME ZONE 'UTC'", "AT TIME ZONE 'America/New_York'")
    assert by_id(read(run_mapping(own, "snowflake", tables, tmp_path / "a"))) == by_id(EXPECTED)
    assert by_id(read(run_mapping(home, "snowflake", tables, tmp_path / "b"))) != by_id(EXPECTED)


def test_an_action_that_is_not_mapped_is_found_and_not_dropped(home: Path, tmp_path: Path) -> None:
    facts = {**FACTS, "actions": [dict(a, what="brand_new") for a in FACTS["actions"]]}
    into = tmp_path / "export"
    run_mapping(home, "postgres", tables_of("postgres", tmp_path / "tables", facts), into)
    assert run(["prepare", str(into), "--period", PERIOD, "--settings", str(home / "commons.toml")]) == ExitCode.DONE
    assert {"E205", "E208"} & set(validate_submission(into).counts)


def test_what_changed_since_is_corrected_added_or_withdrawn(home: Path, tmp_path: Path) -> None:
    """Windows close (c4, c5), a conversation comes late (c2), a user opts out (c3), one is merely absent (c1)."""
    early = {**FACTS, "conversations": [c for c in FACTS["conversations"] if c["conversation"] != "c2"]}
    late = {
        **FACTS,
        "conversations": [
            dict(c, opted_out=c["opted_out"] or c["conversation"] == "c3")
            for c in FACTS["conversations"]
            if c["conversation"] != "c1"
        ],
    }
    first = by_id(read(run_mapping(home, "postgres", tables_of("postgres", tmp_path / "early", early), tmp_path / "first")))
    tables, into = tables_of("postgres", tmp_path / "late", late), tmp_path / "closed"
    closed = "2026-09-05T00:00:00Z"
    run_mapping(home, "postgres", tables, into, as_of=closed, corrects=tmp_path / "first", writes="corrections")
    assert sorted(path.name for path in into.iterdir()) == ["corrections.jsonl", "late.jsonl", "withdrawals.jsonl"]

    def ids(*conversations: str) -> set[str]:
        return {pseudonym(f"conversation:{c}")[:32] for c in conversations}

    corrections = read(into / "corrections.jsonl")
    assert {c["supersedes"] for c in corrections} == ids("c4", "c5")
    for correction in corrections:
        before = first[correction["supersedes"]]
        assert correction["record_status"] == "correction"
        assert correction["supersedes_started_at"] == before["started_at"]
        assert correction["user_pseudonym"] == before["user_pseudonym"]
        assert '"pending"' in json.dumps(before)
        assert '"pending"' not in json.dumps(correction)
    assert [r["record_id"] for r in read(into / "late.jsonl")] == list(ids("c2"))
    (withdrawal,) = read(into / "withdrawals.jsonl")
    assert {withdrawal["supersedes"]} == ids("c3")
    assert withdrawal["user_pseudonym"] == pseudonym("103")
    assert run(["prepare", str(into), "--period", PERIOD, "--settings", str(home / "commons.toml")]) == ExitCode.DONE
    report = validate_submission(into)
    assert (report.records, report.findings) == (4, [])


def test_where_nothing_has_changed_nothing_is_written(home: Path, tmp_path: Path) -> None:
    tables = tables_of("postgres", tmp_path / "tables")
    run_mapping(home, "postgres", tables, tmp_path / "first")
    run_mapping(home, "postgres", tables, tmp_path / "same", corrects=tmp_path / "first", writes="corrections")
    assert not (tmp_path / "same").exists()


@pytest.fixture(scope="session")
def hashed(home: Path) -> Callable[[str], str]:
    """`pseudonym()` of the mapping's SQL."""
    text = (home / "mappings" / "records.sql").read_text()
    connection = duckdb.connect()
    connection.execute(f"SET VARIABLE pseudonym_key = '{KEY.hex()}'")
    for statement in duckdb.extract_statements(text)[:4]:
        connection.execute(statement)
    return lambda text: str(connection.execute("SELECT pseudonym($1)", [text]).fetchall()[0][0])


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00"), max_size=300))
def test_pseudonyms_are_hmac_sha256(hashed: Callable[[str], str], text: str) -> None:
    assert hashed(text) == pseudonym(text)


def test_a_failing_statement_is_named_by_its_line_and_never_quoted(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = {**FACTS, "conversations": [dict(c, age="canary-77") for c in FACTS["conversations"]]}
    tables = tables_of("postgres", tmp_path / "tables", facts)
    with pytest.raises(UsageError) as told:
        run_mapping(home, "postgres", tables, tmp_path / "export")
    line = (home / "mappings" / "postgres.sql").read_text().splitlines().index("CREATE OR REPLACE TEMP TABLE conversation AS") + 1
    assert f"postgres.sql, the statement at line {line} " in told.value.message
    assert "canary" not in str(told.value) + repr(told.value.__context__)
    assert not (tmp_path / "export").exists()  # nothing half made
    assert list(tmp_path.iterdir()) == [tables]
    # Only where the company asks for it, on its own screen:
    call = ["export", home / "mappings" / "postgres.sql", "--tables", tables, "--period", PERIOD, "--into", tmp_path / "x"]
    assert run([str(word) for word in [*call, "--key", home / "keys" / "test.key", "--show-message"]]) == ExitCode.USAGE
    assert "canary-77" in capsys.readouterr().err


def test_nothing_is_written_over(home: Path, tmp_path: Path) -> None:
    tables = tables_of("postgres", tmp_path / "tables")
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "mine.txt").write_text("kept")
    with pytest.raises(UsageError, match="not empty"):
        run_mapping(home, "postgres", tables, tmp_path / "export")
    assert [path.name for path in (tmp_path / "export").iterdir()] == ["mine.txt"]
