"""The scrub on a cluster: a real scheduler, workers that are processes of their own and may die, and a real Prefect server."""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import dask
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from dask_cluster import Cluster, dask_cluster, free_port, namespaces
from filled_pool import accept
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect_server import own_environment, prefect_server
from submissions import accepted_rows

from flows.pool import Pool, packaged_config
from flows.progress import listening
from flows.scrub_on_dask import _Batches, scrub_batch
from flows.scrub_workers import TRIES_ALONE, WorkerDiedError
from flows.scrubbing import Part, parts, pending_parts, scrub_parts, scrubbed_records
from sample_data.parameters import SimulationParameters
from schemas.at_rest import Room
from schemas.errors import CommonsError, ExitCode, ScrubStoppedError, TransportError, UsageError
from schemas.periods import Quarter

pytestmark = pytest.mark.timeout(1800)  # servers and models start for each: on a machine that has other work they take minutes

COMMONS = Path(sys.executable).parent / "commons"
QUARTER = Quarter(2026, 1)
PARAMETERS = SimulationParameters(
    seed=61, users=24, quarters=1, formats=("jsonl",), files_per_submission=1, submissions_per_quarter=2, malformed_share=0,
    text_share=0.3,
)  # fmt: skip


@pytest.fixture(scope="module")
def accepted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool of three companies with two accepted submissions each, of one part each, and nothing scrubbed."""
    root = tmp_path_factory.mktemp("accepted") / "pool"
    accept(root, PARAMETERS)
    return root


@pytest.fixture
def pool(accepted: Path, tmp_path: Path) -> Pool:
    shutil.copytree(accepted, tmp_path / "pool")
    return Pool(tmp_path / "pool")


@pytest.fixture(scope="module")
def by_processes(accepted: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What processes of this machine make of the same: their report and rows."""
    root = tmp_path_factory.mktemp("scrubbed") / "pool"
    shutil.copytree(accepted, root)
    report = scrub_parts(Pool(root), pending_parts(Pool(root)))
    return report.as_dict(), rows_of(Pool(root))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture(scope="module")
def api(home: Path) -> Iterator[str]:
    with prefect_server(home) as address:
        yield address


@pytest.fixture
def on_server(api: str) -> Iterator[None]:
    with temporary_settings({PREFECT_API_URL: api}):
        yield


def use(pool: Pool, address: str) -> Pool:
    """The pool, scrubbed by a cluster from now on."""
    settings = packaged_config("pool.toml").read_text()
    assert '\ncluster = ""\n' in settings
    (pool.root / "config" / "pool.toml").write_text(settings.replace('\ncluster = ""\n', f'\ncluster = "{address}"\n'))
    return Pool(pool.root)


def rows_of(pool: Pool) -> list[dict[str, Any]]:
    return accepted_rows(pool.root, partial(pool.keys_at_rest.existing, Room.SCRUBBED), "scrubbed")


def digest_of(part: Part) -> str:
    return part.source.parent.name


def scrubbed_files(pool: Pool) -> dict[Path, tuple[int, bytes]]:
    """Every file of the room, when it was written and what is in it."""
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in sorted(pool.scrubbed.rglob("*")) if path.is_file()}


# Notes each time that a process reads the words of a language model from its disk.
LOADING = """
import os, sys

def hook(event, arguments):
    if event == "open" and str(arguments[0]).endswith("/vocab/strings.json"):
        with open({seen!r}, "a") as lines:
            lines.write(f"{{os.getpid()}}\\n")

sys.addaudithook(hook)
"""


def hooked(folder: Path, source: str) -> dict[str, str]:
    """The environment of a process in which this runs first."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(source)
    return {"PYTHONPATH": str(folder)}


@pytest.mark.long
def test_two_workers_give_what_processes_give_with_one_model_each(
    pool: Pool, by_processes: tuple[dict[str, Any], list[dict[str, Any]]], on_server: None, tmp_path: Path
) -> None:
    loads = tmp_path / "loads"
    told: list[float] = []
    with dask_cluster(tmp_path / "cluster", hooked(tmp_path / "hook", LOADING.format(seen=str(loads)))) as cluster:
        pool = use(pool, cluster.address)
        with listening(lambda stage, share: told.append(share)):
            report = scrub_parts(pool, pending_parts(pool))
        assert (report.as_dict(), rows_of(pool)) == by_processes
        assert told[-1] == pytest.approx(1.0)
        assert any(0 < share < 1 for share in told)
        before, every = scrubbed_files(pool), list(parts(pool))
        assert scrub_parts(pool, every).records == 0  # a second run, that has not seen what the first did
        assert scrubbed_files(pool) == before
        shutil.rmtree(pool.scrubbed)
        scrub_parts(pool, pending_parts(pool))
        assert rows_of(pool) == by_processes[1]
        loaded = loads.read_text().splitlines()
        assert sorted(loaded) == sorted(set(loaded))
        assert len(loaded) == 2
    assert not list(pool.scratch.glob("scrub-*"))


@pytest.mark.long
def test_a_part_that_kills_its_worker_keeps_no_other_from_being_scrubbed(
    pool: Pool, killing: Callable[[dict[str, int]], None], on_server: None, tmp_path: Path
) -> None:
    pending = pending_parts(pool)
    poison, unlucky = pending[1], pending[4]
    killing({digest_of(poison): 99, digest_of(unlucky): 1})
    with dask_cluster(tmp_path / "cluster", {"PYTHONPATH": os.environ["PYTHONPATH"]}) as cluster:
        pool = use(pool, cluster.address)
        with pytest.raises(WorkerDiedError) as stopped:
            scrub_parts(pool, pending)
        assert f"1 of {len(pending)} parts are not scrubbed ({poison.company} 1); the others are." in stopped.value.message
        assert len((tmp_path / f"plan.{digest_of(poison)}").read_text()) == 1 + TRIES_ALONE
        assert [part for part in pending if not part.target.exists()] == [poison]
        assert all(part.report_file.exists() for part in pending if part != poison)
        with pytest.raises(ScrubStoppedError):  # fail closed: nothing of the quarter is measured meanwhile
            scrubbed_records(pool, QUARTER)
        before = {part.target: part.target.read_bytes() for part in pending if part != poison}
        killing({})
        scrub_parts(pool, pending_parts(pool))
    assert scrubbed_records(pool, QUARTER).parts
    assert {path: path.read_bytes() for path in before} == before
    assert not [path for path in pool.scrubbed.rglob(".*") if path.is_file()]


@pytest.mark.long
def test_a_machine_that_is_lost_in_the_middle_loses_nothing(
    pool: Pool, by_processes: tuple[dict[str, Any], list[dict[str, Any]]], on_server: None, tmp_path: Path
) -> None:
    lost: list[float] = []
    with dask_cluster(tmp_path / "cluster") as cluster:
        pool = use(pool, cluster.address)

        def lose(_: str, share: float) -> None:
            if 0 < share < 1 and not lost:
                lost.append(share)
                cluster.kill_machine(0)

        with listening(lose):
            report = scrub_parts(pool, pending_parts(pool))
        assert cluster.workers[0].wait() == -signal.SIGKILL
        assert cluster.workers[1].poll() is None
    assert lost
    assert (report.as_dict(), rows_of(pool)) == by_processes


@pytest.mark.long
def test_a_run_that_is_killed_is_taken_up_by_the_next(
    pool: Pool, by_processes: tuple[dict[str, Any], list[dict[str, Any]]], api: str, tmp_path: Path
) -> None:
    with dask_cluster(tmp_path / "cluster") as cluster:
        pool = use(pool, cluster.address)
        own = {**own_environment(), "PREFECT_API_URL": api}
        command = [COMMONS, "ingest", "--root", pool.root]
        first = subprocess.Popen(command, env=own, stderr=subprocess.DEVNULL)
        while not list(pool.scrubbed.rglob("*.parquet")):  # the test's time-out is what ends it
            assert first.poll() is None
        first.kill()
        first.wait()
        done = scrubbed_files(pool)
        assert list(pool.scratch.glob("scrub-*"))  # what it left behind
        second = subprocess.run([*command, "--json"], env=own, check=True, capture_output=True)
        assert json.loads(second.stdout)["scrub"]["parts"] < len(list(parts(pool)))
        after = scrubbed_files(pool)
        assert {path: after[path] for path in done if path.suffix == ".parquet" and not path.name.startswith(".")} == {
            path: found for path, found in done.items() if path.suffix == ".parquet" and not path.name.startswith(".")
        }
    assert rows_of(pool) == by_processes[1]
    assert not list(pool.scratch.glob("scrub-*"))


# In every worker: scrubbing a part fails with an error that quotes texts and key, and, where asked for, the guard is off.
QUOTING = """
import importlib.abc, importlib.util, sys

def quoting(source, target, settings, keys, **_):
    import pyarrow.parquet as pq
    from schemas.at_rest import decryption
    with pq.ParquetFile(source, decryption_properties=decryption(keys.source)) as file:
        rows = file.read(columns=["turns"]).to_pylist()
    raise ValueError(f"{{[t['text'] for row in rows for t in row['turns'] or () if t['text']]}} {{keys.source.hex()}}")

CHANGES = {{"anonymize.shard": ("scrub_shard", quoting)}}
if {unguarded!r}:
    CHANGES["flows.guard"] = ("guarded", lambda function, *arguments, **named: function(*arguments, **named))

class Changed(importlib.abc.MetaPathFinder):
    busy = False

    def find_spec(self, name, path, target=None):
        if name not in CHANGES or self.busy:
            return None
        self.busy = True
        spec = importlib.util.find_spec(name)
        self.busy = False
        run = spec.loader.exec_module
        def changed(module):
            run(module)
            setattr(module, *CHANGES[name])
        spec.loader.exec_module = changed
        return spec

sys.meta_path.insert(0, Changed())
"""


def private_values(pool: Pool) -> dict[str, list[bytes]]:
    """The longest text of each company, and every key at rest in each form in which it could be written."""
    texts: list[bytes] = []
    for company in sorted(pool.registry.companies):
        rows = [
            row
            for row in accepted_rows(pool.root, partial(pool.keys_at_rest.existing, Room.ACCEPTED))
            if row["company"] == company
        ]
        texts.append(max((turn["text"] or "" for row in rows for turn in row["turns"] or ()), key=len).encode())
    held = list(pool.keys_at_rest.readable().values())
    return {"texts": texts, "keys": [form for key in held for form in (key, key.hex().encode(), base64.b64encode(key))]}


def found_in(values: Mapping[str, list[bytes]], everywhere: bytes) -> set[str]:
    return {kind for kind, each in values.items() if any(value in everywhere for value in each)}


def everything_written(home: Path, cluster: Cluster, heard: bytearray) -> bytes:
    kept = [path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file()]
    return b"".join([*kept, cluster.logged(), bytes(heard)])


def written_while_all_fail(
    pool: Pool, home: Path, tmp_path: Path, unguarded: bool
) -> tuple[CommonsError, dict[str, list[bytes]], bytes]:
    """How it ended, what is private, and all that was written and sent while each part failed with an error that quotes both."""
    heard = bytearray()
    hook = hooked(tmp_path / "hook", QUOTING.format(unguarded=unguarded))
    with dask_cluster(tmp_path / "cluster", hook, heard=heard) as cluster:
        pool = use(pool, cluster.address)
        with pytest.raises(CommonsError) as stopped:
            scrub_parts(pool, pending_parts(pool))
        values, written = private_values(pool), everything_written(home, cluster, heard)
    assert b"scrub_batch" in bytes(heard)  # it was listened to
    assert str(pool.root).encode() in bytes(heard)
    assert not found_in(values, f"{stopped.value!r}{stopped.value.__cause__!r}{stopped.value.__context__!r}".encode())
    return stopped.value, values, written


@pytest.mark.long
def test_no_text_and_no_key_is_in_a_message_a_log_or_prefects_database(
    pool: Pool, on_server: None, home: Path, tmp_path: Path
) -> None:
    stopped, values, written = written_while_all_fail(pool, home, tmp_path, unguarded=False)
    assert stopped.exit_code is ExitCode.INTERNAL
    assert not found_in(values, written)


@pytest.mark.long
def test_nothing_private_is_told_while_all_goes_well(pool: Pool, on_server: None, home: Path, tmp_path: Path) -> None:
    heard = bytearray()
    with dask_cluster(tmp_path / "cluster", heard=heard) as cluster:
        pool = use(pool, cluster.address)
        scrub_parts(pool, pending_parts(pool))
        values, written = private_values(pool), everything_written(home, cluster, heard)
    assert b"scrub_batch" in bytes(heard)
    assert not found_in(values, written)
    for digest in {digest_of(part) for part in parts(pool)}:
        assert digest.encode() not in bytes(heard)  # workers read below the root which parts they are


def certificates(folder: Path) -> dict[str, str]:
    """Files of an authority of our own and of one certificate that scheduler, workers and we use, as Dask's settings."""
    folder.mkdir()
    begin, end = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(hours=2)

    def make(name: str, key: ec.EllipticCurvePrivateKey, issuer: str, signer: ec.EllipticCurvePrivateKey) -> x509.Certificate:
        subject, by = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)]) for each in (name, issuer))
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(by).public_key(key.public_key())
        made = made.serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(end)
        made = made.add_extension(x509.BasicConstraints(ca=name == issuer, path_length=None), critical=True)
        made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        return made.sign(signer, hashes.SHA256())

    authority, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(make("ca", authority, "ca", authority).public_bytes(pem))
    (folder / "own.pem").write_bytes(make("own", own, "ca", authority).public_bytes(pem))
    private = own.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "own.key").write_bytes(private)
    settings = {"ca-file": str(folder / "ca.pem")}
    for who in ("scheduler", "worker", "client"):
        settings |= {f"{who}.cert": str(folder / "own.pem"), f"{who}.key": str(folder / "own.key")}
    return {f"distributed.comm.tls.{name}": value for name, value in settings.items()}


def in_environment(settings: Mapping[str, str]) -> dict[str, str]:
    return {f"DASK_{name.upper().replace('.', '__').replace('-', '_')}": value for name, value in settings.items()}


@pytest.mark.long
def test_over_tls_from_two_network_namespaces_and_nobody_without_a_certificate(
    pool: Pool, by_processes: tuple[dict[str, Any], list[dict[str, Any]]], tmp_path: Path
) -> None:
    name = f"ic{os.getpid()}"
    with ExitStack() as stack:
        try:
            places = stack.enter_context(namespaces([f"{name}a", f"{name}b"]))
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("this machine lets nobody make network namespaces (`ip netns add`)")
        (tmp_path / "prefect").mkdir()
        address = stack.enter_context(prefect_server(tmp_path / "prefect", places[0][0]))
        settings = certificates(tmp_path / "certificates")
        environment = in_environment(settings)
        cluster = stack.enter_context(
            dask_cluster(tmp_path / "cluster", environment, protocol="tls", places=places, host="0.0.0.0")  # noqa: S104
        )
        pool = use(pool, cluster.address)
        stack.enter_context(temporary_settings({PREFECT_API_URL: address}))
        with dask.config.set({"distributed.comm.timeouts.connect": "3s"}), pytest.raises(TransportError):
            scrub_parts(pool, pending_parts(pool))  # without a certificate
        assert not scrubbed_files(pool)
        with dask.config.set(settings):
            report = scrub_parts(pool, pending_parts(pool))
        homes = {
            line.split()[-1].rsplit(":", 1)[0] for line in cluster.logged().decode().splitlines() if "Start worker at" in line
        }
        assert homes == {"tls://10.213.0.2", "tls://10.213.1.2"}
    assert (report.as_dict(), rows_of(pool)) == by_processes


@pytest.mark.long
def test_a_cluster_that_is_not_there_is_a_matter_of_transport(pool: Pool, on_server: None) -> None:
    pool = use(pool, f"tcp://127.0.0.1:{free_port()}")
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}), pytest.raises(TransportError) as stopped:
        scrub_parts(pool, pending_parts(pool))
    assert stopped.value.exit_code is ExitCode.TRANSPORT
    assert not list(pool.scratch.glob("scrub-*"))


def test_without_a_prefect_server_nothing_is_begun(pool: Pool) -> None:
    pool = use(pool, "tls://10.0.0.1:8786")
    with temporary_settings(restore_defaults={PREFECT_API_URL}), pytest.raises(UsageError, match="Prefect server"):
        scrub_parts(pool, pending_parts(pool))
    assert not list(pool.scratch.glob("scrub-*"))


@pytest.mark.parametrize("address", ["127.0.0.1:8786", "http://h:1", "tls://user:secret@h:1", "tcp://h", "tcp://h:1/x"])
def test_an_address_has_a_protocol_a_host_and_a_port(pool: Pool, address: str) -> None:
    with pytest.raises(UsageError):
        _ = use(pool, address).settings


def test_batches_get_smaller_and_hold_every_part_once_in_order(pool: Pool) -> None:
    sizes = [7, 1, 1, 90, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3]
    batches = _Batches(pool, "run", sizes, Silent())
    waiting, taken = deque(range(len(sizes))), []
    while waiting:
        left = sum(sizes[number] for number in waiting)
        taken.append(batches._next(waiting, 2))
        assert len(taken[-1]) == 1 or sum(sizes[number] for number in taken[-1]) <= left / 6
    assert [number for numbers in taken for number in numbers] == list(range(len(sizes)))
    assert [0, 1, 2] in taken
    assert [3] in taken  # one that is larger than a share is a batch of its own
    assert len(taken) < len(sizes)


class Silent:
    """In the place of a client that nothing is asked of."""

    def subscribe_topic(self, topic: str, handler: Callable[..., None]) -> None: ...


def begun(pool: Pool, version: str) -> str:
    """The folder of a run over every pending part, as it begins."""
    from flows.scrub_on_dask import _place

    folder = pool.scratch / "scrub-1"
    folder.mkdir(parents=True)
    told = {"ruleset_version": version, "parts": [_place(part) for part in pending_parts(pool)]}
    (folder / "parts.json").write_text(json.dumps(told))
    return folder.name


def test_workers_with_other_rules_scrub_nothing(pool: Pool) -> None:
    with pytest.raises(UsageError, match="other rules"):
        scrub_batch(pool, begun(pool, "other"), [0])
    assert not scrubbed_files(pool)


def test_a_part_over_which_a_worker_died_is_left_alone_until_it_is_its_turn(pool: Pool) -> None:
    run = begun(pool, pool.scrub_settings.ruleset_version)
    (pool.scratch / run / "0").write_text("")  # as a worker leaves it that died
    [died] = scrub_batch(pool, run, [0])
    assert isinstance(died, WorkerDiedError)
    shutil.rmtree(pool.scratch / run)
    with pytest.raises(ScrubStoppedError, match="took the place"):
        scrub_batch(pool, run, [1])
    assert not scrubbed_files(pool)


# The last of all: what it leaks stays in the server's database.
@pytest.mark.long
def test_without_the_guard_texts_and_keys_are_found(pool: Pool, on_server: None, home: Path, tmp_path: Path) -> None:
    _, values, written = written_while_all_fail(pool, home, tmp_path, unguarded=True)
    assert found_in(values, written) == {"texts", "keys"}
