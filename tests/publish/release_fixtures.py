"""A measured release with made-up noisy numbers, from the real configuration; and people with keys."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from aggregate.intervals import count_interval, rate_interval, z_value
from publish.content import marginal_cells, table_names
from publish.signoff import People, sign_off
from schemas.codes import OPEN_OUTCOMES
from schemas.keys import KEYS
from schemas.parameters import load_privacy_parameters
from schemas.periods import Quarter
from schemas.plan import Event, Measure, RegisteredPlan, load_release_plan
from schemas.signing import encode_key, public_key
from schemas.stages import MeasuredRelease, NoisyTable, SignOff, Spend
from schemas.tables import TABLES, Status, columns, key_columns

CONFIG = Path(__file__).parents[2] / "config"
QUARTER = Quarter(2026, 3)
Z = z_value(0.95)

GOOD = {"risk_trajectory": "deescalated", "user_reply": "engaged", "resource_opened": "yes"}
FADING = {"1-5": 0.62, "6-10": 0.58, "11-20": 0.52, "21-40": 0.45, "41-80": 0.36, "81+": 0.30}
BY_INTERVENTION = {
    "crisis_resource_referral": 0.55,
    "direct_suicide_question": 0.5,
    "no_intervention": 0.35,
    "content_refusal": 0.28,
}


def _share_of_good(keys: dict[str, str], flat: bool) -> float:
    if flat:
        return 0.45
    if "depth_band" in keys:
        return FADING[keys["depth_band"]]
    return BY_INTERVENTION.get(keys.get("intervention", ""), 0.42)


def _weight(keys: dict[str, str], scope: Any) -> float:
    """How large a cell is before its outcome: earlier codes of a domain are more frequent, as in real tables."""
    weight = 1.0
    for name, code in keys.items():
        if name != "outcome":
            domain = KEYS[name].domain(scope)
            weight *= 0.05 if code in ("unknown", "other") else 1.0 / (1 + 0.25 * domain.index(code))
    return weight


def _truth(measure: Measure, plan: RegisteredPlan, marginal: tuple[str, ...], users: float, flat: bool) -> list[float]:
    scope = measure.scope(Quarter.parse(plan.quarter), plan.release_plan)
    names = key_columns(measure.table, plan.release_plan)
    sizes = []
    for cell in marginal_cells(measure, marginal, plan):
        keys = {k: v for k, v in zip(names, cell, strict=True) if k in marginal}
        size = _weight(keys, scope)
        if "outcome" in keys:
            known = [v for v in scope.outcome_values if v not in OPEN_OUTCOMES]
            good = _share_of_good(keys, flat)
            if keys["outcome"] in OPEN_OUTCOMES:
                share = 0.06
            elif keys["outcome"] == GOOD[measure.outcome_kind]:
                share = 0.88 * good
            else:
                share = 0.88 * (1 - good) / (len(known) - 1)
            size *= share
        sizes.append(size)
    total = sum(sizes)
    return [users * size / total for size in sizes]


def _rates(rows: list[dict[str, Any]]) -> None:
    """Rates of one group of outcomes, as the measurement gives them; no rate where the denominator is noise."""
    known = [row for row in rows if row["outcome"] not in OPEN_OUTCOMES]
    if any(row["estimate"] is None for row in rows):
        return
    total = sum(row["estimate"] for row in known)
    everything = sum(row["estimate"] for row in rows)
    for row in rows:
        row["unknown_share"] = 1 - total / everything if everything > 0 else None
    for row in known:
        found = rate_interval(row["estimate"], total, row["noise_stddev"], len(known), Z)
        if found is not None:
            row |= {"rate": found.value, "rate_ci_low": found.interval.low, "rate_ci_high": found.interval.high}


def _measure_rows(
    measure: Measure, plan: RegisteredPlan, random: Any, users: float, flat: bool, noise: float
) -> list[dict[str, Any]]:
    names = key_columns(measure.table, plan.release_plan)
    rows = []
    total = random.poisson(users)
    for marginal in measure.marginals:
        rho = float(plan.rho_of(measure) * plan.privacy.companies.estimate_share)
        stddev = noise * (measure.l2_squared(1) / (2 * rho)) ** 0.5
        truth = np.array(_truth(measure, plan, marginal, users, flat))
        counts = random.multinomial(total, truth / truth.sum())
        group: list[dict[str, Any]] = []
        for cell, count in zip(marginal_cells(measure, marginal, plan), counts, strict=True):
            row: dict[str, Any] = {"quarter": plan.quarter, **dict(zip(names, cell, strict=True))}
            estimate = float(count + random.normal(0, stddev))
            interval = count_interval(estimate, stddev, Z)
            noisy = estimate < plan.privacy.too_noisy_ratio * stddev
            row |= {"estimate": estimate, "estimate_nonneg": max(estimate, 0.0), "noise_stddev": stddev}
            row |= {"ci_low": interval.low, "ci_high": interval.high}
            row |= {"status": Status.TOO_NOISY if noisy else Status.OK}
            if measure.event is Event.INTERVENTION_OUTCOME:
                row |= {"rate": None, "rate_ci_low": None, "rate_ci_high": None, "unknown_share": None}
                row |= {"denominator": TABLES[measure.table].denominator}
            if row.get("age_band") == "65_plus" and row.get("ideation", "all") in ("active_intent_no_plan", "active_plan_intent"):
                withhold(row, Status.TOO_FEW_COMPANIES)
            if measure.outcome_kind in plan.not_collected and measure.outcome_kind:
                withhold(row, Status.NOT_COLLECTED)
            group.append(row)
            if row.get("outcome") == "pending":
                _rates(group)
            if row.get("outcome", "pending") == "pending":
                rows += group
                group = []
    return rows


def withhold(row: dict[str, Any], status: Status) -> None:
    """Nulls a row as the measurement does."""
    for name in ("estimate", "estimate_nonneg", "noise_stddev", "ci_low", "ci_high"):
        row[name] = None
    for name in ("rate", "rate_ci_low", "rate_ci_high", "unknown_share"):
        if name in row:
            row[name] = None
    row["status"] = status


def build_measured(
    seed: int = 1,
    users: float = 40_000,
    flat: bool = False,
    noise: float = 1.0,
    contributors: int = 4,
    not_collected: tuple[str, ...] = (),
    synthetic: bool = True,
    version: int = 1,
    quarter: Quarter = QUARTER,
) -> MeasuredRelease:
    """A measured release of the real plan with made-up numbers of about `users` users."""
    privacy = load_privacy_parameters(CONFIG / "privacy.toml")
    questions = load_release_plan(CONFIG / "release_plan.toml", privacy)
    plan = RegisteredPlan(
        quarter=str(quarter),
        version=version,
        synthetic=synthetic,
        reason="first release",
        planner="olu",
        contributors=contributors,
        not_collected=not_collected,
        rho=str(privacy.budget.first_release_rho),
        threshold_delta="0",
        secret_commitment="0" * 64,
        parameters=privacy.model_dump(mode="json"),
        plan=questions.model_dump(mode="json", by_alias=True),
    )
    random = np.random.default_rng(seed)
    tables = []
    for name in table_names(questions):
        rows = [r for m in questions.measures if m.table == name for r in _measure_rows(m, plan, random, users, flat, noise)]
        declared = columns(name, questions)
        schema = pa.schema([pa.field(c.name, pa.float64() if c.type == "float" else pa.string()) for c in declared])
        tables.append(NoisyTable(name, pa.Table.from_pylist(rows, schema=schema)))
    spend = Spend("0.016016", 0.89, 1e-7, 2026, "0.032032", 1.29, 1e-7, ("a" * 64,))
    return MeasuredRelease(quarter, version, plan, tuple(tables), spend)


def change_rows(measured: MeasuredRelease, table: str, change: Callable[[list[dict[str, Any]]], Any]) -> MeasuredRelease:
    """The same release with the rows of one table changed in place by `change`."""
    changed = []
    for noisy in measured.tables:
        if noisy.name == table:
            rows = noisy.rows.to_pylist()
            change(rows)
            noisy = NoisyTable(table, pa.Table.from_pylist(rows, schema=noisy.rows.schema))
        changed.append(noisy)
    return replace(measured, tables=tuple(changed))


PRIVATE_KEYS = {name: bytes([n]) * 32 for n, name in enumerate(("olu", "carmen", "piet", "cleo"), start=1)}
ROLES = {"olu": "operator", "carmen": "clinical", "piet": "privacy", "cleo": "clinical"}


def registry_text(**changes: str) -> str:
    """The registry of people as TOML; `changes` replaces roles."""
    entries = []
    for name, key in PRIVATE_KEYS.items():
        role = changes.get(name, ROLES[name])
        entries.append(f'[[person]]\nid = "{name}"\nrole = "{role}"\npublic_key = "{encode_key(public_key(key))}"\n')
    return "\n".join(entries)


SIGNED_AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def both_sign(measured: MeasuredRelease, people: People) -> tuple[SignOff, ...]:
    """The two sign-offs that a release needs."""
    return tuple(sign_off(measured, people, name, PRIVATE_KEYS[name], SIGNED_AT) for name in ("carmen", "piet"))
