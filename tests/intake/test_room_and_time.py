"""What one submission may take of the pool: time to be read, room on the disk, and no key unless it is accepted."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stores import send
from submissions import accepted_rows, door, rewrite

from flows.intake_steps import take_in_submission
from flows.pool import KeysOfAccepted, Pool
from intake.acceptance import COPIES, PoolDoor, take_in
from intake.delivery import FolderDelivery
from intake.limits import DEFAULT_LIMITS, MIB, Limits
from intake.manifest_checks import read_manifest
from intake.reading import CheckedRows, UnreadableFileError
from intake.sandbox.reader import read_confined
from intake.validation import ValidationReport
from schemas.at_rest import KEY_BYTES, Room
from schemas.errors import InternalError, OutOfSpaceError
from schemas.manifest import MANIFEST_NAME
from schemas.periods import Quarter


class Clock:
    """Seconds pass when a test says so."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def slow(clock: Clock, seconds: float, given: list[int], killed: bool = False) -> Any:
    """A reader that takes so long for each batch, and is told what it may take."""

    def read(path: Path, file_format: str, number: int, context: Any, limits: Limits) -> Iterator[CheckedRows]:
        given.append(limits.seconds(path.stat().st_size))
        for checked in read_confined(path, file_format, number, context, replace(limits, most_seconds=7_200)):
            clock.now += seconds
            if killed:
                raise UnreadableFileError("E112")
            yield checked

    return read


def in_files(folder: Path, clean: Path, count: int) -> Path:
    """The submission's one file cut into so many, signed anew."""
    lines = (folder / "part-1.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "part-1.jsonl").unlink()
    for number in range(count):
        (folder / f"cut-{number}.jsonl").write_bytes(b"".join(lines[number::count]))
    files = [{"path": f"cut-{number}.jsonl", "format": "jsonl"} for number in range(count)]
    listed = [{**file, "sha256": "", "bytes": 0, "records": 0} for file in files]
    manifest = (folder / MANIFEST_NAME).read_text()
    (folder / MANIFEST_NAME).write_text(json.dumps({**json.loads(manifest), "files": listed}))
    rewrite(folder, clean / "keys" / "alder.key")
    return folder


TEN = replace(DEFAULT_LIMITS, seconds_a_submission=10)


@pytest.mark.parametrize("killed", [False, True], ids=["between batches", "stopped in the midst of a file"])
def test_a_submission_that_takes_all_its_time_is_refused_and_told_why(
    killed: bool, clean: Path, submission: Callable[[], Path], tmp_path: Path
) -> None:
    clock, given = Clock(), list[int]()
    pool = replace(door(tmp_path / "pool", clean), limits=TEN, clock=clock, reader=slow(clock, 4.0, given, killed))
    result = take_in(FolderDelivery(in_files(submission(), clean, 5)), pool)
    found = [f for f in result.report.findings if f.file == MANIFEST_NAME]
    assert result.decision == "refused"
    assert [(f.code, f.field) for f in found] == [("E112", "files")]
    assert "split it" in found[0].hint
    assert given == [10, 6, 2]  # no file may take more than is left; the last two were not begun
    assert not list((tmp_path / "pool").rglob("*.parquet"))
    assert list((tmp_path / "pool" / "staging").iterdir()) == []


def test_within_its_time_the_same_submission_is_accepted(clean: Path, submission: Callable[[], Path], tmp_path: Path) -> None:
    clock = Clock()
    pool = replace(door(tmp_path / "pool", clean), limits=TEN, clock=clock, reader=slow(clock, 1.9, []))
    assert take_in(FolderDelivery(in_files(submission(), clean, 5)), pool).decision == "accepted"


def test_the_process_that_reads_is_stopped_when_the_submissions_time_is_over(
    clean: Path, submission: Callable[[], Path], tmp_path: Path
) -> None:
    """On the real clock: a single second for a file that takes several of the processor."""
    folder = submission()
    lines = (folder / "part-1.jsonl").read_bytes()
    (folder / "part-1.jsonl").write_bytes(lines * (60 * MIB // len(lines)))
    rewrite(folder, clean / "keys" / "alder.key")
    hasty = replace(DEFAULT_LIMITS, most_seconds=1)
    result = take_in(FolderDelivery(folder), replace(door(tmp_path / "pool", clean), limits=hasty))
    assert (result.decision, result.report.counts["E112"]) == ("refused", 1)


def test_time_follows_from_bytes_up_to_a_most() -> None:
    limits = DEFAULT_LIMITS
    assert limits.submission_seconds(0) == 300
    assert limits.submission_seconds(100 * MIB) == 350
    assert limits.submission_seconds(limits.submission_bytes) == limits.most_seconds == 7_200
    assert limits.seconds(limits.file_bytes) <= limits.most_seconds
    assert replace(limits, most_seconds=5).seconds(1 << 30) == 5


class Counted(FolderDelivery):
    """Counts what is fetched."""

    fetched = 0

    def fetch(self, *arguments: Any) -> tuple[str, int]:
        self.fetched += 1
        return super().fetch(*arguments)


def with_room(pool: PoolDoor, free: int, keep_free: int = 0) -> PoolDoor:
    return replace(pool, free_bytes=lambda folder: free, keep_free=keep_free)


def test_what_the_disk_would_not_hold_is_not_fetched_and_waits(
    clean: Path, submission: Callable[[], Path], tmp_path: Path
) -> None:
    pool, delivery = door(tmp_path / "pool", clean), Counted(submission())
    needed = COPIES * (delivery.size() - (tmp_path / "copy-1" / MANIFEST_NAME).stat().st_size)
    for free, keep_free in ((needed - 1, 0), (needed + MIB - 1, MIB)):
        with pytest.raises(OutOfSpaceError) as told:
            take_in(delivery, with_room(pool, free, keep_free))
        assert "alder" in told.value.message and f"{free:,}" in told.value.message
        assert "keep_free_mib" in told.value.next_step
    assert delivery.fetched == 0
    assert pool.catalogue.audit_rows() == []
    assert not list((tmp_path / "pool" / "staging").iterdir())
    assert take_in(delivery, with_room(pool, needed + MIB, MIB)).decision == "accepted"


def test_a_manifest_that_claims_more_than_there_is_waits_for_no_room(
    clean: Path, submission: Callable[[], Path], tmp_path: Path
) -> None:
    folder = submission()
    rewrite(folder, clean / "keys" / "alder.key", lambda m: m["files"][0].update(bytes=8 << 30))
    result = take_in(FolderDelivery(folder), with_room(door(tmp_path / "pool", clean), 100 * MIB))
    assert (result.decision, set(result.report.counts)) == ("refused", {"E106"})


@pytest.fixture
def pool(clean: Path, tmp_path: Path) -> Pool:
    (tmp_path / "root" / "config").mkdir(parents=True)
    shutil.copy(clean / "companies.toml", tmp_path / "root" / "config")
    return Pool(tmp_path / "root")


def test_a_pool_keeps_some_of_its_disk_free_and_the_submission_stays_in_the_drop(
    pool: Pool, submission: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = send(pool, submission()).digest
    usage = shutil.disk_usage(pool.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=1024 * MIB))  # as much as is kept free
    with pytest.raises(OutOfSpaceError):
        take_in_submission(pool, "alder", digest)
    monkeypatch.undo()
    assert take_in_submission(pool, "alder", digest)["decision"] == "accepted"


def test_a_pool_of_an_earlier_version_has_these_limits_too(pool: Pool) -> None:
    text = Pool(pool.root).config("pool.toml").read_text()
    begin, end = text.index("[intake]"), text.index("[scrub]")
    (pool.root / "config" / "pool.toml").write_text(text[:begin] + text[end:])
    assert (pool.door.limits.most_seconds, pool.door.keep_free) == (7_200, 1024 * MIB)
    (pool.root / "config" / "pool.toml").write_text(text.replace("most_seconds = 7200", "most_seconds = 60"))
    assert Pool(pool.root).door.limits.most_seconds == 60


def keys(pool: Pool) -> list[str]:
    return [path.name for path in pool.keys_at_rest.folder.rglob("*") if path.is_file()]


def test_a_refused_submission_leaves_no_key(
    pool: Pool, clean: Path, submission: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = submission(), submission()
    lines = (bad / "part-1.jsonl").read_text().splitlines()
    (bad / "part-1.jsonl").write_text("\n".join([*lines, *["{}"] * len(lines)]) + "\n")
    rewrite(bad, clean / "keys" / "alder.key")
    with monkeypatch.context() as patched:  # at home it would not be sent at all
        patched.setattr("intake.submission.validate_submission", lambda folder, **_: _found(folder))
        refused = send(pool, bad).digest
    result = take_in_submission(pool, "alder", refused)
    assert (result["decision"], result["findings"]["E113"]) == ("refused", 1)
    assert keys(pool) == []
    digest = send(pool, good).digest
    assert take_in_submission(pool, "alder", digest)["decision"] == "accepted"
    assert keys(pool) == ["alder.key"]


def _found(folder: Path) -> Any:
    return ValidationReport(read=read_manifest(folder, DEFAULT_LIMITS)[0])


def test_what_is_accepted_opens_with_the_key_that_was_kept(pool: Pool, submission: Callable[[], Path]) -> None:
    result = take_in_submission(pool, "alder", send(pool, submission()).digest)
    rows = accepted_rows(pool.root, lambda quarter, company: pool.keys_at_rest.existing(Room.ACCEPTED, quarter, company))
    assert len(rows) == result["accepted"] > 0


def test_where_another_run_made_a_key_first_that_one_holds(
    pool: Pool, submission: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, keep = send(pool, submission()).digest, KeysOfAccepted.keep

    def after_another(self: KeysOfAccepted, quarter: Quarter, company: str, key: bytes) -> bytes:
        pool.keys_at_rest(Room.ACCEPTED, quarter, company)
        return keep(self, quarter, company, key)

    monkeypatch.setattr(KeysOfAccepted, "keep", after_another)
    result = take_in_submission(pool, "alder", digest)
    rows = accepted_rows(pool.root, lambda quarter, company: pool.keys_at_rest.existing(Room.ACCEPTED, quarter, company))
    assert len(rows) == result["accepted"] > 0


def test_a_key_that_is_lost_is_not_made_anew(pool: Pool, clean: Path, submission: Callable[[], Path]) -> None:
    take_in_submission(pool, "alder", send(pool, submission()).digest)
    (path,) = pool.keys_at_rest.folder.rglob("*.key")
    path.unlink()
    quarter = pool.catalogue.accepted()[0].quarter
    with pytest.raises(InternalError):
        pool.door.key_at_rest(quarter, "alder")
    assert len(pool.door.key_at_rest(quarter.next(), "alder")) == KEY_BYTES
    assert keys(pool) == []
