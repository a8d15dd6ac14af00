"""`withdraw`: records, users and submissions, one at a time or many, ready to send and accepted by the checks."""

import hashlib
import hmac
import json
from pathlib import Path

import pytest
from test_preparing import KEY, SETTINGS, SOURCE

from intake.preparing import PreparedSubmission
from intake.validation import validate_submission
from intake.withdrawing import WithdrawalRequest, read_pseudonym_key, read_requests, withdraw
from schemas.errors import UsageError

STARTED = "2026-07-30T12:00:00Z"


def rows(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "withdrawals.jsonl").read_text().splitlines()]


def made(folder: Path, *requests: WithdrawalRequest) -> PreparedSubmission:
    source = folder.parent / "manifest.toml"
    source.write_text(SOURCE)
    prepared, findings = withdraw(requests, folder, SETTINGS, source, KEY)
    assert prepared is not None, findings
    return prepared


def test_a_record_a_user_and_a_submission(tmp_path: Path) -> None:
    made(tmp_path / "record", WithdrawalRequest(record_id="r1", user="u1", started_at=STARTED))
    made(tmp_path / "user", WithdrawalRequest(user="u1", quarter="2026Q3"))
    made(tmp_path / "submission", WithdrawalRequest(submission_id="alder-2026-07-00aa11bb"))
    (record,), (user,), (submission,) = rows(tmp_path / "record"), rows(tmp_path / "user"), rows(tmp_path / "submission")
    assert (record["scope"], record["supersedes"], record["supersedes_started_at"]) == ("record", "r1", STARTED)
    assert (user["scope"], user["user_pseudonym"]) == ("user", "u1")
    assert (submission["scope"], submission["submission_id"]) == ("submission", "alder-2026-07-00aa11bb")
    for name in ("record", "user", "submission"):
        report = validate_submission(tmp_path / name)
        assert (report.records, report.findings, str(report.quarter)) == (1, [], "2026Q3")
        manifest = json.loads((tmp_path / name / "manifest.json").read_text())
        assert (manifest["period"], manifest["pseudonym_key_id"]) == ("2026Q3", "alder-2026q3")


def test_the_same_withdrawal_is_the_same_submission(tmp_path: Path) -> None:
    request = WithdrawalRequest(user="u1", quarter="2026Q3")
    assert made(tmp_path / "a", request) == made(tmp_path / "b", request, request)
    assert made(tmp_path / "c", WithdrawalRequest(user="u2", quarter="2026Q3")).digest != made(tmp_path / "d", request).digest


def test_a_submission_of_an_id_of_its_own_needs_its_quarter(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="quarter"):
        made(tmp_path / "a", WithdrawalRequest(submission_id="mine-1"))
    made(tmp_path / "b", WithdrawalRequest(submission_id="mine-1", quarter="2026Q3"))


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        (WithdrawalRequest(record_id="r1", user="canary 9", started_at=STARTED), "user"),
        (WithdrawalRequest(record_id="r1", user="u", started_at="canary-9"), "started_at"),
        (WithdrawalRequest(record_id="canary-9" * 9, user="u", started_at=STARTED), "record_id"),
        (WithdrawalRequest(user="u", quarter="canary-9"), "quarter"),
        (WithdrawalRequest(record_id="r1", started_at=STARTED), "user"),
        (WithdrawalRequest(record_id="r1", user="u\udcff", started_at=STARTED), "user"),
    ],
)
def test_what_is_wrong_is_named_and_never_quoted(tmp_path: Path, request_: WithdrawalRequest, named: str) -> None:
    with pytest.raises(UsageError) as told:
        made(tmp_path / "w", request_)
    assert named in told.value.message
    assert "canary" not in str(told.value) + told.value.next_step + repr(request_) + repr(told.value.__context__)
    assert not (tmp_path / "w").exists()


def test_one_submission_holds_one_quarter(tmp_path: Path) -> None:
    requests = [WithdrawalRequest(user="u", quarter=quarter) for quarter in ("2026Q2", "2026Q3")]
    with pytest.raises(UsageError, match="2 quarters"):
        made(tmp_path / "w", *requests)


def test_nothing_is_overwritten_and_nothing_half_made_stays(tmp_path: Path) -> None:
    request = WithdrawalRequest(user="u1", quarter="2026Q3")
    made(tmp_path / "w", request)
    with pytest.raises(UsageError, match="already"):
        made(tmp_path / "w", request)
    source = tmp_path / "manifest.toml"
    source.write_text(SOURCE.replace("opt_outs_removed = true", "opt_outs_removed = false"))
    prepared, findings = withdraw([request], tmp_path / "x", SETTINGS, source, KEY)
    assert (prepared, [f.code for f in findings], (tmp_path / "x").exists()) == (None, ["E109"], False)


def test_many_from_csv_or_json_lines() -> None:
    csv = f"user,record_id,started_at,quarter\r\nu1,r1,{STARTED},\r\nu2,,,2026Q3\r\n"
    lines = f'{{"user": "u1", "record_id": "r1", "started_at": "{STARTED}"}}\n{{"user": "u2", "quarter": "2026Q3"}}\n'
    assert read_requests(csv) == read_requests(lines)
    assert len(read_requests(csv)) == 2


def test_users_by_the_companys_own_id_get_the_pseudonym_of_the_mappings(tmp_path: Path) -> None:
    key = tmp_path / "pseudonym.key"
    key.write_text("ab" * 32 + "\n")
    text = f"user_id,conversation_id,started_at\nanna,c-1,{STARTED}\n"
    (request,) = read_requests(text, read_pseudonym_key(key))

    def hashed(text: str) -> str:
        return hmac.new(bytes.fromhex("ab" * 32), text.encode(), hashlib.sha256).hexdigest()

    assert (request.user, request.record_id) == (hashed("anna"), hashed("conversation:c-1")[:32])
    with pytest.raises(UsageError, match="pseudonym key"):
        read_requests(text)


@pytest.mark.parametrize(
    "text", ["user,canary\nu,1\n", "user\nu,canary\n", '{"user": 7}\n', '{"user": "u"}\ncanary\n', "", "user\n", "a" * 200_000]
)
def test_rows_that_are_not_understood_are_told_by_number(text: str) -> None:
    with pytest.raises(UsageError) as told:
        read_requests(text)
    assert "canary" not in str(told.value) + repr(told.value.__context__)


def test_a_wrong_key_is_not_quoted(tmp_path: Path) -> None:
    (tmp_path / "k").write_text("canary")
    with pytest.raises(UsageError) as told:
        read_pseudonym_key(tmp_path / "k")
    assert "canary" not in str(told.value) + repr(told.value.__context__)
