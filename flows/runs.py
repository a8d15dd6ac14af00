"""Running a flow from the command line: what it raises arrives here as one of our own errors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from flows.logs import log_error
from flows.machine import free_disk
from flows.pool import Pool
from schemas.errors import CommonsError, InternalError, OutOfSpaceError

_FULL = 1 << 20


def run_flow(flow: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    """Runs a flow in this process (on the configured server, or an ephemeral one) and returns its result.

    Raises the CommonsError that a task ended with (the flow has logged it), OutOfSpaceError where the disk of the root is full,
    as Prefect's own database does not say, or InternalError with the error type's name only.
    """
    error: CommonsError
    try:
        result: dict[str, Any] = flow(*arguments)
        return result
    except CommonsError as known:
        error = type(known)(known.message, known.next_step)
    except Exception as unforeseen:
        root = Path(arguments[0])  # what every flow is told first
        error = InternalError(f"Prefect ended the run with {type(unforeseen).__name__}.", "See its server's log.")
        if free_disk(root) < _FULL:
            error = OutOfSpaceError("The disk of the pool's root is full.", "Free some and run the same command: it resumes.")
        log_error(Pool(root), error)
    raise error
