"""A release run on real Prefect waits until both have signed, whoever presses its buttons, and then publishes by itself."""

import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filled_pool import QUARTER, key
from prefect_server import own_environment, prefect_server

from flows import release as release_flow
from flows.pool import Pool
from flows.release_steps import approve_release, make_plan
from publish.path import State
from publish.store import state_of
from schemas.errors import TransportError

COMMONS = Path(sys.executable).parent / "commons"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prefect_server(tmp_path_factory.mktemp("prefect")) as found:
        yield found


def asked(api: str, path: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{api}{path}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read() or b"null")


def until(found: Callable[[], Any], process: "subprocess.Popen[str]") -> Any:
    """Asks again until there is an answer, or the command has ended without it."""
    while not (answer := found()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.2)
    return answer


def states(api: str, run: str) -> list[str]:
    return [state["type"] for state in asked(api, f"/flow_run_states/?flow_run_id={run}")]


def test_it_pauses_until_both_have_signed_and_publishes_then(api: str, pool: Pool) -> None:
    make_plan(pool, QUARTER, key(pool, "olga"))
    process = subprocess.Popen(
        [COMMONS, "publish", str(QUARTER), "--wait", "--root", pool.root],
        env=own_environment() | {"PREFECT_API_URL": api},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        paused = {"flow_runs": {"state": {"type": {"any_": ["PAUSED"]}}}}
        (run,) = until(lambda: asked(api, "/flow_runs/filter", paused), process)
        assert state_of(pool.engine, QUARTER, 1) is State.CHECKED
        approve_release(pool, QUARTER, key(pool, "carl"))
        # Prefect has no identities: one who resumes the run on its page has signed nothing.
        assert asked(api, f"/flow_runs/{run['id']}/resume", {})["status"] == "ACCEPT"
        until(lambda: states(api, run["id"]).count("PAUSED") == 2, process)
        assert state_of(pool.engine, QUARTER, 1) is State.CHECKED and not list(pool.releases.glob("*/v*"))
        approve_release(pool, QUARTER, key(pool, "petra"))
        out, err = process.communicate()
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert "published:" in out
    assert states(api, run["id"])[-1] == "COMPLETED"
    assert state_of(pool.engine, QUARTER, 1) is State.PUBLISHED and (pool.releases / str(QUARTER) / "v1" / "brief.html").exists()


def test_a_state_that_is_away_for_a_moment_does_not_end_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, resumed = list[str](), threading.Event()

    def signed(_: str, quarter: str) -> bool:
        looks.append(quarter)
        if len(looks) == 1:
            raise TransportError("The state database does not answer any more.", "")
        return True

    class Client:
        def __enter__(self) -> "Client":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def resume_flow_run(self, _: object) -> None:
            resumed.set()

    monkeypatch.setattr(release_flow, "_signed", signed)
    monkeypatch.setattr(release_flow, "get_client", lambda **_: Client())
    monkeypatch.setattr(release_flow, "LOOK_SECONDS", 0.01)
    with release_flow._resumed_once_signed("pool", str(QUARTER)):
        assert resumed.wait(30)
    assert len(looks) >= 2
