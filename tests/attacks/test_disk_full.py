"""No space left, at many different moments: nothing partial, the state intact, and the same command ends well afterwards."""

import errno
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from killing import plain_reader
from sqlalchemy.exc import OperationalError

from flows.guard import guarded
from flows.pool import Pool
from intake.known import submission_folder
from schemas.errors import InternalError, OutOfSpaceError, UsageError

SPACE = 24 << 20
STEPS = (0, 4, 12, 20, 32, 48, 64, 80, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 1024)
"""KiB that are left when the work begins."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that holds SPACE bytes."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SPACE}", "tmpfs", place], capture_output=True)
    if done.returncode:
        pytest.skip("a file system cannot be mounted here (it takes root)")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def leave(disk: Path, free: int) -> Path:
    """Fills a disk up to `free` bytes. Returns the file to remove for space again."""
    ballast = disk / "ballast"
    found = os.statvfs(disk)
    with ballast.open("wb") as stream, suppress(OSError):
        os.posix_fallocate(stream.fileno(), 0, max(1, found.f_bavail * found.f_frsize - free))
    return ballast


class FastPool(Pool):
    """A pool that reads in this process, and begins whatever room there is: it is to be met in the midst of things."""

    @property
    def door(self) -> Any:
        from dataclasses import replace

        return replace(super().door, reader=plain_reader, free_bytes=lambda folder: 1 << 60)


def new_pool(root: Path, folder: Path, clean: Path) -> tuple[Pool, str]:
    """A pool in whose drop one submission lies; its digest."""
    from flows.drops import drop_of, make_local_drops, public_keys
    from intake.submission import submit

    (root / "config").mkdir(parents=True)
    shutil.copyfile(clean / "companies.toml", root / "config" / "companies.toml")
    pool = FastPool(root)
    make_local_drops(pool)
    with drop_of(pool, "alder") as drop:
        digest = submit(folder, drop, public_keys(pool)["pool_recipient"]).digest
    pool.catalogue.accepted()
    return pool, digest


def take(pool: Pool, digest: str) -> Any:
    from flows.intake_steps import take_in_submission

    return guarded(take_in_submission, FastPool(pool.root), "alder", digest)


def assert_nothing_partial(pool: Pool) -> None:
    """What the catalogue names is whole; the databases are sound."""
    from submissions import accepted_rows

    from schemas.at_rest import Room

    named = FastPool(pool.root).catalogue.accepted()
    for row in named:
        assert submission_folder(pool.accepted, row).is_dir()
    if named:
        rows = accepted_rows(pool.root, lambda quarter, company: pool.keys_at_rest.existing(Room.ACCEPTED, quarter, company))
        assert len(rows) == sum(row.receipt["accepted"] for row in named)
    with closing(sqlite3.connect(pool.root / "state" / "state.db")) as connection:
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)


def try_at(pool: Pool, digest: str, disk: Path, kib: int) -> bool:
    """One attempt with so much space, then one with enough. Returns whether space had run out."""
    from intake.receipt import receipt_is_genuine
    from schemas.signing import encode_key, public_key

    ballast = leave(disk, kib << 10)
    lacked = False
    try:
        take(pool, digest)
    except OutOfSpaceError as error:
        assert error.exit_code == 30
        assert error.next_step
        lacked = True
    ballast.unlink()
    assert_nothing_partial(pool)
    take(pool, digest)
    assert_nothing_partial(pool)
    (accepted,) = FastPool(pool.root).catalogue.accepted()
    assert accepted.digest == digest
    assert receipt_is_genuine(accepted.receipt, encode_key(public_key(pool.secret("pool.key"))))
    assert list((pool.root / "drops").glob("*/out/*/receipt.json"))
    assert not list((pool.root / "staging").glob("*"))
    return lacked


def link_to(root: Path, name: str, disk: Path) -> None:
    shutil.rmtree(root / name, ignore_errors=True)
    (disk / name).mkdir(exist_ok=True)
    (root / name).symlink_to(disk / name)


@pytest.mark.parametrize("part", ["the root", "staging and accepted", "state", "answers"])
def test_out_of_space_at_any_moment_leaves_nothing_partial(
    part: str, small_disk: Path, clean: Path, submission: Callable[[], Path], tmp_path: Path
) -> None:
    """A drop on the same disk, or only one of the pool's folders on a full one."""
    template, folder, lacked = tmp_path / "template", submission(), []
    pool, digest = new_pool(template, folder, clean)
    pool.engine.dispose()
    for number, kib in enumerate(STEPS):
        root = (small_disk if part == "the root" else tmp_path) / f"pool-{number}"
        shutil.copytree(template, root)
        if part != "the root":
            for name in part.split(" and "):
                link_to(root, name, small_disk)
            if part == "state":
                shutil.copytree(template / part, root / part, dirs_exist_ok=True)
        lacked.append(try_at(FastPool(root), digest, small_disk, kib))
        shutil.rmtree(root)
        for left in small_disk.iterdir():
            shutil.rmtree(left)
    assert lacked[0]
    assert not lacked[-1] or part == "the root"


def test_staging_and_accepted_must_lie_on_one_file_system(
    small_disk: Path, clean: Path, submission: Callable[[], Path], tmp_path: Path
) -> None:
    pool, digest = new_pool(tmp_path / "pool", submission(), clean)
    link_to(pool.root, "accepted", small_disk)
    with pytest.raises(UsageError):
        take(pool, digest)
    assert_nothing_partial(pool)


def test_the_other_submissions_of_a_full_disk_wait_and_nothing_is_refused(
    small_disk: Path, clean: Path, submission: Callable[[], Path]
) -> None:
    pool, digest = new_pool(small_disk / "pool", submission(), clean)
    ballast = leave(small_disk, 0)
    for _ in range(3):
        with pytest.raises(OutOfSpaceError):
            take(pool, digest)
    ballast.unlink()
    assert [row["decision"] for row in pool.catalogue.audit_rows()] == []
    assert take(pool, digest)["decision"] == "accepted"


def wrapped(error: Exception) -> Exception:
    found = OperationalError("insert", {}, error)
    found.__cause__ = error
    return found


def sqlite_error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "x"),
        OSError(errno.EDQUOT, "x"),
        MemoryError(),
        pa.ArrowMemoryError("x"),
        sqlite_error(sqlite3.SQLITE_FULL),
        sqlite_error(sqlite3.SQLITE_IOERR_WRITE),
        wrapped(sqlite_error(sqlite3.SQLITE_FULL)),
    ],
    ids=lambda error: type(error).__name__,
)
def test_lack_of_space_is_told_as_such_whoever_met_it(error: Exception) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(OutOfSpaceError) as told:
        guarded(fail)
    assert told.value.__cause__ is None


@pytest.mark.parametrize("error", [OSError(errno.EACCES, "x"), sqlite_error(sqlite3.SQLITE_CORRUPT), ValueError("No space left")])
def test_what_is_no_lack_of_space_is_not_told_as_such(error: Exception) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(InternalError):
        guarded(fail)


def test_a_full_sqlite_says_so_by_its_code(small_disk: Path) -> None:
    """What the guard relies on, shown by SQLite itself."""
    ballast = leave(small_disk, 64 << 10)

    def fill() -> None:
        with closing(sqlite3.connect(small_disk / "some.db")) as connection:
            connection.execute("create table t (x blob)")
            for _ in range(100):
                connection.execute("insert into t values (zeroblob(65536))")
            connection.commit()

    with pytest.raises(OutOfSpaceError):
        guarded(fill)
    ballast.unlink()


def test_a_simulation_that_finds_no_space_leaves_nothing_and_is_begun_anew(
    small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from cli.main import run

    made = small_disk / "made"
    command = ["simulate", "--out", str(made), "--users", "60", "--quarters", "1"]
    for kib in (0, 16, 64):
        ballast = leave(small_disk, kib << 10)
        assert run(command) == 30
        assert capsys.readouterr().err.startswith("commons: Out of disk or memory.\n")
        assert not list(made.glob("*"))
        ballast.unlink()
    assert run(command) == 0
    assert (made / "truth.json").exists()
