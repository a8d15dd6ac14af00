"""Running a flow from the command line: what it raises arrives here as one of our own errors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from flows.logs import log_error
from flows.pool import Pool
from schemas.errors import CommonsError, InternalError


def run_flow(flow: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    """Runs a flow in this process (on the configured server, or an ephemeral one) and returns its result.

    Raises the CommonsError that a task ended with, or InternalError with the error type's name only.
    """
    error: CommonsError
    try:
        result: dict[str, Any] = flow(*arguments)
        return result
    except CommonsError as known:
        error = type(known)(known.message, known.next_step)
    except Exception as unforeseen:
        error = InternalError(f"Prefect ended the run with {type(unforeseen).__name__}.", "See its server's log.")
    log_error(Pool(Path(arguments[0])), error)  # the root is what every flow is told first
    raise error
