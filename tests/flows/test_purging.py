"""Purge: what is over is destroyed and shown to be, the rest stays readable; killed anywhere, the next purge resumes."""

import json
import multiprocessing
import os
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import select
from stores import send

from cli.main import run
from flows.drops import make_local_drops, waiting
from flows.intake_steps import take_in_submission
from flows.pool import Pool
from flows.progress import listening
from flows.purging import PURGES, holdings, interrupted, purge, to_purge
from flows.scrubbing import pending_parts, scrub_parts, scrubbed_records
from flows.sweeping import sweep
from flows.turns import Turn, in_turn
from intake.catalogue import AcceptedSubmission
from intake.known import submission_folder
from sample_data.parameters import SimulationParameters
from sample_data.simulate import simulate
from schemas.at_rest import NoLongerHeldError, Room, decryption, encryption
from schemas.errors import CheckFailedError, TransportError, UsageError
from schemas.periods import Quarter
from schemas.signing import encode_key, new_private_key, public_key

OLD, NEW = Quarter(2025, 1), Quarter(2026, 1)
NOW = datetime(2026, 4, 1, tzinfo=UTC)  # a year after OLD ended, the day NEW did
COMPANIES = ("alder", "birch")


def registry_text() -> str:
    entries = []
    for company in COMPANIES:
        public = encode_key(public_key(new_private_key()))
        entries.append(
            f'[[company]]\nid = "{company}"\nagreement_id = "agr"\n[[company.key]]\nkey_id = "k"\npublic_key = "{public}"\n'
            "valid_from = 2025-01-01\nvalid_until = 2027-01-01\n"
        )
    return "\n".join(entries)


def fill(root: Path) -> Pool:
    """A pool with two parts of each company, quarter and room, written as intake and scrub write them."""
    (root / "config").mkdir(parents=True)
    (root / "config" / "companies.toml").write_text(registry_text())
    pool = Pool(root)
    make_local_drops(pool)
    _ = pool.secret("pool.key"), pool.identities  # once something was taken in, none is made
    for number, (quarter, company) in enumerate((q, c) for q in (OLD, NEW) for c in COMPANIES):
        row = AcceptedSubmission(
            digest=f"{number:064x}"[::-1], company=company, submission_id=f"s-{quarter}".lower(), quarter=quarter,
            pseudonym_key_id="k", kept=2, users=1, status="accepted", receipt={"accepted": 2, "received_at": "2026-01-01T00:00:00Z"},
        )  # fmt: skip
        pool.catalogue.add(row, set(), Counter())
        for room in Room:
            folder = submission_folder(root / room, row)
            folder.mkdir(parents=True)
            for part in range(2):
                properties = encryption(pool.keys_at_rest(room, quarter, company))
                table = pa.table({"text": [f"private {company} {part}"]})
                pq.write_table(table, folder / f"part-{part:05d}.parquet", encryption_properties=properties)
        (submission_folder(pool.scrubbed, row) / "part-00000.report.json").write_text("{}")
    return pool


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    return fill(tmp_path / "pool")


def readable(pool: Pool) -> set[tuple[str, str, str]]:
    """What can be read by way of the pool's own keys."""
    found = set()
    for room, quarter, company in pool.keys_at_rest.held():
        try:
            key = pool.keys_at_rest.existing(room, quarter, company)
        except NoLongerHeldError:
            continue
        for part in (pool.root / room / str(quarter) / company).rglob("*.parquet"):
            pq.ParquetFile(part, decryption_properties=decryption(key)).read()
            found.add((str(room), str(quarter), company))
    return found


ALL = {(room, str(quarter), company) for room in ("accepted", "scrubbed") for quarter in (OLD, NEW) for company in COMPANIES}


def files(pool: Pool) -> list[str]:
    return sorted(str(p.relative_to(pool.root)) for room in Room for p in (pool.root / room).rglob("*") if p.is_file())


def purge_due(pool: Pool, now: datetime = NOW) -> None:
    purge(pool, to_purge(holdings(pool), now, due=True), "tester", close_quarters=True)


def test_what_is_due_goes_and_the_rest_stays_readable(pool: Pool) -> None:
    assert readable(pool) == ALL
    purge_due(pool)
    gone = {each for each in ALL if each[0] == "accepted" and each[1] == "2025Q1"}  # scrubbed are held for longer
    assert readable(pool) == ALL - gone
    assert not [name for name in files(pool) if name.startswith("accepted/2025Q1")]
    purge_due(pool, NOW + timedelta(days=100))
    assert {quarter for _, quarter, _ in readable(pool)} == {"2026Q1"}


def test_it_shows_what_it_did(pool: Pool) -> None:
    done = purge(pool, to_purge(holdings(pool), NOW, due=True), "tester", close_quarters=True)
    assert [(h.room, h.quarter, h.company, s.files, s.readable_before, s.readable_after) for h, s in done] == [
        (Room.ACCEPTED, OLD, company, 2, 2, 0) for company in COMPANIES
    ]
    assert [shown.keys_tried for _, shown in done] == [8, 7]  # seven and six remaining keys, and none at all
    with pool.engine.connect() as connection:
        rows = [(r["by"], r["event"], r["company"]) for r in connection.execute(select(PURGES)).mappings()]
    assert rows == [("tester", event, company) for company in COMPANIES for event in ("begun", "done")]
    assert interrupted(pool) == []


def test_a_copy_of_the_key_elsewhere_stops_the_purge(pool: Pool) -> None:
    """The showing can fail: here the key of one company was used for another."""
    key = pool.keys_at_rest(Room.ACCEPTED, OLD, "alder")
    next(pool.keys_at_rest.folder.glob("scrubbed/2026Q1/birch.key")).write_bytes(key)
    with pytest.raises(CheckFailedError):
        purge_due(pool)
    assert [each.company for each in interrupted(pool)] == ["alder"]


def test_a_plain_file_stops_the_purge(pool: Pool) -> None:
    folder = next((pool.accepted / "2025Q1" / "alder").iterdir())
    pq.write_table(pa.table({"text": ["private"]}), folder / "part-00009.parquet")
    with pytest.raises(CheckFailedError):
        purge_due(pool)


def test_a_purge_is_of_something(pool: Pool) -> None:
    with pytest.raises(UsageError):
        to_purge(holdings(pool), NOW)
    one = to_purge(holdings(pool), NOW, quarter=NEW, company="birch")
    assert {(each.quarter, each.company) for each in one} == {(NEW, "birch")}
    assert len(one) == 2
    assert to_purge(holdings(pool), NOW, quarter=NEW, due=True) == []


def test_a_company_that_leaves_takes_nobody_else_with_it(pool: Pool) -> None:
    purge(pool, to_purge(holdings(pool), NOW, company="birch"), "tester")
    assert readable(pool) == {each for each in ALL if each[2] == "alder"}
    with pytest.raises(NoLongerHeldError):
        pool.door.key_at_rest(NEW, "birch")
    pool.door.key_at_rest(NEW, "alder")


def test_nobody_adds_to_a_quarter_that_was_purged(pool: Pool) -> None:
    purge_due(pool)
    for company in (*COMPANIES, "newcomer"):
        with pytest.raises(NoLongerHeldError):
            pool.door.key_at_rest(OLD, company)
        pool.door.key_at_rest(NEW.next(), company)


def test_a_restored_backup_is_purged_again(pool: Pool, tmp_path: Path) -> None:
    shutil.copytree(pool.root / "accepted", tmp_path / "backup")
    keys = shutil.copytree(pool.keys_at_rest.folder, tmp_path / "keys")
    purge_due(pool)
    shutil.copytree(tmp_path / "backup", pool.root / "accepted", dirs_exist_ok=True)
    shutil.copytree(keys, pool.keys_at_rest.folder, dirs_exist_ok=True)
    assert ("accepted", "2025Q1", "alder") not in readable(pool)  # its marker is still there
    purge_due(pool)
    assert not [name for name in files(pool) if name.startswith("accepted/2025Q1")]
    assert not list(pool.keys_at_rest.folder.glob("accepted/2025Q1/*.key"))


def test_what_was_sent_again_goes_from_the_drop(pool: Pool) -> None:
    digests = {s.company: s.digest for s in pool.catalogue.accepted(OLD)}
    sent = pool.root / "drops" / "alder" / "in" / digests["alder"]
    other = pool.root / "drops" / "alder" / "in" / ("f" * 64)
    for folder in (sent, other):
        folder.mkdir()
        (folder / "manifest.json.age").write_bytes(b"sealed")
    purge_due(pool)
    assert not sent.exists()
    assert other.exists()


def test_a_drop_out_of_reach_delays_no_other_purge_and_is_resumed(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_reach(pool: Pool, company: str) -> object:
        raise TransportError("The store cannot be reached.")

    with monkeypatch.context() as patched:
        patched.setattr("flows.purging.drop_of", out_of_reach)
        with pytest.raises(TransportError):
            purge_due(pool)
    assert not [name for name in files(pool) if name.startswith("accepted/2025Q1")]
    assert [each.company for each in interrupted(pool)] == list(COMPANIES)
    assert len(purge(pool, [], "tester")) == 2
    assert interrupted(pool) == []


def _killed_after(root: Path, calls: int) -> None:
    """Runs the purge and kills the process at its n-th call that changes something on disk."""
    counted = 0

    def counting(function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            nonlocal counted
            counted += 1
            if counted == calls:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **named)

        return call

    for name in ("fsync", "unlink", "rename", "rmdir", "mkdir", "open"):
        setattr(os, name, counting(getattr(os, name)))
    purge_due(Pool(root))
    os._exit(0)


def test_killed_anywhere_the_next_purge_resumes(pool: Pool, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    calls, resumed = 0, 0
    pool.engine.dispose()
    while True:
        calls += 3
        root = tmp_path / f"killed-{calls}"
        shutil.copytree(pool.root, root)
        child = context.Process(target=_killed_after, args=(root, calls))
        child.start()
        child.join()
        if child.exitcode == 0:
            break
        assert child.exitcode == -signal.SIGKILL
        found = Pool(root)
        own = {each for each in readable(found) if each[:2] != ("accepted", "2025Q1")}
        assert own == {each for each in ALL if each[:2] != ("accepted", "2025Q1")}
        resumed += bool(interrupted(found))
        purge_due(found)
        assert readable(found) == own
        assert interrupted(found) == []
        assert not [name for name in files(found) if "2025Q1" in name and name.startswith("accepted")]
        assert not list(found.keys_at_rest.folder.glob("accepted/2025Q1/*.key"))
        found.engine.dispose()
        shutil.rmtree(root)
    assert resumed >= 3


@pytest.mark.parametrize("turn", [Turn.SCRUB, Turn.INGEST])
def test_it_waits_for_what_is_being_put_in_place(pool: Pool, turn: Turn) -> None:
    waits, told = threading.Event(), list[str]()

    def listener(stage: str, _: float) -> None:
        told.append(stage)
        waits.set()

    chosen = to_purge(holdings(pool), NOW, quarter=OLD)
    purging = threading.Thread(target=purge, args=(Pool(pool.root), chosen, "tester"))
    with listening(listener):
        with in_turn(pool, turn):
            purging.start()
            assert waits.wait(60)
            assert readable(pool) == ALL and told == [f"waits for another run ({turn})"]
        purging.join()
    assert chosen and readable(pool) < ALL


def test_answers_and_leftovers_go_when_their_time_is_over(pool: Pool) -> None:
    digest = "a" * 64
    for folder in (pool.root / "answers" / "alder" / digest[:16], pool.root / "drops" / "alder" / "out" / digest):
        folder.mkdir(parents=True)
        (folder / "receipt.json").write_text("{}")
        (folder / "findings.jsonl").write_text("")
    for name in ("staging/taking-1", "scratch/measure-1"):
        (pool.root / name).mkdir(parents=True)
        (pool.root / name / "file").write_text("x")
    now = datetime.now(UTC)
    assert sweep(pool, now) == {"answers": 0, "leftovers": 0, "delivered": 0, "unreachable": 0}
    assert sweep(pool, now + timedelta(days=3), dry_run=True)["leftovers"] == 2
    assert sweep(pool, now + timedelta(days=3)) == {"answers": 0, "leftovers": 2, "delivered": 0, "unreachable": 0}
    assert sweep(pool, now + timedelta(days=401)) == {"answers": 1, "leftovers": 0, "delivered": 1, "unreachable": 0}
    assert list((pool.root / "drops" / "alder" / "out").iterdir()) == []


def test_a_retention_that_would_outrun_the_measurement_is_refused(pool: Pool) -> None:
    text = pool.config("pool.toml").read_text()
    for change in ("accepted_days = 35", "accepted_days = 500"):
        (pool.root / "config" / "pool.toml").write_text(text.replace("accepted_days = 120", change))
        with pytest.raises(UsageError, match="retention"):
            holdings(Pool(pool.root))


def test_the_command_shows_first_and_destroys_when_told(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    pool.engine.dispose()
    root = ("--root", str(pool.root))
    assert run(["purge", *root]) == 2
    capsys.readouterr()
    assert run(["purge", "--due", "--dry-run", "--json", *root]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert readable(Pool(pool.root)) == ALL
    assert run(["purge", "--due", "--json", *root]) == 0
    done = json.loads(capsys.readouterr().out)
    place = ("room", "quarter", "company", "files", "bytes")
    assert [[row[c] for c in place] for row in planned["purged"]] == [[row[c] for c in place] for row in done["purged"]]
    assert {row["readable_after"] for row in done["purged"]} == {0}
    assert run(["purge", "--due", *root]) == 0


@pytest.mark.timeout(600)
def test_a_purged_quarter_is_measured_from_what_was_scrubbed_and_takes_nothing_in(tmp_path: Path) -> None:
    made, root = tmp_path / "made", tmp_path / "pool"
    parameters = SimulationParameters(
        seed=51, users=60, quarters=1, formats=("jsonl",), files_per_submission=1, submissions_per_quarter=2, malformed_share=0,
        text_share=0.1,
    )  # fmt: skip
    simulate(made, parameters)
    (root / "config").mkdir(parents=True)
    shutil.copy(made / "companies.toml", root / "config")
    pool, exports = Pool(root), sorted(path.parent for path in made.glob("*/*/manifest.json"))
    late = [folder for folder in exports if folder == sorted(folder.parent.iterdir())[-1]]
    for folder in exports:
        if folder not in late:
            send(pool, folder)
    for arrival in waiting(pool):
        assert take_in_submission(pool, *arrival)["decision"] == "accepted"
    scrub_parts(pool, pending_parts(pool))
    before = scrubbed_records(pool, NEW)
    purge(pool, [each for each in holdings(pool) if each.room is Room.ACCEPTED], "tester", close_quarters=True)
    assert scrubbed_records(pool, NEW) == before
    assert before.parts
    assert pending_parts(pool) == []
    for folder in late:
        send(pool, folder)
    answers = [take_in_submission(pool, *arrival) for arrival in waiting(pool)]
    assert [(a["decision"], a["findings"].get("E117")) for a in answers] == [("refused", 1)] * len(late)
    assert not list(pool.accepted.rglob("*.parquet"))
    purge(pool, to_purge(holdings(pool), NOW, quarter=NEW), "tester", close_quarters=True)
    assert not list(pool.scrubbed.rglob("*.parquet"))
