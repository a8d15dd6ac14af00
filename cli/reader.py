"""Commands of a reader: SQL over the releases, and verifying one."""

import csv as csv_format
import sys
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from cli.output import Json, print_json, print_table
from cli.pool import DEFAULT_ROOT, Root, print_checks
from schemas.errors import ExitCode, UsageError

Csv = Annotated[bool, Parameter(name="--csv", negative="", help="Print CSV for spreadsheets.")]
PublicKey = Annotated[
    Path | None,
    Parameter(name="--public-key", help="minisign.pub, from a source that you trust: it has to be signed under this key."),
]
Releases = Annotated[
    str, Parameter(name="--releases", help="Where catalog.json lies, without a pool: a folder, or s3://bucket/prefix.")
]
AsOf = Annotated[str, Parameter(name="--as-of", help="A release: tables are what they were when it came out.")]


def query(
    sql: str, *, root: Root = DEFAULT_ROOT, releases: Releases = "", as_of: AsOf = "", json: Json = False, csv: Csv = False
) -> int:
    """Answer a question in SQL (DuckDB) over all published releases, with the macros that carry the noise.

    Each table is a view of that name over the latest release of every quarter. docs/guides/questions.md has thirteen questions.

    Examples: `commons query "from risk_profile limit 5" --root pool`,
    `commons query "from sum_of('risk_profile', imminence = 'imminent')" --csv`,
    `commons query "from releases" --releases s3://bucket/releases`
    """
    from flows.querying import run_query
    from schemas.storage import place_at

    if json and csv:
        raise UsageError("Give one of --json and --csv.")
    place = place_at(releases, Path.cwd()) if releases else root.resolve() / "releases"
    columns, rows = run_query(place, sql, as_of)
    if json:
        if len(set(columns)) < len(columns):
            raise UsageError("Two columns of the answer have one name.", "Name them with AS, or take --csv.")
        print_json([dict(zip(columns, map(_plain, row), strict=True)) for row in rows])
    elif csv:
        _print_csv(columns, rows)
    else:
        print_table("", columns, rows)
    return ExitCode.DONE


def _plain(value: Any) -> Any:
    """A value as JSON has it: what JSON does not know is a text."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if value is None or isinstance(value, bool | float | str) or (isinstance(value, int) and abs(value) < 2**53):
        return value
    return str(value)


def _print_csv(columns: list[str], rows: list[tuple[object, ...]]) -> None:
    writer = csv_format.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(["" if value is None else value for value in row] for row in rows)


def verify(release: str, *, public_key: PublicKey = None, json: Json = False) -> int:
    """Verify a release: every file's hash, the signature over them, its tables, and who signed.

    A folder, or where it lies on the web or in a store (s3://): then it is fetched, and verified here.

    Examples: `commons verify pool/releases/2026Q1/v1`,
    `commons verify s3://bucket/releases/2026Q1/v1 --public-key minisign.pub`
    """
    from flows.mirroring import verify_place

    results = verify_place(release, public_key)
    print_checks(results, json)
    return ExitCode.DONE if all(result.passed for result in results) else ExitCode.CHECK_FAILED
