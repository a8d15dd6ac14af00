"""Taking a submission in: validated, rewritten as Parquet that the pool wrote, catalogued, receipted. Whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from intake.catalogue import AcceptedSubmission, Catalogue
from intake.limits import DEFAULT_LIMITS, Limits
from intake.manifest_checks import identity_findings, read_manifest
from intake.reading import read_rows
from intake.receipt import make_receipt
from intake.registry import Registry
from intake.validation import ValidationReport, content_digest, validate_submission
from schemas.arrow import pool_schema
from schemas.at_rest import decryption, encryption
from schemas.errors import InternalError
from schemas.findings import Finding
from schemas.manifest import MANIFEST_NAME, Manifest
from schemas.periods import Quarter
from schemas.stages import ValidatedSubmission
from schemas.unit import bucket_of, unit_id

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_A_PART = 4_096
ROWS_A_BATCH = 512


@dataclass(frozen=True)
class PoolDoor:
    """What the door is handed: folders, registry, catalogue and the pool's signing key."""

    accepted: Path
    quarantine: Path
    receipts: Path
    registry: Registry
    catalogue: Catalogue
    signing_key: bytes = field(repr=False)
    key_at_rest: Callable[[Quarter, str], bytes] = field(repr=False)  # of the accepted records of a quarter and company
    measured: frozenset[Quarter] = frozenset()
    limits: Limits = DEFAULT_LIMITS


@dataclass(frozen=True)
class IntakeResult:
    """What became of one submission in the inbox: `accepted`, `refused` or `replayed`, with its signed receipt."""

    decision: str
    report: ValidationReport
    receipt: Mapping[str, Any]
    submission: ValidatedSubmission | None = None


class AcceptedRecords:
    """What was accepted of a company before: satisfies `intake.validation.KnownRecords` from the pool's own Parquet."""

    def __init__(self, door: PoolDoor, company: str) -> None:
        self._door, self._company = door, company
        self._quarters: dict[Quarter, dict[tuple[str, str], str]] = {}

    def content(self, quarter: Quarter, unit: str, record_id: str) -> str | None:
        """Content digest of an accepted record, or None."""
        return self._load(quarter).get((unit, record_id))

    def has_user(self, quarter: Quarter, unit: str) -> bool:
        """Whether any record of the user was accepted in the quarter."""
        return (unit, "") in self._load(quarter)

    def submission_quarter(self, submission_id: str) -> Quarter | None:
        """Quarter of an accepted submission of the company, or None."""
        found = self._door.catalogue.find(self._company, submission_id)
        return found.quarter if found else None

    def _load(self, quarter: Quarter) -> dict[tuple[str, str], str]:
        if quarter not in self._quarters:
            import pyarrow.parquet as pq

            contents: dict[tuple[str, str], str] = {}
            earlier = self._door.catalogue.accepted(quarter, self._company)
            readable = decryption(self._door.key_at_rest(quarter, self._company)) if earlier else None
            for submission in earlier:
                for part in sorted(submission_folder(self._door.accepted, submission).glob("*.parquet")):
                    columns = pq.read_table(
                        part, columns=["unit", "record_id", "content", "record_status"], decryption_properties=readable
                    ).to_pydict()
                    for unit, record_id, content, status in zip(*columns.values(), strict=True):
                        if status != "withdrawal":
                            contents[unit, record_id] = content
                            contents[unit, ""] = ""  # record ids are never empty: this marks the user
            self._quarters[quarter] = contents
        return self._quarters[quarter]


def submission_folder(root: Path, submission: AcceptedSubmission) -> Path:
    """Where a submission's Parquet lies below a root (`accepted/` or `scrubbed/`): names are ours, not the sender's."""
    return root / str(submission.quarter) / submission.company / submission.digest[:16]


def take_in(folder: Path, door: PoolDoor, progress: Callable[[int], None] = lambda done: None) -> IntakeResult:
    """Validates one submission folder and takes it in. The folder is left as it is.

    Sent again, the same submission is answered with its first receipt. A crash at any point leaves nothing or the
    whole: the Parquet is renamed into place before the catalogue names it, and nothing reads what is not named there.
    """
    now = datetime.now(UTC)
    read, findings = read_manifest(folder, door.limits)
    if read is not None and not findings and not identity_findings(read, door.registry, now):
        earlier = door.catalogue.find(read.manifest.company, read.manifest.submission_id)
        if earlier is not None:
            return _seen_before(door, earlier, read.digest, read.manifest.company)
    known = AcceptedRecords(door, read.manifest.company) if read else None
    report = validate_submission(folder, registry=door.registry, known=known, now=now, limits=door.limits, progress=progress)
    if report.read and report.quarter and not report.refused and _second_key(door, report.read.manifest, report.quarter):
        report.add(Finding("E115", MANIFEST_NAME, 0, "pseudonym_key_id"), door.limits)
    digest = report.read.digest if report.read else ""
    registered = report.read is not None and "E104" not in report.counts and "E105" not in report.counts
    company = report.read.manifest.company if registered and report.read else ""
    if report.refused or report.read is None or report.quarter is None:
        return _refuse(door, report, digest, company)
    return _accept(folder, door, report, now)


def _second_key(door: PoolDoor, manifest: Manifest, quarter: Quarter) -> bool:
    """Whether another pseudonym key was accepted in the quarter that the records belong to: it would split users."""
    return any(
        other.pseudonym_key_id != manifest.pseudonym_key_id for other in door.catalogue.accepted(quarter, manifest.company)
    )


def _report(code: str, field: str) -> ValidationReport:
    report = ValidationReport()
    report.add(Finding(code, "manifest.json", 0, field), DEFAULT_LIMITS)
    return report


def _seen_before(door: PoolDoor, earlier: AcceptedSubmission, digest: str, company: str) -> IntakeResult:
    if earlier.digest != digest:
        return _refuse(door, _report("E114", "submission_id"), digest, company)
    report = _report("W302", "submission_id")
    door.catalogue.audit(digest, company, "replayed", report.counts)
    return IntakeResult("replayed", report, earlier.receipt)


def _refuse(door: PoolDoor, report: ValidationReport, digest: str, company: str) -> IntakeResult:
    receipt = make_receipt(door.signing_key, "refused", company, digest, report, datetime.now(UTC))
    door.catalogue.audit(digest, company, "refused", report.counts)
    _write_findings(door, company or "unknown", digest or "unreadable", report, receipt)
    return IntakeResult("refused", report, receipt)


def _accept(folder: Path, door: PoolDoor, report: ValidationReport, now: datetime) -> IntakeResult:
    read, quarter = report.read, report.quarter
    if read is None or quarter is None:
        raise ValueError("only a validated submission is accepted")
    if quarter in door.measured:
        report.add(Finding("W303"), door.limits)
    receipt = make_receipt(door.signing_key, "accepted", read.manifest.company, read.digest, report, now)
    row = AcceptedSubmission(
        digest=read.digest,
        company=read.manifest.company,
        submission_id=read.manifest.submission_id,
        quarter=quarter,
        pseudonym_key_id=read.manifest.pseudonym_key_id,
        status="accepted",
        receipt=dict(receipt),
    )
    target = submission_folder(door.accepted, row)
    door.accepted.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=door.accepted))
    withdraws: set[str] = set()
    key = door.key_at_rest(quarter, row.company)
    written = _write_parts(staging, _pool_rows(folder, report, withdraws, door.limits), key)
    if written > receipt["accepted"]:
        shutil.rmtree(staging)
        raise InternalError("More rows were written than were accepted.")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)  # left by a crash before the catalogue named it: same content
    staging.replace(target)
    _write_findings(door, row.company, read.digest, report, receipt)
    door.catalogue.add(row, withdraws, report.counts)
    submission = ValidatedSubmission(
        manifest=read.manifest,
        digest=read.digest,
        quarter=quarter,
        accepted=report.records - len(report.skipped_rows),
        quarantined=report.quarantined,
        findings=tuple(report.findings),
        files=tuple(sorted(target.glob("*.parquet"))),
    )
    return IntakeResult("accepted", report, receipt, submission)


def _pool_rows(folder: Path, report: ValidationReport, withdraws: set[str], limits: Limits) -> Iterator[dict[str, Any]]:
    if report.read is None:
        raise ValueError("only a validated submission is accepted")
    manifest, digest = report.read.manifest, report.read.digest
    reasons = {s.stratum: s.reason for s in manifest.selection}
    for file in manifest.files:
        for number, raw in read_rows(folder / file.path, file.format, limits):
            if (file.path, number) in report.skipped_rows or not isinstance(raw, dict):
                continue
            if raw.get("scope") == "submission":
                withdraws.add(raw["submission_id"])
                continue
            content = content_digest(raw)
            unit = unit_id(manifest.company, raw.pop("user_pseudonym"))
            yield {
                **_with_moments(raw),
                "company": manifest.company,
                "submission": digest,
                "pseudonym_unit": manifest.pseudonym_unit,
                "selection_reason": reasons.get(raw.get("selection_stratum", "")),
                "unit": unit,
                "bucket": bucket_of(unit),
                "content": content,
            }


def _with_moments(raw: dict[str, Any]) -> dict[str, Any]:
    for name in ("started_at", "supersedes_started_at"):
        if isinstance(raw.get(name), str):
            raw[name] = datetime.fromisoformat(raw[name])
    return raw


def _write_parts(folder: Path, rows: Iterable[dict[str, Any]], key: bytes) -> int:
    """Writes rows as encrypted Parquet parts, on disk before it returns, and says how many there were."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, encrypted = pool_schema(), encryption(key)
    part, batch, batches, held, written = 0, list[dict[str, Any]](), list["pa.RecordBatch"](), 0, 0

    def flush() -> None:
        nonlocal part, batches, held
        with (folder / f"part-{part:05d}.parquet").open("wb") as stream:
            pq.write_table(pa.Table.from_batches(batches, schema), stream, compression="zstd", encryption_properties=encrypted)
            stream.flush()
            os.fsync(stream.fileno())
        part, batches, held = part + 1, [], 0

    for row in rows:
        written += 1
        batch.append(row)
        if len(batch) == ROWS_A_BATCH:
            batches.append(pa.RecordBatch.from_pylist(batch, schema))
            held, batch = held + len(batch), []
            if held >= ROWS_A_PART:
                flush()
    if batch:
        batches.append(pa.RecordBatch.from_pylist(batch, schema))
    if batches:
        flush()
    return written


def _write_findings(door: PoolDoor, company: str, digest: str, report: ValidationReport, receipt: Mapping[str, Any]) -> None:
    """Findings beside the quarantine, the receipt beside the receipts: both for the company, both without any value."""
    folder = door.quarantine / company / digest[:16]
    folder.mkdir(parents=True, exist_ok=True)
    lines = b"".join(orjson.dumps(finding.as_dict()) + b"\n" for finding in sorted(report.findings))
    _replace(folder / "findings.jsonl", lines)
    (door.receipts / company).mkdir(parents=True, exist_ok=True)
    _replace(door.receipts / company / f"{digest[:16]}.json", orjson.dumps(receipt, option=orjson.OPT_INDENT_2))


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(data)
    temporary.replace(path)
