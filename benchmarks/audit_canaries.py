"""Canaries of the audit: users who are in or out of a pool by coin, and what the answer gives away of which.

Each canary has three records in a cell of its own of each of three marginals. Three users of each of two other companies are
always in that cell, so that a canary also moves the mass outside the two largest companies, and dominance: what is drawn for
the measure moves by as much as is charged for (but for the 2 % on the sum of squares). Canaries share no cell, so one draw audits all of them (Steinke, Nasr,
Jagielski 2023). The attacker knows all but the coins. From how often a guess is right, Clopper-Pearson bounds tell the least
µ of Gaussian differential privacy that the pipeline can have; more than was charged is an alarm.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.stats import beta, norm

from aggregate.answer import Answer
from aggregate.counts import ExactCounts, public_cells
from aggregate.measurement import commitment
from aggregate.mechanisms.conversion import epsilon_of
from aggregate.mechanisms.draw import company_vectors
from aggregate.workload import Workload
from flows.pool import packaged_config
from schemas.arrow import pool_schema
from schemas.at_rest import encryption
from schemas.codes import code_lists, domains
from schemas.keys import PUBLIC_AGE_BANDS
from schemas.parameters import PrivacyParameters, load_privacy_parameters
from schemas.periods import Quarter
from schemas.plan import Measure, Names, RegisteredPlan
from schemas.stages import EncryptedFiles, ScrubbedRecords
from schemas.unit import bucket_of, unit_id

QUARTER, KEY, SECRET = Quarter(2026, 1), b"k" * 32, b"s" * 32
OTHERS, OWNER = ("alder", "birch"), "cedar"
COMPANIES = (*OTHERS, OWNER)
CANARIES = 2_000
RECORDS = 3  # of a canary: over the bound, were it not for the weights
BESIDE = 3  # users of each other company in a canary's cell: as many as a canary could count for
STRATUM, REASON = "flagged-main", "flagged"
DOMAIN, KIND, WINDOW = "suicide_self_harm", "user_reply", "next_turn"
LETTERS = "abcdefghijklmnopqrstuvwxyz"
LANGUAGES = ("en", *(f"q{letter}{other}" for letter in "ab" for other in LETTERS[:16]))
REGIONS = tuple(a + b for a in "XYZ" for b in LETTERS.upper())[:62]
MARGINALS: tuple[Names, ...] = (
    ("language", "region"),
    ("intervention", "layer", "ideation_before", "imminence_before"),
    ("week", "surface", "age_band", "outcome"),
)
RHO = "1"
"""Of the audit's plan, all on its one measure: at µ = 1.41 some canaries tell a factor of 1.2; at the packaged 0.016 it takes
a hundred times as many. Every scale is one function of rho."""
CONFIDENCE = 0.99

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


def privacy_of(rho: str, weight_scale: int = 2**20) -> PrivacyParameters:
    """The packaged parameters with other budgets, one measure, and perhaps other steps."""
    packaged = load_privacy_parameters(packaged_config("privacy.toml")).model_dump(mode="json")
    quarter = 2 * Fraction(rho)
    budget = {
        **packaged["budget"],
        "first_release_rho": rho,
        "reserve_rho": rho,
        "quarter_rho": str(quarter),
        "year_rho": str(4 * quarter),
        "quarter_epsilon": "1000000",
        "year_epsilon": "1000000",
    }
    unit = {**packaged["unit"], "weight_scale": weight_scale}
    return PrivacyParameters.model_validate(
        {**packaged, "unit": unit, "budget": budget, "split": {"canaries": "1"}, "threshold_split": {}}
    )


def questions() -> dict[str, Any]:
    """The release plan of the audit: one measure of three marginals that share no key."""
    measure = {
        "name": "canaries",
        "table": "intervention_outcomes",
        "event": "intervention_outcome",
        "estimand": "share_of_user",
        "outcome_kind": KIND,
        "window": WINDOW,
        "marginals": MARGINALS,
    }
    return {"domain": DOMAIN, "languages": LANGUAGES, "regions": REGIONS, "measure": [measure]}


def plan_of(rho: str = RHO, weight_scale: int = 2**20) -> RegisteredPlan:
    """The registered plan of the audit."""
    return RegisteredPlan(
        quarter=str(QUARTER),
        version=1,
        synthetic=True,
        reason="first release",
        planner="audit",
        contributors=len(COMPANIES),
        not_collected=(),
        rho=rho,
        threshold_delta="0",
        secret_commitment=commitment(SECRET, QUARTER),
        parameters=privacy_of(rho, weight_scale).model_dump(mode="json"),
        plan=questions(),
    )


def _own_values() -> tuple[tuple[Any, ...], ...]:
    """Values of each key that a canary may have, marginal by marginal, as they stand in a record."""
    lists = code_lists()
    ages = {public: code for code, public in PUBLIC_AGE_BANDS.items()}
    outcomes = tuple(domains()[DOMAIN].outcome_values[KIND])
    weeks = tuple(max(QUARTER.start + timedelta(days=7 * n - QUARTER.start.weekday()), QUARTER.start) for n in range(13))
    return (
        (LANGUAGES, REGIONS),
        (tuple(lists["intervention"]), tuple(lists["layer"]), tuple(lists["ideation"]), tuple(lists["imminence"])),
        (weeks, tuple(lists["surface"]), tuple(ages.values()), outcomes),
    )


@cache
def _cells_of_canaries() -> tuple[tuple[Any, ...], ...]:
    """For each canary its values of all keys: a different cell of each marginal, none of them near another by design."""
    rng = np.random.default_rng(20_261_122)
    chosen = []
    for values in _own_values():
        cells = list(itertools.product(*values))
        chosen.append([cells[place] for place in rng.permutation(len(cells))[:CANARIES]])
    return tuple(tuple(itertools.chain(*cells)) for cells in zip(*chosen, strict=True))


def record(canary: int, number: int, pseudonym: str) -> dict[str, Any]:
    """A record in the cells of a canary, as a company would send it."""
    language, region, intervention, layer, ideation, imminence, week, surface, age, outcome = _cells_of_canaries()[canary]
    moment = week + timedelta(hours=1 + number)
    seen = {"kind": KIND, "value": outcome, "window": WINDOW, "basis": "observed"}
    taken = {"turn": 7, "type": intervention, "layer": layer, "ideation_at": ideation, "imminence_at": imminence}
    versions = {"model_family": "model", "model_version": "1", "safety_config": "default", "experiment": None}
    return {
        "domain": DOMAIN,
        "record_id": f"record-{canary}-{number}",
        "record_status": "new",
        "user_pseudonym": pseudonym,
        "started_at": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "selection_stratum": STRATUM,
        "event_class": next(iter(code_lists()["event_class"])),
        "origin": "synthetic",
        "sharing_basis": "explicit_consent",
        "deployment": {"surface": surface, **versions},
        "person": {"age_band": age, "age_source": "declared", "language": language, "region": region},
        "risk": {
            "ideation": "none",
            "behavior": "none",
            "behavior_recency": "not_applicable",
            "nssi": "recent",
            "imminence": "not_imminent",
            "speech_form": [],
            "subject": "self",
            "first_turn": 3,
            "peak_turn": 7,
            "label_source": "classifier",
            "confidence": "medium",
        },
        "evasion": {"tactics": [], "bypassed": "not_attempted"},
        "n_turns": 13,
        "turns": [],
        "interventions": [{**taken, "outcomes": [seen]}],
        "failure_modes": [],
        "human_review": "none",
    }


def records_of(company: str) -> list[tuple[int, dict[str, Any]]]:
    """All records of a company, as sent, each with the number of its canary; of the canaries' company as if all were in."""
    if company == OWNER:
        return [(i, record(i, n, f"pseudonym-{i}")) for i in range(CANARIES) for n in range(RECORDS)]
    return [(i, record(i, 0, f"pseudonym-{i}-{n}")) for i in range(CANARIES) for n in range(BESIDE)]


@cache
def _pooled() -> tuple[pa.Table, npt.NDArray[np.int64]]:
    """All records as the pool holds them after the scrub, and the canary of each row (-1: always in)."""
    rows, canary = [], []
    for company in COMPANIES:
        for number, sent in records_of(company):
            unit = unit_id(company, sent.pop("user_pseudonym"))
            own = {"company": company, "submission": "0" * 64, "pseudonym_unit": "account", "selection_reason": REASON}
            named = {"unit": unit, "bucket": bucket_of(unit), "content": unit_id(unit, sent["record_id"])}
            rows.append({**sent, **own, **named, "started_at": datetime.fromisoformat(sent["started_at"])})
            canary.append(number if company == OWNER else -1)
    return pa.Table.from_pylist(rows, schema=pool_schema()), np.array(canary)


def coins(seed: int) -> Bools:
    """Who is in, one fair coin a canary."""
    return np.asarray(np.random.default_rng(seed).random(CANARIES) < 0.5)


def pooled(included: Bools) -> pa.Table:
    """The records of a pool with these canaries in it."""
    table, canary = _pooled()
    return table.filter(pa.array((canary < 0) | included[np.maximum(canary, 0)]))


def as_scrubbed(table: pa.Table, folder: Path) -> ScrubbedRecords:
    """Writes records as the scrub would have written them."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "part-00000.parquet"
    pq.write_table(table, path, encryption_properties=encryption(KEY))
    return ScrubbedRecords(QUARTER, (EncryptedFiles((path,), KEY),), COMPANIES)


@dataclass(frozen=True)
class Verdict:
    """What an audit found. `mu_lower` and `epsilon_lower` hold at the stated confidence, whatever the mechanism does."""

    mu_charged: float
    mu_seen: float
    mu_lower: float
    epsilon_charged: float
    epsilon_lower: float

    @property
    def alarm(self) -> bool:
        """Whether more is given away than was charged."""
        return self.mu_lower > self.mu_charged or self.epsilon_lower > self.epsilon_charged


def audit(answers: Sequence[Answer], plan: RegisteredPlan, included: Bools) -> Verdict:
    """Guesses each coin from all answers that were given to one plan, and bounds what that says of the pipeline."""
    guessed = np.mean([scores(answer, plan) for answer in answers], axis=0) > 0.5
    seen, false = guessed[included], guessed[~included]
    least = lower_bound(int(seen.sum()), len(seen), CONFIDENCE)
    most = 1 - lower_bound(int((~false).sum()), len(false), CONFIDENCE)
    delta = plan.privacy.budget.delta
    return Verdict(
        mu_charged=math.sqrt(2 * Fraction(plan.rho)),
        mu_seen=float(norm.ppf(seen.mean()) - norm.ppf(false.mean())),
        mu_lower=float(norm.ppf(least) - norm.ppf(most)),
        epsilon_charged=epsilon_of(plan.privacy.budget.first_release_rho, delta),
        epsilon_lower=math.log(max(least - float(delta), 1e-300) / most),
    )


def lower_bound(hits: int, trials: int, confidence: float) -> float:
    """Clopper and Pearson's lower bound of a share; with another one beside it, both hold at `confidence`."""
    return float(beta.ppf((1 - confidence) / 2, hits, trials - hits + 1)) if hits else 0.0


def scores(answer: Answer, plan: RegisteredPlan) -> Floats:
    """For each canary the likelihood ratio of its cells, in a unit in which it is 0 without and 1 with the canary."""
    (measure,) = plan.measured()
    total, worth = np.zeros(CANARIES), 0.0
    for marginal in measure.marginals:
        cells = _places(measure, marginal, plan)
        for values, scale, before, moved in _vectors(answer, plan, measure, marginal):
            total += (values[cells] - before) * moved / scale**2
            worth += moved**2 / scale**2
    return np.asarray(total / worth)


def _vectors(answer: Answer, plan: RegisteredPlan, measure: Measure, marginal: Names) -> list[tuple[Floats, float, float, float]]:
    """Noisy vectors of a marginal, each with its scale, what a canary's cell holds without it, and what the canary adds."""
    step = plan.privacy.unit.weight_scale
    without, within = (ExactCounts(np.array([[BESIDE * step, BESIDE * step, own]])) for own in (0, step))
    load = Workload.of(measure, measure.scope(QUARTER, plan.release_plan))
    residuals = {r.keys: r for r in answer.residuals}
    estimates = load.marginal(marginal, {keys: r.values for keys, r in residuals.items()})
    deviation = load.deviation(marginal, {keys: r.scale for keys, r in residuals.items()})
    found = [(estimates, deviation, float(without.total()[0]), float(step))]
    drawn = next(m for m in answer.marginals if m.marginal == marginal)
    for vector in company_vectors(plan.privacy):
        before, after = (float(vector.function(counts)[0]) for counts in (without, within))
        values = np.array(getattr(drawn, vector.name), dtype=float)
        found.append((values, getattr(drawn, f"{vector.name}_scale"), before, after - before))
    return found


def _places(measure: Measure, marginal: Names, plan: RegisteredPlan) -> npt.NDArray[np.int64]:
    """Where each canary's own cell stands in a marginal."""
    cells = {cell: place for place, cell in enumerate(public_cells(marginal, measure.scope(QUARTER, plan.release_plan)))}
    start = sum(len(keys) for keys in MARGINALS[: MARGINALS.index(marginal)])
    return np.array([cells[_public(marginal, own[start : start + len(marginal)])] for own in _cells_of_canaries()])


def _public(marginal: Names, values: tuple[Any, ...]) -> tuple[str, ...]:
    named = dict(zip(marginal, values, strict=True))
    if "week" in named:
        year, week, _ = named["week"].isocalendar()
        named |= {"week": f"{year}-W{week:02d}", "age_band": PUBLIC_AGE_BANDS[named["age_band"]]}
    return tuple(named.values())
