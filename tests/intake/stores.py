"""Real stores on this machine for tests: local folders, an S3 server (seaweedfs) and an SFTP server (OpenSSH).

Each is one pool's store with two companies, and credentials by person: `alder`, `birch`, `pool`, and `stranger`, who has none.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from flows.drops import drop_of, make_local_drops, public_keys
from flows.pool import Pool
from intake.drop import open_drop
from intake.submission import Sending, submit
from schemas.errors import TransportError

COMPANIES = ("alder", "birch")
FROM_THE_ENVIRONMENT = (
    "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_EC2_METADATA_DISABLED",
    "COMMONS_SFTP_KEY", "COMMONS_SFTP_KNOWN_HOSTS",
)  # fmt: skip


@dataclass
class Store:
    """`drops` is the pool's setting; `as_person` the environment of each person; `secrets` what no output may hold."""

    kind: str
    drops: str
    people: Mapping[str, Mapping[str, str]]
    secrets: tuple[str, ...] = ()
    folder: Path | None = field(default=None)  # where a local or SFTP drop lies on this machine
    clock_ticks: float = 0.0  # seconds between two moments that the store tells apart

    def clear(self) -> None:
        """Leaves the drops empty, for the next test."""
        if self.folder is not None:
            for company in COMPANIES:
                shutil.rmtree(self.folder / company, ignore_errors=True)
                (self.folder / company).mkdir(parents=True)
            return
        import s3fs

        with self.person("pool"):
            own = s3fs.S3FileSystem(endpoint_url=os.environ["AWS_ENDPOINT_URL"], skip_instance_cache=True)
            if names := own.find("pool/drops"):
                own.rm(names)
            for company in COMPANIES:  # this server keeps empty folders
                with open_drop(self.url(company)) as drop:
                    for folder in ("in", "out"):
                        for entry in drop.entries(folder, 1_000):
                            drop.remove_folder(f"{folder}/{entry.name}")

    def url(self, company: str) -> str:
        return f"{self.drops}/{company}"

    def environment(self, person: str) -> dict[str, str]:
        own = {k: v for k, v in os.environ.items() if k not in FROM_THE_ENVIRONMENT and not k.startswith(("PREFECT", "COMMONS"))}
        return own | dict(self.people[person])

    @contextmanager
    def person(self, person: str) -> Iterator[None]:
        """This process acts as a person."""
        before = {name: os.environ.pop(name, None) for name in FROM_THE_ENVIRONMENT}
        os.environ.update(self.people[person])
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


def send(pool: Pool, folder: Path) -> Sending:
    """Sends a submission to the drop of the company whose manifest it has."""
    company = json.loads((folder / "manifest.json").read_text())["company"]
    make_local_drops(pool)
    keys = public_keys(pool)
    with drop_of(pool, company) as drop:
        return submit(folder, drop, keys["pool_recipient"], pool_key=keys["pool_key"])


def free_port() -> int:
    for _ in range(50):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port < 55_000:  # weed takes port + 10000 too
            return port
    raise RuntimeError("no free port")


def local_store(folder: Path) -> Store:
    drops = folder / "drops"
    for company in COMPANIES:
        (drops / company).mkdir(parents=True)
    return Store("local", str(drops), {person: {} for person in (*COMPANIES, "pool", "stranger")}, folder=drops)


def s3_credentials(person: str) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": f"key-of-{person}",
        "AWS_SECRET_ACCESS_KEY": f"secret-of-{person}-kzq",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def s3_store(folder: Path) -> Iterator[Store]:
    """An S3 server; a company may read and write its own prefix, the pool all. Stopped with SIGKILL: it stops slowly otherwise."""
    weed = shutil.which("weed") or Path(sys.executable).parent / "weed"
    if not Path(weed).exists():
        pytest.skip("no weed: install the development requirements")

    def identity(person: str, *actions: str) -> dict[str, object]:
        own = s3_credentials(person)
        credentials = [{"accessKey": own["AWS_ACCESS_KEY_ID"], "secretKey": own["AWS_SECRET_ACCESS_KEY"]}]
        return {"name": person, "credentials": credentials, "actions": list(actions)}

    def limited(company: str) -> list[str]:
        return [f"{action}:pool/drops/{company}/*" for action in ("Read", "Write", "List")]

    identities = [identity("pool", "Admin", "Read", "Write", "List"), *(identity(c, *limited(c)) for c in COMPANIES)]
    (folder / "s3.json").write_text(json.dumps({"identities": identities}))
    for attempt in range(3):  # another process may take a port between our asking for it and the server's
        ports = {name: free_port() for name in ("s3", "master", "volume", "filer")}
        data = folder / f"data-{attempt}"
        data.mkdir()
        command = [
            weed, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={data}", "-s3", f"-s3.config={folder / 's3.json'}",
            *(f"-{name}.port={port}" for name, port in ports.items()), "-master.volumeSizeLimitMB=64", "-volume.max=50",
            "-s3.port.iceberg=0", "-s3.port.lance=0",  # these would listen on ports of their own choice
        ]  # fmt: skip
        endpoint = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports['s3']}"}
        people = {person: endpoint | s3_credentials(person) for person in (*COMPANIES, "pool", "stranger")}
        store = Store("s3", "s3://pool/drops", people, tuple(f"of-{person}" for person in people), clock_ticks=1.0)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            if _is_ready(store, process):
                yield store
                return
        finally:
            process.kill()
            process.wait(10)
    pytest.fail("the S3 server does not start")


def _is_ready(store: Store, process: subprocess.Popen[bytes]) -> bool:
    import s3fs

    end = time.monotonic() + 90
    with store.person("pool"):
        while time.monotonic() < end and process.poll() is None:
            try:
                own = s3fs.S3FileSystem(endpoint_url=os.environ["AWS_ENDPOINT_URL"], skip_instance_cache=True)
                own.call_s3("create_bucket", Bucket="pool")
                own.pipe_file("pool/ready", b"1")
                return True
            except Exception:
                time.sleep(0.3)
    return False


@contextmanager
def sftp_store(folder: Path) -> Iterator[Store]:
    """An OpenSSH server on loopback with keys of its own making; every person is this user, told apart by the key."""
    sshd = shutil.which("sshd") or "/usr/sbin/sshd"
    if not Path(sshd).exists() or shutil.which("ssh-keygen") is None:
        pytest.skip("no sshd: install openssh-server")
    for name in ("host", "other-host", "user", "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True, capture_output=True)
    (folder / "authorized_keys").write_text((folder / "user.pub").read_text())
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    drops = folder / "drops"
    for company in COMPANIES:
        (drops / company).mkdir(parents=True)
    known = {"COMMONS_SFTP_KNOWN_HOSTS": str(folder / "known-host")}
    people = {
        **{person: {"COMMONS_SFTP_KEY": str(folder / "user"), **known} for person in (*COMPANIES, "pool")},
        "stranger": {"COMMONS_SFTP_KEY": str(folder / "stranger"), **known},
        "deceived": {"COMMONS_SFTP_KEY": str(folder / "user"), "COMMONS_SFTP_KNOWN_HOSTS": str(folder / "known-other-host")},
        "newcomer": {"COMMONS_SFTP_KEY": str(folder / "user"), "COMMONS_SFTP_KNOWN_HOSTS": str(folder / "none")},
    }
    user = os.environ.get("USER") or subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    secrets = ("OPENSSH PRIVATE KEY", str(folder / "user"), str(folder / "stranger"))
    for _ in range(3):  # another process may take the port between our asking for it and the server's
        port = free_port()
        _configure_sshd(folder, port)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [sshd, "-D", "-e", "-f", folder / "config"],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        store = Store("sftp", f"sftp://{user}@127.0.0.1:{port}{drops}", people, secrets, folder=drops, clock_ticks=1.0)
        try:
            if _is_listening(store, process):
                yield store
                return
        finally:
            with suppress(ProcessLookupError):  # it has ended by itself
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
    pytest.fail("the SFTP server does not start")


def _configure_sshd(folder: Path, port: int) -> None:
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder / 'host'}\nAuthorizedKeysFile {folder / 'authorized_keys'}\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
        f"PidFile none\nSubsystem sftp internal-sftp\nMaxStartups 100\n"
    )
    for name in ("host", "other-host"):
        kind, key, *_ = (folder / f"{name}.pub").read_text().split()
        (folder / f"known-{name}").write_text(f"[127.0.0.1]:{port} {kind} {key}\n")


def _is_listening(store: Store, process: subprocess.Popen[bytes]) -> bool:
    """Whether it is our own server that answers there: another would not have its host key."""
    end = time.monotonic() + 90
    while time.monotonic() < end and process.poll() is None:
        with suppress(TransportError), store.person("pool"), open_drop(store.url("alder")) as drop:
            drop.entries("in", 1)
            return True
        time.sleep(0.1)
    return False
