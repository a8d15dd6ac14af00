"""A shard: only turn texts change, atomically, and byte for byte the same each time."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anonymize.scrub import Scrubber
from anonymize.settings import ScrubSettings
from anonymize.shard import scrub_shard
from schemas.errors import InternalError, ScrubStoppedError

TURN = pa.struct([("index", pa.int32()), ("role", pa.string()), ("text", pa.string())])
SCHEMA = pa.schema(
    [
        ("record_id", pa.string()),
        ("person", pa.struct([("age_band", pa.string()), ("language", pa.string())])),
        ("turns", pa.list_(TURN)),
        ("bucket", pa.int32()),
    ],
    metadata={b"commons": b"kept"},
)
ROWS = [
    {"record_id": "r1", "person": {"age_band": "18_24", "language": "en"}, "bucket": 1,
     "turns": [{"index": 1, "role": "user", "text": "my name is Oluwaseyi"}, {"index": 2, "role": "assistant", "text": "hi Oluwaseyi, call 988"}]},
    {"record_id": "r2", "person": {"age_band": "18_24", "language": "xx"}, "bucket": 1, "turns": [{"index": 1, "role": "user", "text": "hello"}]},
    {"record_id": "r3", "person": None, "bucket": 2, "turns": None},
    {"record_id": "r4", "person": {"age_band": "unknown", "language": "en"}, "bucket": 2, "turns": []},
    {"record_id": "r5", "person": {"age_band": "unknown", "language": "en"}, "bucket": 3,
     "turns": [{"index": 1, "role": "user", "text": ""}, {"index": 2, "role": "user", "text": None}, {"index": 3, "role": "user", "text": "it is late"}]},
]  # fmt: skip


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path)
    return path


def test_only_turn_texts_change(tmp_path: Path, settings: ScrubSettings) -> None:
    target = tmp_path / "out.parquet"
    report = scrub_shard(write(tmp_path / "in.parquet", ROWS), target, settings)
    table = pq.read_table(target)
    assert table.schema.equals(pq.read_schema(tmp_path / "in.parquet"), check_metadata=True)
    rows = table.to_pylist()
    assert [turn["text"] for turn in rows[0]["turns"]] == ["my name is <PERSON_1>", "hi <PERSON_1>, call 988"]
    assert rows[1]["turns"][0]["text"] == "<WITHHELD>"
    assert rows[2]["turns"] is None
    assert [turn["text"] for turn in rows[4]["turns"]] == ["", None, "it is late"]
    blank = [{**row, "turns": None} for row in ROWS]
    assert [{**row, "turns": None} for row in rows] == blank
    assert (report.records, report.turns, dict(report.counts), dict(report.withheld)) == (5, 6, {"PERSON": 2}, {"language": 1})
    assert report.canaries == report.canaries_caught == settings.canaries.per_batch
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_same_bytes_each_time_and_without_the_neighbours(tmp_path: Path, settings: ScrubSettings) -> None:
    source = write(tmp_path / "in.parquet", ROWS)
    first, second, fewer = tmp_path / "a.parquet", tmp_path / "b.parquet", tmp_path / "c.parquet"
    scrub_shard(source, first, settings)
    scrub_shard(source, second, settings)
    assert first.read_bytes() == second.read_bytes()
    scrub_shard(write(tmp_path / "few.parquet", ROWS[:1]), fewer, settings)
    assert pq.read_table(fewer).to_pylist() == pq.read_table(first).to_pylist()[:1]


def test_a_surviving_canary_stops_the_batch(
    tmp_path: Path, settings: ScrubSettings, scrubber: Scrubber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrubber._detector, "detect", lambda texts, language: [[] for _ in texts])
    target = tmp_path / "out.parquet"
    with pytest.raises(ScrubStoppedError):
        scrub_shard(write(tmp_path / "in.parquet", ROWS), target, settings)
    assert not target.exists()


def test_a_foreign_file_is_our_own_bug_and_is_not_quoted(tmp_path: Path, settings: ScrubSettings) -> None:
    source = tmp_path / "in.parquet"
    source.write_bytes(b"Oluwaseyi wrote this")
    with pytest.raises(InternalError) as caught:
        scrub_shard(source, tmp_path / "out.parquet", settings)
    assert "Oluwaseyi" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert list(tmp_path.iterdir()) == [source]
