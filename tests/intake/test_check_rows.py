"""Reading a file row by row: the same findings whether rows are kept or not, one content for one record, lines within limits."""

import gzip
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from submissions import json_lines, rewrite, write_lines

from intake.limits import DEFAULT_LIMITS, Limits
from intake.reading import UnreadableFileError, check_rows
from intake.record_checks import RecordContext
from intake.settlement import RowFacts
from intake.validation import validate_submission
from sample_data.packing import pack

CONTEXT = RecordContext(
    frozenset({"flagged-main", "comparison", "fp-review", "user-report"}),
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2026, 4, 1, tzinfo=UTC),
    True,
    datetime(2026, 11, 1, tzinfo=UTC),
)


@pytest.fixture(scope="module")
def records(clean: Path) -> list[dict[str, Any]]:
    return json_lines(sorted((clean / "alder").iterdir())[0], "part-1.jsonl")[:100]


Read = tuple[list[tuple[int, str, str]], list[RowFacts], int, str]


def read(data: bytes, file_format: str = "jsonl", limits: Limits = DEFAULT_LIMITS, keep: bool = True) -> Read:
    problems, facts, kept, code = list[tuple[int, str, str]](), list[RowFacts](), 0, ""
    try:
        for checked, sound in check_rows(BytesIO(data), len(data), file_format, 0, CONTEXT, limits, keep=keep):
            problems, facts, kept = problems + checked.problems, facts + checked.sound, kept + len(sound)
    except UnreadableFileError as error:
        code = error.code
    return problems, facts, kept, code


def test_what_is_not_kept_is_judged_alike(records: list[dict[str, Any]]) -> None:
    lines = [orjson.dumps(record) for record in records]
    lines[3], lines[50], lines[51] = lines[3][:-1], lines[50].replace(b'"new"', b'"gnu"'), lines[49]
    data = b"\n".join(lines)
    problems, facts, kept, _ = read(data)
    others, plain, none, _ = read(data, keep=False)
    assert problems == others and problems and kept == len(facts) == len(records) - 2 and not none
    assert [fact._replace(content="") for fact in facts] == [fact._replace(content="") for fact in plain]
    assert len({fact.content for fact in facts}) == len({fact.content for fact in plain}) == len(records) - 3


@pytest.mark.parametrize("keep", [True, False])
def test_one_record_has_one_content_however_it_is_written(records: list[dict[str, Any]], keep: bool) -> None:
    record = next(record for record in records if record["turns"])
    record["turns"][0]["text"] = 'caf\u00e9 "quoted"'
    moved = dict(reversed(record.items())) | {"started_at": record["started_at"].replace("Z", ".000+00:00")}
    written = [orjson.dumps(record), orjson.dumps(moved), orjson.dumps(record, option=orjson.OPT_INDENT_2).replace(b"\n", b"")]
    contents = {fact.content for fact in read(b"\n".join(written), keep=keep)[1]}
    contents |= {fact.content for fact in read(pack([record], "parquet"), "parquet", keep=keep)[1]}
    assert len(contents) == 1
    other = {**record, "human_review": "clinician" if record["human_review"] == "none" else "none"}
    assert read(orjson.dumps(other), keep=keep)[1][0].content not in contents


def test_a_row_again_is_told_from_one_that_contradicts_it(submission: Callable[[], Path], clean: Path) -> None:
    folder = submission()
    first, second, *_ = lines = json_lines(folder, "part-1.jsonl")
    altered = {**second, "human_review": "clinician" if second["human_review"] == "none" else "none"}
    write_lines(folder, "part-1.jsonl", [*lines, dict(reversed(first.items())), altered])
    rewrite(folder, clean / "keys" / "alder.key")
    counts = validate_submission(folder, now=datetime(2026, 11, 1, tzinfo=UTC)).counts
    assert (counts["W301"], counts["E219"]) == (1, 1)


@pytest.mark.parametrize("file_format", ["jsonl", "jsonl.gz"])
def test_a_line_may_be_as_long_as_the_limit_and_no_longer(records: list[dict[str, Any]], file_format: str) -> None:
    line = orjson.dumps(records[0])
    for end in (b"", b"\n", b"\n" + line):
        data = line + end if file_format == "jsonl" else gzip.compress(line + end)
        exact, short = (replace(DEFAULT_LIMITS, line_bytes=len(line) - less) for less in (0, 1))
        assert read(data, file_format, exact)[3] == ""
        assert read(data, file_format, short)[3] == "E112"


def test_lines_are_counted_as_they_end(records: list[dict[str, Any]]) -> None:
    line = orjson.dumps(records[0])
    problems, facts, _, _ = read(b"\n" + line + b"\r\n\n" + line)
    assert problems == [(1, "E236", ""), (3, "E236", "")]
    assert [fact.row for fact in facts] == [2, 4]


@pytest.mark.parametrize("keep", [True, False])
def test_a_batch_is_bounded_by_what_it_holds(records: list[dict[str, Any]], keep: bool) -> None:
    data = pack(records, "jsonl")
    limits = replace(DEFAULT_LIMITS, batch_bytes=1)
    batches = list(check_rows(BytesIO(data), len(data), "jsonl", 0, CONTEXT, limits, keep=keep))
    assert next(len(checked.sound) for checked, _ in batches if checked.sound) == (1 if keep else limits.lines_at_once)
    assert sum(len(checked.sound) for checked, _ in batches) == len(records)
