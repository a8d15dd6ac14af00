"""The border of a task: what leaves it is one of our own errors with fixed text, never a library's message."""

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from schemas.errors import CommonsError, InternalError, OutOfSpaceError

P = ParamSpec("P")
R = TypeVar("R")


def guarded(function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
    """Calls a function; any error that leaves is raised anew, without its cause, so that no state or log can quote data.

    An unforeseen error keeps its type's name and the places in our own code that it went through: enough to find it.
    """
    error: CommonsError
    try:
        return function(*arguments, **named)
    except CommonsError as known:
        error = type(known)(known.message, known.next_step)
    except (MemoryError, OSError) as lacking:
        out = isinstance(lacking, MemoryError) or lacking.errno in (28, 122)
        error = (
            OutOfSpaceError("Out of disk or memory.", "Free some and run the same command: it resumes.")
            if out
            else _internal(lacking)
        )
    except Exception as unforeseen:
        error = _internal(unforeseen)
    raise error


def _internal(unforeseen: Exception) -> InternalError:
    here = Path(__file__).resolve().parent.parent
    frames = [
        f"{Path(frame.filename).relative_to(here)}:{frame.lineno}"
        for frame in traceback.extract_tb(unforeseen.__traceback__)
        if Path(frame.filename).is_relative_to(here) and "site-packages" not in frame.filename
    ]
    return InternalError(
        f"{type(unforeseen).__name__} at {' > '.join(frames) or 'a library'}.", "This is a bug: please report it."
    )
