"""Records in a real S3-compatible store: the same way to a release as with a folder, the same purge, and clear errors."""

import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from dask_cluster import dask_cluster
from distributed import Client
from filled_pool import QUARTER, accept, fill, until_published
from stores import Store

from aggregate.reading import count_rows, record_batches
from cli.main import run
from flows.drops import waiting
from flows.intake_steps import take_in_submission
from flows.pool import Pool
from flows.purging import holdings, purge, to_purge
from flows.scrub_reports import scrub_overview
from flows.scrubbing import Job, keys_of, parts, pending_parts, scrub_one, scrub_parts, scrubbed_records
from flows.status import pool_status
from flows.sweeping import sweep
from publish.verify import verify_release
from sample_data.parameters import SimulationParameters
from schemas.arrow import pool_schema
from schemas.at_rest import Room, parquet_file
from schemas.errors import ExitCode, ScrubStoppedError, TransportError, UsageError
from schemas.storage import Place, files_below, source_of, whole_file

PARAMETERS = SimulationParameters(
    seed=64, users=30, companies=1, quarters=1, formats=("jsonl",), files_per_submission=1, submissions_per_quarter=1,
    malformed_share=0, text_share=0,
)  # fmt: skip


@pytest.fixture(scope="module")
def store(store_of: Callable[[str], Store]) -> Iterator[Store]:
    store = store_of("s3")
    with store.person("pool"):
        yield store


@pytest.fixture(scope="module")
def stored(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Pool:
    """The pool of `filled`, its records in the store."""
    root = tmp_path_factory.mktemp("stored")
    fill(root, records=f"s3://pool/records/{secrets.token_hex(8)}")
    return Pool(root)


@pytest.fixture
def pool(stored: Pool, tmp_path: Path) -> Pool:
    """A copy for a test that changes it, its records too."""
    shutil.copytree(stored.root, tmp_path / "pool")
    settings = tmp_path / "pool" / "config" / "pool.toml"
    records = f"s3://pool/records/{secrets.token_hex(8)}"
    settings.write_text(settings.read_text().replace(stored.settings.storage.records, records))
    copy = Pool(tmp_path / "pool")
    for room in Room:
        for name in files_below(stored.room(room)):
            with whole_file(copy.room(room) / name) as stream:
                stream.write((stored.room(room) / name).read_bytes())
    return copy


def rows(pool: Pool, room: Room) -> list[dict[str, Any]]:
    """Every row of a room, file by file."""
    found = []
    for part in parts(pool, QUARTER):
        place: Place = {Room.ACCEPTED: part.source, Room.SCRUBBED: part.target}[room]
        with parquet_file(source_of(place), pool.keys_at_rest.existing(room, part.quarter, part.company)) as file:
            found += file.read().to_pylist()
    return found


def columns(pool: Pool) -> list[dict[str, Any]]:
    """What the measurement reads."""
    names = [field.name for field in pool_schema() if field.name != "turns"]
    return pa.Table.from_batches(record_batches(scrubbed_records(pool, QUARTER).parts, names)).to_pylist()


@pytest.mark.parametrize("room", Room)
def test_records_are_those_that_a_folder_would_hold(room: Room, filled: Path, stored: Pool) -> None:
    local = Pool(filled)
    expected = rows(local, room)
    assert len(expected) > 100
    assert rows(stored, room) == expected
    names = sorted(name for name in files_below(local.room(room)))
    assert sorted(files_below(stored.room(room))) == names


def test_nothing_of_the_records_lies_below_the_root(stored: Pool) -> None:
    assert not [path for path in stored.root.rglob("*.parquet") if "made" not in path.parts]
    assert not any((stored.root / room).exists() for room in Room)


def test_what_is_measured_is_the_same(filled: Path, stored: Pool) -> None:
    local = Pool(filled)
    assert columns(stored) == columns(local)
    assert count_rows(scrubbed_records(stored, QUARTER).parts) == count_rows(scrubbed_records(local, QUARTER).parts)


def test_the_screen_tells_the_same(filled: Path, stored: Pool) -> None:
    local = Pool(filled)
    assert scrub_overview(stored) == scrub_overview(local)
    assert pool_status(stored)["submissions"] == pool_status(local)["submissions"]


@pytest.mark.timeout(600)
def test_the_way_leads_to_a_release_that_holds(pool: Pool) -> None:
    folder = until_published(pool)
    assert all(result.passed for result in verify_release(folder))


@pytest.mark.timeout(600)
def test_a_part_that_is_missing_is_waited_for_and_scrubbed_to_the_same(pool: Pool, stored: Pool) -> None:
    lost = next(parts(pool, QUARTER))
    lost.target.unlink()
    with pytest.raises(ScrubStoppedError):
        scrubbed_records(pool, QUARTER)
    assert [part.target for part in pending_parts(pool)] == [lost.target]
    scrub_parts(pool, pending_parts(pool))
    assert rows(pool, Room.SCRUBBED) == rows(stored, Room.SCRUBBED)


def test_a_purge_shows_that_nothing_can_be_read_and_leaves_nothing(pool: Pool) -> None:
    held = [each for each in holdings(pool) if each.company == "alder"]
    assert [(each.room, each.files > 0, each.bytes > 0, each.has_key) for each in held] == [
        (Room.ACCEPTED, True, True, True),
        (Room.SCRUBBED, True, True, True),
    ]
    for each, shown in purge(pool, held, "tester"):
        assert (shown.files, shown.bytes) == (each.files, each.bytes)
        assert (shown.readable_before > 0, shown.readable_after) == (True, 0)
    left = holdings(pool)
    assert {each.company for each in left} == {"birch", "cedar"}
    assert not [name for room in Room for name in files_below(pool.room(room)) if "/alder/" in name]
    assert to_purge(left, datetime.now(UTC), company="alder") == []


def test_uploads_that_a_killed_run_left_are_swept_in_time(pool: Pool) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from flows.pool import Pool; from schemas.storage import whole_file\n"
        "with whole_file(Pool(Path(sys.argv[1])).scrubbed / 'part.parquet') as stream:\n"
        "    stream.write(b'x' * (40 << 20)); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program, str(pool.root)], check=False)
    before = files_below(pool.scrubbed)
    now = datetime.now(UTC)
    assert sweep(pool, now)["leftovers"] == 0
    assert sweep(pool, now + timedelta(days=3))["leftovers"] == 1
    assert sweep(pool, now + timedelta(days=3))["leftovers"] == 0
    assert files_below(pool.scrubbed) == before


def test_a_stranger_ends_in_20_and_no_credential_is_told(stored: Pool, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    with store.person("stranger"):
        for command in (["status"], ["purge", "--company", "alder", "--dry-run"]):
            assert run([*command, "--root", str(stored.root)]) == ExitCode.TRANSPORT, command
            told = capsys.readouterr()
            assert "does not permit" in told.err
            assert not any(secret in told.out + told.err for secret in store.secrets)
        with pytest.raises(TransportError):
            scrubbed_records(stored, QUARTER)


def test_a_submission_waits_while_the_store_takes_nothing_and_is_then_taken_in_once(store: Store, tmp_path: Path) -> None:
    with store.person("stranger"), pytest.raises(TransportError):
        accept(tmp_path, PARAMETERS, f"s3://pool/records/{secrets.token_hex(8)}")
    pool = Pool(tmp_path)
    assert (pool.catalogue.accepted(), files_below(pool.accepted), list((tmp_path / "staging").iterdir())) == ([], {}, [])
    (arrival,) = waiting(pool)
    assert take_in_submission(pool, *arrival)["decision"] == "accepted"
    assert waiting(pool) == []
    assert len(rows(pool, Room.ACCEPTED)) == pool.catalogue.accepted()[0].receipt["accepted"]


def test_a_scrub_that_cannot_reach_the_store_leaves_nothing_and_goes_on_later(pool: Pool, store: Store) -> None:
    lost = next(parts(pool, QUARTER))
    lost.target.unlink()
    before = files_below(pool.scrubbed)
    with store.person("stranger"), pytest.raises(TransportError):
        scrub_parts(pool, [lost])
    assert files_below(pool.scrubbed) == before
    assert [part.target for part in pending_parts(pool)] == [lost.target]


def test_a_store_that_is_gone_ends_in_20(stored: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(TransportError):
        list(parts(stored))


def test_a_setting_that_names_no_place_is_told(tmp_path: Path, stored: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(stored.root / "config", tmp_path / "pool" / "config")
    settings = tmp_path / "pool" / "config" / "pool.toml"
    settings.write_text(settings.read_text().replace("s3://pool/", "s3://me:quill@pool/"))
    assert run(["purge", "--due", "--dry-run", "--root", str(tmp_path / "pool")]) == ExitCode.USAGE
    assert "quill" not in capsys.readouterr().err


def test_records_that_were_left_where_they_are_no_longer_looked_for_are_missed(pool: Pool) -> None:
    settings = pool.root / "config" / "pool.toml"
    settings.write_text(settings.read_text().replace(pool.settings.storage.records, f"s3://pool/records/{secrets.token_hex(8)}"))
    elsewhere = Pool(pool.root)
    with pytest.raises(UsageError, match=r"not where pool\.toml says"):
        scrubbed_records(elsewhere, QUARTER)


@pytest.mark.timeout(600)
def test_workers_of_a_cluster_read_and_write_the_store(store: Store, tmp_path: Path) -> None:
    """Processes of Dask, given the place alone: address and credentials are of their own environment."""
    accept(tmp_path / "pool", PARAMETERS.model_copy(update={"text_share": 0.3}), f"s3://pool/records/{secrets.token_hex(8)}")
    pool, heard = Pool(tmp_path / "pool"), bytearray()
    pending = pending_parts(pool)
    jobs = [Job(part, pool.scrub_settings, keys_of(pool, part)) for part in pending]
    with dask_cluster(tmp_path / "cluster", heard=heard) as cluster, Client(cluster.address) as client:
        reports = client.gather(client.map(scrub_one, jobs, [float] * len(jobs)))
    assert sum(report.turns for report in reports) > 0
    assert pending_parts(pool) == []
    kept = [{name: value for name, value in row.items() if name != "turns"} for row in rows(pool, Room.ACCEPTED)]
    assert [{name: value for name, value in row.items() if name != "turns"} for row in rows(pool, Room.SCRUBBED)] == kept
    assert b"pool/records" in heard
    assert not any(secret.encode() in heard for secret in store.secrets)


_READING = """
import resource, sys
from pathlib import Path
from aggregate.reading import count_rows, record_batches
from schemas.stages import EncryptedFiles
from schemas.storage import place_at
key, small, large = bytes.fromhex(sys.stdin.readline()), *(place_at(url, Path()) for url in sys.argv[1:])
def read(place):
    parts = [EncryptedFiles((place,), key)]
    assert sum(batch.num_rows for batch in record_batches(parts, ["turns"])) == count_rows(parts)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(read(small), read(large))
"""


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_large_object_is_not_held_in_memory(stored: Pool, store: Store) -> None:
    """A part of 640 MB is read in less than a fifth of that: row group by row group, of which a few are ahead."""
    import pyarrow.parquet as pq

    from schemas.at_rest import encryption

    part, key = next(parts(stored, QUARTER)), secrets.token_bytes(32)
    own = stored.keys_at_rest.existing(Room.SCRUBBED, part.quarter, part.company)
    with parquet_file(source_of(part.target), own) as file:
        first = file.read().slice(0, 1)
    urls = []
    for groups in (1, 64):
        place = stored.scrubbed / f"groups-{groups}.parquet"
        urls.append(str(place))
        with whole_file(place) as sink, pq.ParquetWriter(sink, pool_schema(), encryption_properties=encryption(key)) as writer:
            for _ in range(groups):
                text = secrets.token_bytes(5 << 20).hex()
                turns = [[{"index": 1, "role": "user", "text": text[n << 13 : (n + 1) << 13]}] for n in range(1280)]
                table = pa.concat_tables([first] * len(turns)).combine_chunks()
                field = table.schema.get_field_index("turns")
                column = pa.array(turns, table.schema.field(field).type)
                writer.write_table(table.set_column(field, table.schema.field(field), column).cast(pool_schema()))
    size = files_below(stored.scrubbed)["groups-64.parquet"] >> 20
    done = subprocess.run(
        [sys.executable, "-c", _READING, *urls], input=key.hex(), capture_output=True, text=True, check=False, timeout=500
    )
    assert done.returncode == 0, done.stderr
    small, large = map(int, done.stdout.split())
    assert size > 300
    assert large - small < size / 5, (size, small, large)
