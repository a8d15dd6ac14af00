"""Commands of those who keep the pool: destroy what may not be held any more, set rights, look at one company's shifts."""

import os
import pwd
from datetime import UTC, datetime
from typing import Any

from cli.output import Json, print_json, print_table, quarter_of, say
from cli.pool import DEFAULT_ROOT, Root
from schemas.errors import ExitCode


def _pool(root: Root) -> Any:
    from flows.pool import Pool

    return Pool(root.resolve())


def _account() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def purge(
    *,
    due: bool = False,
    quarter: str = "",
    company: str = "",
    dry_run: bool = False,
    root: Root = DEFAULT_ROOT,
    json: Json = False,
) -> int:
    """Destroy the keys of records that may not be held any more, remove their files, and show that nothing can be read.

    There is no way back. A quarter that is purged for every company takes nothing in any more (E117). Interrupted, the
    same command resumes. With --due, answers and leftovers whose time is over go too.

    Example: `commons purge --due --dry-run`

    Args:
        due: what pool.toml's retention says is over.
        quarter: of this quarter only, like 2026Q1; without --due, whether its time is over or not.
        company: of this company only.
        dry_run: show what would be purged, and destroy nothing.
    """
    from flows.purging import holdings, purge, to_purge
    from flows.sweeping import sweep

    pool, now = _pool(root), datetime.now(UTC)
    chosen = to_purge(holdings(pool), now, quarter=quarter_of(quarter) if quarter else None, company=company, due=due)
    shown = [] if dry_run else purge(pool, chosen, _account(), close_quarters=not company)
    swept = sweep(pool, now, dry_run=dry_run) if due else {}
    facts = dict.fromkeys(("readable_before", "readable_after", "keys_tried", "sendings_removed"))
    rows: list[dict[str, Any]] = [
        {"room": str(held.room), "quarter": str(held.quarter), "company": held.company, "until": held.until, **values}
        for held, values in (
            [(held, {"files": held.files, "bytes": held.bytes, **facts}) for held in chosen]
            if dry_run
            else [(held, vars(found)) for held, found in shown]
        )
    ]
    if json:
        print_json({"dry_run": dry_run, "purged": rows, "swept": swept})
        return ExitCode.DONE
    columns = ("room", "quarter", "company", "until", "files", "bytes", "readable_before", "readable_after", "keys_tried")
    print_table("Would be purged" if dry_run else "Purged", columns, ([row[c] for c in columns] for row in rows))
    if swept:
        say(", ".join(f"{name}: {number}" for name, number in swept.items()))
    if shown:
        say("No key of theirs is left, and no file of theirs; none could be opened with any other key.")
    return ExitCode.DONE
