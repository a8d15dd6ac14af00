"""Every failure of the runbook, made to happen for real: what is printed is what the runbook quotes, and afterwards all goes on."""

import os
import shutil
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from filled_pool import QUARTER, key, until_checked
from rehearsing import Console, SmallDisk, with_settings
from sqlalchemy import text, update
from stores import send

import publish.release
from aggregate.ledger.tables import ENTRIES
from flows.backlog import MAY_RUN
from flows.budget import refuse_broken_ledger
from flows.deployments import FILE, last_due, write_prefect_file
from flows.drops import drop_of, make_local_drops, waiting
from flows.health import Condition, health
from flows.intake_steps import take_in_submission
from flows.logs import Event, log
from flows.pool import Pool
from flows.release_steps import approve_release, check_release, make_plan, measure_release, publish_release
from flows.runs import PREFECT_NEEDS, run_flow
from flows.scrubbing import keys_of, parts, pending_parts, scrub_parts
from flows.state import migrate
from intake.sealing import MANIFEST_PART
from publish.pdf import Pdf
from publish.verify import verify_release
from schemas.at_rest import Room

Mount = Callable[..., SmallDisk]


def well(pool: Pool, check: str) -> bool:
    """Whether a check of health is well."""
    (found,) = [each for each in health(Pool(pool.root)) if each.check == check]
    return found.condition is Condition.WELL


def left_over(folder: Path) -> list[str]:
    """Whatever lies below a folder, apart from the ballast of a small disk."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != ".ballast")


def reserved(pool: Pool) -> int:
    """How many draws were charged."""
    return sum(each["kind"] == "reserve" for each in pool.ledger.entries())


def test_health_sees_a_full_disk(pool: Pool, console: Console, small_disk: Mount) -> None:
    disk = small_disk(pool.root / "scratch")
    pool = with_settings(pool, keep_free_mib="4")
    assert well(pool, "disk")
    disk.leave(1 << 20)
    assert console.health(pool) == 30
    disk.mend()
    assert console.health(pool) == 0


def test_a_command_on_a_full_disk(pool: Pool, console: Console, small_disk: Mount, tmp_path: Path) -> None:
    disk, ran = small_disk(tmp_path / "disk"), list[str]()
    disk.leave(PREFECT_NEEDS // 2)
    assert console.step(run_flow, ran.append, str(disk.place)) == 30
    assert not ran  # it would have waited for a server that cannot start
    disk.mend()
    assert console.step(run_flow, ran.append, str(disk.place)) == 0
    assert ran == [str(disk.place)]


def test_taking_in_on_a_full_disk(pool: Pool, console: Console, small_disk: Mount, tmp_path: Path) -> None:
    disk = small_disk(tmp_path / "disk")
    (disk.place / "config").mkdir()
    shutil.copy(pool.root / "config" / "companies.toml", disk.place / "config")
    new = with_settings(Pool(disk.place), keep_free_mib="2")
    send(new, sorted(pool.root.glob("made/*/*/manifest.json"))[0].parent)
    (arrival,) = waiting(new)
    disk.leave(1 << 20)
    assert console.step(take_in_submission, new, *arrival) == 30
    assert waiting(new) == [arrival] and not new.catalogue.audit_rows()
    disk.mend()
    assert console.step(take_in_submission, new, *arrival) == 0
    assert [each["decision"] for each in new.catalogue.audit_rows()] == ["accepted"] and not waiting(new)


@pytest.mark.long
def test_scrubbing_on_a_full_disk(pool: Pool, console: Console, small_disk: Mount) -> None:
    folder = sorted((pool.root / "scrubbed" / str(QUARTER)).glob("*/*"))[0]
    shutil.rmtree(folder)
    disk = small_disk(folder)
    disk.leave(0)
    (pending,) = pending_parts(pool)
    assert console.step(scrub_parts, pool, [pending]) == 30
    assert left_over(folder) == []
    disk.mend()
    assert console.step(scrub_parts, pool, pending_parts(pool)) == 0
    assert not pending_parts(pool) and pending.report_file.exists()


def test_measuring_does_not_begin_on_a_full_disk(pool: Pool, console: Console, small_disk: Mount) -> None:
    disk = small_disk(pool.root / "scratch")
    make_plan(pool, QUARTER, key(pool, "olga"))
    disk.leave(0)
    assert console.step(measure_release, pool, QUARTER) == 30
    assert reserved(pool) == 0
    disk.mend()
    assert console.step(measure_release, pool, QUARTER) == 0


def test_measuring_on_a_disk_that_fills_up(pool: Pool, console: Console, small_disk: Mount) -> None:
    disk = small_disk(pool.root / "scratch")
    make_plan(pool, QUARTER, key(pool, "olga"))
    codes = []
    for kib in (4, 64, 256):
        disk.leave(kib << 10)
        codes.append(console.step(measure_release, pool, QUARTER))
        assert left_over(disk.place) == []
        assert reserved(pool) == (codes[-1] == 0)
    assert codes[0] == 30 and set(codes) <= {0, 30}
    disk.mend()
    assert console.step(measure_release, pool, QUARTER) == 0
    assert reserved(pool) == 1


@pytest.mark.long
def test_publishing_on_a_full_disk(pool: Pool, console: Console, small_disk: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish.release, "render_pdf", lambda html, made: Pdf(None, "left out: it takes seconds"))
    disk = small_disk(pool.root / "releases")
    until_checked(pool)
    for person in ("carl", "petra"):
        approve_release(pool, QUARTER, key(pool, person))
    for kib in (0, 64, 512):
        disk.leave(kib << 10)
        assert console.step(publish_release, pool, QUARTER) == 30
        assert [name for name in left_over(disk.place) if name != ".lock"] == []
    disk.mend()
    assert console.step(publish_release, pool, QUARTER) == 0
    assert all(each.passed for each in verify_release(disk.place / str(QUARTER) / "v1"))


def test_measuring_with_too_little_memory(pool: Pool, console: Console) -> None:
    make_plan(pool, QUARTER, key(pool, "olga"))
    small = with_settings(pool, memory_limit='"2MB"', disk_limit='"1MB"')
    assert console.step(measure_release, small, QUARTER) == 30
    assert reserved(pool) == 0 and left_over(pool.scratch) == []
    assert console.step(measure_release, with_settings(pool, memory_limit='""', disk_limit='""'), QUARTER) == 0
    assert reserved(pool) == 1


def test_health_sees_settings_that_ask_for_too_much_memory(pool: Pool, console: Console) -> None:
    assert console.health(with_settings(pool, memory_limit='"900TB"')) == 30
    assert console.health(with_settings(pool, memory_limit='""')) == 0


def test_the_workers_of_the_scrub_die(pool: Pool, console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the system ends a process that takes too much memory: without a word."""
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "def hook(event, given):\n"
        "    if event == 'import' and given[0] == 'anonymize.shard':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "sys.addaudithook(hook)\n"
    )
    shutil.rmtree(sorted((pool.root / "scrubbed" / str(QUARTER)).glob("*/*"))[0])
    pending = pending_parts(pool)
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path / "hook"))
        assert console.step(scrub_parts, pool, pending) == 12
    assert pending_parts(pool) == pending  # another run does it (`test_scrubbing_on_a_full_disk`)


def closed_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_state_database_does_not_answer(pool: Pool, console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMMONS_DATABASE_URL", f"postgresql://nobody@127.0.0.1:{closed_port()}/none")
    assert console.health(pool) == 20
    assert console.command("budget", "--root", pool.root) == 20
    monkeypatch.delenv("COMMONS_DATABASE_URL")
    assert console.health(pool) == 0


def test_the_state_database_is_not_migrated(
    pool: Pool, console: Console, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue("postgres")
    url = server.url(server.new_database())
    monkeypatch.setenv("COMMONS_DATABASE_URL", url.render_as_string(hide_password=False))
    assert console.health(pool) == 2
    migrate(url)
    assert well(pool, "state")


def test_the_state_database_is_damaged(pool: Pool, console: Console) -> None:
    state = pool.root / "state"
    pool.engine.dispose()
    shutil.copytree(state, pool.root / "backup")
    for path in state.iterdir():
        path.unlink()
    (state / "state.db").write_bytes(b"no database any more" * 1_000)
    assert console.health(Pool(pool.root)) == 14
    shutil.rmtree(state)
    shutil.copytree(pool.root / "backup", state)
    assert console.health(Pool(pool.root)) == 0


def test_a_store_is_away(pool: Pool, console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    (pool.root / "known_hosts").touch()
    monkeypatch.setenv("COMMONS_SFTP_KNOWN_HOSTS", str(pool.root / "known_hosts"))
    away = with_settings(pool, drops=f'"sftp://pool@127.0.0.1:{closed_port()}/drops"')
    assert console.health(away) == 20
    assert console.step(drop_of, away, "alder") == 20
    assert console.health(with_settings(pool, drops='"drops"')) == 0


def test_a_key_is_lost(pool: Pool, console: Console) -> None:
    path = pool.keys_at_rest.folder / Room.SCRUBBED / str(QUARTER) / "birch.key"
    make_plan(pool, QUARTER, key(pool, "olga"))
    backup = path.read_bytes()
    path.unlink()
    assert console.health(pool) == 14
    assert console.step(measure_release, pool, QUARTER) == 70
    assert not path.exists() and reserved(pool) == 0
    path.write_bytes(backup)
    assert console.health(pool) == 0
    assert console.step(measure_release, pool, QUARTER) == 0


def test_a_lost_key_is_not_made_anew(pool: Pool, console: Console) -> None:
    make_plan(pool, QUARTER, key(pool, "olga"))
    secrets, part = pool.root / "secrets", next(iter(parts(pool, QUARTER)))
    for path, step in {
        secrets / "pool.age": lambda: pool.identities,
        secrets / "pool.key": lambda: pool.secret("pool.key"),
        secrets / "sampling.key": lambda: pool.secret("sampling.key"),
        pool.keys_at_rest.folder / Room.SCRUBBED / str(QUARTER) / f"{part.company}.key": lambda: keys_of(pool, part),
    }.items():
        backup = path.read_bytes()
        path.unlink()
        assert console.health(pool) == 14
        assert console.step(step) == 70
        assert not path.exists()
        path.write_bytes(backup)
        assert console.health(pool) == 0
        assert console.step(step) == 0


def test_a_draw_was_lost(pool: Pool, console: Console) -> None:
    def dies() -> bytes:
        raise KeyboardInterrupt

    plan = make_plan(pool, QUARTER, key(pool, "olga"))
    with pytest.raises(KeyboardInterrupt):
        pool.ledger.answer_once(plan, dies)
    assert console.step(measure_release, pool, QUARTER) == 13
    assert console.health(pool) == 0  # it may be running
    later = datetime.now(UTC) + timedelta(days=3)
    assert console.health(pool, later) == 13
    make_plan(pool, QUARTER, key(pool, "olga"), "the first draw was lost")
    assert console.step(measure_release, pool, QUARTER) == 0
    assert console.health(pool, later) == 0


def test_there_is_no_budget_left(pool: Pool, console: Console) -> None:
    for reason in ("", "a mistake"):
        plan = make_plan(pool, QUARTER, key(pool, "olga"), reason)
        assert console.step(pool.ledger.answer_once, plan, lambda: b"an answer") == 0
    assert console.step(make_plan, pool, QUARTER, key(pool, "olga"), "another mistake") == 13
    assert pool.ledger.plan(QUARTER) == plan


def test_the_ledger_was_altered(pool: Pool, console: Console) -> None:
    make_plan(pool, QUARTER, key(pool, "olga"))
    pool.ledger.answer_once(pool.ledger.plan(QUARTER), lambda: b"an answer")  # type: ignore[arg-type]
    assert console.health(pool) == 0
    with pool.engine.begin() as connection:
        connection.execute(text("drop trigger ledger_no_update"))  # what the operator's own rights do not allow
        (spent,) = {each["rho"] for each in pool.ledger.entries() if each["kind"] == "reserve"}
        connection.execute(update(ENTRIES).where(ENTRIES.c.kind == "reserve").values(rho="0"))
    assert console.health(pool) == 14
    assert console.step(refuse_broken_ledger, pool) == 13
    assert console.command("budget", "--verify", "--root", pool.root) == 14
    with pool.engine.begin() as connection:
        connection.execute(update(ENTRIES).where(ENTRIES.c.kind == "reserve").values(rho=spent))
    assert console.health(pool) == 0


def test_a_check_stops_a_release(pool: Pool, console: Console) -> None:
    (pool.root / "brief").mkdir()
    brief = pool.root / "brief" / f"{QUARTER}.md"
    brief.write_text("## What is new\n\nUsers of alder did best.\n")
    until_checked(pool)
    assert console.health(pool) == 14
    brief.unlink()
    assert console.step(check_release, pool, QUARTER) == 0
    assert console.health(pool) == 0


def test_a_release_without_signatures(pool: Pool, console: Console) -> None:
    until_checked(pool)
    approve_release(pool, QUARTER, key(pool, "carl"))
    assert console.step(publish_release, pool, QUARTER) == 15
    assert not list((pool.root / "releases").glob("*/v*"))
    assert console.health(pool) == 0  # it waits for people: nothing is wrong


def test_submissions_are_refused_in_numbers(pool: Pool, console: Console) -> None:
    make_local_drops(pool)
    accepted = sum(each["decision"] == "accepted" for each in pool.catalogue.audit_rows())
    for number in range(accepted + 1):
        folder = Path(pool.drop_url("birch"), "in", f"{number:064x}")
        folder.mkdir()
        (folder / MANIFEST_PART).write_bytes(b"junk")
    assert console.health(pool) == 0  # what waits is judged by nobody yet
    for arrival in waiting(pool):
        take_in_submission(pool, *arrival)
    assert console.health(pool) == 10
    assert console.health(pool, datetime.now(UTC) + timedelta(days=2)) == 0


def test_a_schedule_is_missed(pool: Pool, console: Console) -> None:
    write_prefect_file(pool)
    assert console.health(pool) == 0  # it was deployed a moment ago
    deployed = (datetime.now(UTC) - timedelta(days=9)).timestamp()
    os.utime(pool.root / FILE, (deployed, deployed))
    assert last_due(pool, datetime.now(UTC) - MAY_RUN)
    assert console.health(pool) == 20
    log(pool, Event.RELEASE_ENDED)
    log(pool, Event.RETENTION_ENDED)
    for company in sorted(pool.registry.companies):
        assert console.health(pool) == 20
        log(pool, Event.INGEST_ENDED, company=company)
    assert console.health(pool) == 0
