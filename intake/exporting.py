"""Running a company's own mapping: SQL from warehouse tables to records, in DuckDB, on the company's machine."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.errors import OutOfSpaceError, UsageError
from schemas.periods import period_bounds

if TYPE_CHECKING:
    import duckdb

RECORDS_SQL = "records.sql"
WRITERS = {"jsonl": "write_jsonl.sql", "parquet": "write_parquet.sql", "corrections": "write_corrections.sql"}
"""The last file of a mapping by what it writes."""


@dataclass(frozen=True)
class Export:
    """What a mapping is run over. `pseudonym_key` (32 bytes) appears in no repr; `as_of`: the tables are complete up to it."""

    tables: Path
    into: Path
    period: str
    pseudonym_key: bytes
    as_of: datetime
    corrects: Path | None = None

    def __repr__(self) -> str:
        return "Export(…)"


def export(
    mapping: Path,
    wanted: Export,
    writes: str = "jsonl",
    *,
    show: Callable[[str], None] | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> list[Path]:
    """Runs the mapping, then `records.sql` and the writer beside it, and returns the files written into `wanted.into`.

    The folder appears with its files in it, or not at all: with nothing to write there is none. Raises UsageError, naming file and line of the statement that
    failed: what DuckDB says may quote a cell, so it goes to `show` (the company's own screen, where asked for) and no further.
    `progress` is told the share of statements that are done.
    """
    bounds = period_bounds(wanted.period)
    if bounds is None:
        raise UsageError("The period is not understood.", "Write it like 2026Q3, 2026-07, 2026-W31 or 2026-07-30.")
    if wanted.into.exists() and any(wanted.into.iterdir()):
        raise UsageError("The folder to write into is not empty.", "Nothing is overwritten: choose a new one.")
    files = [mapping, mapping.parent / RECORDS_SQL, mapping.parent / WRITERS[writes]]
    wanted.into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=wanted.into.parent, prefix=".export-") as scratch:
        made = Path(scratch) / "export"
        made.mkdir()
        connection = _connection(Path(scratch))
        try:
            variables = {
                "tables": _text(wanted.tables),
                "out": _text(made),
                "period_start": _moment(bounds[0]),
                "period_end": _moment(bounds[1]),
                "as_of": _moment(wanted.as_of),
                "pseudonym_key": _text(wanted.pseudonym_key.hex()),
                "corrects": _text(wanted.corrects or ""),
            }
            for name, value in variables.items():
                connection.execute(f"SET VARIABLE {name} = {value}")
            for number, file in enumerate(files):
                _run(connection, file, show, _part(progress, number, len(files)))
        finally:
            connection.close()
        for file in made.iterdir():
            if not file.stat().st_size:
                file.unlink()
        if not any(made.iterdir()):
            return []
        made.chmod(0o700)
        if wanted.into.exists():
            wanted.into.rmdir()
        made.replace(wanted.into)
    return sorted(wanted.into.iterdir())


def _part(progress: Callable[[float], None], number: int, parts: int) -> Callable[[float], None]:
    return lambda share: progress((number + share) / parts)


def _connection(scratch: Path) -> "duckdb.DuckDBPyConnection":
    import duckdb

    settings: dict[str, Any] = {
        "temp_directory": str(scratch / "spill"),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "preserve_insertion_order": False,
    }
    connection = duckdb.connect(":memory:", config=settings)
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _run(
    connection: "duckdb.DuckDBPyConnection",
    file: Path,
    show: Callable[[str], None] | None,
    progress: Callable[[float], None],
) -> None:
    import duckdb

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        text = ""
    if not text:
        raise UsageError(f"{file.name} cannot be read.", "`commons init` writes a folder `mappings` that holds all of its parts.")
    line, failure, full, missing = 0, "", False, False
    try:
        statements = duckdb.extract_statements(text)
        for done, statement in enumerate(statements):
            progress(done / len(statements))
            line = _line_of(text, statement.query)
            connection.execute(statement)
    except duckdb.Error as error:
        failure = type(error).__name__.removesuffix("Exception")
        full = isinstance(error, duckdb.OutOfMemoryException) or "No space left" in str(error)
        missing = isinstance(error, duckdb.IOException) and "No files found" in str(error)
        if show is not None:
            show(str(error))
    if full:
        raise OutOfSpaceError("The mapping ran out of disk or memory.", "Free some, or export a shorter period.")
    if missing:
        raise UsageError(
            f"A table that {file.name} reads at line {line} is not in the folder of tables.",
            "Export it there under the name that part 2 of the mapping gives, or change the name in the mapping.",
        )
    if failure:
        where = f"{file.name}, the statement at line {line}" if line else file.name
        raise UsageError(
            f"The mapping stopped: {where} ({failure} error of DuckDB).",
            "Its message is not shown here because it may quote your data: --show-message prints it on your own screen.",
        )


def _line_of(text: str, statement: str) -> int:
    # A statement begins with the comments before it: the line that helps is that of its first word.
    at = max(text.find(statement), 0)
    body = next((n for n, line in enumerate(statement.splitlines()) if line.strip() and not line.strip().startswith("--")), 0)
    return text.count("\n", 0, at) + body + 1


def _text(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def _moment(moment: datetime) -> str:
    return f"TIMESTAMPTZ '{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}+00'"
