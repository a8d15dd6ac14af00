"""A measured release with made-up noisy numbers, from the real configuration; and people with keys."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from derived_fixtures import asking_all, with_derived

from aggregate.answer import Answer, NoisyMarginal, NoisyResidual
from aggregate.counts import public_cells
from aggregate.tabulation import tabulate
from aggregate.workload import Workload
from publish.cells import RATES
from publish.signoff import People, sign_off
from schemas.keys import CHANGE_GROUPS, KEYS
from schemas.parameters import load_privacy_parameters
from schemas.periods import Quarter
from schemas.plan import Measure, RegisteredPlan, load_release_plan
from schemas.signing import encode_key, public_key
from schemas.stages import MeasuredRelease, NoisyTable, SignOff, Spend
from schemas.tables import TABLES, Status

CONFIG = Path(__file__).parents[2] / "config"
QUARTER = Quarter(2026, 3)

GOOD = {"risk_trajectory": "deescalated", "user_reply": "engaged", "resource_opened": "yes"}
FADING = {"1-5": 0.62, "6-10": 0.58, "11-20": 0.52, "21-40": 0.45, "41-80": 0.36, "81+": 0.30}
BY_INTERVENTION = {
    "crisis_resource_referral": 0.55,
    "direct_suicide_question": 0.5,
    "no_intervention": 0.35,
    "content_refusal": 0.28,
}


def _weights(key: str, scope: Any) -> np.ndarray:
    """How frequent each code of a key is: earlier codes of a domain are more frequent, as in real tables."""
    codes = KEYS[key].domain(scope)
    return np.array([0.05 if code in ("unknown", "other") else 1.0 / (1 + 0.25 * place) for place, code in enumerate(codes)])


def _rated(measure: Measure, rated: str, key: str, scope: Any, flat: bool) -> np.ndarray:
    """Shares of the codes of the key over which rates are shares (or of the endings), a row for each code of `key`."""
    codes, unknown = KEYS[rated].domain(scope), KEYS[rated].open_codes
    known = [code for code in codes if code not in unknown]
    best = GOOD.get(measure.outcome_kind, known[0]) if rated == "outcome" else known[0]
    rows = []
    for code in KEYS[key].domain(scope):
        good = 0.45 if flat else (FADING if key == "depth_band" else BY_INTERVENTION).get(code, 0.42)
        good = 0.15 if rated == "ending" else good
        shares = {value: 0.88 * (1 - good) / (len(known) - 1) for value in known} | {best: 0.88 * good}
        rows.append([shares.get(value, 0.06) for value in codes])
    return np.array(rows)


def _exact(
    measure: Measure, plan: RegisteredPlan, random: Any, total: int, flat: bool, even: str
) -> tuple[list[str], np.ndarray]:
    """Users by all keys of a measure at once, so that its marginals agree. Returns the keys, and one axis for each."""
    scope = measure.scope(Quarter.parse(plan.quarter), plan.release_plan)
    keys = list(dict.fromkeys(key for marginal in measure.marginals for key in marginal))
    spec = TABLES[measure.table]
    rated = "ending" if spec.has_curve else spec.rate_key(keys)
    keys = [key for key in keys if key != rated]
    shares = np.ones(())
    for key in keys:
        weights = _weights(key, scope)
        shares = np.multiply.outer(shares, np.ones_like(weights) if key == even else weights)
    if rated:
        of = "depth_band" if "depth_band" in keys else "intervention" if "intervention" in keys else keys[0]
        by_code = _rated(measure, rated, of, scope, flat)
        shares = np.moveaxis(np.moveaxis(shares, keys.index(of), -1)[..., None] * by_code, -2, keys.index(of))
        keys = [*keys, rated]
    return keys, random.multinomial(total, np.ravel(shares / shares.sum())).reshape(shares.shape)


def _sums(keys: list[str], whole: np.ndarray, over: Sequence[str]) -> np.ndarray:
    summed = whole.sum(axis=tuple(place for place, key in enumerate(keys) if key not in over))
    kept = [key for key in keys if key in over]
    return np.transpose(summed, [kept.index(key) for key in over])


def _draw(measure: Measure, plan: RegisteredPlan, random: Any, users: float, flat: bool, noise: float, even: str) -> Answer:
    """What the measurement would draw for one measure, with the plan's own noise times `noise`."""
    scale, shares, rho = plan.privacy.unit.weight_scale, plan.privacy.shares, float(plan.rho_of(measure))
    scope = measure.scope(Quarter.parse(plan.quarter), plan.release_plan)
    keys, whole = _exact(measure, plan, random, random.poisson(users), flat, even)
    residuals, marginals = [], []
    for residual in Workload.of(measure, scope).residuals:
        square, _ = residual.l2(scale, measure.bound(scale).strata)
        sigma = noise * math.sqrt(square / (2 * rho * float(shares.estimates * residual.share)))
        values = residual.of(_sums(keys, whole, residual.keys) * scale) + random.normal(0, sigma, math.prod(residual.shape))
        residuals.append(NoisyResidual(measure.name, residual.keys, tuple(int(value) for value in values), sigma))
    for marginal in measure.marginals:
        enough = [0 if _of_few(dict(zip(marginal, cell, strict=True))) else 10**9 for cell in public_cells(marginal, scope)]
        marginals.append(
            NoisyMarginal(measure.name, marginal, tuple(enough), 1.0, tuple(-v for v in enough), 1.0, round(users * scale), 1.0)
        )
    return Answer(tuple(residuals), tuple(marginals))


def _of_few(keys: dict[str, str]) -> bool:
    return keys.get("age_band") == "65_plus" and keys.get("ideation") in ("active_intent_no_plan", "active_plan_intent")


def withhold(row: dict[str, Any], status: Status) -> None:
    """Nulls a row as the measurement does."""
    for name in ("estimate", "estimate_nonneg", "noise_stddev", "sampling_factor", "ci_low", "ci_high"):
        row[name] = None
    for name in RATES:
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
    even: str = "",
    quarters: int = 0,
) -> MeasuredRelease:
    """A measured release of the real plan with made-up numbers of about `users` users; codes of the key `even` are as frequent.

    Derived tables compare it with `quarters` earlier ones, of the same companies.
    """
    privacy = load_privacy_parameters(CONFIG / "privacy.toml")
    questions, privacy = asking_all(load_release_plan(CONFIG / "release_plan.toml", privacy), privacy)
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
        compared=tuple(f"{change}:{group}" for change in questions.change_classes for group in CHANGE_GROUPS),
        parameters=privacy.model_dump(mode="json"),
        plan=questions.model_dump(mode="json", by_alias=True),
    )
    random = np.random.default_rng(seed)
    drawn = [_draw(m, plan, random, users, flat, noise, even) for m in questions.measures if m.outcome_kind not in not_collected]
    answer = Answer(tuple(r for d in drawn for r in d.residuals), tuple(m for d in drawn for m in d.marginals))
    tables = tabulate(answer, plan.model_copy(update={"contributors": max(contributors, privacy.companies.minimum)}))
    spend = Spend("0.016016", 0.89, 1e-7, 2026, "0.032032", 1.29, 1e-7, ("a" * 64,))
    return with_derived(MeasuredRelease(quarter, version, plan, tables, spend), quarters)


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
RELEASE_KEY = bytes([9]) * 32
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
