"""Who contributes to a quarter: companies of which a record was accepted, and what a receipt says of corrections and withdrawals."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from submissions import door, json_lines, rewrite, write_lines

from intake.acceptance import IntakeResult, PoolDoor, take_in
from intake.delivery import FolderDelivery

Rows = list[dict[str, Any]]


def sent(pool: PoolDoor, folder: Path, clean: Path, name: str, change: Callable[[Rows], Rows]) -> IntakeResult:
    write_lines(folder, "part-1.jsonl", change(json_lines(folder, "part-1.jsonl")))
    rewrite(folder, clean / "keys" / "alder.key", lambda m: m.update(submission_id=name))
    result = take_in(FolderDelivery(folder), pool)
    assert result.decision == "accepted"
    return result


def withdrawal(row: dict[str, Any], number: int) -> dict[str, Any]:
    own = {"domain": row["domain"], "record_id": f"w{number}", "record_status": "withdrawal", "scope": "record"}
    place = {"supersedes": row["record_id"], "supersedes_started_at": row["started_at"]}
    return {**own, **place, "user_pseudonym": row["user_pseudonym"]}


def correction(row: dict[str, Any], number: int) -> dict[str, Any]:
    place = {"supersedes": row["record_id"], "supersedes_started_at": row["started_at"]}
    return {**row, **place, "record_id": f"c{number}", "record_status": "correction"}


def of_submission(name: str) -> dict[str, Any]:
    own = {"domain": "suicide_self_harm", "record_id": f"of-{name}", "record_status": "withdrawal"}
    return {**own, "scope": "submission", "submission_id": name}


def test_an_empty_submission_makes_nobody_a_contributor(clean: Path, submission: Callable[[], Path], tmp_path: Path) -> None:
    pool = door(tmp_path / "pool", clean)
    assert sent(pool, submission(), clean, "empty", lambda rows: []).receipt["findings"] == {"W311": 1}
    (empty,) = pool.catalogue.accepted()
    assert pool.catalogue.contributors(empty.quarter) == []
    sent(pool, submission(), clean, "one", lambda rows: rows[:1])
    assert pool.catalogue.contributors(empty.quarter) == ["alder"]
    assert pool.catalogue.contributors(empty.quarter.next()) == []


def test_withdrawals_and_repetitions_alone_make_nobody_a_contributor(
    clean: Path, submission: Callable[[], Path], tmp_path: Path
) -> None:
    pool = door(tmp_path / "pool", clean)
    sent(pool, submission(), clean, "first", lambda rows: rows)
    sent(pool, submission(), clean, "again", lambda rows: rows)
    sent(pool, submission(), clean, "back", lambda rows: [withdrawal(rows[0], 0)])
    quarter = pool.catalogue.accepted()[0].quarter
    assert pool.catalogue.contributors(quarter) == ["alder"]
    sent(pool, submission(), clean, "all-back", lambda rows: [of_submission("first")])
    assert pool.catalogue.contributors(quarter) == []
    assert [each.submission_id for each in pool.catalogue.accepted(quarter)] == ["again", "all-back", "back"]


def test_what_came_after_a_moment_makes_no_contributor_before_it(
    clean: Path, submission: Callable[[], Path], tmp_path: Path
) -> None:
    pool = door(tmp_path / "pool", clean)
    received = sent(pool, submission(), clean, "first", lambda rows: rows).receipt["received_at"]
    quarter = pool.catalogue.accepted()[0].quarter
    assert pool.catalogue.contributors(quarter, received) == ["alder"]
    assert pool.catalogue.contributors(quarter, "2026-01-01T00:00:00Z") == []


def test_a_repeated_record_goes_with_the_submission_that_brought_it_and_counts_when_it_is_sent_again(
    clean: Path, submission: Callable[[], Path], tmp_path: Path
) -> None:
    pool = door(tmp_path / "pool", clean)
    first = sent(pool, submission(), clean, "first", lambda rows: rows)
    sent(pool, submission(), clean, "other", lambda rows: [{**row, "record_id": f"o{n}"} for n, row in enumerate(rows)])
    assert sent(pool, submission(), clean, "back-0", lambda rows: [of_submission("other")]).receipt["findings"] == {}
    repeated = sent(pool, submission(), clean, "again", lambda rows: rows)
    assert (repeated.receipt["accepted"], set(repeated.receipt["findings"])) == (0, {"W301"})
    assert "send it again" in repeated.report.findings[0].hint
    back = sent(pool, submission(), clean, "back", lambda rows: [of_submission("first")])
    assert back.receipt["findings"] == {"W310": 1}  # now is the moment to say so
    anew = sent(pool, submission(), clean, "anew", lambda rows: rows)
    assert (anew.receipt["accepted"], anew.receipt["findings"]) == (first.receipt["accepted"], {})


@pytest.mark.parametrize("bad", [0, 1])
def test_a_receipt_tells_corrections_and_withdrawals_apart(
    bad: int, clean: Path, submission: Callable[[], Path], tmp_path: Path
) -> None:
    """A row that is quarantined is neither."""
    pool = door(tmp_path / "pool", clean)
    sent(pool, submission(), clean, "first", lambda rows: rows)

    def mixed(rows: Rows) -> Rows:
        later = [{**row, "record_id": f"n{number}"} for number, row in enumerate(rows)]
        wrong = [withdrawal({**rows[5], "record_id": "nobody"}, 9)] * bad
        return [*later, correction(rows[0], 0), correction(rows[1], 1), withdrawal(rows[2], 2), of_submission("first"), *wrong]

    receipt = sent(pool, submission(), clean, "mixed", mixed).receipt
    assert (receipt["corrections"], receipt["withdrawals"], receipt["quarantined"]) == (2, 2, bad)
    found = next(each for each in pool.catalogue.accepted() if each.submission_id == "mixed")
    assert (found.records, found.corrections, found.withdrawals) == (receipt["accepted"] - 2, 2, 2)
