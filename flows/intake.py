"""The intake flow: every submission in the drops, then the scrub. Parameters, states and artifacts hold no private value."""

from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.drops import in_turns, waiting_by_company
from flows.guard import guarded
from flows.intake_steps import clear_leftovers, take_in_submission
from flows.pool import Pool
from flows.progress import tell
from flows.scrubbing import pending_parts, scrub_parts
from schemas.errors import CommonsError, OutOfSpaceError


@task(name="take in", retries=1, retry_delay_seconds=1, cache_policy=NO_CACHE)
def take_in_task(root: str, company: str, submission: str) -> dict[str, Any]:
    """One submission in a company's drop, by its digest. Repeating it is safe: it ends in the same state as once."""
    return guarded(take_in_submission, Pool(Path(root)), company, submission)


@task(name="scrub", retries=1, retry_delay_seconds=1, cache_policy=NO_CACHE)
def scrub_task(root: str) -> dict[str, int]:
    """All parts that are not scrubbed yet, in one batch on the engine's own workers; finished parts are kept."""
    pool = Pool(Path(root))
    pending = guarded(pending_parts, pool)
    report = guarded(scrub_parts, pool, pending)
    return {"parts": len(pending), "records": report.records, "turns": report.turns, "characters": report.characters}


@flow(name="intake", validate_parameters=False)
def intake(root: str) -> dict[str, Any]:
    """Takes in what lies in the drops and scrubs what was accepted. Returns counts and codes only."""
    guarded(clear_leftovers, Pool(Path(root)))
    found = guarded(waiting_by_company, Pool(Path(root)))
    failed = [error for error in found.values() if isinstance(error, CommonsError)]
    results, arrivals = [], in_turns(found)
    for done, arrival in enumerate(arrivals, start=1):
        try:
            results.append(take_in_task(root, arrival.company, arrival.digest))
        except OutOfSpaceError:
            raise
        except CommonsError as error:  # one submission that breaks us keeps nobody else waiting; it stays in the drop
            failed.append(error)
        tell("intake", done / len(arrivals))
    scrubbed = scrub_task(root)
    if failed:
        raise type(failed[0])(failed[0].message, failed[0].next_step)
    return {"submissions": results, "scrub": scrubbed}
