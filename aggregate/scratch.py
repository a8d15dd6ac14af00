"""The scratch database of a measurement: DuckDB in a folder of its own, which is removed with it, and which opens no file."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

_PREFIX = "measure-"


@contextmanager
def scratch_database(scratch: Path, memory_limit: str, threads: int, disk_limit: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to an empty database below `scratch`, a folder of the caller's; afterwards nothing of it is left.

    What a killed process left there is removed first: it may be what fills the disk.
    """
    with _own_folder(scratch) as folder:
        database = duckdb.connect(
            f"{folder}/measure.duckdb",
            config={
                "memory_limit": memory_limit,
                "threads": threads,
                "temp_directory": folder,
                "max_temp_directory_size": disk_limit,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "preserve_insertion_order": False,
                "python_enable_replacements": False,  # no name in a query reaches a variable of the process
            },
        )
        with closing(database) as connection:
            # Whatever a query says, it opens no file: rows come as Arrow, and only DuckDB's own spill is written.
            connection.execute("set enable_external_access = false")
            connection.execute("set timezone = 'UTC'")
            connection.execute("set lock_configuration = true")
            yield connection


@contextmanager
def _own_folder(scratch: Path) -> Iterator[str]:
    """A folder of this call, locked while it lasts: a folder that nobody locks is one that was left."""
    scratch.mkdir(parents=True, exist_ok=True)
    with ExitStack() as own:
        with _locked(scratch):
            for left in scratch.glob(f"{_PREFIX}*"):
                with suppress(BlockingIOError, FileNotFoundError), _locked(left, fcntl.LOCK_NB):
                    shutil.rmtree(left, ignore_errors=True)
            folder = own.enter_context(TemporaryDirectory(prefix=_PREFIX, dir=scratch, ignore_cleanup_errors=True))
            own.enter_context(_locked(Path(folder)))
        yield folder


@contextmanager
def _locked(folder: Path, how: int = 0) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | how)
        yield
    finally:
        os.close(descriptor)
