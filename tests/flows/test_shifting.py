"""`commons shifts`: from what is held, under the operator's account alone, stored nowhere."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pooled import pool_rows

from cli.main import run
from flows.at_rest import KeyFolder
from flows.pool import Pool, packaged_config
from flows.purging import holdings, purge, to_purge
from flows.shifting import company_shifts
from intake.catalogue import AcceptedSubmission
from intake.known import submission_folder
from sample_data.generate import generate
from sample_data.parameters import SimulationParameters
from sample_data.simulate import simulate
from schemas.arrow import pool_schema
from schemas.at_rest import Room, encryption
from schemas.errors import NotApprovedError, UsageError
from schemas.periods import Quarter

PARAMETERS = SimulationParameters(seed=81, users=900, companies=2, quarters=2, text_share=0.0)
FIRST, SECOND = Quarter(2026, 1), Quarter(2026, 2)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two companies over two quarters, scrubbed; in the second quarter birch says that every user was in danger at once."""
    root = tmp_path_factory.mktemp("shifting") / "pool"
    (root / "config").mkdir(parents=True)
    simulate(root / "made", SimulationParameters(seed=81, users=20, companies=2, quarters=1, text_share=0.0))
    shutil.copy(root / "made" / "companies.toml", root / "config")
    pool = Pool(root)
    for simulated, quarter in zip(generate(PARAMETERS).quarters, (FIRST, SECOND), strict=True):
        rows = pool_rows(simulated.records())
        for company in ("alder", "birch"):
            own = [row for row in rows if row["company"] == company]
            if (company, quarter) == ("birch", SECOND):
                own = [{**row, "risk": {**row["risk"], "imminence": "imminent"}} for row in own]
            submission = AcceptedSubmission(
                digest=f"{company}{quarter}".encode().hex().ljust(64, "0"), company=company, submission_id=str(quarter).lower(),
                quarter=quarter, pseudonym_key_id="k", kept=1, users=1, status="accepted", receipt={"accepted": len(own), "received_at": "2026-07-01T00:00:00Z"},
            )  # fmt: skip
            pool.catalogue.add(submission, set(), Counter())
            for room in Room:
                folder = submission_folder(root / room, submission)
                folder.mkdir(parents=True)
                properties = encryption(pool.keys_at_rest(room, quarter, company))
                table = pa.Table.from_pylist(own, schema=pool_schema())
                pq.write_table(table, folder / "part-00000.parquet", encryption_properties=properties)
    pool.engine.dispose()
    return root


def test_each_company_is_compared_with_itself(filled: Path) -> None:
    found = {each.company: each for each in company_shifts(Pool(filled), SECOND)}
    assert list(found) == ["birch", "alder"]  # who raises an alarm comes first
    assert [s.dimension for s in found["birch"].shifts if s.alarm] == ["imminence"]
    assert [s.dimension for s in found["alder"].shifts if s.alarm] == []
    assert {each.quarters_before for each in found.values()} == {1}
    assert [each.shifts for each in company_shifts(Pool(filled), FIRST)] == [(), ()]
    assert [each.company for each in company_shifts(Pool(filled), SECOND, "alder")] == ["alder"]


def test_nothing_of_it_is_stored(filled: Path) -> None:
    before = sorted(path for path in filled.rglob("*") if path.is_file() and path.parent.name != "state")
    assert run(["shifts", "2026Q2", "--root", str(filled)]) == 0
    assert sorted(path for path in filled.rglob("*") if path.is_file() and path.parent.name != "state") == before


def test_the_command_prints_json(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["shifts", "2026Q2", "--json", "--root", str(filled)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["company"] for row in found] == ["birch", "alder"]
    assert run(["shifts", "2026Q2", "--every", "--root", str(filled)]) == 0


def test_without_history_it_says_so(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["shifts", "2026Q1", "--root", str(filled)]) == 0
    told = capsys.readouterr().out
    assert told.count("nothing yet to compare") == 2
    assert "alarm" not in told
    assert run(["shifts", "2026Q2", "--root", str(filled)]) == 0
    assert "1 alarms, against 1 earlier quarters" in capsys.readouterr().out


@pytest.mark.parametrize("role", ["reviewer", "privacy", "clinical", "researcher", "company"])
def test_no_other_role_is_shown_it(role: str, filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "pool"
    shutil.copytree(filled, root)
    text = packaged_config("roles.toml").read_text()
    account = "commons-{company}" if role == "company" else f"commons-{role}"
    (root / "config" / "roles.toml").write_text(text.replace(f'"{account}"', '"61050"'))
    assert company_shifts(Pool(root), SECOND)
    monkeypatch.setattr("os.geteuid", lambda: 61050)
    with pytest.raises(NotApprovedError):
        company_shifts(Pool(root), SECOND)
    (root / "config" / "roles.toml").write_text(text.replace('"commons-operator"', '"61050"'))
    assert company_shifts(Pool(root), SECOND)


def test_what_was_purged_is_no_history(filled: Path, tmp_path: Path) -> None:
    shutil.copytree(filled, tmp_path / "pool")
    pool = Pool(tmp_path / "pool")
    purge(pool, [h for h in holdings(pool) if h.quarter == FIRST], "tester")
    assert {each.quarters_before for each in company_shifts(pool, SECOND)} == {0}
    with pytest.raises(UsageError):
        company_shifts(pool, FIRST)
    assert to_purge(holdings(pool), FIRST.start, quarter=FIRST) == []
    assert isinstance(pool.keys_at_rest, KeyFolder)
