"""The one screen: what came in, what is ready, what was checked, who signed."""

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

from flows.drops import waiting_by_company
from flows.pool import Pool
from flows.purging import purges
from flows.quarters import quarters
from flows.scrub_reports import scrub_overview
from flows.scrubbing import parts
from intake.registry import missed
from intake.sandbox.reader import enforced_limits
from publish.signoff import missing_roles
from publish.store import states, stored_checks, stored_signoffs
from schemas.errors import CommonsError, UsageError
from schemas.periods import Quarter

_COUNTED = ("submissions", "records", "corrections", "withdrawals", "quarantined")


def pool_status(pool: Pool) -> dict[str, Any]:
    """Counts and states, for the operator. No private value."""
    return {
        "waiting": _waiting(pool),
        "missed": _missed(pool),
        "submissions": _submissions(pool),
        "scrub": scrub_overview(pool),
        "refused": _refused(pool),
        "purged": purges(pool),
        "releases": _releases(pool),
        "quarters": quarters(pool),
        "not_enforced": [name for name, held in enforced_limits().items() if not held],
    }


def _missed(pool: Pool) -> list[dict[str, str]]:
    """Exports that were due by their company's schedule and did not come."""
    try:
        found = missed(pool.registry, pool.catalogue, datetime.now(UTC))
    except UsageError:  # no company is registered yet
        found = []
    return [
        {
            "company": each.company,
            "due": f"{each.due:%Y-%m-%d %H:%M}",
            "last": f"{each.last:%Y-%m-%d %H:%M}" if each.last else "never",
        }
        for each in found
    ]


def _waiting(pool: Pool) -> dict[str, int | str]:
    """How many submissions wait in each company's drop, or why that is not known."""
    try:
        found = waiting_by_company(pool)
    except UsageError:  # no company is registered yet
        found = {}
    return {company: each.message if isinstance(each, CommonsError) else len(each) for company, each in found.items()}


def _submissions(pool: Pool) -> list[dict[str, Any]]:
    rows: dict[tuple[str, str], dict[str, Any]] = defaultdict(lambda: dict.fromkeys(_COUNTED, 0))
    accepted = pool.catalogue.accepted()
    for submission in accepted:
        row = rows[str(submission.quarter), submission.company]
        row["submissions"] += 1
        row["records"] += submission.records - submission.corrections
        row["corrections"] += submission.corrections
        row["withdrawals"] += submission.withdrawals
        row["quarantined"] += submission.receipt["quarantined"]
    open_quarters = {q for q in {s.quarter for s in accepted} if any(not part.target.exists() for part in parts(pool, q))}
    return [
        {
            "quarter": quarter,
            "company": company,
            **row,
            "scrubbed": "waits" if Quarter.parse(quarter) in open_quarters else "done",
        }
        for (quarter, company), row in sorted(rows.items())
    ]


def _refused(pool: Pool) -> list[dict[str, Any]]:
    """How many submissions of each company were refused, and when and for what the last one was; of senders not identified, too."""
    by_company: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in pool.catalogue.audit_rows():
        if row["decision"] == "refused":
            by_company[row["company"]].append(row)
    return [
        {
            "company": company or "not identified",
            "refused": len(rows),
            "last": f"{rows[-1]['at']:%Y-%m-%d %H:%M}",
            "codes": ", ".join(code for code in rows[-1]["counts"] if code.startswith("E1")),
        }
        for company, rows in sorted(by_company.items())
    ]


def _releases(pool: Pool) -> list[dict[str, Any]]:
    found = []
    for (name, version), state in states(pool.engine).items():
        quarter = Quarter.parse(name)
        checks, signed = stored_checks(pool.engine, quarter, version), stored_signoffs(pool.engine, quarter, version)
        failed = sum(check.stops and not check.passed for check in checks)
        found.append(
            {
                "quarter": name,
                "version": version,
                "state": str(state),
                "checks": f"{len(checks) - failed} of {len(checks)} hold" if checks else "not run",
                "signed": ", ".join(s.role for s in signed),
                "missing": ", ".join(missing_roles(signed)),
            }
        )
    return found
