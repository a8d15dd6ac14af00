"""SQL over published releases: public data, and a connection that opens nothing else and writes nowhere."""

import json
from pathlib import Path

import duckdb

from publish.catalog import CATALOG
from publish.views import catalog_views_sql
from schemas.errors import UsageError
from schemas.storage import Place, read_files

# Not EXPLAIN: EXPLAIN ANALYZE does what it explains, and COPY writes files. Settings are locked, so that SET sets variables only.
_QUESTIONS = (duckdb.StatementType.SELECT, duckdb.StatementType.SET)
_ELSEWHERE = "For more than questions run DuckDB in the folder of the releases: `duckdb -init views.sql`."
_MACROS = "sum_of, difference_of, share_of, rate_of, rate_difference, trend_of, as_of"


def run_query(releases: Place, sql: str, as_of: str = "") -> tuple[list[str], list[tuple[object, ...]]]:
    """Column names and rows of a question.

    Every public table is a view over the latest release of each quarter, with the macros of `views.sql`.

    Args:
        releases: where `catalog.json` lies.
        sql: one question, or several of which the last is answered.
        as_of: a release, such as `2026Q3/v1`: tables are what they were when it came out.

    Raises:
        UsageError: nothing is published yet, the SQL fails, or it is no question. Published data are public, so DuckDB's own
            words are shown.
        TransportError: the store cannot be reached.
    """
    if not (releases / CATALOG).exists():
        raise UsageError("Nothing is published here yet.", "`commons demo` makes a pool with three releases.")
    catalog, folder = json.loads(read_files([releases / CATALOG])[0]), f"{str(releases).rstrip('/')}/"
    known = [entry["release"] for entry in catalog["releases"]]
    if as_of and as_of not in known:
        raise UsageError("There is no such release.", f"Releases: {', '.join(known)}.")
    connection = duckdb.connect(
        config={
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,  # no name in a query reaches a variable of the process
        }
    )
    try:
        if not isinstance(releases, Path):
            connection.register_filesystem(releases.fs)
        connection.execute("set allowed_directories = ?", [[folder]])
        connection.execute("set enable_external_access = false")
        connection.execute(catalog_views_sql(catalog, folder))
        if as_of:
            connection.execute("set variable as_of = $release", {"release": as_of})
        connection.execute("set lock_configuration = true")
        return _answered(connection, sql)
    finally:
        connection.close()


def _answered(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[list[str], list[tuple[object, ...]]]:
    try:
        statements = connection.extract_statements(sql)
        if all(statement.type in _QUESTIONS for statement in statements) and statements:
            for statement in statements:
                result = connection.execute(statement)
            return [column[0] for column in result.description or []], result.fetchall()
        message, help_ = "That is no question: SELECT, FROM, DESCRIBE and SET VARIABLE are answered here.", _ELSEWHERE
    except duckdb.Error as error:
        message, help_ = (
            str(error).splitlines()[0],
            f"Tables: {_tables(connection)}. Macros: {_MACROS}. docs/guides/questions.md shows each.",
        )
    raise UsageError(message, help_)


def _tables(connection: duckdb.DuckDBPyConnection) -> str:
    names = connection.execute(
        "select view_name from duckdb_views() where not internal and not starts_with(view_name, '_') order by 1"
    )
    return ", ".join(name for (name,) in names.fetchall())
