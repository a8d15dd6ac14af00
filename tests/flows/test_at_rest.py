"""Keys at rest: made once, for their owner only, never again after they were destroyed; what is written needs them."""

import multiprocessing
import multiprocessing.synchronize
import os
import stat
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anonymize.shard import ShardKeys
from flows.at_rest import KeyFolder
from flows.pool import Pool
from schemas.at_rest import NoLongerHeldError, Room, decryption, encryption
from schemas.errors import InternalError, UsageError
from schemas.periods import Quarter
from schemas.stages import EncryptedFiles, ScrubbedRecords

QUARTER = Quarter(2026, 1)
PLACE = (Room.ACCEPTED, QUARTER, "alder")


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    return KeyFolder(tmp_path / "secrets" / "at_rest")


def test_a_key_for_each_room_quarter_and_company(keys: KeyFolder) -> None:
    places = [
        (room, quarter, company) for room in Room for quarter in (QUARTER, QUARTER.next()) for company in ("alder", "birch")
    ]
    made = [keys(*place) for place in places]
    assert len(set(made)) == len(places)
    assert {len(key) for key in made} == {32}
    assert [keys(*place) for place in places] == made
    assert sorted(keys.held()) == sorted(places)


def test_only_the_owner_reads_a_key_or_lists_keys(keys: KeyFolder) -> None:
    previous = os.umask(0)
    try:
        keys(*PLACE)
    finally:
        os.umask(previous)
    for path in (keys.folder.parent, *keys.folder.parent.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def _ask(folder: Path, results: "multiprocessing.SimpleQueue[bytes]", start: "multiprocessing.synchronize.Event") -> None:
    start.wait()
    results.put(KeyFolder(folder)(*PLACE))


def test_processes_that_race_get_one_key(keys: KeyFolder) -> None:
    context = multiprocessing.get_context("fork")
    results, start = context.SimpleQueue(), context.Event()
    racers = [context.Process(target=_ask, args=(keys.folder, results, start)) for _ in range(6)]
    for racer in racers:
        racer.start()
    start.set()
    found = {results.get() for _ in racers}
    for racer in racers:
        racer.join()
    assert found == {keys(*PLACE)}
    assert [path.name for path in keys.folder.rglob("*") if path.is_file()] == ["alder.key"]


def test_no_key_is_made_where_one_was_destroyed(keys: KeyFolder) -> None:
    keys(*PLACE)
    assert keys.destroy(*PLACE)
    assert not keys.destroy(*PLACE)
    for asked in (keys, keys.existing):
        with pytest.raises(NoLongerHeldError):
            asked(*PLACE)
    assert not keys.exists(*PLACE)
    keys(Room.SCRUBBED, QUARTER, "alder")
    keys(Room.ACCEPTED, QUARTER, "birch")


def test_without_its_marker_a_destroyed_key_would_come_back(keys: KeyFolder) -> None:
    """The test above could pass for another reason: the marker is what it rests on."""
    keys(*PLACE)
    keys.destroy(*PLACE)
    next(keys.folder.rglob("*.destroyed")).unlink()
    assert len(keys(*PLACE)) == 32


def test_a_closed_quarter_gives_no_key_to_anybody(keys: KeyFolder) -> None:
    keys(*PLACE)
    keys.close_quarter(Room.ACCEPTED, QUARTER)
    for company in ("alder", "birch"):
        with pytest.raises(NoLongerHeldError):
            keys(Room.ACCEPTED, QUARTER, company)
    keys(Room.ACCEPTED, QUARTER.next(), "birch")


def test_a_restored_key_of_a_purge_is_not_given_out(keys: KeyFolder) -> None:
    saved = keys(*PLACE)
    path = next(keys.folder.rglob("alder.key"))
    keys.destroy(*PLACE)
    path.write_bytes(saved)
    with pytest.raises(NoLongerHeldError):
        keys(*PLACE)


def test_the_bytes_of_a_destroyed_key_are_overwritten(keys: KeyFolder, tmp_path: Path) -> None:
    key = keys(*PLACE)
    other_name = tmp_path / "kept"
    os.link(next(keys.folder.rglob("alder.key")), other_name)  # the same blocks under another name
    keys.destroy(*PLACE)
    assert other_name.read_bytes() != key


def test_a_lost_key_is_not_made_anew_for_what_was_written_before(keys: KeyFolder) -> None:
    keys(*PLACE)
    next(keys.folder.rglob("alder.key")).unlink()
    with pytest.raises(InternalError):
        keys.existing(*PLACE)
    path = keys.folder / "accepted" / "2026Q1" / "alder.key"
    path.write_bytes(b"short")
    with pytest.raises(InternalError):
        keys(*PLACE)


@pytest.mark.parametrize("company", ["", "..", "../birch", ".hidden", "a/b"])
def test_a_company_is_no_path(company: str, keys: KeyFolder) -> None:
    with pytest.raises(UsageError):
        keys(Room.ACCEPTED, QUARTER, company)


def test_a_secret_is_made_once(tmp_path: Path) -> None:
    pool = Pool(tmp_path / "pool")
    assert pool.secret("pool.key") == Pool(tmp_path / "pool").secret("pool.key")
    assert stat.S_IMODE((tmp_path / "pool" / "secrets").stat().st_mode) == 0o700


def test_a_file_under_a_key_opens_with_that_key_only(tmp_path: Path) -> None:
    table, path = pa.table({"text": ["a private line"] * 1000}), tmp_path / "part.parquet"
    pq.write_table(table, path, encryption_properties=encryption(b"k" * 32))
    assert pq.ParquetFile(path, decryption_properties=decryption(b"k" * 32)).read().equals(table)
    assert b"private" not in path.read_bytes()
    for properties in (None, decryption(b"o" * 32)):
        with pytest.raises(OSError, match="decrypt"):
            pq.ParquetFile(path, decryption_properties=properties)


def test_every_changed_byte_is_noticed(tmp_path: Path) -> None:
    path, key = tmp_path / "part.parquet", b"k" * 32
    pq.write_table(pa.table({"text": [f"line {n}" for n in range(30)]}), path, encryption_properties=encryption(key))
    whole = path.read_bytes()
    table = pq.ParquetFile(path, decryption_properties=decryption(key)).read()
    kept = 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
        try:
            found = pq.ParquetFile(path, decryption_properties=decryption(key)).read()
        except (OSError, pa.ArrowException):
            continue
        kept += 1
        assert found.equals(table)  # letters that begin a file, and lengths that are not used: no value hangs on them
    assert kept <= 16


@pytest.mark.parametrize("length", [0, 16, 24, 31, 33])
def test_a_key_has_32_bytes(length: int) -> None:
    for properties in (encryption, decryption):
        with pytest.raises(InternalError):
            properties(b"k" * length)


def test_a_plain_file_is_not_read_as_if_it_were_the_pools(tmp_path: Path) -> None:
    path = tmp_path / "plain.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(OSError, match="plaintext"):
        pq.ParquetFile(path, decryption_properties=decryption(b"k" * 32))


def test_no_repr_shows_a_key(tmp_path: Path) -> None:
    key = b"sixteen letters.sixteen letters."
    files = EncryptedFiles((tmp_path / "part",), key)
    for shown in (files, ScrubbedRecords(QUARTER, (files,), ("alder",)), ShardKeys(key, key), Pool(tmp_path).door):
        assert "sixteen" not in repr(shown)
        assert "signing_key" not in repr(shown)
