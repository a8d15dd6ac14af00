"""The operator's screen: what came in, what was refused, what was purged; nothing of it where there is nothing."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from stores import send
from submissions import json_lines, rewrite, write_lines

import flows.runs
from cli.main import run
from flows.drops import make_local_drops, waiting
from flows.intake_steps import take_in_submission
from flows.pool import Pool
from flows.purging import holdings, purge, to_purge
from flows.status import pool_status
from intake.sealing import MANIFEST_PART
from sample_data.parameters import SimulationParameters
from sample_data.simulate import simulate


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("status") / "made"
    plain = dict.fromkeys(("malformed_share", "duplicate_share", "correction_share", "record_withdrawal_share"), 0.0)
    simulate(
        out,
        SimulationParameters(
            seed=61, users=60, quarters=1, formats=("jsonl",), files_per_submission=1, submissions_per_quarter=1, text_share=0,
            user_withdrawal_share=0.0, **plain,
        ),
    )  # fmt: skip
    return out


@pytest.fixture
def pool(made: Path, tmp_path: Path) -> Pool:
    (tmp_path / "pool" / "config").mkdir(parents=True)
    shutil.copy(made / "companies.toml", tmp_path / "pool" / "config")
    pool = Pool(tmp_path / "pool")
    make_local_drops(pool)
    return pool


def taken(pool: Pool) -> list[dict[str, Any]]:
    return [take_in_submission(pool, *arrival) for arrival in waiting(pool)]


def export(made: Path, tmp_path: Path, name: str = "") -> Path:
    source = sorted((made / "alder").iterdir())[0]
    folder = Path(shutil.copytree(source, tmp_path / (name or "export")))
    if name:
        rows = json_lines(folder, "part-1.jsonl")[:2]
        place = {"supersedes": rows[0]["record_id"], "supersedes_started_at": rows[0]["started_at"]}
        corrected = {**rows[0], **place, "record_id": "c", "record_status": "correction"}
        back = {"domain": rows[1]["domain"], "record_id": "w", "record_status": "withdrawal", "scope": "user"}
        back |= {"user_pseudonym": rows[1]["user_pseudonym"], "supersedes_started_at": rows[1]["started_at"]}
        write_lines(folder, "part-1.jsonl", [corrected, back])
        rewrite(folder, made / "keys" / "alder.key", lambda m: m.update(submission_id=name))
    return folder


def test_corrections_and_withdrawals_are_no_records(pool: Pool, made: Path, tmp_path: Path) -> None:
    send(pool, export(made, tmp_path))
    (first,) = taken(pool)
    send(pool, export(made, tmp_path, "later"))
    assert taken(pool)[0]["accepted"] == 2
    (row,) = pool_status(pool)["submissions"]
    counted = {name: row[name] for name in ("submissions", "records", "corrections", "withdrawals", "quarantined")}
    assert counted == {"submissions": 2, "records": first["accepted"], "corrections": 1, "withdrawals": 1, "quarantined": 0}


def junk(pool: Pool, company: str, digit: str) -> None:
    folder = pool.root / "drops" / company / "in" / (digit * 64)
    folder.mkdir()
    (folder / MANIFEST_PART).write_bytes(b"junk")


def test_refusals_are_counted_by_company_with_the_last_code(pool: Pool, made: Path, tmp_path: Path) -> None:
    for digit in "12":
        junk(pool, "birch", digit)
    digest = send(pool, export(made, tmp_path)).digest
    (pool.root / "drops" / "alder" / "in" / digest / "notes").touch()
    taken(pool)
    found = pool_status(pool)["refused"]
    today = datetime.now(UTC).date().isoformat()
    assert [(row["company"], row["refused"], row["codes"]) for row in found] == [("alder", 1, "E106"), ("birch", 2, "E107")]
    assert all(row["last"].startswith(today[:8]) for row in found)


def test_a_purge_is_shown(pool: Pool, made: Path, tmp_path: Path) -> None:
    send(pool, export(made, tmp_path))
    taken(pool)
    assert pool_status(pool)["purged"] == []
    purge(pool, to_purge(holdings(pool), datetime.now(UTC), company="alder"), "tester")
    assert [(row["by"], row["room"], row["company"]) for row in pool_status(pool)["purged"]] == [("tester", "accepted", "alder")]


def test_the_command_leaves_out_what_there_is_nothing_of(
    pool: Pool, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    titles = ("Submissions", "Refused", "Waiting in the drops", "Exports that did not come", "Purged", "Releases")

    def shown() -> list[str]:
        capsys.readouterr()
        assert run(["status", "--root", str(pool.root)]) == 0
        out = capsys.readouterr().out
        assert ("Nothing has come in yet." in out) != any(title in out for title in titles)
        return [title for title in titles if title in out]

    assert shown() == []
    send(pool, export(made, tmp_path))
    assert shown() == ["Waiting in the drops"]
    taken(pool)
    assert shown() == ["Submissions"]
    junk(pool, "birch", "1")
    taken(pool)
    assert shown() == ["Submissions", "Refused"]


def test_ingest_names_each_submission_as_its_company_sees_it(
    pool: Pool, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = send(pool, export(made, tmp_path)).digest
    scrub = {"records": 0, "turns": 0, "characters": 0, "withheld": {}, "withheld_share": 0.0}
    monkeypatch.setattr(
        flows.runs, "run_flow", lambda flow, root: {"submissions": taken(pool), "left_waiting": 3, "scrub": scrub}
    )
    assert run(["ingest", "--root", str(pool.root)]) == 0
    out = capsys.readouterr().out
    assert digest[:16] in out and digest not in out
    assert "3 submissions wait for the next run" in out
    assert run(["status", "--to", str(pool.root / "drops" / "alder")]) == 0
    assert digest[:16] in capsys.readouterr().out


def test_for_machines_everything_is_there_and_ids_are_whole(pool: Pool, made: Path, tmp_path: Path, capsys: Any) -> None:
    digest = send(pool, export(made, tmp_path)).digest
    assert [row["digest"] for row in taken(pool)] == [digest]
    capsys.readouterr()
    assert run(["status", "--root", str(pool.root), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"submissions", "refused", "purged", "waiting", "missed", "releases", "quarters"} <= set(found)
