"""What only a whole file tells: clocks, mappings, columns, encodings; and where reading stops."""

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st
from submissions import json_lines, rewrite, write_lines

from intake.columns import column_differences
from intake.file_checks import FileWatch, differing_files
from intake.limits import Limits
from intake.validation import ValidationReport, validate_submission
from schemas.arrow import record_schema

Change = Callable[[dict[str, Any]], dict[str, Any]]


def checked(submission: Callable[[], Path], clean: Path, change: Callable[[list[dict[str, Any]]], list[Any]]) -> ValidationReport:
    folder = submission()
    write_lines(folder, "part-1.jsonl", change(json_lines(folder, "part-1.jsonl")))
    rewrite(folder, clean / "keys" / "alder.key")
    return validate_submission(folder, limits=Limits(max_rejected_share=1.0))


def told(report: ValidationReport, code: str) -> list[tuple[str, int, str]]:
    return [(f.file, f.row, f.field) for f in report.findings if f.code == code]


FILE = "part-1.jsonl"


def test_a_sound_file_has_no_warning(submission: Callable[[], Path], clean: Path) -> None:
    assert checked(submission, clean, lambda rows: rows).counts == Counter()


def test_timestamps_at_midnight_or_in_one_second(submission: Callable[[], Path], clean: Path) -> None:
    midnight = checked(submission, clean, lambda rows: [{**r, "started_at": r["started_at"][:10] + "T00:00:00Z"} for r in rows])
    second = checked(submission, clean, lambda rows: [{**r, "started_at": rows[0]["started_at"]} for r in rows])
    assert told(midnight, "W306") == told(second, "W306") == [(FILE, 0, "started_at")]
    assert not midnight.quarantined


def test_timestamps_in_the_future_or_in_1970(submission: Callable[[], Path], clean: Path) -> None:
    for moment in ("2999-01-01T00:00:00Z", "1970-01-21T04:26:10Z"):
        report = checked(submission, clean, lambda rows, m=moment: [{**r, "started_at": m} for r in rows[:9]] + rows[9:])
        assert told(report, "W307") == [(FILE, 0, "started_at")]


def test_the_same_fault_in_most_rows_is_the_mappings(submission: Callable[[], Path], clean: Path) -> None:
    def rename(raw: dict[str, Any]) -> dict[str, Any]:
        return {("review" if name == "human_review" else name): value for name, value in raw.items()}

    report = checked(submission, clean, lambda rows: [rename(r) for r in rows])
    assert told(report, "W308") == [(FILE, 0, "human_review"), (FILE, 0, "?")]
    some = checked(submission, clean, lambda rows: [rename(r) for r in rows[: len(rows) // 3]] + rows[len(rows) // 3 :])
    assert told(some, "W308") == []


def test_files_of_one_submission_that_differ(submission: Callable[[], Path], clean: Path) -> None:
    folder = submission()
    rows = json_lines(folder, FILE)
    half = len(rows) // 2
    assert half > 20
    write_lines(folder, FILE, rows[:half])
    write_lines(folder, "part-2.jsonl", [{**r, "n_turns": str(r["n_turns"])} for r in rows[half:]])

    def both(manifest: dict[str, Any]) -> None:
        data = (folder / "part-2.jsonl").read_bytes()
        import hashlib

        second = {
            "path": "part-2.jsonl",
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "records": len(rows) - half,
        }
        manifest["files"].append({**manifest["files"][0], **second})

    rewrite(folder, clean / "keys" / "alder.key", both)
    report = validate_submission(folder, limits=Limits(max_rejected_share=1.0))
    assert told(report, "W309") == [("part-2.jsonl", 0, "n_turns")]
    assert report.counts["E237"] == len(rows) - half


def test_a_file_in_utf_16_is_refused(submission: Callable[[], Path], clean: Path) -> None:
    folder = submission()
    path = folder / FILE
    path.write_bytes(path.read_text().encode("utf-16"))
    rewrite(folder, clean / "keys" / "alder.key")
    assert "E119" in validate_submission(folder).counts


def test_reading_stops_where_most_of_the_first_rows_are_bad(submission: Callable[[], Path], clean: Path) -> None:
    folder = submission()
    (folder / FILE).write_bytes(b"{}\n" * 60_000)
    rewrite(folder, clean / "keys" / "alder.key", lambda m: m["files"][0].update(records=20_000_000))
    report = validate_submission(folder)
    assert "E113" in report.counts and report.records < 25_000


def test_columns_are_told_by_our_names(submission: Callable[[], Path], clean: Path) -> None:
    schema = record_schema()

    def fields(change: Callable[[list[Any]], list[Any]]) -> list[str]:
        return column_differences(pa.schema(change(list(schema))), schema)

    def without(name: str, kind: pa.DataType) -> pa.StructType:
        return pa.struct([kind.field(i) for i in range(kind.num_fields) if kind.field(i).name != name])

    person = schema.field("person").type
    assert fields(lambda all_: all_) == fields(lambda all_: all_[::-1]) == []
    assert fields(lambda all_: all_[1:]) == [schema.names[0]]
    assert fields(lambda all_: [*all_, all_[2]]) == [schema.names[2]]
    assert fields(lambda all_: [*all_, pa.field("canary", pa.string())]) == ["?"]
    assert fields(lambda all_: [pa.field("n_turns", pa.int64()) if f.name == "n_turns" else f for f in all_]) == ["n_turns"]
    assert fields(lambda all_: [pa.field("person", without("region", person)) if f.name == "person" else f for f in all_]) == [
        "person.region"
    ]
    wrong = pa.list_(pa.struct([("index", pa.string()), ("role", pa.string()), ("text", pa.string()), ("canary", pa.string())]))
    assert fields(lambda all_: [pa.field("turns", wrong) if f.name == "turns" else f for f in all_]) == [
        "turns[].?",
        "turns[].index",
    ]
    assert len(fields(lambda all_: [pa.field("canary", pa.string())])) <= 20


def test_a_parquet_file_with_other_columns_names_them(submission: Callable[[], Path], clean: Path) -> None:
    folder = submission()
    table = record_schema().empty_table().drop_columns(["risk"]).append_column("canary", pa.array([], pa.string()))
    pq.write_table(table, folder / FILE)
    rewrite(folder, clean / "keys" / "alder.key", lambda m: m["files"][0].update(format="parquet", records=0))
    report = validate_submission(folder)
    assert sorted(told(report, "E108")) == [(FILE, 0, "?"), (FILE, 0, "risk")]
    assert "canary" not in json.dumps([f.as_dict() for f in report.findings])


@given(st.lists(st.integers(0, 3), min_size=20, max_size=200))
def test_the_commonest_second_is_never_overstated(seconds: list[int]) -> None:
    watch = FileWatch()
    for second in seconds:
        watch.see({"started_at": datetime(2026, 1, 1, 1, 1, second, tzinfo=UTC)}, [])
    share = max(Counter(seconds).values()) / len(seconds)
    warned = ("W306", "started_at") in watch.warnings()
    assert warned <= (share >= 0.8) and (not warned or share > 0.6)
    assert warned or share < 0.95


def test_a_field_that_fails_in_all_files_does_not_tell_them_apart() -> None:
    assert differing_files({"a": ["x", "y"], "b": ["x"], "c": ["x"]}) == [("a", "y")]
    assert differing_files({}) == differing_files({"a": ["x"]}) == []
