"""Which earlier quarters a plan goes on from, and which companies contributed then: what growth is told against."""

from collections.abc import Iterable

from flows.pool import Pool
from schemas.periods import Quarter
from schemas.plan import RegisteredPlan


def earlier_plans(pool: Pool, quarter: Quarter, *, synthetic: bool) -> list[RegisteredPlan]:
    """The latest measured plan of each quarter before one, newest first, as far back as no quarter is missing.

    Quarters of the other kind, synthetic or real, end it.
    """
    found = []
    while (plan := _measured_plan(pool, quarter := quarter.previous())) is not None and plan.synthetic == synthetic:
        found.append(plan)
    return found


def newcomers(pool: Pool, companies: Iterable[str], before: RegisteredPlan | None) -> tuple[str, ...]:
    """Those of some companies that a plan of the quarter before did not count; none where there is no such plan."""
    if before is None:
        return ()
    counted = pool.catalogue.contributors(Quarter.parse(before.quarter), pool.ledger.planned_at(before.hash))
    return tuple(sorted(set(companies) - set(counted)))


def _measured_plan(pool: Pool, quarter: Quarter) -> RegisteredPlan | None:
    latest = pool.ledger.plan(quarter)
    versions = range(latest.version, 0, -1) if latest else ()
    plans = (pool.ledger.plan(quarter, version) for version in versions)
    return next((plan for plan in plans if plan is not None and pool.ledger.stored_answer(plan.hash) is not None), None)
