"""Places on this machine and in a real S3-compatible store: whole or not there, read by ranges, errors by kind that quote nothing."""

import multiprocessing
import pickle
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stores import Store

from schemas import store_errors
from schemas.at_rest import KEY_BYTES, encryption, parquet_file
from schemas.errors import OutOfSpaceError, TransportError, UsageError
from schemas.storage import (
    Place,
    clear_parts,
    files_below,
    local_copy,
    opened,
    place_at,
    put_folder,
    read_files,
    remove_folder,
    remove_unfinished,
    source_of,
    whole_file,
)

MIB = 1 << 20
LARGE = 40 * MIB  # several pieces of an upload
LATER = timedelta(hours=1)


@pytest.fixture
def s3(store_of: Callable[[str], Store]) -> Iterator[Store]:
    store = store_of("s3")
    with store.person("pool"):
        yield store


@pytest.fixture
def stored(s3: Store, tmp_path: Path) -> Place:
    """A prefix of this test's own."""
    return place_at(f"s3://pool/storage/{secrets.token_hex(8)}", tmp_path)


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return tmp_path / "place" if request.param == "local" else request.getfixturevalue("stored")


def put(place: Place, data: bytes) -> None:
    with whole_file(place) as stream:
        stream.write(data)


def test_a_file_is_there_once_it_is_whole(place: Place) -> None:
    file = place / "folder" / "part.parquet"
    with whole_file(file) as stream:
        stream.write(b"x" * LARGE)
        assert not file.exists()
    assert (files_below(place), file.stat().st_size) == ({"folder/part.parquet": LARGE}, LARGE)
    put(file, b"another")
    assert (read_files([file]), files_below(place)) == ([b"another"], {"folder/part.parquet": 7})


@pytest.mark.parametrize("size", [10, LARGE])
def test_of_a_file_that_fails_nothing_is_left_and_the_earlier_one_stays(place: Place, size: int) -> None:
    file = place / "part.parquet"
    put(file, b"earlier")
    for name in ("part.parquet", "new.parquet"):
        with pytest.raises(ZeroDivisionError), whole_file(place / name) as stream:
            stream.write(b"x" * size)
            raise ZeroDivisionError
    assert (read_files([file]), files_below(place)) == ([b"earlier"], {"part.parquet": 7})
    assert remove_unfinished(place, datetime.now(UTC) + LATER) == 0


_KILLED = """
import os, signal, sys
from pathlib import Path
from schemas.storage import place_at, whole_file
with whole_file(place_at(sys.argv[1], Path()) / "part.parquet") as stream:
    stream.write(b"x" * (40 << 20))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_of_a_process_that_is_killed_nothing_is_seen_and_what_it_left_can_be_removed(place: Place) -> None:
    done = subprocess.run([sys.executable, "-c", _KILLED, str(place)], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (place / "part.parquet").exists()
    if isinstance(place, Path):
        assert len(files_below(place)) == 1
        clear_parts(place / "other.parquet")
        assert len(files_below(place)) == 1
        clear_parts(place / "part.parquet")
    else:
        now = datetime.now(UTC)
        assert remove_unfinished(place, now - LATER) == 0  # it may still be going on
        assert remove_unfinished(place, now + LATER, dry_run=True) == 1
        assert [remove_unfinished(place, now + LATER) for _ in range(2)] == [1, 0]
    assert files_below(place) == {}


def test_a_folder_takes_the_place_of_what_a_killed_run_left(place: Place, tmp_path: Path) -> None:
    target = place / "2026Q1" / "alder" / "digest"
    for name in ("part-00000.parquet", "part-00007.parquet"):
        put(target / name, b"left")
    source = tmp_path / "staged"
    source.mkdir()
    for number in range(9):
        (source / f"part-{number:05d}.parquet").write_bytes(b"%d" % number)
    (source / "part-00007.parquet").unlink()
    put_folder(source, target)
    names = [f"part-{number:05d}.parquet" for number in range(9) if number != 7]
    assert files_below(target) == dict.fromkeys(names, 1)
    assert read_files([target / name for name in reversed(names)]) == [b"%d" % n for n in (8, 6, 5, 4, 3, 2, 1, 0)]


def test_of_a_folder_that_cannot_be_put_whole_nothing_is_left(stored: Place, tmp_path: Path) -> None:
    source = tmp_path / "staged"
    source.mkdir()
    (source / "part-00000.parquet").write_bytes(b"whole")
    (source / "part-00001.parquet").symlink_to(source / "gone")
    with pytest.raises(TransportError):
        put_folder(source, stored / "digest")
    assert files_below(stored) == {}
    put(stored / "digest" / "part-00000.parquet", b"of another run")
    with pytest.raises(TransportError):
        put_folder(source, stored / "digest")
    assert files_below(stored).keys() == {"digest/part-00000.parquet"}


def test_what_vanishes_while_it_is_listed_is_passed_over(tmp_path: Path) -> None:
    for name in ("part.parquet", ".part.parquet.1.part"):
        put(tmp_path / name, b"x")
    found, listed = tmp_path.rglob, list[Path]()

    class Changing(type(tmp_path)):  # type: ignore[misc]
        def rglob(self, pattern: str) -> Iterator[Path]:
            for path in found(pattern):
                listed.append(path)
                path.unlink() if path.name.startswith(".") else None
                yield path

    assert files_below(Changing(tmp_path)) == {"part.parquet": 1}
    assert len(listed) == 2


def test_a_folder_is_removed_with_all_below_it_and_nothing_beside_it(place: Place) -> None:
    for name in ("2026Q1/alder/a/1", "2026Q1/alder/b/2", "2026Q1/alder-2/a/1"):
        put(place / name, b"x")
    for _ in range(2):
        remove_folder(place / "2026Q1" / "alder")
        assert files_below(place) == {"2026Q1/alder-2/a/1": 1}


def test_an_empty_submission_is_an_empty_place(place: Place, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    put_folder(tmp_path / "none", place)
    assert (files_below(place), files_below(place / "nothing"), read_files([])) == ({}, {}, [])


def parquet(key: bytes, groups: int) -> pa.Buffer:
    """Encrypted Parquet of some groups of 1,000 rows, of columns of two sizes."""
    sink, texts = pa.BufferOutputStream(), [secrets.token_hex(200) for _ in range(1000)]
    table = pa.table({"number": list(range(1000)), "text": texts})
    with pq.ParquetWriter(sink, table.schema, encryption_properties=encryption(key)) as writer:
        for _ in range(groups):
            writer.write_table(table)
    return sink.getvalue()


def test_of_a_stored_file_only_what_is_asked_for_is_fetched(stored: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not isinstance(stored, Path)
    key = secrets.token_bytes(KEY_BYTES)
    data = parquet(key, 40)
    put(stored / "part.parquet", data.to_pybytes())
    fetched, fetch = list[int](), stored.fs.cat_file

    def counted(path: str, start: int, end: int) -> Any:
        fetched.append(end - start)
        return fetch(path, start=start, end=end)

    monkeypatch.setattr(stored.fs, "cat_file", counted)
    with parquet_file(source_of(stored / "part.parquet"), key) as file:
        assert file.num_row_groups == 40
        assert file.read_row_group(7, columns=["number"]).column("number").to_pylist() == list(range(1000))
        assert sum(fetched) < data.size / 40
        fetched.clear()
        assert sum(batch.num_rows for batch in file.iter_batches(500, row_groups=[3])) == 1000
        assert (sum(fetched) < data.size / 20, len(fetched) < 5) == (True, True)


def test_a_stored_file_is_refused_under_another_key_and_read_under_its_own(stored: Place) -> None:
    key = secrets.token_bytes(KEY_BYTES)
    put(stored / "part.parquet", parquet(key, 1).to_pybytes())
    source = source_of(stored / "part.parquet")
    for other in (None, secrets.token_bytes(KEY_BYTES)):
        with pytest.raises((OSError, pa.ArrowException)):
            parquet_file(source, other)
    with parquet_file(source, key) as file:
        assert file.read().num_rows == 1000


def test_lines_are_read_a_piece_at_a_time(place: Place) -> None:
    lines = [f"{number} ".encode() * 50 + b"\n" for number in range(200_000)]
    put(place / "lines", b"".join(lines))
    with opened(place / "lines") as stream:
        assert list(stream) == lines


def test_a_local_copy_holds_what_lies_right_there_and_goes(stored: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, data in {"manifest.json": b"{}", "part-1.jsonl": b"x" * LARGE, "other/part-1.jsonl": b"y"}.items():
        put(stored / name, data)
    with local_copy(stored) as folder:
        assert files_below(folder) == {"manifest.json": 2, "part-1.jsonl": LARGE}
    assert not folder.exists()
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=LARGE - 1))
    with pytest.raises(OutOfSpaceError), local_copy(stored):
        pass


ACTS: dict[str, Callable[[Place], object]] = {
    "exists": lambda place: place.exists(),
    "list": files_below,
    "read": lambda place: read_files([place]),
    "open": lambda place: opened(place).read(1),
    "write": lambda place: put(place, b"x"),
    "write much": lambda place: put(place, b"x" * LARGE),
    "remove": remove_folder,
    "sweep": lambda place: remove_unfinished(place, datetime.now(UTC)),
}


@pytest.mark.parametrize("act", ACTS)
def test_a_stranger_is_told_so_and_nothing_else(act: str, s3: Store, stored: Place) -> None:
    put(stored / "part.parquet", b"x")
    with s3.person("stranger"), pytest.raises(TransportError) as raised:
        ACTS[act](stored / "part.parquet")
    assert raised.value.message == store_errors.NOT_PERMITTED[0]
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None


@pytest.mark.parametrize("act", ["list", "remove"])  # to whom it is permitted, this server makes the bucket for a write
def test_a_bucket_that_is_not_there_is_no_empty_place(act: str, s3: Store, tmp_path: Path) -> None:
    with pytest.raises(TransportError) as raised:
        ACTS[act](place_at(f"s3://nowhere-{act}/records", tmp_path) / "part.parquet")
    assert raised.value.message == store_errors.NO_SUCH_PLACE[0]


def test_one_object_that_is_not_there_is_no_failure(stored: Place) -> None:
    assert not (stored / "part.parquet").exists()
    with pytest.raises(FileNotFoundError):
        read_files([stored / "part.parquet"])


@pytest.mark.parametrize(
    "url", ["gs://b/p", "s3://", "s3:///p", "s3://user:secret-x@b/p", "s3://b/p?x=1", "s3://b/../p", "s3://["]
)
def test_what_is_no_place_is_refused_and_not_quoted(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        place_at(url, tmp_path)
    assert "secret-x" not in raised.value.message + raised.value.next_step


def test_a_folder_counts_from_its_base(tmp_path: Path) -> None:
    assert [place_at(given, tmp_path) for given in ("", "records", "/elsewhere")] == [
        tmp_path,
        tmp_path / "records",
        Path("/elsewhere"),
    ]


def test_a_place_that_is_sent_to_another_process_carries_neither_address_nor_credential(s3: Store, stored: Place) -> None:
    put(stored / "part.parquet", b"x")
    sent = pickle.dumps(stored / "part.parquet")
    assert not any(value.encode() in sent for value in s3.people["pool"].values())
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        assert process.submit(read_files, [stored / "part.parquet"]).result() == [b"x"]
