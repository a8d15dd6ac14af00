"""Commands of a company, from its warehouse to a signed submission: export, prepare, validate, withdraw, scrub lines."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from cli.output import Json, existing_folder, local_folder, print_json, print_table, progress, say
from schemas.errors import ExitCode, UsageError
from schemas.findings import FINDING_CODES, Finding, exit_code

if TYPE_CHECKING:
    from intake.preparing import PreparedSubmission
    from intake.settings import CompanySettings
    from intake.validation import ValidationReport

SettingsFile = Annotated[Path | None, Parameter(help="commons.toml; without it, the nearest one upward.")]
Period = Annotated[str | None, Parameter(help="2026Q3, 2026-07, 2026-W31 or 2026-07-30, UTC.")]
_WORTH_A_BAR = 32 << 20  # bytes; below, a check takes less than the two seconds from which progress is shown


def export(
    mapping: Path,
    *,
    tables: Path,
    period: Annotated[str, Parameter(help="2026Q3, 2026-07, 2026-W31 or 2026-07-30, UTC.")],
    into: Path,
    format: Literal["jsonl", "parquet"] = "jsonl",
    key: Path | None = None,
    as_of: str | None = None,
    corrects: Path | None = None,
    show_message: Annotated[bool, Parameter(negative="")] = False,
    settings: SettingsFile = None,
) -> int:
    """Run a mapping: SQL from your warehouse's tables to the records of one period, in DuckDB on this machine.

    Example: `commons export mappings/postgres.sql --tables tables/2026-07 --period 2026-07 --into exports/2026-07`

    Args:
        mapping: the SQL file of your warehouse; records.sql and the writers lie beside it.
        tables: folder with the exported tables.
        into: folder to make for the records.
        key: the quarter's pseudonym key; without it, keys/pseudonym-QUARTER.key beside commons.toml.
        as_of: up to when the tables are complete, like 2026-08-10T00:00:00Z; without it, now. Later windows are `pending`.
        corrects: folder of an earlier export of the period: write what has changed since. Records that read differently become
            corrections, late ones are added, those of users who have opted out are withdrawn.
        show_message: print what DuckDB says of a mistake. It may quote a cell of your tables.
    """
    from datetime import UTC, datetime

    from intake.exporting import Export
    from intake.exporting import export as run_mapping
    from intake.withdrawing import read_pseudonym_key
    from schemas.periods import Quarter, period_bounds

    bounds = period_bounds(period)
    if bounds is None:
        raise UsageError("The period is not understood.", "Write it like 2026Q3, 2026-07, 2026-W31 or 2026-07-30.")
    if key is None:
        _, place = _own_settings(mapping.parent, settings)
        key = place / "keys" / f"pseudonym-{Quarter.of(bounds[0])}.key"
        if not key.exists():
            raise UsageError(
                f"There is no keys/{key.name}.",
                f"One key a quarter: make it once with `commons keygen --pseudonym keys/{key.name}`, and keep a copy.",
            )
    try:
        moment = datetime.fromisoformat(as_of) if as_of else datetime.now(UTC)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise UsageError("--as-of is not understood.", "Write it like 2026-08-10T00:00:00Z.")
    moment = moment.astimezone(UTC)
    wanted = Export(existing_folder(tables, "the exported tables"), into, period, read_pseudonym_key(key), moment, corrects)
    writes = "corrections" if corrects else format
    total = sum(path.stat().st_size for path in tables.iterdir() if path.is_file())
    with _bar("export", total) as done:
        shown = 0.0

        def share_done(share: float) -> None:
            nonlocal shown
            done(int((share - shown) * total))
            shown = share

        made = run_mapping(mapping, wanted, writes, show=_tell if show_message else None, progress=share_done)
    for file in made:
        say(f"written: {file}")
    if not made:
        say(
            "Nothing was written: "
            + ("nothing has changed." if corrects else "no conversation of these tables is of the period.")
        )
    say(f"as of {moment:%Y-%m-%dT%H:%M:%SZ}")
    return ExitCode.DONE


def prepare(
    folder: Path,
    *,
    settings: SettingsFile = None,
    period: Period = None,
    submission_id: str | None = None,
    key: Path | None = None,
    json: Json = False,
) -> int:
    """Write and sign manifest.json over the data files in FOLDER, from manifest.toml.

    Example: `commons prepare exports/2026-07 --period 2026-07`

    Args:
        folder: the folder that holds the data files (.jsonl, .jsonl.gz, .jsonl.zst, .parquet).
        submission_id: without it `company-period-digest`: the same data keep their id.
        key: a signing key in place of that of commons.toml.
    """
    from intake.preparing import find_manifest_source
    from intake.preparing import prepare as sign_over

    mine, place = _own_settings(existing_folder(folder, "the data files"), settings)
    source = find_manifest_source(folder, place / "commons.toml")
    total = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    with _bar("hash", total) as done:
        signing_key = _signing_key(mine, key)
        prepared, findings = sign_over(
            folder, mine, source, signing_key, period=period, submission_id=submission_id, progress=done
        )
    return _print_prepared(prepared, findings, json, f"commons validate {folder}")


def validate(
    folder: str,
    *,
    html: Annotated[Path | None, Parameter(help="Also write the report as one HTML page, to read or print.")] = None,
    json: Json = False,
) -> int:
    """Check a submission as the pool will: every finding, never a value. Needs no server and no network.

    What only the pool knows (registration, earlier submissions) is checked when it arrives there. The signature is compared
    with registration.toml and the key of commons.toml, where these lie upward of the folder.

    Examples: `commons validate exports/2026-07 --html report.html`,
    `commons validate s3://bucket/exports/2026-07`

    Args:
        folder: the folder that holds manifest.json, or s3://bucket/prefix: that is copied to this machine for the check.
    """
    from intake.limits import DEFAULT_LIMITS
    from intake.own_signature import own_signature_findings
    from intake.settings import find_company_settings
    from intake.validation import validate_submission

    if html is not None and html.resolve().parent == Path(folder).resolve():
        raise UsageError("The report may not lie in the submission's own folder.", "Write it somewhere else.")
    with local_folder(folder) as here:
        total = sum(path.stat().st_size for path in here.iterdir() if path.is_file() and not path.is_symlink())
        with _bar("check", 2 * total) as done:
            report = validate_submission(here, progress=done)
    settings = find_company_settings(Path.cwd() if "://" in folder else Path(folder))
    for finding in own_signature_findings(report.read, settings) if report.read and settings else ():
        report.add(finding, DEFAULT_LIMITS)
    if html is not None:
        from intake.report_page import render_report

        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(render_report(report, None), encoding="utf-8")
    if json:
        print_json(
            {
                "refused": report.refused,
                "records": report.records,
                "quarantined": report.quarantined,
                "quarter": str(report.quarter or ""),
                "counts": dict(sorted(report.counts.items())),
                "findings": [finding.as_dict() for finding in sorted(report.findings)],
            }
        )
    else:
        print_report(report)
    return exit_code([Finding(code) for code in report.counts])  # not every finding is listed


def print_report(report: "ValidationReport") -> None:
    """Findings, what to do by code, and the verdict."""
    if report.findings:
        shown = sorted(report.findings, key=lambda finding: (bool(finding.row), finding))[:50]  # of whole files first
        _print_findings(shown)
        if sum(report.counts.values()) > len(shown):
            say(f"{len(shown)} of {sum(report.counts.values())} findings shown; --json lists them.")
        counts = ((code, n, FINDING_CODES[code].remedy) for code, n in sorted(report.counts.items()))
        print_table("", ("code", "times", "what to do"), counts)
    verdict = "would be REFUSED as a whole" if report.refused else "would be accepted"
    say(f"{report.records} records, {report.quarantined} would be quarantined: the submission {verdict}.")


def withdraw(
    *,
    into: Path,
    record: str = "",
    user: str = "",
    started_at: str = "",
    quarter: str = "",
    submission: str = "",
    from_: Annotated[
        str, Parameter(name="--from", allow_leading_hyphen=True, help="CSV or JSON Lines of many; `-` reads standard input.")
    ] = "",
    pseudonym_key: Path | None = None,
    settings: SettingsFile = None,
    json: Json = False,
) -> int:
    """Write a signed submission that takes back a record, a user's records of a quarter, or a whole submission.

    What stands on the command line stays in the shell's history and is seen by others on the machine: `--from -` reads
    CSV with a header from standard input. Columns: user (or user_id and conversation_id, with --pseudonym-key, as the
    mappings name them), and record_id with started_at, or quarter.

    Example: `commons withdraw --submission alder-2026-07-1a2b3c4d --into exports/withdrawal-1`

    Example: `commons withdraw --from - --pseudonym-key keys/pseudonym-2026Q3.key --into exports/withdrawal-2`

    Args:
        into: folder to make for the submission.
        record: record_id; with --user and --started-at.
        user: pseudonym; alone with --quarter it takes back every record of the user in that quarter.
        started_at: started_at of the record, like 2026-07-30T12:00:00Z.
        quarter: quarter of what is withdrawn, like 2026Q3.
        submission: submission_id; with --quarter where the id does not tell its period.
        pseudonym_key: the quarter's key, to name users by user_id.
    """
    from intake.preparing import find_manifest_source
    from intake.withdrawing import SHORTEST_PSEUDONYM, WithdrawalRequest, read_pseudonym_key, read_requests
    from intake.withdrawing import withdraw as take_back

    mine, place = _own_settings(into.parent, settings)
    if bool(from_) == bool(record or user or submission) or (submission and (record or user)):
        raise UsageError("Name one thing to withdraw.", "--record with --user, --user, --submission, or --from: one of them.")
    if from_:
        requests = read_requests(_text_of(from_), read_pseudonym_key(pseudonym_key) if pseudonym_key else None)
    else:
        if user and len(user) < SHORTEST_PSEUDONYM:
            raise UsageError(
                "That is too short for a keyed hash: it looks like a user id of your own, which must not leave.",
                "Name the user by pseudonym; or as `user_id` in rows (`--from -`) with --pseudonym-key: it is hashed here.",
            )
        requests = [WithdrawalRequest(record, user, started_at, quarter, submission)]
    source = find_manifest_source(place, place / "commons.toml")
    prepared, findings = take_back(requests, into, mine, source, _signing_key(mine, None))
    return _print_prepared(prepared, findings, json, f"commons submit {into}")


def scrub(source: str, target: str, *, language: str = "en", config: Path | None = None) -> int:
    """Scrub a JSON Lines file of `{"text"}` into one of `{"text", "spans"}`.

    Spans lie over the input text: `{"start", "end", "entity", "score"}`; `text` is the scrubbed one.

    Example: `commons scrub in.jsonl out.jsonl`

    Args:
        source: JSON Lines with a `text` each: a file, or s3://bucket/name.
        target: JSON Lines to write, likewise.
        language: language of the texts.
        config: folder with scrub.toml and helplines.toml, in place of the packaged ones.
    """
    from anonymize.lines import scrub_lines
    from anonymize.settings import load_scrub_settings
    from flows.pool import packaged_config
    from schemas.storage import place_at

    def where(name: str) -> Path:
        return config / name if config else packaged_config(name)

    places = place_at(source, Path()), place_at(target, Path())
    scrub_lines(*places, load_scrub_settings(where("scrub.toml"), where("helplines.toml")), language)
    return ExitCode.DONE


def _own_settings(start: Path, given: Path | None) -> "tuple[CompanySettings, Path]":
    """The company's settings and the folder they lie in."""
    from intake.settings import find_company_settings, load_company_settings

    path = given or find_company_settings(start) or find_company_settings(Path.cwd())
    if path is None:
        raise UsageError("There is no commons.toml here or above.", "`commons init COMPANY` writes one; --settings names one.")
    return load_company_settings(path), path.resolve().parent


def _signing_key(mine: "CompanySettings", key: Path | None) -> bytes:
    from intake.settings import read_signing_key

    return read_signing_key(mine.model_copy(update={"signing_key": key}) if key else mine)


def _text_of(place: str) -> str:
    try:
        return sys.stdin.read() if place == "-" else Path(place).read_text(encoding="utf-8")
    except (OSError, ValueError):
        readable = False
    if not readable:
        raise UsageError("The withdrawals cannot be read.", "Give a UTF-8 file of CSV or JSON Lines, or `-`.")
    return ""


def _print_prepared(prepared: "PreparedSubmission | None", findings: list[Finding], json: bool, next_command: str) -> int:
    if json:
        facts = vars(prepared) if prepared else {}
        print_json({"prepared": facts, "findings": [finding.as_dict() for finding in findings]})
    elif prepared is None:
        _print_findings(findings)
        for hint in dict.fromkeys(f.hint or FINDING_CODES[f.code].remedy for f in findings):
            say(f"- {hint}")
        say("Nothing was signed.")
    else:
        say(f"{prepared.submission_id}: signed, {prepared.records} records in {prepared.files} file{'s'[: prepared.files > 1]}.")
        say(f"next: {next_command}")
    return exit_code(findings)


def _print_findings(findings: list[Finding]) -> None:
    rows = ((f.code, f.file, f.row or "", f.field, FINDING_CODES[f.code].title) for f in findings)
    print_table("", ("code", "file", "row", "field", "what is wrong"), rows)


@contextmanager
def _bar(stage: str, total: int) -> Iterator[Callable[[int], None]]:
    """Progress over bytes, where there are enough of them that it takes a while."""
    if total < _WORTH_A_BAR:
        yield lambda done: None
        return
    from flows.progress import tell

    seen = 0

    def done(more: int) -> None:
        nonlocal seen
        seen += more
        tell(stage, min(1.0, seen / total))

    with progress():
        yield done


def _tell(message: str) -> None:
    sys.stderr.write(message + "\n")
