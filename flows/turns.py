"""Turns: of the runs that would do the same in one pool, on one machine or on several, one does it at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING

from flows.pool import Pool
from flows.progress import tell
from flows.state import reached

if TYPE_CHECKING:
    from sqlalchemy import Engine


class Turn(StrEnum):
    """What is done by one run at a time."""

    INGEST = "ingest"  # whatever changes drops, staging and accepted records
    SCRUB = "scrub"
    RELEASE = "release"  # measuring, checking and publishing


# A turn may last for hours, in which the session says nothing: no setting of the server ends it, and a machine that is gone
# (its lock would stand until then) is noticed within minutes.
_SESSION = (
    "set lock_timeout = 0",
    "set statement_timeout = 0",
    "set idle_session_timeout = 0",
    "set tcp_keepalives_idle = 30",
    "set tcp_keepalives_interval = 10",
    "set tcp_keepalives_count = 6",
)


@contextmanager
def in_turn(pool: Pool, turn: Turn) -> Iterator[None]:
    """Waits until no other run has this turn in the pool, and keeps it until the end. It ends with its process in any case.

    SQLite belongs to one machine, and so does the lock then: of a file below the root. With PostgreSQL it is the database's,
    the same for every machine. Should its server end meanwhile, another run may begin beside this one: therefore nothing rests
    on turns alone. Files are put in place whole, and the ledger charges and answers a plan once.
    """
    with _of_the_root(pool, turn) if pool.engine.dialect.name == "sqlite" else _of_the_database(pool.engine, turn):
        yield


@contextmanager
def _of_the_root(pool: Pool, turn: Turn) -> Iterator[None]:
    pool.root.mkdir(parents=True, exist_ok=True)
    with (pool.root / f".{turn}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with _waiting(turn):
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _of_the_database(engine: "Engine", turn: Turn) -> Iterator[None]:
    key = f"(hashtext('turn'), hashtext('{turn}'))"  # the space of two numbers: the ledger's locks are of one
    with reached(engine) as connection:
        try:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            for setting in _SESSION:
                connection.exec_driver_sql(setting)
            if not connection.exec_driver_sql(f"select pg_try_advisory_lock{key}").scalar():
                with _waiting(turn):
                    connection.exec_driver_sql(f"select pg_advisory_lock{key}")
            yield
        finally:
            connection.invalidate()  # the session ends, and with it the lock, whether its server still answers or not


@contextmanager
def _waiting(turn: Turn) -> Iterator[None]:
    stage = f"waits for another run ({turn})"
    tell(stage, 0.0)
    yield
    tell(stage, 1.0)
