"""Commands of those who keep the pool: destroy what may not be held any more, set rights, look at one company's shifts."""

import os
import pwd
from datetime import UTC, datetime
from typing import Any

from cli.output import Json, print_json, print_table, quarter_of, say
from cli.pool import DEFAULT_ROOT, Root
from schemas.errors import ExitCode, UsageError


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

    if not root.is_dir():  # mistyped in a timer, it would purge nothing for ever
        raise UsageError("There is no such pool.", "Give its root folder with --root.")
    pool, now = _pool(root), datetime.now(UTC)
    held_now = holdings(pool)
    if company and company not in pool.registry.companies and all(held.company != company for held in held_now):
        raise UsageError("No such company is registered, and nothing of it is held.", "Give its id as `commons status` shows it.")
    chosen = to_purge(held_now, now, quarter=quarter_of(quarter) if quarter else None, company=company, due=due)
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


def protect(*, dry_run: bool = False, sql: bool = False, root: Root = DEFAULT_ROOT, json: Json = False) -> int:
    """Set owners, groups and modes as roles.toml declares them, and make the accounts that are missing. As root.

    Run it again after a company was registered; what is set right already is left as it is.

    Example: `sudo commons protect --root pool --dry-run`

    Args:
        dry_run: print the accounts to make and the rights to set, and change nothing.
        sql: print the GRANTs for a state database in PostgreSQL, and change nothing.
    """
    from flows.protecting import account_commands, grants, protect, run_commands, state_tables
    from flows.roles import load_roles, protections

    pool = _pool(root)
    roles, companies = load_roles(pool.config("roles.toml")), tuple(sorted(pool.registry.companies))
    if sql:
        say("\n".join(grants(roles, state_tables())))
        return ExitCode.DONE
    local = "://" not in pool.settings.drops
    wanted = [p for p in protections(roles, companies) if local or p.path.parts[:1] != ("drops",)]
    commands = account_commands(roles, wanted, companies)
    changed: list[str] = []
    if not dry_run:
        run_commands(commands)
        pool.catalogue, pool.ledger  # noqa: B018  (the state database is there before its modes are set)
        pool.engine.dispose()
        changed = protect(pool.root, wanted)
    if json:
        rights = [
            {"path": str(p.path), "owner": p.owner or "root", "group": p.group or "root", "mode": f"{p.folder_mode:04o}"}
            for p in wanted
        ]
        print_json({"dry_run": dry_run, "commands": commands, "rights": rights, "changed": changed})
        return ExitCode.DONE
    for command in commands:
        say(" ".join(command))
    rows = ((str(p.path), p.owner or "root", p.group or "root", f"{p.folder_mode:04o}", f"{p.file_mode:04o}") for p in wanted)
    print_table("Would be set" if dry_run else "Set", ("path", "owner", "group", "folders", "files"), rows)
    if not local:
        say("The drops are in a store: docs/guides/operating.md has the policy for each prefix.")
    return ExitCode.DONE


def shifts(quarter: str, *, company: str = "", every: bool = False, root: Root = DEFAULT_ROOT, json: Json = False) -> int:
    """How each company's records of a quarter differ from its own earlier ones. Exact: for the operator alone.

    A shift is a question to the company, not a verdict: products change too. docs/guides/operating.md has the thresholds.

    Example: `commons shifts 2026Q3 --root pool`

    Args:
        quarter: the quarter, like 2026Q3.
        company: of this company only.
        every: show every dimension, not just what raises an alarm.
    """
    from flows.shifting import company_shifts

    found = company_shifts(_pool(root), quarter_of(quarter), company)
    if json:
        print_json(
            [{"company": c.company, "quarters_before": c.quarters_before, "shifts": [vars(s) for s in c.shifts]} for c in found]
        )
        return ExitCode.DONE
    for each in found:
        shown = [shift for shift in each.shifts if every or shift.alarm]
        if not each.quarters_before:
            say(f"{each.company}: no earlier quarter of its own is held, so there is nothing yet to compare this one with.")
            continue
        say(f"{each.company}: {sum(s.alarm for s in each.shifts)} alarms, against {each.quarters_before} earlier quarters")
        columns = ("dimension", "alarm", "cell", "now", "before", "change", "G", "degrees", "p")
        rows = (
            (s.dimension, "yes" if s.alarm else "", s.cell, s.share_now, s.share_before, s.change, s.g, s.degrees, s.p)
            for s in shown
        )
        if shown:
            print_table("", columns, rows)
    return ExitCode.DONE
