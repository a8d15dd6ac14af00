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
from pathlib import Path
from typing import Any

import pytest
from prefect_server import own_environment

from flows.pool import Pool
from sample_data.parameters import SimulationParameters
from sample_data.simulate import simulate

COMMONS = Path(sys.executable).parent / "commons"

pytestmark = pytest.mark.long


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
    ended = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
    state = until(lambda: found if (found := asked(api, f"/flow_runs/{run}")["state_type"]) in ended else None, process)
    assert state == "COMPLETED"


def test_runs_that_die_are_ended_and_somebody_is_told(served: tuple[Pool, str, "subprocess.Popen[bytes]"]) -> None:
    _, api, process = served
    names = until(lambda: {each["name"] for each in asked(api, "/automations/filter", {})} or None, process)
    assert {"a run that died is ended", "a run that died is begun anew", "a run failed", "a run is late"} <= names


def test_told_to_stop_it_leaves_no_process_behind(served: tuple[Pool, str, "subprocess.Popen[bytes]"]) -> None:
    pool, api, process = served
    until(lambda: deployed(api), process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(90) == 0
    home = str(pool.root)
    left = [each.name for each in Path("/proc").iterdir() if each.name.isdigit() and home in _environment_of(each.name)]
    assert not left
    with pytest.raises(urllib.error.URLError):
        asked(api, "/health")


def _environment_of(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/environ").read_text(errors="replace") if int(pid) != os.getpid() else ""
    except OSError:
        return ""
