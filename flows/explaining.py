"""What the plan of a quarter would tell, shown before anything is registered or spent."""

from collections.abc import Sequence
from dataclasses import dataclass

from aggregate.answer import Answer
from aggregate.mechanisms.conversion import epsilon_of
from aggregate.planning import PlannedMarginal, PlannedSearch, foresee, foresee_searches
from flows.pool import Pool
from publish.path import State, has_reached
from publish.store import states
from schemas.errors import UsageError
from schemas.periods import Quarter


@dataclass(frozen=True)
class Explanation:
    """What a plan would tell and cost. `users` are those expected in each measure; `users_from` says where that comes from."""

    quarter: str
    rho: str
    epsilon: float
    delta: float
    users: float
    users_from: str
    marginals: Sequence[PlannedMarginal]
    searches: Sequence[PlannedSearch]


def explain_plan(pool: Pool, quarter: Quarter, users: float | None = None) -> Explanation:
    """What the pool's present configuration would tell of a quarter. Reads no records and spends nothing.

    Without `users`, as many are expected as the latest release says, which is public. Raises UsageError where there is none.
    """
    budget, first = pool.privacy.budget, pool.ledger.plan(quarter) is None
    rho = budget.first_release_rho if first else budget.reserve_rho
    expected, source = (users, "as given") if users is not None else _of_the_latest_release(pool)
    if not 0 < expected < float("inf"):
        raise UsageError("The number of users must be above 0.")
    delta = budget.first_release_threshold_delta if first else budget.reserve_threshold_delta
    searches = foresee_searches(pool.release_plan, pool.privacy, rho, delta)
    marginals = foresee(pool.release_plan, pool.privacy, quarter, rho, expected)
    stated = float(budget.delta)
    epsilon = epsilon_of(rho, budget.delta - (delta if searches else 0))
    return Explanation(str(quarter), str(rho), epsilon, stated, expected, source, marginals, searches)


def _of_the_latest_release(pool: Pool) -> tuple[float, str]:
    published = [
        (Quarter.parse(name), version)
        for (name, version), state in states(pool.engine).items()
        if has_reached(state, State.PUBLISHED)
    ]
    for quarter, version in sorted(published, reverse=True):
        plan = pool.ledger.plan(quarter, version)
        stored = None if plan is None else pool.ledger.stored_answer(plan.hash)
        if plan is not None and stored is not None:
            totals = [r.values[0] for r in Answer.from_bytes(stored).residuals if not r.keys]
            return max(1.0, *(total / plan.privacy.unit.weight_scale for total in totals)), f"the release of {quarter}"
    raise UsageError("No release tells yet how many users to expect.", "Say it: `--users 50000`.")
