"""A pool of few questions whose quarters were answered by hand, with terms that were found, and people with keys."""

import sys
from pathlib import Path

import numpy as np
from pooled import registered

sys.path.append(str(Path(__file__).parents[1] / "publish"))
from release_fixtures import _draw

from aggregate.answer import Answer, NoisyRound, NoisyTracked
from flows.pool import Pool, packaged_config
from flows.release_steps import approve_release, check_release, publish_release
from flows.terms import decide_terms, quarters_terms
from publish.store import mark_measured, mark_planned
from publish.term_reviews import Decision
from schemas.periods import Quarter
from schemas.plan import RegisteredPlan
from schemas.signing import decode_key, encode_key, new_private_key, public_key
from schemas.stages import Release

PEOPLE = (("olga", "operator"), ("carl", "clinical"), ("clea", "clinical"), ("petra", "privacy"))
QUARTERS = (Quarter(2026, 1), Quarter(2026, 2), Quarter(2026, 3))
FIRST, SECOND, THIRD = QUARTERS

PLAN = """
domain = "suicide_self_harm"
languages = ["en"]
regions = ["US"]

[[measure]]
name = "risk_profile"
table = "risk_profile"
event = "record"
estimand = "most_severe_record"
marginals = [["ideation"], ["language"]]

[[terms]]
name = "user_terms"
speaker = "user"
most = 8
"""
SPLITS = """
[split]
risk_profile = "50/100"
user_terms = "40/100"
tracked_user_terms = "10/100"

[threshold_split]
user_terms = "1"
"""


def terms_pool(root: Path) -> Pool:
    """A pool with people and questions, and nothing in it."""
    config = root / "config"
    config.mkdir(parents=True)
    (config / "release_plan.toml").write_text(PLAN)
    packaged = packaged_config("privacy.toml").read_text()
    head = packaged[: packaged.index("[split]")]
    (config / "privacy.toml").write_text(head + SPLITS)
    people = ""
    for person, role in PEOPLE:
        private = new_private_key()
        (root / f"{person}.key").write_text(encode_key(private))
        people += f'[[person]]\nid = "{person}"\nrole = "{role}"\npublic_key = "{encode_key(public_key(private))}"\n'
    (config / "people.toml").write_text(people)
    return Pool(root)


def key(pool: Pool, person: str) -> Path:
    return pool.root / f"{person}.key"


def measured_by_hand(
    pool: Pool,
    quarter: Quarter,
    new: dict[str, float],
    followed: dict[str, float] | None = None,
    before: tuple[RegisteredPlan, ...] = (),
    version: int = 1,
) -> RegisteredPlan:
    """A plan, registered and answered: `new` terms over a threshold of 100 users-equivalent, and counts of those that are `followed`."""
    budget = pool.privacy.budget
    plan = registered(
        quarter=quarter,
        version=version,
        planner="olga",
        reason="first release" if version == 1 else "anew",
        history=tuple(each.hash for each in before),
        panel="p" * 64,
        rho=str(budget.first_release_rho if version == 1 else budget.reserve_rho),
        threshold_delta=str(budget.first_release_threshold_delta if version == 1 else budget.reserve_threshold_delta),
        parameters=pool.privacy.model_dump(mode="json"),
        plan=pool.release_plan.model_dump(mode="json", by_alias=True),
    )
    step, known = plan.privacy.unit.weight_scale, followed or {}
    drawn = _draw(plan.release_plan.measures[0], plan, np.random.default_rng(4), 40_000, False, 1.0, "")
    values = tuple(int(value * step) for value in new.values())
    rounds = (NoisyRound("user_terms", 1, tuple(new), values, 20.0 * step, 100 * step, 1e-9),)
    counts, enough = tuple(int(value * step) for value in known.values()), (10**9,) * len(known)
    tracked = NoisyTracked(
        "user_terms", tuple(known), counts, 10.0 * step, enough, 1.0, tuple(-each for each in enough), 1.0
    )  # what is followed lies in enough companies
    answer = Answer(drawn.residuals, drawn.marginals, (), rounds, (tracked,) if known else ())
    pool.ledger.register(plan)
    mark_planned(pool.engine, quarter, plan.version, plan.hash)
    pool.ledger.answer_once(plan, answer.to_bytes)
    from aggregate.measurement import answered

    measured = answered(plan, pool.ledger)
    assert measured is not None
    mark_measured(pool.engine, measured)
    return plan


def decided(pool: Pool, quarter: Quarter, person: str = "carl", **decisions: str) -> int:
    """A reviewer's decisions on terms of users."""
    found = quarters_terms(pool, quarter)
    given = {("user", term): Decision(decision) for term, decision in decisions.items()}
    return decide_terms(pool, found, given, pool.people.get(person), decode_key(key(pool, person).read_text()))


def released(pool: Pool, quarter: Quarter) -> Release:
    """Checked, signed by both and published."""
    assert all(result.passed for result in check_release(pool, quarter) if result.stops)
    for person in ("carl", "petra"):
        approve_release(pool, quarter, key(pool, person))
    return publish_release(pool, quarter)
