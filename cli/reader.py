"""Commands of a reader: SQL over the releases, and verifying one."""

from pathlib import Path

from cli.output import Json, print_json, print_table
from cli.pool import DEFAULT_ROOT, Root, print_checks
from schemas.errors import ExitCode


def query(sql: str, *, root: Root = DEFAULT_ROOT, json: Json = False) -> int:
    """Run DuckDB SQL over the published tables: each is a view of that name over the latest release of every quarter.

    Example: `commons query "from risk_profile limit 5" --root pool`
    """
    from flows.querying import run_query

    columns, rows = run_query(root.resolve() / "releases", sql)
    if json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table("", columns, rows)
    return ExitCode.DONE


def verify(folder: Path, *, json: Json = False) -> int:
    """Verify a release folder: every file's hash, and the signatures under it.

    Example: `commons verify pool/releases/2026Q1/v1`
    """
    from publish.verify import verify_release

    results = verify_release(folder)
    print_checks(results, json)
    return ExitCode.DONE if all(result.passed for result in results) else ExitCode.CHECK_FAILED
