"""A pool on its schedules, on a real Prefect server with a real worker."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prefect_server import own_environment
from stores import send

from flows.pool import Pool
from flows.scrubbing import parts
from sample_data.parameters import SimulationParameters
from sample_data.simulate import simulate
from schemas.errors import ExitCode

COMMONS = Path(sys.executable).parent / "commons"

ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


def asked(api: str, path: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{api}{path}", data, {"Content-Type": "application/json"})) as answer:
        return json.loads(answer.read() or b"null")


def until(found: Callable[[], Any], process: "subprocess.Popen[bytes]") -> Any:
    while True:
        try:
            answer = found()
        except urllib.error.URLError:
            answer = None
        if answer:
            return answer
        assert process.poll() is None, "commons serve ended"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pool, str, "subprocess.Popen[bytes]"]]:
    root = tmp_path_factory.mktemp("served")
    simulate(root / "made", SimulationParameters(seed=41, users=60, quarters=1, text_share=0.0))
    (root / "config").mkdir()
    shutil.copy(root / "made" / "companies.toml", root / "config")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([COMMONS, "serve", "--root", root, "--port", str(port)], env=own_environment())
    try:
        yield Pool(root), f"http://127.0.0.1:{port}/api", process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def deployed(api: str) -> dict[str, str]:
    return {each["name"]: each["id"] for each in asked(api, "/deployments/filter", {})}


def test_cron_deployments_have_scheduled_runs(served: tuple[Pool, str, "subprocess.Popen[bytes]"]) -> None:
    pool, api, process = served
    expected = {*(f"intake-{company}" for company in pool.registry.companies), "release", "retention"}
    ids = until(lambda: found if set(found := deployed(api)) == expected else None, process)
    scheduled = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}

    def all_scheduled() -> bool:
        return {run["deployment_id"] for run in asked(api, "/flow_runs/filter", scheduled)} == set(ids.values())

    assert until(all_scheduled, process)


def test_a_run_is_taken_up_by_the_worker_and_its_state_can_be_read(served: tuple[Pool, str, "subprocess.Popen[bytes]"]) -> None:
    pool, api, process = served
    company = next(iter(pool.registry.companies))
    ids = until(lambda: found if f"intake-{company}" in (found := deployed(api)) else None, process)
    run = asked(api, f"/deployments/{ids[f'intake-{company}']}/create_flow_run", {})["id"]
    state = until(lambda: found if (found := asked(api, f"/flow_runs/{run}")["state_type"]) in ENDED else None, process)
    assert state == "COMPLETED"


def test_runs_that_die_are_ended_and_somebody_is_told(served: tuple[Pool, str, "subprocess.Popen[bytes]"]) -> None:
    _, api, process = served
    names = until(lambda: {each["name"] for each in asked(api, "/automations/filter", {})} or None, process)
    assert {"a run that died is ended", "a run that died is begun anew", "a run failed", "a run is late"} <= names


def test_deployed_again_what_watches_over_runs_goes_on_watching(served: tuple[Pool, str, "subprocess.Popen[bytes]"]) -> None:
    """A new automation would not know which runs gave a sign before it was made, and never miss theirs."""
    pool, api, process = served

    def watching() -> set[str]:
        return {each["id"] for each in asked(api, "/automations/filter", {})}

    until(lambda: len(watching()) == 4, process)
    before = watching()
    command = [COMMONS, "deploy", "--root", pool.root, "--api", api]
    assert subprocess.run(command, env=own_environment(), check=False).returncode == 0
    assert watching() == before


def test_told_to_stop_it_leaves_no_process_behind(served: tuple[Pool, str, "subprocess.Popen[bytes]"]) -> None:
    pool, api, process = served
    until(lambda: deployed(api), process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(90) == 0
    assert not processes_of(pool)
    with pytest.raises(urllib.error.URLError):
        asked(api, "/health")


def processes_of(pool: Pool, *words: str) -> list[int]:
    """Processes that run for a pool, of those the ones in whose command all words stand."""
    found, home = [], str(pool.root).encode()
    for place in Path("/proc").iterdir():
        if place.name.isdigit() and int(place.name) != os.getpid():
            with suppress(OSError):
                command, surroundings = (place / "cmdline").read_bytes(), (place / "environ").read_bytes()
                if b"PREFECT_HOME=" + home in surroundings and all(word.encode() in command for word in words):
                    found.append(int(place.name))
    return found


# Killed: what a small convener's machine may do to it at any time.


@dataclass
class Convener:
    """A pool with submissions in its drops, and `commons serve`, which can be started again."""

    pool: Pool
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def start(self) -> "subprocess.Popen[bytes]":
        command = [COMMONS, "serve", "--root", self.pool.root, "--port", str(self.port)]
        self.process = subprocess.Popen(command, env=own_environment())
        return self.process

    def taken_in(self, company: str) -> bool:
        """Whether what it sent was accepted once and is scrubbed whole, with nothing unfinished beside it."""
        accepted = [each for each in self.pool.catalogue.audit_rows() if each["company"] == company]
        own = [part for part in parts(self.pool) if part.company == company]
        unfinished = [path for path in self.pool.scrubbed.rglob(".*") if path.is_file()]
        return [each["decision"] for each in accepted] == ["accepted"] and all(p.target.exists() for p in own) and not unfinished


@pytest.fixture
def convener(tmp_path: Path) -> Iterator[Convener]:
    root = tmp_path / "served"
    parameters = SimulationParameters(
        seed=43, users=150, quarters=1, text_share=0.9, text_turns=8, submissions_per_quarter=1, files_per_submission=4
    )
    simulate(root / "made", parameters)
    (root / "config").mkdir()
    shutil.copy(root / "made" / "companies.toml", root / "config")
    for manifest in sorted((root / "made").glob("*/*/manifest.json")):
        send(Pool(root), manifest.parent)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        made = Convener(Pool(root), probe.getsockname()[1])
    made.start()
    try:
        yield made
    finally:
        assert made.process is not None
        made.process.send_signal(signal.SIGTERM)
        made.process.wait(90)


def begun(convener: Convener, company: str) -> tuple[str, str]:
    """A deployment and its run, which is scrubbing."""
    process, name = convener.process, f"intake-{company}"
    assert process is not None
    deployment = until(lambda: deployed(convener.api).get(name), process)
    run = asked(convener.api, f"/deployments/{deployment}/create_flow_run", {})["id"]
    until(lambda: [path for path in convener.pool.scrubbed.rglob("*") if path.is_file()], process)
    assert asked(convener.api, f"/flow_runs/{run}")["state_type"] == "RUNNING"
    return deployment, run


def completed(convener: Convener, deployment: str, process: "subprocess.Popen[bytes]") -> str:
    """The first run of a deployment that is completed."""
    wanted = {"deployments": {"id": {"any_": [deployment]}}, "flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
    found: str = until(lambda: asked(convener.api, "/flow_runs/filter", wanted), process)[0]["id"]
    return found


def kill(*found: int) -> None:
    assert found
    for process in found:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def test_a_run_killed_is_begun_anew(convener: Convener) -> None:
    company = next(iter(convener.pool.registry.companies))
    deployment, run = begun(convener, company)
    kill(*processes_of(convener.pool, "prefect.engine"))
    assert convener.process is not None
    assert completed(convener, deployment, convener.process) != run
    assert asked(convener.api, f"/flow_runs/{run}")["state_type"] == "CRASHED"
    assert convener.taken_in(company)


def test_worker_and_run_killed_the_run_is_ended_and_begun_anew_by_itself(convener: Convener) -> None:
    company = next(iter(convener.pool.registry.companies))
    deployment, run = begun(convener, company)
    kill(*processes_of(convener.pool, "worker", "start"))
    kill(*processes_of(convener.pool, "prefect.engine"))
    assert convener.process is not None and convener.process.wait(120) == ExitCode.TRANSPORT
    process = convener.start()  # as systemd does
    until(lambda: asked(convener.api, f"/flow_runs/{run}")["state_type"] == "CRASHED", process)
    assert completed(convener, deployment, process) != run
    assert convener.taken_in(company)


def test_the_server_killed_the_next_one_knows_its_runs_and_they_come_to_an_end(convener: Convener) -> None:
    company = next(iter(convener.pool.registry.companies))
    deployment, _ = begun(convener, company)
    kill(*processes_of(convener.pool, "server", "start"))
    assert convener.process is not None and convener.process.wait(120) == ExitCode.TRANSPORT
    process = convener.start()
    completed(convener, deployment, process)
    assert convener.taken_in(company)


def test_itself_killed_it_leaves_no_server_behind_that_would_keep_its_port(convener: Convener) -> None:
    company = next(iter(convener.pool.registry.companies))
    deployment, _ = begun(convener, company)
    assert convener.process is not None
    convener.process.kill()
    convener.process.wait()
    while processes_of(convener.pool, "server", "start") or processes_of(convener.pool, "worker", "start"):
        time.sleep(0.2)
    process = convener.start()
    completed(convener, deployment, process)
    assert convener.taken_in(company)
