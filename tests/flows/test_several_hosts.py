"""Several machines with one root and one state database, at the same moment: each thing is done once, and both are answered."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE
from typing import TYPE_CHECKING

import pytest
from filled_pool import QUARTER, key, until_checked
from prefect_server import own_environment
from sqlalchemy import URL, create_engine, insert, select

from flows.pool import Pool
from flows.release_steps import approve_release, make_plan, publish_release
from flows.scrubbing import parts
from flows.state import open_state
from flows.turns import Turn, in_turn
from intake.catalogue import SUBMISSIONS
from publish.path import State
from publish.store import state_of
from schemas.errors import ExitCode, NotApprovedError, TransportError

if TYPE_CHECKING:
    from postgres_server import Server

HOST = Path(__file__).parent / "several_hosts.py"
Hosts = Callable[..., list["Ended"]]


@dataclass(frozen=True)
class Ended:
    """How a machine's program ended."""

    code: int
    answer: object
    words: str


@pytest.fixture
def url(filled: Path, postgres: "Server", migrated: str, monkeypatch: pytest.MonkeyPatch) -> URL:
    """A state database on PostgreSQL that knows what the filled pool has accepted."""
    found = postgres.url(postgres.new_database(migrated))
    engine = create_engine(found)
    with Pool(filled).engine.connect() as before, engine.begin() as connection:
        connection.execute(insert(SUBMISSIONS), [dict(row) for row in before.execute(select(SUBMISSIONS)).mappings()])
    engine.dispose()
    monkeypatch.setenv("COMMONS_DATABASE_URL", found.render_as_string())
    return found


@pytest.fixture
def shared(url: URL, pool: Pool) -> Pool:
    """The filled pool with its state on PostgreSQL."""
    assert pool.engine.dialect.name == "postgresql"
    return pool


@pytest.fixture
def hosts(shared: Pool, url: URL, tmp_path: Path) -> Hosts:
    """Runs a program on several machines at once: each has an environment, a home and temporary files of its own."""

    def together(*works: str, plant: bool = False) -> list[Ended]:
        started = []
        for number, work in enumerate(works):
            home = tmp_path / f"home-{number}"
            home.mkdir()
            own = {"COMMONS_DATABASE_URL": url.render_as_string(), "HOME": str(home), "TMPDIR": str(home)}
            command = [sys.executable, HOST, shared.root, f"host-{number}", work, *(["--plant"] if plant else [])]
            surroundings = own_environment() | own | {"PYTHONPATH": str(HOST.parents[2])}
            started.append(subprocess.Popen(command, env=surroundings, stdout=PIPE, stderr=PIPE, text=True))
        told = [process.communicate() for process in started]
        return [
            Ended(process.returncode, json.loads(out.splitlines()[-1]) if process.returncode == 0 else None, err)
            for process, (out, err) in zip(started, told, strict=True)
        ]

    return together


def spends(pool: Pool) -> list[str]:
    return [entry["kind"] for entry in pool.ledger.entries()]


@pytest.mark.long
def test_measured_on_two_at_once_there_is_one_spend_and_one_answer(shared: Pool, hosts: Hosts) -> None:
    make_plan(shared, QUARTER, key(shared, "olga"))
    one, another = hosts("measure", "measure")
    assert (one.code, another.code) == (0, 0), one.words + another.words
    assert one.answer == another.answer
    assert spends(shared) == ["plan", "reserve", "answer"] and shared.ledger.faults() == []


@pytest.mark.long
def test_without_turns_one_of_them_would_be_refused_and_still_nothing_spent_twice(shared: Pool, hosts: Hosts) -> None:
    """The break: this is what the test above sees where machines do not take turns."""
    make_plan(shared, QUARTER, key(shared, "olga"))
    ended = hosts("measure", "measure", plant=True)
    assert sorted(each.code for each in ended) == [0, ExitCode.BUDGET_REFUSED]
    assert spends(shared) == ["plan", "reserve", "answer"]


def test_the_whole_way_on_two_at_once_ends_in_one_release(shared: Pool, hosts: Hosts) -> None:
    one, another = hosts("carl", "petra")
    assert (one.code, another.code) == (0, 0), one.words + another.words
    assert one.answer == another.answer
    assert spends(shared) == ["plan", "reserve", "answer"]
    assert state_of(shared.engine, QUARTER, 1) is State.PUBLISHED
    assert [path.name for path in (shared.releases / str(QUARTER)).iterdir()] == ["v1"]


@pytest.mark.long
@pytest.mark.parametrize("plant", [False, True])
def test_scrubbed_on_two_at_once_each_part_is_scrubbed_once(shared: Pool, hosts: Hosts, plant: bool) -> None:
    """And without turns twice: the counts would tell."""
    records = sum(json.loads(part.report_file.read_bytes())["records"] for part in parts(shared))
    shutil.rmtree(shared.scrubbed)
    ended = hosts("scrub", "scrub", plant=plant)
    scrubbed = [each.answer for each in ended if isinstance(each.answer, int)]
    assert all(part.target.exists() for part in parts(shared))
    if plant:
        assert len(scrubbed) < 2 or sum(scrubbed) > records
    else:
        assert sorted(scrubbed) == [0, records], [each.words for each in ended]


# Approving on PostgreSQL.


@pytest.mark.long
def test_a_release_is_approved_and_published_with_its_state_on_postgresql(shared: Pool) -> None:
    until_checked(shared)
    signed = approve_release(shared, QUARTER, key(shared, "carl"))
    assert [each.role for each in signed] == ["clinical"]
    assert [each.role for each in approve_release(shared, QUARTER, key(shared, "carl"))] == ["clinical"]  # again: no change
    with pytest.raises(NotApprovedError):
        publish_release(shared, QUARTER)
    assert len(approve_release(shared, QUARTER, key(shared, "petra"))) == 2
    with pytest.raises(NotApprovedError):  # who made the plan signs nothing
        approve_release(shared, QUARTER, key(shared, "olga"))
    assert publish_release(shared, QUARTER).version == 1
    assert state_of(shared.engine, QUARTER, 1) is State.PUBLISHED


# Turns themselves, on each kind of database.

HOLDER = """
import sys, time
from pathlib import Path
from flows.pool import Pool
from flows.turns import Turn, in_turn
with in_turn(Pool(Path(sys.argv[1])), Turn.SCRUB):
    print("has it", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def kept(state: URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pool:
    """A pool with its state in a database of a kind."""
    monkeypatch.setenv("COMMONS_DATABASE_URL", state.render_as_string())
    return Pool(tmp_path / "pool")


def test_a_turn_is_waited_for_and_ends_with_its_process(kept: Pool, state: URL) -> None:
    from flows import progress

    waited = list[str]()
    surroundings = own_environment() | {"COMMONS_DATABASE_URL": state.render_as_string()}
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, kept.root], env=surroundings, cwd=HOST.parents[2], stdout=subprocess.PIPE
    )
    assert holder.stdout is not None and holder.stdout.readline() == b"has it\n"

    def listen(stage: str, share: float) -> None:
        waited.append(stage)
        holder.kill()  # as soon as we wait

    with progress.listening(listen):
        with in_turn(kept, Turn.INGEST):
            assert waited == []  # another turn is not in the way
        with in_turn(kept, Turn.SCRUB):
            assert waited and holder.wait() < 0
    holder.stdout.close()


def test_a_turn_that_is_over_is_free_again(kept: Pool) -> None:
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), in_turn(kept, Turn.RELEASE):
            _ = 1 / 0


def test_a_database_that_ends_in_a_turn_hides_no_error_and_the_next_finds_it_free(shared: Pool, postgres: "Server") -> None:
    ended = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname is not null"
    with in_turn(shared, Turn.SCRUB):
        postgres.run(ended)
    open_state(shared.engine.url).dispose()
    with in_turn(Pool(shared.root), Turn.SCRUB):
        pass


def test_a_database_that_is_cut_off_is_told_as_what_can_be_tried_again(shared: Pool, postgres: "Server") -> None:
    from flows.guard import guarded

    with shared.engine.connect() as connection:

        def ask() -> None:
            from sqlalchemy import text

            connection.execute(text("select 1"))

        ask()
        postgres.run(
            "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname is not null"
        )
        with pytest.raises(TransportError) as told:
            guarded(ask)
    assert told.value.exit_code == ExitCode.TRANSPORT and "run the same command" in told.value.next_step
