"""Taking a submission in: validated, rewritten as Parquet that the pool wrote, catalogued, receipted. Whole or not at all."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from intake.answering import RECEIPT_FILE, answer_files, keep_answer, kept_answer
from intake.catalogue import AcceptedSubmission, AlreadyAcceptedError, Catalogue
from intake.delivery import Delivery, DeliveryError
from intake.known import AcceptedRecords, submission_folder
from intake.limits import DEFAULT_LIMITS, Limits
from intake.manifest_checks import ReadManifest, identity_findings, parse_manifest
from intake.parts import StagedParts
from intake.quotas import Arriving, Held, quota_findings
from intake.reading import CheckedRows
from intake.reading_time import OverTimeError, ReadingTime
from intake.receipt import make_receipt
from intake.record_checks import RecordContext
from intake.registry import Registry
from intake.sandbox.reader import read_confined
from intake.settlement import Settlement
from intake.validation import ValidationReport, check_records, period_quarter, record_context
from schemas.at_rest import KEY_BYTES, NoLongerHeldError
from schemas.errors import InternalError, OutOfSpaceError
from schemas.findings import Finding
from schemas.manifest import MANIFEST_NAME, Manifest
from schemas.periods import Quarter
from schemas.stages import ValidatedSubmission
from schemas.storage import Place, files_below, put_folder

RecordReader = Callable[[Path, str, int, RecordContext, Limits], Iterator[CheckedRows]]

COPIES = 2
"""Of what was sent, as many bytes must be free: for the copy that is read, and for what is written of it."""

_OVER_TIME = "Reading it took all the time that one submission is given: split it into several."


@dataclass(frozen=True)
class PoolDoor:
    """What the door is handed: folders, registry, catalogue, keys.

    `staging` holds what is being taken in and nothing else, `answers` what companies are told. `key_at_rest` is the key of
    the accepted records of a quarter and company, or what would be it: it raises NoLongerHeldError where they were purged.
    `keep_key` is called once a submission will be accepted, and gives the key that holds from then on. `keep_free` bytes of
    the disk below `staging` are left alone.
    """

    staging: Path
    accepted: Place
    answers: Path
    registry: Registry
    catalogue: Catalogue
    signing_key: bytes = field(repr=False)
    key_at_rest: Callable[[Quarter, str], bytes] = field(repr=False)
    measured: frozenset[Quarter] = frozenset()
    limits: Limits = DEFAULT_LIMITS
    reader: RecordReader = read_confined
    keep_key: Callable[[Quarter, str, bytes], bytes] = field(default=lambda quarter, company, key: key, repr=False)
    keep_free: int = 0
    free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True)
class IntakeResult:
    """What became of one submission: `accepted`, `refused` or `replayed`, its signed receipt, and the files of the answer."""

    decision: str
    report: ValidationReport
    receipt: Mapping[str, Any]
    answer: Mapping[str, bytes] = field(repr=False)
    submission: ValidatedSubmission | None = None


def take_in(delivery: Delivery, door: PoolDoor, progress: Callable[[int], None] = lambda done: None) -> IntakeResult:
    """Validates one delivered submission and takes it in. The delivery is left as it is.

    Nothing of a sender who is not identified is fetched. What is fetched lies in a folder of this call alone, under names
    of ours, and is read by a throw-away process. Sent again, the same submission is answered as it was the first time. A
    crash at any point leaves nothing or the whole: the Parquet is in place before the catalogue names it, and nothing reads what is not named there. Raises OutOfSpaceError, before anything is fetched, where the disk would not hold it.
    """
    now = datetime.now(UTC)
    read, findings = _read_manifest(delivery, door.limits)
    report, company = ValidationReport(read=read), ""
    if read is not None:
        identity = identity_findings(read, door.registry, now)
        company = "" if identity else read.manifest.company
        findings += identity
    if read is None or findings:
        return _refuse_for(door, report, findings, company, now)
    with _one_at_a_time(door, company):
        earlier = door.catalogue.find(company, read.manifest.submission_id)
        if earlier is not None:
            return _sent_before(door, report, read, earlier, now)
        over = _over_the_day(door, read.manifest, now)
        if over:
            return _refuse_for(door, report, over, company, now)
        door.staging.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make_sure_of_room(delivery, door, read.manifest)
        folder = Path(tempfile.mkdtemp(prefix="taking-", dir=door.staging))
        try:
            return _take_in(delivery, door, report, read, folder, now, progress)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _one_at_a_time(door: PoolDoor, company: str) -> Iterator[None]:
    """Submissions of one company on this machine take turns: each is settled against all that was accepted before it.

    The lock is of the folder itself, and ends with its process.
    """
    folder = door.answers / company
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def clear_staging(door: PoolDoor) -> None:
    """Removes what a run that was killed left behind. Only where no other take_in runs in this pool."""
    for folder in door.staging.glob("*"):  # the folder itself may be a link to another disk
        shutil.rmtree(folder, ignore_errors=True)


def _make_sure_of_room(delivery: Delivery, door: PoolDoor, manifest: Manifest) -> None:
    """Nothing is fetched that the disk will not hold; what lies there is counted, not what the manifest claims."""
    needed = COPIES * min(delivery.size(), sum(file.bytes for file in manifest.files)) + door.keep_free
    free = door.free_bytes(door.staging)
    if needed > free:
        raise OutOfSpaceError(
            f"A submission of {manifest.company} waits in its drop: it needs {needed:,} bytes of disk, and {free:,} are free.",
            "Free some below the pool's root, or lower `keep_free_mib` in pool.toml; then run the same command.",
        )


def _read_manifest(delivery: Delivery, limits: Limits) -> tuple[ReadManifest | None, list[Finding]]:
    try:
        data = delivery.manifest(limits.manifest_bytes)
    except DeliveryError:
        data = b""
    return parse_manifest(data, limits)


def _take_in(
    delivery: Delivery,
    door: PoolDoor,
    report: ValidationReport,
    read: ReadManifest,
    folder: Path,
    now: datetime,
    progress: Callable[[int], None],
) -> IntakeResult:
    manifest, company = read.manifest, read.manifest.company
    _fetch(delivery, manifest, folder, report, door.limits, progress)
    registered = door.registry.find(company)
    if report.refused or registered is None:
        return _refuse(door, report, company, now)
    context = record_context(manifest, registered.synthetic, now)
    known = AcceptedRecords(door.accepted, door.catalogue, door.key_at_rest, company)
    parts = _staged_parts(door, read, folder)
    time_left = ReadingTime(door.limits, sum(file.bytes for file in manifest.files), door.clock)

    def reader(number: int, context: RecordContext) -> Iterator[CheckedRows]:
        file, file_format = _fetched(folder, number), manifest.files[number].format
        yield from time_left.within(lambda limits: door.reader(file, file_format, number, context, limits))
        file.unlink()

    try:
        with Settlement(company, period_quarter(manifest), known, folder / "settlement.db") as settlement:
            check_records(report, reader, settlement, context, door.limits, take=parts.take, progress=progress)
            quarter = report.quarter
            if quarter is None or _refused_by_the_quarter(door, report, manifest, quarter):
                return _refuse(door, report, company, now)
            key = door.keep_key(quarter, company, door.key_at_rest(quarter, company))
            kept = parts.finish(settlement.left_out(), key)
            withdraws, kinds = settlement.withdrawn_submissions(), settlement.sound_by_kind()
    except NoLongerHeldError:
        report.add(Finding("E117"), door.limits)
        return _refuse(door, report, company, now)
    except OverTimeError:
        report.add(Finding("E112", MANIFEST_NAME, 0, "files", _OVER_TIME), door.limits)
        return _refuse(door, report, company, now)
    if kept > report.accepted:
        raise InternalError("More rows were written than were accepted.")
    return _accept(door, report, read, quarter, parts.folder, withdraws, kinds, now)


def _fetched(folder: Path, number: int) -> Path:
    return folder / f"file-{number:05d}"


def _fetch(
    delivery: Delivery,
    manifest: Manifest,
    folder: Path,
    report: ValidationReport,
    limits: Limits,
    progress: Callable[[int], None],
) -> None:
    """Copies every listed file under a name of ours, hashing on the way: what is read is what was hashed."""
    if delivery.unlisted(frozenset(file.path for file in manifest.files)):
        report.add(Finding("E106", MANIFEST_NAME, 0, "files"), limits)
        return
    for number, file in enumerate(manifest.files):
        code, name = "", ""
        try:
            digest, size = delivery.fetch(number, file.path, _fetched(folder, number), file.bytes)
        except DeliveryError as error:
            code, name = error.code, "path"
        else:
            if (size, digest) != (file.bytes, file.sha256):
                code, name = "E106", "sha256" if size == file.bytes else "bytes"
        if code:
            report.add(Finding(code, file.path, 0, name), limits)
        progress(file.bytes)


def _staged_parts(door: PoolDoor, read: ReadManifest, folder: Path) -> StagedParts:
    manifest = read.manifest
    try:
        key = door.key_at_rest(period_quarter(manifest), manifest.company)
    except NoLongerHeldError:  # its records may still belong to the next quarter: that is settled at the end
        key = os.urandom(KEY_BYTES)
    own = {"company": manifest.company, "submission": read.digest, "pseudonym_unit": manifest.pseudonym_unit}
    return StagedParts(folder / "parts", key, own, {s.stratum: s.reason for s in manifest.selection})


def _over_the_day(door: PoolDoor, manifest: Manifest, now: datetime) -> list[Finding]:
    """E118 for what the manifest alone tells: size, and how many submissions the day has seen."""
    company = door.registry.find(manifest.company)
    if company is None:
        return []
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    today = door.catalogue.decided_since(manifest.company, day)
    return quota_findings(company.quota, Held(0, 0, today), Arriving(0, 0, sum(file.bytes for file in manifest.files)))


def _refused_by_the_quarter(door: PoolDoor, report: ValidationReport, manifest: Manifest, quarter: Quarter) -> bool:
    """What can be judged only when the quarter is known: its quota, and another pseudonym key, which would split users."""
    accepted = door.catalogue.accepted(quarter, manifest.company)
    others = {other.pseudonym_key_id for other in accepted if other.kept} if report.kept else set()
    if not report.refused and others - {manifest.pseudonym_key_id}:
        report.add(Finding("E115", MANIFEST_NAME, 0, "pseudonym_key_id"), door.limits)
    company = door.registry.find(manifest.company)
    if not report.refused and company is not None:
        # Withdrawn ones count: else a company that sends and withdraws in turns would fill the pool's disk.
        ever = door.catalogue.taken_in(quarter, manifest.company)
        held = Held(sum(other.receipt["accepted"] for other in ever), sum(other.users for other in ever), 0)
        for finding in quota_findings(company.quota, held, Arriving(report.accepted, report.new_users, 0)):
            report.add(finding, door.limits)
    return report.refused


def _sent_before(
    door: PoolDoor, report: ValidationReport, read: ReadManifest, earlier: AcceptedSubmission, now: datetime
) -> IntakeResult:
    """A submission whose id was accepted before: the same is answered as the first time, another is refused."""
    if earlier.digest != read.digest:
        return _refuse_for(door, report, [Finding("E114", MANIFEST_NAME, 0, "submission_id")], earlier.company, now)
    report = ValidationReport()
    report.add(Finding("W302", MANIFEST_NAME, 0, "submission_id"), door.limits)
    door.catalogue.audit(earlier.digest, earlier.company, "replayed", report.counts)
    told, kept = answer_files(report, earlier.receipt), kept_answer(door.answers, earlier.company, earlier.digest)
    first = kept.get(RECEIPT_FILE) == told[RECEIPT_FILE]  # another answer may have been kept under its name since
    return IntakeResult("replayed", report, earlier.receipt, kept if first else told)


def _refuse_for(door: PoolDoor, report: ValidationReport, findings: list[Finding], company: str, now: datetime) -> IntakeResult:
    for finding in findings:
        report.add(finding, door.limits)
    return _refuse(door, report, company, now)


def _refuse(door: PoolDoor, report: ValidationReport, company: str, now: datetime) -> IntakeResult:
    digest = report.read.digest if report.read else ""
    receipt = make_receipt(door.signing_key, "refused", company, digest, report, now)
    answer = answer_files(report, receipt)
    keep_answer(door.answers, company, digest, answer)
    door.catalogue.audit(digest, company, "refused", report.counts)
    return IntakeResult("refused", report, receipt, answer)


def _accept(
    door: PoolDoor,
    report: ValidationReport,
    read: ReadManifest,
    quarter: Quarter,
    parts: Path,
    withdraws: set[str],
    kinds: Mapping[str, int],
    now: datetime,
) -> IntakeResult:
    if quarter in door.measured:
        report.add(Finding("W303"), door.limits)
    if withdraws and _repeated_elsewhere(door, read.manifest.company, quarter, withdraws):
        report.add(Finding("W310"), door.limits)
    receipt = make_receipt(door.signing_key, "accepted", read.manifest.company, read.digest, report, now, kinds)
    row = AcceptedSubmission(
        digest=read.digest,
        company=read.manifest.company,
        submission_id=read.manifest.submission_id,
        quarter=quarter,
        pseudonym_key_id=read.manifest.pseudonym_key_id,
        kept=report.kept,
        users=report.new_users,
        status="accepted",
        receipt=dict(receipt),
    )
    answer = answer_files(report, receipt)
    keep_answer(door.answers, row.company, row.digest, answer)
    target = submission_folder(door.accepted, row)
    put_folder(parts, target)  # over what a crash left there before the catalogue named it: same content
    earlier = None
    try:
        door.catalogue.add(row, withdraws, report.counts)
    except AlreadyAcceptedError:  # on another machine, at the same moment
        earlier = door.catalogue.find(row.company, row.submission_id)
        if earlier is None:
            raise
    if earlier is not None:
        return _sent_before(door, report, read, earlier, now)
    submission = ValidatedSubmission(
        manifest=read.manifest,
        digest=read.digest,
        quarter=quarter,
        accepted=report.accepted,
        quarantined=report.quarantined,
        findings=tuple(report.findings),
        files=tuple(target / name for name in files_below(target)),
    )
    return IntakeResult("accepted", report, receipt, answer, submission)


def _repeated_elsewhere(door: PoolDoor, company: str, quarter: Quarter, withdrawn: set[str]) -> bool:
    """Whether a submission that stays has left records out because they had been sent before: perhaps with one that goes."""
    staying = (each for each in door.catalogue.accepted(quarter, company) if each.submission_id not in withdrawn)
    return any(each.receipt.get("findings", {}).get("W301") for each in staying)
