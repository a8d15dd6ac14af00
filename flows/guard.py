"""The border of a task: what leaves it is one of our own errors with fixed text, never a library's message."""

import errno
import os
import sqlite3
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ParamSpec, TypeVar

from schemas.errors import CommonsError, InternalError, OutOfSpaceError, TransportError

_LACKING = ("Out of disk or memory.", "Free some and run the same command: it resumes.")
_CUT_OFF = ("The state database does not answer any more.", "When it runs again, run the same command: it resumes.")
# SQLite's shared memory and journal grow by calls of which it tells only that they failed: on a full disk these do.
_SQLITE_WRITING = (
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_SHMMAP,
    sqlite3.SQLITE_IOERR_FSYNC,
)
_NO_THREAD = "can't start new thread"  # no memory for its stack, or too many of them
_OF_DUCKDB = ("duckdb", "_duckdb")
_OF_CONNECTIONS = frozenset(("OperationalError", "AdminShutdown", "CannotConnectNow", "TooManyConnections", "IdleSessionTimeout"))
_BY_NAME = frozenset(("OutOfMemoryException", "DiskFull"))  # of DuckDB, and of PostgreSQL's drivers: not loaded for their names

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
    except Exception as unforeseen:
        chain = list(_chain(unforeseen))
        if any(_lacks_space(each) for each in chain):
            error = OutOfSpaceError(*_LACKING)
        elif any(_is_cut_off(each) for each in chain):
            error = TransportError(*_CUT_OFF)
        else:
            error = _internal(unforeseen)
    raise error


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what it was raised from: libraries wrap what the system said."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and each not in seen:
            seen.append(each)
            waiting += [each.__cause__, each.__context__, getattr(each, "orig", None)]
            yield each


def _lacks_space(error: BaseException) -> bool:
    if isinstance(error, sqlite3.OperationalError):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM) or (
            getattr(error, "sqlite_errorcode", 0) in _SQLITE_WRITING
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM):
        return True
    if type(error).__module__ in _OF_DUCKDB and os.strerror(errno.ENOSPC) in str(error):
        return True  # DuckDB has no error of its own for a full disk
    if isinstance(error, RuntimeError) and str(error) == _NO_THREAD:
        return True
    return isinstance(error, MemoryError) or type(error).__name__ in _BY_NAME


def _is_cut_off(error: BaseException) -> bool:
    """Whether a connection to PostgreSQL ended, as SQLAlchemy says of what its driver raised, or could not be made."""
    if getattr(error, "connection_invalidated", False):
        return True
    return type(error).__module__.startswith("psycopg") and type(error).__name__ in _OF_CONNECTIONS


def server_is_away(error: BaseException) -> bool:
    """Whether an error of Prefect's comes from a server that cannot be reached."""
    bases = (base for each in _chain(error) for base in type(each).__mro__)
    return any((base.__module__.partition(".")[0], base.__name__) == ("httpx", "TransportError") for base in bases)


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
