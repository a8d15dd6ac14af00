"""A shard: only turn texts change, atomically, and byte for byte the same each time."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anonymize.scrub import Scrubber
from anonymize.settings import ScrubSettings
from anonymize.shard import ShardKeys, scrub_shard
from schemas.at_rest import decryption, encryption
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


KEYS = ShardKeys(b"a" * 32, b"s" * 32)


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path, encryption_properties=encryption(KEYS.source))
    return path


def read(path: Path) -> pa.Table:
    return pq.ParquetFile(path, decryption_properties=decryption(KEYS.target)).read()


def test_only_turn_texts_change(tmp_path: Path, settings: ScrubSettings) -> None:
    target = tmp_path / "out.parquet"
    report = scrub_shard(write(tmp_path / "in.parquet", ROWS), target, settings, KEYS)
    table = read(target)
    source = pq.ParquetFile(tmp_path / "in.parquet", decryption_properties=decryption(KEYS.source)).schema_arrow
    assert table.schema.equals(source, check_metadata=True)
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


def test_the_same_rows_each_time_and_without_the_neighbours(tmp_path: Path, settings: ScrubSettings) -> None:
    source = write(tmp_path / "in.parquet", ROWS)
    first, second, fewer = tmp_path / "a.parquet", tmp_path / "b.parquet", tmp_path / "c.parquet"
    scrub_shard(source, first, settings, KEYS)
    scrub_shard(source, second, settings, KEYS)
    assert read(first).equals(read(second), check_metadata=True)
    scrub_shard(write(tmp_path / "few.parquet", ROWS[:1]), fewer, settings, KEYS)
    assert read(fewer).to_pylist() == read(first).to_pylist()[:1]


def test_a_surviving_canary_stops_the_batch(
    tmp_path: Path, settings: ScrubSettings, scrubber: Scrubber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrubber._detector, "detect", lambda texts, language: [[] for _ in texts])
    target = tmp_path / "out.parquet"
    with pytest.raises(ScrubStoppedError):
        scrub_shard(write(tmp_path / "in.parquet", ROWS), target, settings, KEYS)
    assert not target.exists()


def test_a_foreign_file_is_our_own_bug_and_is_not_quoted(tmp_path: Path, settings: ScrubSettings) -> None:
    source = tmp_path / "in.parquet"
    source.write_bytes(b"Oluwaseyi wrote this")
    with pytest.raises(InternalError) as caught:
        scrub_shard(source, tmp_path / "out.parquet", settings, KEYS)
    assert "Oluwaseyi" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert list(tmp_path.iterdir()) == [source]


def test_the_scrubbed_file_needs_its_own_key(tmp_path: Path, settings: ScrubSettings) -> None:
    source, target = write(tmp_path / "in.parquet", ROWS), tmp_path / "out.parquet"
    scrub_shard(source, target, settings, KEYS)
    for key in (KEYS.source, b"x" * 32):
        with pytest.raises(OSError, match="decryption"):
            pq.ParquetFile(target, decryption_properties=decryption(key))
    with pytest.raises(OSError, match="no decryption"):
        pq.ParquetFile(target)
    assert b"late" not in target.read_bytes()
    assert b"record_id" not in target.read_bytes()  # not even the names of columns
    assert repr(KEYS) == "ShardKeys()"


def test_a_plain_or_foreign_source_is_refused(tmp_path: Path, settings: ScrubSettings) -> None:
    plain, other = tmp_path / "plain.parquet", tmp_path / "other.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS, schema=SCHEMA), plain)
    pq.write_table(pa.Table.from_pylist(ROWS, schema=SCHEMA), other, encryption_properties=encryption(b"o" * 32))
    for source in (plain, other):
        with pytest.raises(InternalError):
            scrub_shard(source, tmp_path / "out.parquet", settings, KEYS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.parquet", "plain.parquet"]


def test_rows_of_many_batches_are_written_in_one_group_up_to_its_bytes(
    tmp_path: Path, settings: ScrubSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group costs a reader the decryption of every column, so there are few; and none holds more than its share of memory."""

    def groups() -> tuple[int, pa.Table]:
        target = tmp_path / "out.parquet"
        scrub_shard(source, target, settings, KEYS)
        file = pq.ParquetFile(target, decryption_properties=decryption(KEYS.target))
        return file.metadata.num_row_groups, file.read()

    source = write(tmp_path / "in.parquet", [{**ROWS[3], "record_id": f"r{n}"} for n in range(1200)])
    monkeypatch.setattr("anonymize.shard._BYTES_A_GROUP", 1 << 30)
    few, whole = groups()
    monkeypatch.setattr("anonymize.shard._BYTES_A_GROUP", 1)
    many, same = groups()
    assert (few, many) == (1, 3)
    assert whole.equals(same)
