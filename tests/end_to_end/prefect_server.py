"""A real Prefect server, as a pool with workers has."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.prefect_home import SETTINGS


def own_environment() -> dict[str, str]:
    """This environment without what would point at another server or another pool."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "COMMONS"))}


@contextmanager
def prefect_server(home: Path, host: str = "127.0.0.1", **more: str) -> Iterator[str]:
    """Runs a server whose state lies in `home`, with `more` settings, on an address of this machine, and gives the address of its API."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port = probe.getsockname()[1]
    api = f"http://{host}:{port}/api"
    settings = {**SETTINGS, "PREFECT_HOME": str(home), "PREFECT_SERVER_UI_ENABLED": "false", **more}
    command = [Path(sys.executable).parent / "prefect", "server", "start", "--host", host, "--port", str(port)]
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=own_environment() | settings, stdout=log, stderr=log)
    try:
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"{api}/health", timeout=1):
                    break
            except OSError:
                assert process.poll() is None, "the Prefect server ended"
                time.sleep(0.2)
        yield api
    finally:
        process.terminate()
        process.wait(30)
