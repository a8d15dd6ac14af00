"""Fixtures of this folder; what they are built from stands in `filled_pool.py`."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filled_pool import filled_once

from flows.pool import Pool

# Found by every Python that is started with its folder on PYTHONPATH: it kills a worker that is about to put in place what it
# scrubbed of a submission, the first so many times.
KILLING = """
import os, signal, sys
from pathlib import Path

def hook(event, arguments):
    if event != "os.rename" or ".parquet." not in str(arguments[0]):
        return
    for line in Path({plan!r}).read_text().splitlines():
        digest, times = line.split()
        if digest in str(arguments[0]):
            killed = Path({plan!r} + "." + digest)
            count = len(killed.read_text()) if killed.exists() else 0
            if count < int(times):
                killed.write_text("x" * (count + 1))
                os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hook)
"""


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool with scrubbed records of one quarter and four registered people."""
    return filled_once(tmp_path_factory.getbasetemp())


@pytest.fixture
def pool(filled: Path, tmp_path: Path) -> Pool:
    """A copy of the filled pool for each test."""
    shutil.copytree(filled, tmp_path / "pool")
    return Pool(tmp_path / "pool")


@pytest.fixture
def killing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, int]], None]:
    """Says how often a worker is killed over a submission, by its digest."""
    folder, plan = tmp_path / "hook", tmp_path / "plan"
    folder.mkdir()
    plan.write_text("")
    (folder / "sitecustomize.py").write_text(KILLING.format(plan=str(plan)))
    monkeypatch.setenv("PYTHONPATH", str(folder))

    def plan_deaths(times: dict[str, int]) -> None:
        plan.write_text("".join(f"{digest} {n}\n" for digest, n in times.items()))

    return plan_deaths
