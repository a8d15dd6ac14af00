"""Running a flow from the command line: what it raises arrives here as one of our own errors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from flows.guard import server_is_away
from flows.logs import log_error
from flows.machine import free_disk
from flows.pool import Pool
from schemas.errors import CommonsError, InternalError, OutOfSpaceError, TransportError

PREFECT_NEEDS = 8 << 20
"""Bytes that Prefect's own database needs: where they lack, its server does not start, after minutes, and does not say why."""


def run_flow(flow: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    """Runs a flow in this process (on the configured server, or an ephemeral one) and returns its result.

    Raises the CommonsError that a task ended with (the flow has logged it), OutOfSpaceError where the disk of the root is full,
    TransportError where the Prefect server cannot be reached, or InternalError with the error type's name only.
    """
    pool = Pool(Path(arguments[0]))  # the root is what every flow is told first
    _refuse_full_disk(pool)
    error: CommonsError
    try:
        result: dict[str, Any] = flow(*arguments)
        return result
    except CommonsError as known:
        error = type(known)(known.message, known.next_step)
    except Exception as unforeseen:
        error = InternalError(f"Prefect ended the run with {type(unforeseen).__name__}.", "See its server's log.")
        if server_is_away(unforeseen):
            error = TransportError("The Prefect server does not answer.", "Does it run, and is PREFECT_API_URL right?")
        log_error(pool, error)
    if isinstance(error, InternalError):
        _refuse_full_disk(pool)
    raise error


def _refuse_full_disk(pool: Pool) -> None:
    if free_disk(pool.root) < PREFECT_NEEDS:
        raise OutOfSpaceError("The disk of the pool's root is full.", "Free some and run the same command: it resumes.")
