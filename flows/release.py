"""The release flow: measure, check and, once two people have signed, publish."""

from pathlib import Path
from typing import Any, Literal

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.guard import guarded
from flows.pool import Pool
from flows.progress import tell
from flows.release_steps import check_release, measure_release, publish_release
from schemas.periods import Quarter

Stage = Literal["measure", "check", "publish"]


# No retry: a retried draw would be refused by the ledger, which holds the first one as spent.
@task(name="measure", retries=0, cache_policy=NO_CACHE)
def measure_task(root: str, quarter: str) -> dict[str, Any]:
    """Measures the registered plan; returns public facts only."""
    measured = guarded(measure_release, Pool(Path(root)), Quarter.parse(quarter))
    cells = sum(table.rows.num_rows for table in measured.cell_tables)
    return {"version": measured.version, "plan": measured.plan.hash, "cells": cells, "epsilon": measured.spend.epsilon}


@task(name="check", retries=1, cache_policy=NO_CACHE)
def check_task(root: str, quarter: str) -> dict[str, Any]:
    """Runs the checks; returns their names and results."""
    results = guarded(check_release, Pool(Path(root)), Quarter.parse(quarter))
    return {result.name: result.passed for result in results}


@task(name="publish", retries=1, cache_policy=NO_CACHE)
def publish_task(root: str, quarter: str) -> dict[str, Any]:
    """Writes the release; returns its folder, and what was skipped on this machine with the reason."""
    written = guarded(publish_release, Pool(Path(root)), Quarter.parse(quarter))
    return {"folder": str(written.folder), "skipped": list(written.manifest.get("skipped", {}).values())}


@flow(name="release", validate_parameters=False)
def release(root: str, quarter: str, until: Stage) -> dict[str, Any]:
    """Takes a quarter's release up to a stage. Every stage may be repeated; what was answered is answered the same."""
    result: dict[str, Any] = {"measure": measure_task(root, quarter)}
    tell(f"measure {quarter}", 1.0)
    if until in ("check", "publish"):
        result["check"] = check_task(root, quarter)
        tell(f"check {quarter}", 1.0)
    if until == "publish":
        result["publish"] = publish_task(root, quarter)
        tell(f"publish {quarter}", 1.0)
    return result
