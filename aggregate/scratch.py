"""The scratch database of a measurement: DuckDB in a folder of its own, which is removed with it, and which opens no file."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb


@contextmanager
def scratch_database(scratch: Path, memory_limit: str, threads: int, disk_limit: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to an empty database below `scratch`, a folder of the caller's; afterwards nothing of it is left."""
    scratch.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="measure-", dir=scratch, ignore_cleanup_errors=True) as folder:
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
