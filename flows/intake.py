"""The intake flow: every submission in the drops, then the scrub. Parameters, states and artifacts hold no private value."""

import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.artifacts import show_intake, show_scrub
from flows.deaths import refuse_after_deaths
from flows.drops import in_turns, waiting_by_company
from flows.guard import guarded
from flows.intake_steps import clear_leftovers, take_in_submission
from flows.logs import Event, errors_logged, log, log_error
from flows.pool import Pool
from flows.progress import tell
from flows.scrub_reports import deliver_scrub_reports
from flows.scrubbing import pending_parts, scrub_parts
from schemas.errors import CommonsError, OutOfSpaceError


@task(name="take in", retries=1, retry_delay_seconds=1, cache_policy=NO_CACHE)
def take_in_task(root: str, company: str, submission: str) -> dict[str, Any]:
    """One submission in a company's drop, by its digest. Repeating it is safe: it ends in the same state as once."""
    return guarded(take_in_submission, Pool(Path(root)), company, submission)


# No retry: what could be tried again was, and a canary that survived survives again.
@task(name="scrub", retries=0, cache_policy=NO_CACHE)
def scrub_task(root: str) -> dict[str, Any]:
    """All parts that are not scrubbed yet, on the engine's own workers; finished parts are kept, and companies are told of them."""
    pool = Pool(Path(root))
    start = time.monotonic()
    pending = guarded(pending_parts, pool)
    size = sum(part.source.stat().st_size for part in pending)
    try:
        report = guarded(scrub_parts, pool, pending)
    finally:
        guarded(deliver_scrub_reports, pool)
    if pending:
        log(pool, Event.SCRUB_BATCH, rows=report.records, bytes=size, seconds=time.monotonic() - start)
        show_scrub(len(pending), report.as_dict())
    return {"parts": len(pending), **report.as_dict()}


@flow(name="intake", validate_parameters=False)
def intake(root: str, company: str = "") -> dict[str, Any]:
    """Takes in what lies in the drops (of one company, where one is given) and scrubs what was accepted. Returns counts and codes only.

    Once one company's submissions took as long as one may take, its others wait for the next run: `left_waiting` counts them.
    """
    pool, start = Pool(Path(root)), time.monotonic()
    log(pool, Event.INGEST_STARTED)
    with errors_logged(pool):
        guarded(refuse_after_deaths)
        guarded(clear_leftovers, pool)
        found = guarded(waiting_by_company, pool, company)
    failed = [error for error in found.values() if isinstance(error, CommonsError)]
    results, arrivals = [], in_turns(found)
    spent, most, left = defaultdict[str, float](float), pool.settings.intake.most_seconds, 0
    for done, arrival in enumerate(arrivals, start=1):
        if spent[arrival.company] >= most:
            left += 1
            continue
        begun = time.monotonic()
        try:
            results.append(take_in_task(root, arrival.company, arrival.digest))
        except CommonsError as error:  # one that breaks us, or has no room, keeps nobody else waiting; it stays in the drop
            log_error(pool, error)
            failed.append(error)
        spent[arrival.company] += time.monotonic() - begun
        tell("intake", done / len(arrivals))
    if arrivals:
        show_intake(results, left)
    with errors_logged(pool):
        scrubbed = scrub_task(root)
    if failed:
        told = next((error for error in failed if isinstance(error, OutOfSpaceError)), failed[0])
        raise type(told)(told.message, told.next_step)
    whose: dict[str, Any] = {"company": company} if company else {}
    rows = sum(each["records"] for each in results)
    log(pool, Event.INGEST_ENDED, rows=rows, seconds=time.monotonic() - start, **whose)
    return {"submissions": results, "left_waiting": left, "scrub": scrubbed}
