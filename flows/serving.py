"""A pool on a schedule: deploying to a Prefect server, and one that a small convener runs on its own machine."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from flows.deployments import WORK_POOL, deployments, write_prefect_file
from flows.pool import Pool
from flows.prefect_home import SETTINGS
from flows.progress import tell
from schemas.errors import TransportError

START_SECONDS = 600  # a busy machine takes minutes; one that failed is noticed at once
_LOOK_SECONDS = 0.5


def deploy(pool: Pool, api: str) -> list[str]:
    """Makes work pool, deployments and automations on a server, in place of earlier ones; returns the deployments' names.

    Raises TransportError where the server does not answer or refuses.
    """
    path = write_prefect_file(pool)
    environment = _environment(pool, api)
    _prefect(environment, "work-pool", "create", WORK_POOL, "--type", "process", "--overwrite")
    _prefect(environment, "--no-prompt", "deploy", "--all", "--prefect-file", str(path))
    _run(environment, [sys.executable, "-c", "from flows.automations import make_automations; make_automations()"])
    return [each["name"] for each in deployments(pool)]


def serve(pool: Pool, host: str, port: int, workers: int, metrics_port: int = 0) -> None:
    """Runs a server, deploys, and runs a worker, until told to stop (SIGTERM, SIGINT) or until one of the two ends.

    Args:
        workers: runs at the same time, at most.
        metrics_port: of the pool's metrics, on the same host; 0: they are not served.

    Raises TransportError where one of them does not start, or ends by itself.
    """
    api = f"http://{host}:{port}/api"
    _refuse_taken(host, port)
    environment = _environment(pool, api)
    server = _command("server", "start", "--host", host, "--port", str(port))
    with (
        _metrics_served(pool, host, metrics_port),
        _running(server, environment, pool.root / "prefect" / "server.log") as running,
    ):
        _wait_until_healthy(api, running)
        tell("server", 1.0)
        deploy(pool, api)
        tell("deployed", 1.0)
        worker = _command("worker", "start", "--pool", WORK_POOL, "--type", "process", "--limit", str(workers))
        with _running(worker, environment, pool.root / "prefect" / "worker.log") as working, _stopped_by_signal() as stopped:
            tell("worker", 1.0)
            while not stopped:
                if any(process.poll() is not None for process in (running, working)):
                    raise TransportError("The Prefect server or its worker ended.", "See prefect/*.log below the pool's root.")
                time.sleep(_LOOK_SECONDS)


@contextmanager
def _metrics_served(pool: Pool, host: str, port: int) -> Iterator[None]:
    if not port:
        yield
        return
    from flows.metrics import serve_metrics

    end = serve_metrics(pool, host, port)
    try:
        yield
    finally:
        end()


def _environment(pool: Pool, api: str) -> dict[str, str]:
    home = str(pool.root.resolve() / "prefect")
    return {**SETTINGS, "PREFECT_HOME": home, **os.environ, "PREFECT_API_URL": api}


def _command(*arguments: str) -> list[str]:
    return [str(Path(sys.executable).parent / "prefect"), *arguments]


def _prefect(environment: dict[str, str], *arguments: str) -> None:
    _run(environment, _command(*arguments))


def _run(environment: dict[str, str], command: Sequence[str]) -> None:
    log = Path(environment["PREFECT_HOME"]) / "deploy.log"
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with log.open("ab") as sink:
        done = subprocess.run(command, env=environment, stdout=sink, stderr=sink, check=False)  # noqa: S603  (our own words only)
    if done.returncode:
        raise TransportError(
            "The Prefect server refused a deployment, or does not answer.", "See prefect/deploy.log below the pool's root."
        )


def _refuse_taken(host: str, port: int) -> None:
    """What answers on the port already is another pool's server, as likely as not: deploying there would replace that pool's deployments."""
    taken = False
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError:
        taken = True
    if taken:
        raise TransportError(f"Port {port} is in use, or the address is not this machine's.", "Give another one with --port.")


def _wait_until_healthy(api: str, server: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{api}/health", timeout=1):  # noqa: S310  (an address of ours)
                return
        except OSError:
            time.sleep(_LOOK_SECONDS)
    raise TransportError("The Prefect server did not start.", "Is its port in use? See prefect/server.log below the pool's root.")


@contextmanager
def _running(command: Sequence[str], environment: dict[str, str], log: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """A process with its children, all ended on the way out, and also where this one is killed."""
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with log.open("ab") as sink:
        kept = [sys.executable, "-m", "flows.with_parent", str(os.getpid()), *command]
        process = subprocess.Popen(kept, env=environment, stdout=sink, stderr=sink, start_new_session=True)  # noqa: S603
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def _stopped_by_signal() -> Iterator[list[int]]:
    """A list that is not empty any more once the process was told to stop."""
    told: list[int] = []
    before = {number: signal.signal(number, lambda given, _: told.append(given)) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
