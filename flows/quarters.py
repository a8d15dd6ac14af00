"""Each quarter on the operator's screen: what is in, what is missing, where its release stands, and what comes next."""

from datetime import UTC, datetime, timedelta
from typing import Any

from flows.briefs import staff_text, text_path
from flows.pool import Pool
from flows.scrubbing import parts
from flows.terms import TERMS_REVIEWED, signed_terms_digest, waiting_terms
from publish.changes import plan_changes
from publish.path import State, next_step
from publish.signoff import missing_roles, verify_signoff
from publish.store import states, stored_checks, stored_content, stored_signoffs
from schemas.errors import NotApprovedError, UsageError
from schemas.periods import Quarter
from schemas.stages import SignOff


def quarters(pool: Pool) -> list[dict[str, Any]]:
    """One entry for each quarter of which there are records or a plan, oldest first. For the operator: it names companies."""
    known = states(pool.engine)
    names = {submission.quarter for submission in pool.catalogue.accepted()} | {Quarter.parse(name) for name, _ in known}
    return [_quarter(pool, quarter, _latest(known, quarter)) for quarter in sorted(names)]


def _latest(known: dict[tuple[str, int], State], quarter: Quarter) -> tuple[int, State | None]:
    return max(((version, state) for (name, version), state in known.items() if name == str(quarter)), default=(0, None))


def _quarter(pool: Pool, quarter: Quarter, latest: tuple[int, State | None]) -> dict[str, Any]:
    version, state = latest
    closes = quarter.end + timedelta(days=pool.privacy.close_days)
    scrubbed = all(part.target.exists() for part in parts(pool, quarter))
    checks = stored_checks(pool.engine, quarter, version)
    failed = [check.name for check in checks if check.stops and not check.passed]
    warned = [check.name for check in checks if not check.stops and not check.passed]
    signed = stored_signoffs(pool.engine, quarter, version)
    broken, waiting = _broken(pool, quarter, version, signed), waiting_terms(pool, quarter, state)
    to_mend = [name for name in failed if name != TERMS_REVIEWED]  # that one passes once it is asked again
    line, year = pool.ledger.line(quarter=quarter), pool.ledger.line(year=quarter.year)
    return {
        "quarter": str(quarter),
        "version": version,
        "state": str(state) if state else "not planned",
        "closes": closes.date().isoformat(),
        "sent": pool.catalogue.contributors(quarter),
        "not_sent": _not_sent(pool, quarter),
        "scrubbed": scrubbed,
        "checks": len(checks),
        "failed": failed,
        "warned": warned,
        "epsilon_spent": line.epsilon_spent,
        "epsilon_cap": line.epsilon_cap,
        "year_epsilon_spent": year.epsilon_spent,
        "year_epsilon_cap": year.epsilon_cap,
        "delta": line.delta,
        "terms_waiting": waiting,
        "text": str(text_path(pool, quarter).relative_to(pool.root)) if text_path(pool, quarter).exists() else "",
        "signed": [{"person": s.person, "role": s.role, "at": s.signed_at.isoformat(timespec="minutes")} for s in signed],
        "not_holding": broken,
        "missing": list(missing_roles(signed)) if checks else [],
        "changed": _changed(pool, quarter),
        "next": _next(quarter, state, closes, scrubbed, to_mend, broken, waiting),
    }


def _not_sent(pool: Pool, quarter: Quarter) -> list[str]:
    try:
        registered = pool.registry.companies
    except UsageError:  # no company is registered yet
        return []
    return sorted(set(registered) - set(pool.catalogue.contributors(quarter)))


def _broken(pool: Pool, quarter: Quarter, version: int, signed: tuple[SignOff, ...]) -> list[str]:
    """Roles whose signature does not hold for what would be published now: staff's text was changed since."""
    if not signed:
        return []
    plan, text = pool.ledger.plan(quarter, version), staff_text(pool, quarter)
    terms = signed_terms_digest(pool, plan) if plan else ""
    content = stored_content(pool.engine, quarter, version, text.digest, terms)
    found = []
    for each in signed:
        try:
            if plan is not None and content is not None:
                verify_signoff(content, pool.people, plan.planner, each)
        except NotApprovedError:
            found.append(each.role)
    return found


def _changed(pool: Pool, quarter: Quarter) -> list[str]:
    """What this quarter's plan asks and promises otherwise than that of the quarter before; nothing where either is not there."""
    plan, before = pool.ledger.plan(quarter), pool.ledger.plan(quarter.previous())
    if plan is None or before is None:
        return []
    return [f"{change.what}: {change.before} → {change.now}" for change in plan_changes(plan, before)]


def _next(
    quarter: Quarter,
    state: State | None,
    closes: datetime,
    scrubbed: bool,
    failed: list[str],
    broken: list[str],
    waiting: int,
) -> str:
    step = next_step(state)
    if state in (State.PUBLISHED, State.SUPERSEDED) or step is None:
        return ""
    if state is None and datetime.now(UTC) < closes:
        return f"wait: outcomes still come in until {closes.date()}"
    if broken:
        return f"put brief/{quarter}.md back as it was when it was signed"
    if waiting:
        return f"a reviewer: commons terms review {quarter} --key KEY"
    if not scrubbed and state in (None, State.PLANNED):
        return "commons ingest"
    if failed:
        return f"mend what these checks found: {', '.join(failed)}; then {step.call(quarter)}"
    return step.call(quarter)
