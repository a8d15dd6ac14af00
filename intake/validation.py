"""Validation of a whole submission: the same at the company (`commons validate`) and at the pool."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import orjson

from intake.limits import DEFAULT_LIMITS, Limits
from intake.manifest_checks import ReadManifest, file_findings, identity_findings, read_manifest
from intake.reading import UnreadableFileError, read_rows
from intake.record_checks import RecordContext, check_record, parse_record
from intake.registry import Registry
from schemas.findings import FINDING_CODES, Finding, quarantines, refuses
from schemas.periods import Quarter, period_bounds
from schemas.record import (
    AnyRecord,
    Correction,
    InteractionRecord,
    RecordWithdrawal,
    SubmissionWithdrawal,
    UserWithdrawal,
)
from schemas.unit import unit_id


class KnownRecords(Protocol):
    """What the pool has accepted of the same company before; a company that validates at home knows nothing of it."""

    def content(self, quarter: Quarter, unit: str, record_id: str) -> str | None:
        """Content digest of an accepted record of a user in a quarter, or None."""

    def has_user(self, quarter: Quarter, unit: str) -> bool:
        """Whether any record of the user was accepted in the quarter."""

    def submission_quarter(self, submission_id: str) -> Quarter | None:
        """Quarter of an accepted submission of the company, or None."""


@dataclass
class ValidationReport:
    """What validation found. `findings` lists at most a fixed number; `counts` counts all, by code."""

    read: ReadManifest | None = None
    quarter: Quarter | None = None
    records: int = 0
    quarantined: int = 0
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    skipped_rows: set[tuple[str, int]] = field(default_factory=set, repr=False)

    @property
    def refused(self) -> bool:
        """Whether the submission is refused as a whole."""
        return any(code.startswith("E1") for code in self.counts)

    def add(self, finding: Finding, limits: Limits) -> None:
        """Counts a finding, lists it while there is room, and notes its row as one not to take in."""
        hint = finding.hint or FINDING_CODES[finding.code].remedy
        self.counts[finding.code] += 1
        if len(self.findings) < limits.listed_findings or refuses(finding):
            self.findings.append(replace(finding, hint=hint))
        if finding.row and (quarantines(finding) or finding.code == "W301"):
            row = (finding.file, finding.row)
            self.quarantined += quarantines(finding) and row not in self.skipped_rows
            self.skipped_rows.add(row)


def content_digest(raw: Mapping[str, Any]) -> str:
    """SHA-256 of a record as accepted, the same for JSON and Parquet: it tells a duplicate from a conflict."""
    timestamps = {
        name: datetime.fromisoformat(value) if isinstance(value, str) else value
        for name, value in raw.items()
        if name in ("started_at", "supersedes_started_at")
    }
    plain = orjson.dumps({**raw, **timestamps}, option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z)
    return hashlib.sha256(plain).hexdigest()


def validate_submission(
    folder: Path,
    *,
    registry: Registry | None = None,
    known: KnownRecords | None = None,
    now: datetime | None = None,
    limits: Limits = DEFAULT_LIMITS,
    progress: Callable[[int], None] = lambda done: None,
) -> ValidationReport:
    """Checks a submission folder and returns all findings; nothing is written.

    With a registry (the pool) identity is checked too, and with `known` what corrections and withdrawals refer to.
    `progress` is told of bytes read. Findings hold codes, our own names and row numbers, never a value.
    """
    report = ValidationReport()
    read, findings = read_manifest(folder, limits)
    if read is not None and registry is not None and now is not None:
        findings += identity_findings(read, registry, now)
    if read is not None:
        findings += file_findings(folder, read.manifest, progress)
    for finding in findings:
        report.add(finding, limits)
    report.read = read
    if read is None or report.refused:
        return report
    company = registry.find(read.manifest.company) if registry else None
    _RecordPass(folder, read, company.synthetic if company else None, known, limits, report).run(progress)
    if report.quarantined > limits.max_rejected_share * report.records:
        report.add(Finding("E113"), limits)
    return report


@dataclass(frozen=True)
class _Reference:
    """What a record refers to: a record of its user, or (None) any record of the user; and its own id where it is one."""

    finding: Finding
    unit: str
    record_id: str | None
    own_id: str | None


class _RecordPass:
    """One pass over all rows of a submission."""

    def __init__(
        self,
        folder: Path,
        read: ReadManifest,
        synthetic: bool | None,
        known: KnownRecords | None,
        limits: Limits,
        report: ValidationReport,
    ) -> None:
        bounds = period_bounds(read.manifest.period)
        if bounds is None:  # such a manifest has been refused before
            raise ValueError("the period of a validated manifest has no bounds")
        self.folder, self.manifest, self.company = folder, read.manifest, read.manifest.company
        strata = frozenset(s.stratum for s in self.manifest.selection)
        self.context = RecordContext(strata, *bounds, synthetic)
        self.period_quarter = Quarter.of(bounds[0])
        self.known, self.limits, self.report = known, limits, report
        self.content: dict[tuple[str, str], str] = {}
        self.users: set[str] = set()
        self.spelling: dict[str, str] = {}  # folded pseudonym to the one that came first
        self.rows_of: dict[Quarter, list[tuple[str, int, str]]] = {}  # rows that name a quarter, with the field that does
        self.references: list[_Reference] = []
        self.withdrawn: dict[str, Quarter | None] = {}  # quarter of each submission that is withdrawn, asked once

    def run(self, progress: Callable[[int], None]) -> None:
        for file in self.manifest.files:
            rows = 0
            try:
                for row, raw in read_rows(self.folder / file.path, file.format, self.limits):
                    rows = row
                    if row > file.records:
                        break
                    self._row(file.path, row, raw)
            except UnreadableFileError as error:
                self._add(error.code, file.path)
            else:
                if rows != file.records:
                    self._add("E106", file.path, field="records")
            self.report.records += rows
            progress(file.bytes)
        self._settle_quarter()
        self._settle_references()

    def _settle_quarter(self) -> None:
        """The submission's quarter is that of most of its records, so that no single row decides for all others."""
        counted = sorted(self.rows_of, key=lambda q: (-len(self.rows_of[q]), q != self.period_quarter, q))
        self.report.quarter = counted[0] if counted else self.period_quarter
        for quarter in counted[1:]:
            for file, row, name in self.rows_of[quarter]:
                self._add("E211", file, row, name)

    def _settle_references(self) -> None:
        """What is superseded must itself be accepted: where it is not, neither is what refers to it, and so on."""
        open_references = [r for r in self.references if (r.finding.file, r.finding.row) not in self.report.skipped_rows]
        while unknown := [r for r in open_references if not self._is_known(r.unit, r.record_id)]:
            for reference in unknown:
                self.report.add(reference.finding, self.limits)
                if reference.own_id is not None:
                    self.content.pop((reference.unit, reference.own_id), None)
            gone = set(unknown)
            open_references = [r for r in open_references if r not in gone]

    def _add(self, code: str, file: str, row: int = 0, field: str = "") -> None:
        self.report.add(Finding(code, file, row, field), self.limits)

    def _row(self, file: str, row: int, raw: dict[str, Any] | object) -> None:
        if not isinstance(raw, dict):
            self._add("E201", file, row)
            return
        record, problems = parse_record(raw)
        if record is not None:
            problems = check_record(record, self.context)
        quarter = self._quarter_of(record) if record is not None and not problems else None
        if record is not None and not problems and quarter is None:
            problems = [("E223", "submission_id")]
        for code, name in problems:
            self._add(code, file, row, name)
        if record is not None and quarter is not None and self._relations(file, row, raw, record):
            field = "started_at" if isinstance(record, InteractionRecord) else "supersedes_started_at"
            self.rows_of.setdefault(quarter, []).append((file, row, field))

    def _quarter_of(self, record: AnyRecord) -> Quarter | None:
        if isinstance(record, SubmissionWithdrawal):
            return self._submission_quarter(record.submission_id)
        moment = record.started_at if isinstance(record, InteractionRecord) else record.supersedes_started_at
        return Quarter.of(moment)

    def _submission_quarter(self, submission_id: str) -> Quarter | None:
        if self.known is None:
            return self.period_quarter
        if submission_id not in self.withdrawn:
            self.withdrawn[submission_id] = self.known.submission_quarter(submission_id)
        return self.withdrawn[submission_id]

    def _relations(self, file: str, row: int, raw: dict[str, Any], record: AnyRecord) -> bool:
        """Settles what a record is to others of its user; False where it does not count (a duplicate, or a problem)."""
        if isinstance(record, SubmissionWithdrawal):
            return True
        if self.spelling.setdefault(record.user_pseudonym.casefold(), record.user_pseudonym) != record.user_pseudonym:
            self._add("E225", file, row, "user_pseudonym")
            return False
        unit = unit_id(self.company, record.user_pseudonym)
        if isinstance(record, InteractionRecord):
            key, content = (unit, record.record_id), content_digest(raw)
            earlier = self.content.setdefault(key, content)
            before = self.known.content(Quarter.of(record.started_at), *key) if self.known else None
            self.users.add(unit)
            if earlier is not content or before is not None:
                self._add(
                    "W301" if content in (earlier, before) and before in (None, content) else "E219", file, row, "record_id"
                )
                return False
        if isinstance(record, Correction | RecordWithdrawal):
            own_id = record.record_id if isinstance(record, Correction) else None
            target = record.supersedes if record.supersedes != own_id else ""  # nothing supersedes itself
            self.references.append(_Reference(Finding("E218", file, row, "supersedes"), unit, target, own_id))
        elif isinstance(record, UserWithdrawal):
            self.references.append(_Reference(Finding("E218", file, row, "user_pseudonym"), unit, None, None))
        return True

    def _is_known(self, unit: str, record_id: str | None) -> bool:
        if self.known is None:
            return True  # at the company: what was sent before is not known here
        quarter = self.report.quarter or self.period_quarter
        if record_id is None:
            return unit in self.users or self.known.has_user(quarter, unit)
        return (unit, record_id) in self.content or self.known.content(quarter, unit, record_id) is not None
