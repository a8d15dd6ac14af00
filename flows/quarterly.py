"""The scheduled release: whichever registered plan waits is measured and checked, and published once two people have signed."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from prefect import flow

from flows.deaths import refuse_after_deaths
from flows.guard import guarded
from flows.logs import Event, errors_logged, log
from flows.pool import Pool
from flows.release import release
from flows.release_steps import is_approved
from publish.path import State, has_reached
from publish.store import states
from schemas.errors import CommonsError
from schemas.periods import Quarter


def waiting_quarters(pool: Pool) -> list[Quarter]:
    """Quarters with a registered plan of which the latest version is not published, the oldest first."""
    latest: dict[Quarter, tuple[int, State]] = {}
    for (quarter, version), state in states(pool.engine).items():
        place = Quarter.parse(quarter)
        if version >= latest.get(place, (0, state))[0]:
            latest[place] = (version, state)
    return sorted(quarter for quarter, (_, state) in latest.items() if not has_reached(state, State.PUBLISHED))


def unplanned_quarter(pool: Pool, now: datetime) -> Quarter | None:
    """The newest quarter that is closed and has accepted records but no plan: an operator has to register one."""
    held = {submission.quarter for submission in pool.catalogue.accepted()}
    closed = [q for q in held if q.end + timedelta(days=pool.privacy.close_days) <= now and pool.ledger.plan(q) is None]
    return max(closed, default=None)


@flow(name="quarterly", validate_parameters=False)
def quarterly(root: str) -> dict[str, Any]:
    """Takes every waiting release as far as it can go: measured and checked, or, where both have signed, published.

    Plans are made by people: `unplanned` names a closed quarter that has none.
    """
    pool, done, start = Pool(Path(root)), {}, time.monotonic()
    with errors_logged(pool):
        guarded(refuse_after_deaths)
        waiting = guarded(waiting_quarters, pool)
    failed: CommonsError | None = None
    for quarter in waiting:  # each tells of its own errors; one that is stuck, on a person or for good, keeps no other back
        try:
            with errors_logged(pool):
                signed = guarded(is_approved, pool, quarter)
            done[str(quarter)] = release(root, str(quarter), "publish" if signed else "check")
        except CommonsError as error:
            failed = failed or type(error)(error.message, error.next_step)
    with errors_logged(pool):
        unplanned = guarded(unplanned_quarter, pool, datetime.now(UTC))
    if failed:
        raise failed
    log(pool, Event.RELEASE_ENDED, seconds=time.monotonic() - start)
    return {"releases": done, "unplanned": str(unplanned or "")}
