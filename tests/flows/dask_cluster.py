"""A real Dask cluster of processes on this machine, or with workers in network namespaces of their own, started from its command line."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from prefect_server import own_environment

DASK = Path(sys.executable).parent / "dask"
QUIET = {
    "DASK_DISTRIBUTED__COMM__COMPRESSION": "False",  # what is listened to can be read
    "DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "debug",
    "OMP_NUM_THREADS": "1",
}


@dataclass
class Cluster:
    """The scheduler's address, its workers' processes (each with a nanny, that begins a worker anew) and where all of them log."""

    address: str
    folder: Path
    workers: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def kill_machine(self, number: int) -> None:
        """Kills a worker together with its nanny, as a machine that loses power does."""
        os.killpg(self.workers[number].pid, signal.SIGKILL)

    def logged(self) -> bytes:
        return b"".join(path.read_bytes() for path in sorted(self.folder.glob("*.log")))


@contextmanager
def dask_cluster(
    folder: Path,
    environment: Mapping[str, str] | None = None,
    *,
    protocol: str = "tcp",
    places: Sequence[tuple[str, Sequence[str]]] = (("127.0.0.1", ()), ("127.0.0.1", ())),
    host: str = "127.0.0.1",
    heard: bytearray | None = None,
) -> Iterator[Cluster]:
    """Runs a scheduler and a worker for each place.

    Args:
        environment: of scheduler and workers, beside this process's own.
        places: for each worker, under which address it finds the scheduler, and what its command begins with.
        heard: all bytes that the scheduler sends and gets are added to it, where one is given.
    """
    folder.mkdir(parents=True, exist_ok=True)
    given = own_environment() | QUIET | {"PREFECT_HOME": str(folder / "prefect")} | dict(environment or {})
    port = free_port(host)
    with ExitStack() as stack:
        options = ["--protocol", protocol, "--host", f"{protocol}://{host}:{port}", "--no-dashboard"]
        stack.enter_context(_process([DASK, "scheduler", *options], given, folder / "scheduler.log"))
        _until_open(host, port)
        seen = stack.enter_context(listener(port, heard)) if heard is not None else port
        cluster = Cluster(f"{protocol}://{places[0][0]}:{seen}", folder)
        for number, (address, before) in enumerate(places):
            options = ["--nthreads", "1", "--no-dashboard", "--memory-limit", "0", "--local-directory", str(folder / str(number))]
            command = [*before, DASK, "worker", f"{protocol}://{address}:{seen}", "--name", f"worker-{number}", *options]
            cluster.workers.append(stack.enter_context(_process(command, given, folder / f"worker-{number}.log")))
        yield cluster


@contextmanager
def _process(command: Sequence[str | Path], environment: Mapping[str, str], log: Path) -> "Iterator[subprocess.Popen[bytes]]":
    with log.open("wb") as sink:
        process = subprocess.Popen(command, env=environment, stdout=sink, stderr=sink, start_new_session=True)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port(host: str = "127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _until_open(host: str, port: int) -> None:
    while True:  # the test's time-out is what ends it
        with suppress(OSError), socket.create_connection((host, port)):
            return
        time.sleep(0.05)


@contextmanager
def listener(port: int, heard: bytearray) -> Iterator[int]:
    """Passes on what comes to the port that it gives, and keeps a copy of both directions."""
    lock = threading.Lock()

    def passed(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                with lock:
                    heard.extend(data)
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def accepted() -> None:
        with suppress(OSError):
            while True:
                near = server.accept()[0]
                far = socket.create_connection(("127.0.0.1", port))
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=passed, args=ends, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accepted, daemon=True).start()
        yield int(server.getsockname()[1])


@contextmanager
def namespaces(names: Sequence[str]) -> Iterator[list[tuple[str, list[str]]]]:
    """Network namespaces that reach this one and not each other: each with the address of this one there, and what runs a command in it.

    Raises CalledProcessError or FileNotFoundError where the machine does not allow it.
    """
    with ExitStack() as stack:
        found = []
        for number, name in enumerate(names):
            here, there = f"10.213.{number}.1", f"10.213.{number}.2"
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "del", name)
            _ip("link", "add", f"{name}h", "type", "veth", "peer", "name", f"{name}w", "netns", name)
            _ip("addr", "add", f"{here}/24", "dev", f"{name}h")
            _ip("link", "set", f"{name}h", "up")
            for change in (
                ("addr", "add", f"{there}/24", "dev", f"{name}w"),
                ("link", "set", f"{name}w", "up"),
                ("link", "set", "lo", "up"),
                ("route", "add", "default", "via", here),
            ):
                _ip("-n", name, *change)
            found.append((here, ["ip", "netns", "exec", name]))
        yield found


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
