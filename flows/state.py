"""The state database: catalogue, ledger, stored answers, checks and sign-offs. SQLite by default, PostgreSQL by URL."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.pool import NullPool

from flows.migrations import HEAD
from schemas.errors import TransportError, UsageError

if TYPE_CHECKING:
    from sqlalchemy import MetaData

_MIGRATIONS = Path(__file__).parent / "migrations"
_VERSIONS = "alembic_version"


def state_url(root: Path, setting: str) -> URL:
    """Where the state database is: `COMMONS_DATABASE_URL`, or the setting, or SQLite below the root.

    Raises UsageError where it is neither SQLite nor PostgreSQL, or where the setting, which others read, holds a password.
    """
    given = os.environ.get("COMMONS_DATABASE_URL", "")
    if not given and not setting:
        # A folder of its own: whoever writes SQLite writes files beside it, and may write nothing else (config/roles.toml).
        return URL.create("sqlite", database=str(root / "state" / "state.db"))
    url: URL | None
    try:
        url = make_url(given or setting)
    except ArgumentError:  # whose text quotes it
        url = None
    if url is None or url.get_backend_name() not in ("sqlite", "postgresql"):
        raise UsageError("The state database is neither SQLite nor PostgreSQL.", "Give a URL like postgresql://user@host/name.")
    if not given and url.password:
        raise UsageError(
            "A password stands in pool.toml.", "Give it as PGPASSWORD or PGPASSFILE, or the whole URL as COMMONS_DATABASE_URL."
        )
    return url.set(drivername="postgresql+psycopg") if url.get_backend_name() == "postgresql" else url


def open_state(url: URL) -> Engine:
    """The state database, at the version of this program. SQLite is made and upgraded here; PostgreSQL by `commons migrate`.

    Raises UsageError where it has to be migrated first, or was made by a newer program; TransportError where it cannot be
    reached.
    """
    engine = _engine(url)
    with _one_at_a_time(url), reached(engine) as connection:
        found = version(connection)
        if found != HEAD and url.get_backend_name() == "sqlite":
            _upgrade(connection)
        elif found != HEAD:
            _refuse_newer(found)
            raise UsageError("The state database is not at this program's version.", "Its owner runs `commons migrate`.")
    return engine


def migrate(url: URL) -> tuple[str, str]:
    """Brings a state database to the version of this program, whole or not at all: the version before, and after.

    Tables from before there were migrations are taken over as they are. Raises UsageError where a newer program made it.
    """
    engine = _engine(url)
    with _one_at_a_time(url), reached(engine) as connection:
        before = version(connection)
        if before != HEAD:
            _upgrade(connection)
    engine.dispose()
    return before, HEAD


def version(connection: Connection) -> str:
    """The version of a state database; empty where it has none yet."""
    if not inspect(connection).has_table(_VERSIONS):
        return ""
    return str(connection.execute(text(f"select version_num from {_VERSIONS}")).scalar() or "")


def all_tables() -> "tuple[MetaData, ...]":
    """The tables of every room that lie in the state database."""
    from aggregate.ledger import METADATA as LEDGER
    from flows.purging import METADATA as PURGING
    from intake.catalogue import METADATA as CATALOGUE
    from publish.store import metadata as release

    return LEDGER, PURGING, CATALOGUE, release


def _engine(url: URL) -> Engine:
    sqlite = url.get_backend_name() == "sqlite"
    if sqlite and url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    # A connection of its own each time: one that was kept over hours of measuring may be closed by its server meanwhile.
    engine = create_engine(url, hide_parameters=True) if sqlite else create_engine(url, hide_parameters=True, poolclass=NullPool)
    if sqlite:

        @event.listens_for(engine, "connect")
        def _durable(connection, _) -> None:  # type: ignore[no-untyped-def]
            connection.execute("pragma busy_timeout = 60000")
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = full")

    return engine


@contextmanager
def reached(engine: Engine) -> Iterator[Connection]:
    """A connection to a database that answers. Raises TransportError where it does not."""
    connection = None
    local = engine.dialect.name == "sqlite"  # what it lacks is space, and whoever asked tells that
    with nullcontext() if local else suppress(OperationalError):  # whose text names hosts and accounts
        connection = engine.connect()
    if connection is None:
        raise TransportError("The state database cannot be reached.", "Check its URL and credentials, and whether it runs.")
    with connection:
        yield connection


@contextmanager
def _one_at_a_time(url: URL) -> Iterator[None]:
    """Of processes that begin in a new pool at once, one makes the tables. The lock is of the folder, and ends with its process."""
    if url.get_backend_name() != "sqlite" or not url.database:
        yield
        return
    descriptor = os.open(Path(url.database).parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _refuse_newer(found: str) -> None:
    if found > HEAD:
        raise UsageError("The state database was made by a newer version of this program.", "Update the program.")


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    connection.rollback()
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("begin immediate")
    else:
        connection.execute(text("select pg_advisory_xact_lock(hashtext('migrations'))"))
    _refuse_newer(version(connection))
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_MIGRATIONS))
    command.upgrade(config, HEAD)
    connection.commit()
