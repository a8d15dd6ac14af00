"""Taking back what was sent: a submission of withdrawals, ready to be signed and sent like any other."""

import csv
import hashlib
import hmac
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from intake.preparing import PreparedSubmission, data_file, manifest_of, read_manifest_source, sign_manifest
from intake.record_checks import Problem, problems_of
from intake.settings import CompanySettings
from schemas.canonical import digest
from schemas.codes import domains
from schemas.errors import UsageError
from schemas.findings import Finding
from schemas.periods import Quarter, period_bounds
from schemas.record import RecordWithdrawal, SubmissionWithdrawal, UserWithdrawal, Withdrawal

WITHDRAWALS_NAME = "withdrawals.jsonl"
COLUMNS = ("user", "record_id", "started_at", "quarter", "user_id", "conversation_id")
"""What a row of `--from` may name: `user` is a pseudonym; the last two are the company's own ids (with the quarter's key)."""

_DEFAULT_ID = re.compile(r".*-(\d{4}q[1-4]|\d{4}-\d{2}|\d{4}-w\d{2}|\d{4}-\d{2}-\d{2})-[0-9a-f]{8}", re.ASCII)
_NEXT = "A record needs record_id, user and started_at; a user needs user and quarter. `commons withdraw --help` shows both."


@dataclass(frozen=True)
class WithdrawalRequest:
    """One thing to take back. Which fields are set tells the scope; none of them appears in a repr or message."""

    record_id: str = ""
    user: str = ""
    started_at: str = ""
    quarter: str = ""
    submission_id: str = ""

    def __repr__(self) -> str:
        return "WithdrawalRequest(…)"


def pseudonym(key: bytes, user_id: str) -> str:
    """The pseudonym of a user id under a quarter's key: HMAC-SHA256 in lower-case hex, as the mappings make it."""
    return hmac.new(key, user_id.encode(), hashlib.sha256).hexdigest()


SHORTEST_PSEUDONYM = 16
"""Characters: what is shorter is more likely a user id of the company's own, which must not cross."""


def read_pseudonym_key(path: Path) -> bytes:
    """A pseudonym key: 32 bytes in hex. Raises UsageError; nothing of it is quoted."""
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        key = b""
    if len(key) != 32:
        raise UsageError(
            "The pseudonym key cannot be read.", "Name the quarter's key file, as `commons keygen --pseudonym` made it."
        )
    return key


def read_requests(text: str, key: bytes | None = None) -> list[WithdrawalRequest]:
    """Withdrawals of records and users from CSV (with a header) or JSON Lines.

    Columns: `user`, and either `record_id` and `started_at`, or `quarter`; `user_id` and `conversation_id` in place of
    `user` and `record_id` are hashed under `key` as the mappings hash them.
    Raises UsageError naming the row, counted from 1 after the header, never its content.
    """
    rows = _json_rows(text) if text.lstrip().startswith("{") else _csv_rows(text)
    requests = []
    for number, row in enumerate(rows, start=1):
        fields = {name: value for name, value in row.items() if value not in (None, "")} if row is not None else {"": ""}
        if set(fields) - set(COLUMNS) or not all(isinstance(value, str) for value in fields.values()):
            raise UsageError(f"Row {number} of the withdrawals is not understood.", f"Columns: {', '.join(COLUMNS)}.")
        requests.append(WithdrawalRequest(**_hashed(fields, key)))
    if not requests:
        raise UsageError("There are no withdrawals to make.", _NEXT)
    return requests


def _hashed(fields: dict[str, str], key: bytes | None) -> dict[str, str]:
    own = {"user_id": "user", "conversation_id": "record_id"}
    if key is None and fields.keys() & own.keys():
        raise UsageError("Rows with ids of your own need the quarter's pseudonym key.", "Give --pseudonym-key, or send `user`.")
    names = {name: value for name, value in fields.items() if name not in own}
    if key is not None and "user_id" in fields:
        names["user"] = pseudonym(key, fields["user_id"])
    if key is not None and "conversation_id" in fields:
        names["record_id"] = pseudonym(key, f"conversation:{fields['conversation_id']}")[:32]
    return names


def _csv_rows(text: str) -> Iterator[Mapping[str, Any] | None]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        rows = [None if None in row else dict(row) for row in reader]  # None: more cells than the header has
    except csv.Error:
        rows = [None]
    yield from rows


def _json_rows(text: str) -> Iterator[Mapping[str, Any] | None]:
    for line in text.splitlines():
        try:
            row = orjson.loads(line)
        except ValueError:
            row = None
        yield row if isinstance(row, dict) else None


def withdraw(
    requests: Iterable[WithdrawalRequest],
    into: Path,
    settings: CompanySettings,
    source: Path,
    signing_key: bytes,
) -> tuple[PreparedSubmission | None, list[Finding]]:
    """Writes a signed submission of these withdrawals into `into`, a folder that is not there yet.

    All of them belong to one quarter, which is the submission's period: their users are named under that quarter's
    pseudonym key. The same requests give the same submission. Returns findings on `manifest.toml` like `prepare`.
    Raises UsageError for a request that is not complete or of another quarter, by its number.
    """
    rows, quarters = [], set()
    for number, request in enumerate(requests, start=1):
        row, quarter = _row(number, request)
        rows.append(row)
        quarters.add(quarter)
    if len(quarters) != 1:
        raise UsageError(
            f"The withdrawals belong to {len(quarters)} quarters: one submission holds those of one.",
            "Split them by the quarter of started_at, and withdraw each part into a folder of its own.",
        )
    if into.exists():
        raise UsageError("There is something of that name already.", "Choose a new folder: nothing is overwritten.")
    wanted, findings = read_manifest_source(source, str(quarters.pop()))
    if findings:
        return None, findings
    into.mkdir(mode=0o700, parents=True)
    path = into / WITHDRAWALS_NAME
    unique = {row["record_id"]: row for row in rows}
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in unique.values()))
    file = data_file(path)
    prepared, findings = sign_manifest(into, manifest_of(wanted, settings, [file] if file else [], None), signing_key)
    if prepared is None:  # nothing half made stays behind
        path.unlink()
        into.rmdir()
    return prepared, findings


def _row(number: int, request: WithdrawalRequest) -> tuple[dict[str, Any], Quarter]:
    model, row = _asked(number, request)
    row |= {"domain": next(iter(domains())), "record_status": "withdrawal"}
    problems: list[Problem] = []
    try:
        row["record_id"] = f"w-{digest(row)[:32]}"
    except ValueError:  # a text that is no Unicode; the check below names its field
        row["record_id"] = "w"
    try:
        record = model.model_validate(row)
    except ValidationError as error:
        problems = problems_of(error)
    if problems:
        fields = {"supersedes": "record_id", "supersedes_started_at": "started_at", "user_pseudonym": "user"}
        named = sorted({fields.get(field, field) for _, field in problems})
        raise UsageError(f"Withdrawal {number} is not right: {', '.join(named)}.", _NEXT)
    if isinstance(record, SubmissionWithdrawal):
        return row, _quarter(number, request.quarter or _period_of_default_id(request.submission_id))
    return row, Quarter.of(record.supersedes_started_at)


def _asked(number: int, request: WithdrawalRequest) -> tuple[type[Withdrawal], dict[str, Any]]:
    if request.submission_id:
        return SubmissionWithdrawal, {"scope": "submission", "submission_id": request.submission_id}
    if request.record_id:
        place = {"supersedes": request.record_id, "supersedes_started_at": request.started_at}
        return RecordWithdrawal, {"scope": "record", "user_pseudonym": request.user, **place}
    start = _quarter(number, request.quarter).start
    moment = f"{start:%Y-%m-%dT%H:%M:%SZ}"
    return UserWithdrawal, {"scope": "user", "user_pseudonym": request.user, "supersedes_started_at": moment}


def _period_of_default_id(submission_id: str) -> str:
    match = _DEFAULT_ID.fullmatch(submission_id)
    return match[1].upper() if match else ""


def _quarter(number: int, text: str) -> Quarter:
    bounds = period_bounds(text)
    if bounds is None:
        raise UsageError(f"Withdrawal {number} names no quarter.", "Give the quarter of what is withdrawn, like 2026Q3.")
    return Quarter.of(bounds[0])
