"""The release flow: measure, check and, once two people have signed, publish.

A run that is told to wait is paused in Prefect until both have signed. Prefect knows no identities, so it approves nothing: a
run that somebody resumes on its page finds no signatures and pauses again.
"""

import contextvars
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.flow_runs import pause_flow_run
from prefect.runtime import flow_run

from flows.artifacts import show_budget, show_checks
from flows.guard import guarded
from flows.logs import errors_logged
from flows.pool import Pool
from flows.progress import tell
from flows.release_steps import check_release, is_approved, measure_release, publish_release
from schemas.periods import Quarter

WAIT_SECONDS = 30 * 86_400  # a run that is started again after that goes on where this one was
LOOK_SECONDS = 2

Stage = Literal["measure", "check", "publish"]


# No retry: a retried draw would be refused by the ledger, which holds the first one as spent.
@task(name="measure", retries=0, cache_policy=NO_CACHE)
def measure_task(root: str, quarter: str) -> dict[str, Any]:
    """Measures the registered plan; returns public facts only."""
    pool = Pool(Path(root))
    measured = guarded(measure_release, pool, Quarter.parse(quarter))
    guarded(show_budget, pool)
    cells = sum(table.rows.num_rows for table in measured.cell_tables)
    return {"version": measured.version, "plan": measured.plan.hash, "cells": cells, "epsilon": measured.spend.epsilon}


@task(name="check", retries=1, cache_policy=NO_CACHE)
def check_task(root: str, quarter: str) -> dict[str, Any]:
    """Runs the checks; returns their names and results."""
    results = guarded(check_release, Pool(Path(root)), Quarter.parse(quarter))
    guarded(show_checks, quarter, results)
    return {result.name: result.passed for result in results}


@task(name="publish", retries=1, cache_policy=NO_CACHE)
def publish_task(root: str, quarter: str) -> dict[str, Any]:
    """Writes the release; returns its folder, and what was skipped on this machine with the reason."""
    written = guarded(publish_release, Pool(Path(root)), Quarter.parse(quarter))
    return {"folder": str(written.folder), "skipped": list(written.manifest.get("skipped", {}).values())}


def _signed(root: str, quarter: str) -> bool:
    return guarded(is_approved, Pool(Path(root)), Quarter.parse(quarter))


def _wait_for_signatures(root: str, quarter: str) -> None:
    """Pauses the run until both have signed."""
    while not _signed(root, quarter):
        tell(f"waits for signatures of {quarter}", 0.0)
        with _resumed_once_signed(root, quarter):
            pause_flow_run(timeout=WAIT_SECONDS, poll_interval=LOOK_SECONDS)
    tell(f"waits for signatures of {quarter}", 1.0)


@contextmanager
def _resumed_once_signed(root: str, quarter: str) -> Iterator[None]:
    """Resumes this run as soon as both have signed: approvers need no access to Prefect."""
    run, over = flow_run.id, threading.Event()

    def look() -> None:
        while not over.wait(LOOK_SECONDS):
            with suppress(Exception):  # database or server away for a moment: the next look does it
                if _signed(root, quarter):
                    with get_client(sync_client=True) as client:
                        client.resume_flow_run(run)  # refused while the run is not paused yet: then the next look does it

    watcher = threading.Thread(target=contextvars.copy_context().run, args=(look,), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


@flow(name="release", validate_parameters=False)
def release(root: str, quarter: str, until: Stage, wait: bool = False) -> dict[str, Any]:
    """Takes a quarter's release up to a stage. Every stage may be repeated; what was answered is answered the same.

    With `wait` a run until `publish` is paused until both have signed; without it publishing is refused before that.
    """
    with errors_logged(Pool(Path(root))):
        return _release(root, quarter, until, wait)


def _release(root: str, quarter: str, until: Stage, wait: bool) -> dict[str, Any]:
    result: dict[str, Any] = {"measure": measure_task(root, quarter)}
    tell(f"measure {quarter}", 1.0)
    if until in ("check", "publish"):
        result["check"] = check_task(root, quarter)
        tell(f"check {quarter}", 1.0)
    if until == "publish":
        if wait:
            _wait_for_signatures(root, quarter)
        result["publish"] = publish_task(root, quarter)
        tell(f"publish {quarter}", 1.0)
    return result
