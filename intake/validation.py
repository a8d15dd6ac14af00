"""Validation of a whole submission: the same at the company (`commons validate`) and at the pool."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from intake.file_checks import FEW_ROWS, differing_files
from intake.limits import DEFAULT_LIMITS, Limits
from intake.manifest_checks import ReadManifest, file_findings, read_manifest
from intake.reading import CheckedRows, UnreadableFileError, check_rows
from intake.record_checks import RecordContext
from intake.settlement import Settlement
from schemas.errors import InternalError
from schemas.findings import FINDING_CODES, Finding, quarantines, refuses
from schemas.manifest import Manifest
from schemas.periods import Quarter, period_bounds

FileReader = Callable[[int, RecordContext], Iterator[CheckedRows]]
"""Reads the listed file of a number in batches of checked rows; raises UnreadableFileError."""


@dataclass
class ValidationReport:
    """What validation found. `findings` lists at most a fixed number; `counts` counts all, by code.

    Of `records` rows, `quarantined` broke the contract and `repeated` had been sent before; `kept` of the
    sound ones name a user: all but withdrawals of submissions.
    """

    read: ReadManifest | None = None
    quarter: Quarter | None = None
    records: int = 0
    quarantined: int = 0
    repeated: int = 0
    new_users: int = 0
    kept: int = 0
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def refused(self) -> bool:
        """Whether the submission is refused as a whole."""
        return any(code.startswith("E1") for code in self.counts)

    @property
    def accepted(self) -> int:
        """Records that enter, unless the submission is refused."""
        return self.records - self.quarantined - self.repeated

    def add(self, finding: Finding, limits: Limits) -> None:
        """Counts a finding, and lists it while there is room; one of a whole file (W308, W309) always."""
        self.counts[finding.code] += 1
        if len(self.findings) < limits.listed_findings or refuses(finding) or (finding.code.startswith("W") and not finding.row):
            self.findings.append(replace(finding, hint=finding.hint or FINDING_CODES[finding.code].remedy))


def validate_submission(
    folder: Path,
    *,
    now: datetime | None = None,
    limits: Limits = DEFAULT_LIMITS,
    progress: Callable[[int], None] = lambda done: None,
) -> ValidationReport:
    """Checks a submission folder at the company and returns all findings; nothing is written.

    What only the pool knows (registration, signature, what was accepted before) is not looked at. `progress` is told of
    bytes read. Findings hold codes, our own names and row numbers, never a value.
    """
    report = ValidationReport()
    report.read, findings = read_manifest(folder, limits)
    if report.read is not None:
        findings += file_findings(folder, report.read.manifest, progress)
    for finding in findings:
        report.add(finding, limits)
    if report.read is None or report.refused:
        return report
    manifest = report.read.manifest

    def reader(number: int, context: RecordContext) -> Iterator[CheckedRows]:
        file = manifest.files[number]
        with (folder / file.path).open("rb") as stream:
            for checked, _ in check_rows(stream, file.bytes, file.format, number, context, limits, keep=False):
                yield checked

    with Settlement(manifest.company, period_quarter(manifest), None) as settlement:
        check_records(
            report, reader, settlement, record_context(manifest, None, now or datetime.now(UTC)), limits, progress=progress
        )
    return report


def record_context(manifest: Manifest, synthetic: bool | None, now: datetime | None) -> RecordContext:
    """What each record of a submission is checked against. `synthetic`: how the company is registered, None at home."""
    strata = frozenset(s.stratum for s in manifest.selection)
    return RecordContext(strata, *_bounds(manifest), synthetic, now)


def period_quarter(manifest: Manifest) -> Quarter:
    """The quarter in which the manifest's period begins."""
    return Quarter.of(_bounds(manifest)[0])


def _bounds(manifest: Manifest) -> tuple[datetime, datetime]:
    bounds = period_bounds(manifest.period)
    if bounds is None:
        raise InternalError("The period of a manifest that passed its checks has no bounds.")
    return bounds


def check_records(
    report: ValidationReport,
    reader: FileReader,
    settlement: Settlement,
    context: RecordContext,
    limits: Limits,
    *,
    take: Callable[[CheckedRows, list[str]], None] = lambda checked, units: None,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Checks every row of a submission whose manifest is sound, and settles them; all findings go into the report.

    `take` is handed each batch with the units of its sound rows, in order, before they are settled.
    """
    if report.read is None:
        raise InternalError("Records were to be checked without a manifest.")
    files = report.read.manifest.files
    most_bad = max(limits.hopeless_rows, int(limits.max_rejected_share * sum(file.records for file in files)))
    shared_faults = dict[str, list[str]]()  # of each file with enough rows
    unreadable = 0
    for number, file in enumerate(files):
        rows, code, of_file = 0, "", list[tuple[str, str]]()
        try:
            for checked in reader(number, context):
                if checked.rows > file.records:
                    code = "E106"
                    break
                rows = checked.rows
                of_file += [(told, name) for row, told, name in checked.problems if not row]
                _count_problems(report, file.path, checked, limits)
                take(checked, settlement.add(checked.sound))
                seen = report.records + rows
                if report.quarantined > (most_bad if seen < limits.first_rows else min(most_bad, seen // 2)):
                    report.records += rows
                    report.add(Finding("E113"), limits)
                    return
        except UnreadableFileError as error:
            code = error.code
            unreadable += 1
        if not code and rows != file.records:
            code = "E106"
        if code and code not in dict(of_file):
            report.add(Finding(code, file.path, 0, "records" if code == "E106" else ""), limits)
        if rows >= FEW_ROWS:
            shared_faults[file.path] = [name for told, name in of_file if told == "W308"]
        report.records += rows
        progress(file.bytes)
        if unreadable == limits.hopeless_files:  # each may take its whole time, and there may be a thousand
            return
    for path, name in differing_files(shared_faults):
        report.add(Finding("W309", path, 0, name), limits)
    settlement.settle()
    report.quarter, report.new_users, report.kept = settlement.quarter, settlement.new_users, settlement.kept
    for problem in settlement.problems():
        finding = Finding(problem.code, files[problem.file].path, problem.row, problem.field)
        report.quarantined += quarantines(finding)
        report.repeated += not quarantines(finding)
        report.add(finding, limits)
    if report.quarantined > limits.max_rejected_share * report.records:
        report.add(Finding("E113"), limits)


def _count_problems(report: ValidationReport, file: str, checked: CheckedRows, limits: Limits) -> None:
    bad = set()
    for row, code, name in checked.problems:
        finding = Finding(code, file, row, name)
        if quarantines(finding):
            bad.add(row)
        report.add(finding, limits)
    report.quarantined += len(bad)
