"""The retention flow: what may not be held any more is destroyed, and shown to be gone."""

import time
from datetime import UTC, datetime
from pathlib import Path

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.deaths import refuse_after_deaths
from flows.guard import guarded
from flows.logs import Event, errors_logged, log
from flows.pool import Pool
from flows.purging import holdings, purge, to_purge
from flows.sweeping import sweep


@task(name="purge", retries=0, cache_policy=NO_CACHE)
def purge_task(root: str) -> dict[str, int]:
    """Destroys the keys of what is over by `pool.toml`, and removes leftovers. Returns counts."""
    return guarded(_purge_due, Pool(Path(root)))


def _purge_due(pool: Pool) -> dict[str, int]:
    now = datetime.now(UTC)
    done = purge(pool, to_purge(holdings(pool), now, due=True), "schedule", close_quarters=True)
    return {"purged": len(done), **sweep(pool, now)}


@flow(name="retention", validate_parameters=False)
def retention(root: str) -> dict[str, int]:
    """Destroys what may not be held any more. Interrupted, the next run resumes."""
    pool, start = Pool(Path(root)), time.monotonic()
    with errors_logged(pool):
        guarded(refuse_after_deaths)
        done = purge_task(root)
    log(pool, Event.RETENTION_ENDED, seconds=time.monotonic() - start)
    return done
