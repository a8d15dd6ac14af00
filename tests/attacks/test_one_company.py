"""One company that is hostile, with its own key and drop: it stops nobody else's records and evades no limit."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

import flows.intake as intake_flow
from benchmarks.intake_material import COMPANY, Material, read_in_process
from flows.drops import make_local_drops
from flows.intake_steps import take_in_submission
from flows.pool import Pool
from flows.purging import holdings
from flows.scrubbing import pending_parts
from intake.acceptance import IntakeResult, PoolDoor, take_in
from intake.catalogue import AcceptedSubmission
from intake.delivery import FolderDelivery
from intake.drop import INCOMING
from intake.known import submission_folder
from intake.limits import DEFAULT_LIMITS
from intake.manifest_checks import parse_manifest
from intake.reading import UnreadableFileError
from intake.registry import Quota, Registry
from intake.sealing import MANIFEST_PART, PART_NAME, part_name, recipient_of, seal
from sample_data.packing import data_file, signed_manifest
from schemas.errors import OutOfSpaceError
from schemas.periods import Quarter


def folder_of(material: Material, folder: Path, name: str, rows: list[dict[str, Any]], period: str = "", files: int = 1) -> Path:
    """A signed submission of rows in one file; or of so many files, each with all of them."""
    content = b"".join(orjson.dumps(row) + b"\n" for row in rows)
    folder.mkdir(parents=True)
    listed = []
    for number in range(files):
        path = f"part-{number}.jsonl"
        (folder / path).write_bytes(content)
        listed.append(data_file(path, "jsonl", content, len(rows)))
    m = material.manifest
    made = signed_manifest(COMPANY, name, period or m["period"], m["key_id"], m["pseudonym_key_id"], listed, material.key)
    (folder / "manifest.json").write_bytes(made)
    return folder


def sent(pool: Pool, folder: Path) -> str:
    """A submission of one file in the company's own drop, sealed; returns its name there."""
    data = (folder / "manifest.json").read_bytes()
    read, _ = parse_manifest(data, DEFAULT_LIMITS)
    digest = read.digest if read else "0" * 64
    place = Path(pool.drop_url(COMPANY), INCOMING, digest)
    place.mkdir(parents=True)
    recipient = recipient_of(pool.identities)
    (place / part_name(0, 0)).write_bytes(seal((folder / "part-0.jsonl").read_bytes(), recipient))
    (place / MANIFEST_PART).write_bytes(seal(data, recipient))
    return digest


@pytest.fixture
def pool(material: Material, tmp_path: Path) -> Pool:
    (tmp_path / "pool" / "config").mkdir(parents=True)
    (tmp_path / "pool" / "config" / "companies.toml").write_bytes((material.made / "companies.toml").read_bytes())
    pool = Pool(tmp_path / "pool")
    make_local_drops(pool)
    return pool


def with_quota(door: PoolDoor, **quota: int) -> PoolDoor:
    company = door.registry.companies[COMPANY].model_copy(update={"quota": Quota(**quota)})
    return replace(door, registry=Registry({COMPANY: company}))


def taken(door: PoolDoor, folder: Path) -> IntakeResult:
    return take_in(FolderDelivery(folder), door)


@pytest.mark.parametrize("period", ["9999Q3", "9999-11", "9999-12-30", "0001Q1"])
def test_no_period_makes_a_quarter_that_purging_cannot_reckon_with(
    period: str, material: Material, pool: Pool, tmp_path: Path
) -> None:
    """A submission of no records made a key of that quarter, and every purge of the pool failed from then on."""
    digest = sent(pool, folder_of(material, tmp_path / "made", "far", [], period))
    assert take_in_submission(pool, COMPANY, digest)["findings"] == {"E110": 1}
    assert holdings(pool) == []


def test_a_manifest_that_is_exchanged_after_it_was_checked_is_not_taken_in(
    material: Material, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = folder_of(material, tmp_path / "first", "first", material.records[:30])
    second = folder_of(material, tmp_path / "second", "second", material.records[:30])
    digest = sent(pool, first)
    place = Path(pool.drop_url(COMPANY), INCOMING, digest, MANIFEST_PART)
    real = take_in

    def exchanged(delivery: Any, door: PoolDoor) -> IntakeResult:
        place.write_bytes(seal((second / "manifest.json").read_bytes(), recipient_of(pool.identities)))
        return real(delivery, door)

    monkeypatch.setattr("flows.intake_steps.take_in", exchanged)
    assert take_in_submission(pool, COMPANY, digest)["decision"] == "accepted"
    assert [each.submission_id for each in pool.catalogue.accepted()] == ["first"]


def test_what_was_withdrawn_still_counts_for_the_quota(material: Material, tmp_path: Path) -> None:
    """It lies on the pool's disk until its time is over: sending and withdrawing in turns would fill it."""
    door = with_quota(material.door(tmp_path / "pool"), records_a_quarter=50)
    assert taken(door, folder_of(material, tmp_path / "a", "a", material.records[:30])).decision == "accepted"
    withdrawal = {
        "domain": "suicide_self_harm", "record_id": "w1", "record_status": "withdrawal", "scope": "submission",
        "submission_id": "a",
    }  # fmt: skip
    assert taken(door, folder_of(material, tmp_path / "w", "w", [withdrawal])).decision == "accepted"
    again = taken(door, folder_of(material, tmp_path / "b", "b", material.records[30:60]))
    assert [finding.field for finding in again.report.findings] == ["quota.records_a_quarter"]


def test_of_many_files_that_cannot_be_read_only_the_first_few_are_tried(material: Material, tmp_path: Path) -> None:
    tried = []

    def reader(path: Path, file_format: str, number: int, *rest: Any) -> Any:
        tried.append(number)
        raise UnreadableFileError("E112")
        yield from read_in_process(path, file_format, number, *rest)

    door = material.door(tmp_path / "pool", reader)
    result = taken(door, folder_of(material, tmp_path / "a", "a", material.records[:2], files=40))
    assert (result.decision, result.report.counts["E112"], len(tried)) == ("refused", 3, 3)


def test_submissions_whose_digests_begin_alike_lie_apart() -> None:
    def row(digest: str) -> AcceptedSubmission:
        return AcceptedSubmission(digest, COMPANY, digest, Quarter(2026, 1), "k", 1, 1, "accepted", {})

    first, second = (submission_folder(Path("accepted"), row("a" * 32 + end * 32)) for end in "01")
    assert first != second


def test_part_names_are_of_ascii_digits() -> None:
    assert PART_NAME.fullmatch("00000-00000.age") and not PART_NAME.fullmatch("\u0660" * 5 + "-00000.age")


def test_companies_take_turns_in_the_scrub(pool: Pool) -> None:
    for company, parts in (("alder", 3), ("birch", 2)):
        row = AcceptedSubmission(
            company.ljust(64, "0"), company, "s", Quarter(2026, 1), "k", 1, 1, "accepted", {"received_at": "2026-01-01T00:00:00Z"}
        )
        pool.catalogue.add(row, set(), Counter())
        folder = submission_folder(pool.accepted, row)
        folder.mkdir(parents=True)
        for number in range(parts):
            (folder / f"part-{number:05d}.parquet").touch()
    assert [part.company for part in pending_parts(pool)] == ["alder", "birch", "alder", "birch", "alder"]


def test_a_company_that_takes_all_the_time_of_a_run_waits_for_the_next(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    tried, now = list[str](), [0.0]

    def take(root: str, company: str, digest: str) -> dict[str, Any]:
        tried.append(company)
        now[0] += 3_000 if company == "alder" else 1
        return {"records": 0}

    found = {"alder": [f"{n:064x}" for n in range(9)], "birch": [f"{n:064x}" for n in range(5)]}
    monkeypatch.setattr(intake_flow, "take_in_task", take)
    monkeypatch.setattr(intake_flow, "scrub_task", lambda root: {"parts": 0, "records": 0})
    monkeypatch.setattr(intake_flow, "waiting_by_company", lambda pool, only: found)
    monkeypatch.setattr(intake_flow, "tell", lambda *told: None)
    monkeypatch.setattr(intake_flow, "show_intake", lambda *shown: None)
    monkeypatch.setattr(intake_flow, "time", SimpleNamespace(monotonic=lambda: now[0]))
    assert intake_flow.intake.fn(str(pool.root))["left_waiting"] == 6
    assert (tried.count("alder"), tried.count("birch")) == (3, 5)  # 7,200 seconds were over with the third


def test_a_submission_for_which_there_is_no_room_stops_nobody_elses(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def take(root: str, company: str, digest: str) -> dict[str, Any]:
        tried.append(company)
        if company == "alder":
            raise OutOfSpaceError("Out of disk or memory.")
        return {"records": 0}

    def scrub(root: str) -> dict[str, int]:
        tried.append("scrub")
        return {"parts": 0, "records": 0}

    found = {"alder": ["0" * 64], "birch": ["1" * 64], "cedar": ["2" * 64]}
    monkeypatch.setattr(intake_flow, "take_in_task", take)
    monkeypatch.setattr(intake_flow, "scrub_task", scrub)
    monkeypatch.setattr(intake_flow, "waiting_by_company", lambda pool, only: found)
    monkeypatch.setattr(intake_flow, "tell", lambda *told: None)
    monkeypatch.setattr(intake_flow, "show_intake", lambda *shown: None)
    with pytest.raises(OutOfSpaceError):
        intake_flow.intake.fn(str(pool.root))
    assert tried == ["alder", "birch", "cedar", "scrub"]
