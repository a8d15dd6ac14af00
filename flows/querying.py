"""SQL over published releases: public data, but a connection that can open nothing else."""

import json
from pathlib import Path

import duckdb

from schemas.errors import UsageError
from schemas.tables import TABLES


def run_query(releases: Path, sql: str) -> tuple[list[str], list[tuple[object, ...]]]:
    """Column names and rows of a query. Every public table is a view over the latest release of each quarter.

    Raises UsageError where nothing is published yet or the SQL fails; published data are public, so DuckDB's own words are shown.
    """
    catalogue = releases / "catalog.json"
    if not catalogue.exists():
        raise UsageError("Nothing is published here yet.", "`commons demo` makes a pool with two releases.")
    connection = duckdb.connect(config={"autoinstall_known_extensions": False, "autoload_known_extensions": False})
    connection.execute("set allowed_directories = ?", [[f"{releases}/"]])
    connection.execute("set enable_external_access = false")
    latest = json.loads(catalogue.read_text(encoding="utf-8"))["latest"]
    for table in TABLES:
        files = [releases / path / "data" / table / f"{table}.parquet" for _, path in sorted(latest.items())]
        listed = ", ".join("'" + str(file).replace("'", "''") + "'" for file in files if file.exists())
        if listed:
            connection.execute(f"create view {table} as select * from read_parquet([{listed}], union_by_name = true)")
    connection.execute("set lock_configuration = true")
    try:
        result = connection.execute(sql)
        return [column[0] for column in result.description or []], result.fetchall()
    except duckdb.Error as error:
        message = str(error).splitlines()[0]
    raise UsageError(message, "Tables: " + ", ".join(TABLES) + ".")
