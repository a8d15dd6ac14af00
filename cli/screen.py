"""The operator's one screen: what came in, what is missing, where each quarter stands, and what comes next."""

from pathlib import Path
from typing import Any

from cli.output import print_json, print_table, say
from schemas.errors import ExitCode

SHOWN_QUARTERS = 4
_LABEL = 11  # width of the names of lines


def pool_status(root: Path, json: bool) -> int:
    """The operator's form of `commons status`."""
    from flows.pool import Pool
    from flows.status import pool_status as found_status

    found = found_status(Pool(root.resolve()))
    if json:
        print_json(found)
        return ExitCode.DONE
    waiting = [{"company": company, "submissions": number} for company, number in found["waiting"].items() if number]
    shown = [
        ("Submissions", found["submissions"]),
        ("Refused", found["refused"]),
        ("Waiting in the drops", waiting),
        ("Exports that did not come", found["missed"]),
        ("Purged", found["purged"]),
    ]
    for title, rows in shown:
        if rows:
            print_table(title, tuple(rows[0]), (tuple(row.values()) for row in rows))
    if found["scrub"]:
        _print_scrub(found["scrub"])
    if found["not_enforced"]:
        say("THIS HOST DOES NOT ENFORCE, where hostile files are read: " + ", ".join(found["not_enforced"]) + ".")
    if older := found["quarters"][:-SHOWN_QUARTERS]:
        say(f"\n{len(older)} earlier quarters, {older[0]['quarter']} to {older[-1]['quarter']}, are in --json.")
    for quarter in found["quarters"][-SHOWN_QUARTERS:]:
        _print_quarter(quarter)
    if not found["quarters"] and not any(rows for _, rows in shown):
        say("Nothing has come in yet.")
    return ExitCode.DONE


def _print_quarter(quarter: dict[str, Any]) -> None:
    """A quarter in a few lines, the next command last."""
    version = f", version {quarter['version']}" if quarter["version"] else ""
    say(f"\n{quarter['quarter']}{version}: {quarter['state']}")
    for name, told in (
        ("companies", _companies(quarter)),
        ("scrub", "done" if quarter["scrubbed"] else "WAITS"),
        ("checks", _checks(quarter)),
        ("terms", f"{quarter['terms_waiting']} terms wait for review" if quarter["terms_waiting"] else ""),
        ("budget", _budget(quarter)),
        ("staff text", quarter["text"]),
        ("signed", _signed(quarter)),
        ("changed", "; ".join(quarter["changed"])),
        ("next", quarter["next"]),
    ):
        if told:
            say(f"  {name:{_LABEL}}{told}")


def _companies(quarter: dict[str, Any]) -> str:
    missing = quarter["not_sent"]
    told = f"{len(quarter['sent'])} of {len(quarter['sent']) + len(missing)} sent records"
    return f"{told}; nothing from {', '.join(missing)}" if missing else told


def _checks(quarter: dict[str, Any]) -> str:
    if not quarter["checks"]:
        return ""
    told = f"{quarter['checks'] - len(quarter['failed']) - len(quarter['warned'])} of {quarter['checks']} hold"
    failed = f"; FAILED: {', '.join(quarter['failed'])}" if quarter["failed"] else ""
    return told + failed + (f"; warnings: {', '.join(quarter['warned'])}" if quarter["warned"] else "")


def _budget(quarter: dict[str, Any]) -> str:
    spent = f"ε {quarter['epsilon_spent']:.3g} of {quarter['epsilon_cap']:.3g}"
    year = f"{quarter['quarter'][:4]} so far {quarter['year_epsilon_spent']:.3g} of {quarter['year_epsilon_cap']:.3g}"
    return f"{spent}, {year} (δ = {quarter['delta']:g})"


def _signed(quarter: dict[str, Any]) -> str:
    told = [f"{s['person']} ({s['role']}, {s['at'][:10]})" for s in quarter["signed"]]
    told += [f"MISSING: {', '.join(quarter['missing'])}"] if quarter["missing"] else []
    told += [f"DOES NOT HOLD for the text as it is now: {', '.join(quarter['not_holding'])}"] if quarter["not_holding"] else []
    return "; ".join(told)


def _print_scrub(reports: list[dict[str, Any]]) -> None:
    columns = ("quarter", "company", "turns", "masked", "withheld", "in languages read", "canaries caught")
    rows = []
    for each in reports:
        recall = each["canary_recall"]
        caught = f"{each['canaries_caught']} of {each['canaries']} ({recall['ci_low']:.4f} to {recall['ci_high']:.4f})"
        shares = [f"{each['withheld_share']:.2%}", f"{each['language_coverage']:.2%}"]
        rows.append([each["quarter"], each["company"], each["turns"], sum(each["counts"].values()), *shares, caught])
    print_table("Scrub", columns, rows)
