"""Effects of registered changes in simulation: does the interval hold the truth, is nothing claimed where nothing is, how many users.

    python -m benchmarks.emerging_changes [DRAWS [DESIGN ...]]

Each draw makes users of eight companies anew, with their own levels and sizes; a user answers one to several times, on both sides
of a change too, and each has a leaning of its own. Registered changes, noise of the default plan, company rules, tables and
effects are the shipped ones. Where there is a season it moves all companies: a ramp and a wave, as large as the planted effect.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from aggregate.answer import Answer, NoisyMarginal, NoisyResidual
from aggregate.bounding import MeasurementSettings, bounded_tables
from aggregate.comparing import ALL_USERS, Compared, changes_commitment, comparisons, groups_of
from aggregate.counts import ExactCounts, public_cells
from aggregate.effects import change_effects
from aggregate.mechanisms.draw import (
    company_vectors,
    noise_scale,
    prepare,
    residual_sensitivity,
    squares_sensitivity,
    vector_sensitivity,
)
from aggregate.tabulation import tabulate
from aggregate.workload import Workload
from benchmarks.report import report, reported
from sample_data.generate import generate
from sample_data.parameters import SimulationParameters
from schemas.derived_tables import BEFORE_AFTER, DIFFERENCE, RANDOMISED
from schemas.emerging import ProductChange
from schemas.plan import CHANGE_KEYS, Event, Measure, RegisteredPlan

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "aggregate"))
from pooled import QUARTER, SECRET, as_scrubbed, pooled_table, registered

EFFECT, DRAWS, USERS = -0.14, 400, 32_000
CLASS, OUTCOME = "new_model_release", "engaged"
COMPANIES = ("alder", "birch", "cedar", "dogwood", "elm", "fir", "ginkgo", "hazel")
SIZES = 0.87 ** np.arange(len(COMPANIES))
DATES = (date(2026, 2, 2), date(2026, 2, 14), date(2026, 2, 23), date(2026, 2, 9))
ARM_SHARES = (0.4, 0.5, 0.7, 0.3)
DAYS = 90
SEASONS = {BEFORE_AFTER: 0.0, DIFFERENCE: abs(EFFECT), RANDOMISED: abs(EFFECT)}
"""How far a season moves all companies, by the design that is tried in it: before and after cannot tell it from an effect."""
POWER, TRIED = 0.8, (4_000, 6_000, 8_000, 12_000, 16_000, 24_000, 32_000, 48_000)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Scene:
    """What is true: the effect, how far a season moves rates, and whether arms are drawn by chance."""

    design: str
    effect: float
    season: float = 0.0

    @cached_property
    def changes(self) -> tuple[ProductChange, ...]:
        """The registry: every other company has the change, the largest among them."""
        if self.design != RANDOMISED:
            return tuple(
                ProductChange(company=company, change_class=CLASS, at=day)
                for company, day in zip(COMPANIES[::2], DATES, strict=True)
            )
        return tuple(
            ProductChange(company=company, change_class=CLASS, at=date(2026, 1, 1), experiment="e", arm="new", arm_share=share)
            for company, share in zip(COMPANIES[::2], ARM_SHARES, strict=True)
        )

    @cached_property
    def compared(self) -> tuple[Compared, ...]:
        """What the shipped rules compare."""
        return comparisons(self.changes, COMPANIES, (CLASS,), QUARTER, 3)

    @cached_property
    def plan(self) -> RegisteredPlan:
        """The default plan of it, with the one measure."""
        plan = registered(len(COMPANIES), compared=groups_of(self.compared))
        own = [measure for measure in plan.plan["measure"] if measure["event"] == Event.CHANGE_OUTCOME]
        return plan.model_copy(update={"plan": {**plan.plan, "measure": own, "terms": [], "patterns": None}})

    @cached_property
    def measure(self) -> Measure:
        """That measure."""
        return self.plan.release_plan.measures[0]

    @cached_property
    def load(self) -> Workload:
        """Its workload."""
        return Workload.of(self.measure, self.measure.scope(QUARTER, self.plan.release_plan))

    @cached_property
    def places(self) -> dict[tuple[str, ...], int]:
        """Its cells."""
        cells = public_cells(CHANGE_KEYS, self.measure.scope(QUARTER, self.plan.release_plan))
        return {cell: place for place, cell in enumerate(cells)}


@dataclass(frozen=True)
class Told:
    """What one draw told of a scene; nothing where the company rules withheld it."""

    effect: float
    low: float
    high: float
    detectable: float


def main(asked: list[str]) -> None:
    """Prints the figures of some designs and adds them to `build/bench/emerging.json`."""
    draws = int(asked[0]) if asked else DRAWS
    found = figures(draws, asked[1:] or tuple(SEASONS))
    report("emerging", worst(reported("emerging") | found))


def figures(draws: int = DRAWS, designs: Iterable[str] = tuple(SEASONS)) -> dict[str, float]:
    """Of published effects; users are of all eight companies together."""
    found: dict[str, float] = {"effect_draws": draws}
    for design in designs:
        planted, nothing = Scene(design, EFFECT, SEASONS[design]), Scene(design, 0.0, SEASONS[design])
        there, absent = told(planted, USERS, range(draws)), told(nothing, USERS, range(draws, 2 * draws))
        found[f"effect_coverage_{design}"] = share(one.low <= EFFECT <= one.high for one in there)
        found[f"no_effect_specificity_{design}"] = share(one.low <= 0 <= one.high for one in absent)
        found[f"effect_mean_{design}"] = float(np.mean([one.effect for one in there]))
        found[f"no_effect_mean_{design}"] = float(np.mean([one.effect for one in absent]))
        found[f"effect_published_{design}"] = len(there) / draws
        found[f"effect_detectable_{design}"] = float(np.median([one.detectable for one in there]))
        found[f"users_needed_{design}"] = users_needed(planted, draws // 5)
    if BEFORE_AFTER in designs:
        broken = told(Scene(BEFORE_AFTER, 0.0, abs(EFFECT)), USERS, range(draws // 5))
        found["no_effect_specificity_before_after_in_a_season"] = share(one.low <= 0 <= one.high for one in broken)
    if DIFFERENCE in designs:
        found |= whole_way()
    return worst(found)


def worst(found: dict[str, float]) -> dict[str, float]:
    """With `effect_coverage` and `no_effect_specificity`: of the design that does worst."""
    names = ("effect_coverage", "no_effect_specificity")
    each = {name: [found[f"{name}_{design}"] for design in SEASONS if f"{name}_{design}" in found] for name in names}
    return found | {name: min(values) for name, values in each.items()}


def share(held: Iterable[bool]) -> float:
    """Share that is true."""
    return float(np.mean(list(held)))


def users_needed(scene: Scene, draws: int) -> float:
    """The fewest of the tried numbers of users with which the effect is published and told from 0 four times in five."""
    for users in TRIED:
        if sum(one.high < 0 for one in told(scene, users, range(10**6, 10**6 + draws))) >= POWER * draws:
            return users
    return float("inf")


def told(scene: Scene, users: int, seeds: Iterable[int]) -> list[Told]:
    """What the shipped effects tell of each draw, where anything is published."""
    plan = scene.plan
    drawn = (change_effects(tabulate(_answer(scene, users, seed), plan), plan).rows for seed in seeds)
    rows = (row for table in drawn for row in table.to_pylist())
    return [
        Told(row["effect"], row["ci_low"], row["ci_high"], row["detectable"])
        for row in rows
        if (row["change_class"], row["design"], row["outcome"]) == (CLASS, scene.design, OUTCOME) and row["effect"] is not None
    ]


def _answer(scene: Scene, users: int, seed: int) -> Answer:
    """One draw of users, bounded and with the plan's noise."""
    random = np.random.default_rng([seed, users])
    company = random.choice(len(COMPANIES), users, p=SIZES / SIZES.sum())
    level, leaning = random.normal(0, 0.08, len(COMPANIES))[company], random.normal(0, 0.12, users)
    place, arm_drawn = random.integers(0, ALL_USERS, users), random.random(users)
    user = np.repeat(np.arange(users), 1 + random.poisson(1.0, users))
    second = random.random(len(user)) * DAYS * 86_400
    with_change = np.zeros(len(user), dtype=bool)
    for change in scene.changes:
        mine = company[user] == COMPANIES.index(change.company)
        started = second >= (change.since - QUARTER.start).total_seconds()
        with_change |= mine & ((arm_drawn[user] < change.arm_share) if scene.design == RANDOMISED else started)
    passed = second / (DAYS * 86_400)
    season = scene.season * (passed - 0.5 + 0.3 * np.sin(2 * np.pi * passed * 2))
    chance = np.clip(0.55 + level[user] + leaning[user], 0.25, 0.85) + season + scene.effect * with_change
    drawn = random.random((2, len(user)))
    outcome = np.where(drawn[0] < chance, 0, np.where(drawn[1] < 0.45, 1, 2))
    outcome = np.where(random.random(len(user)) < 0.06, 3, outcome)
    return _noisy(scene, _cells(scene, company, place, user, second, with_change, outcome), random)


@dataclass(frozen=True)
class _Cells:
    by_company: Ints
    squares: int


def _cells(
    scene: Scene,
    company: Ints,
    place: Ints,
    user: Ints,
    second: Floats,
    with_change: npt.NDArray[np.bool_],
    outcome: Ints,
) -> _Cells:
    """Exact sums of each cell by company, each user weighing one over all events that its outcomes are counted for."""
    step, cells = scene.plan.privacy.unit.weight_scale, scene.places
    rows, groups = [], []
    for one in scene.compared:
        since, until = ((moment - QUARTER.start).total_seconds() for moment in (one.since, one.until))
        here = (company[user] == COMPANIES.index(one.company)) & (second >= since) & (second < until)
        here &= (place[user] >= one.low) & (place[user] < one.high)
        if one.experiment:
            here &= with_change == one.with_change
        rows.append(np.flatnonzero(here))
        groups.append(np.full(len(rows[-1]), cells[one.change_class, one.change_group, OUTCOME]))
    row, cell = np.concatenate(rows), np.concatenate(groups)
    cell, owner = cell + outcome[row], user[row]
    weight = step // np.bincount(owner, minlength=len(company))[owner]
    sums = np.bincount(cell * len(COMPANIES) + company[owner], weight, len(cells) * len(COMPANIES))  # whole, below 2^53
    _, at = np.unique(owner * len(cells) + cell, return_inverse=True)
    masses = np.bincount(at, weight)
    return _Cells(sums.astype(np.int64).reshape(len(cells), len(COMPANIES)), round(float((masses**2).sum()) / step))


def _noisy(scene: Scene, cells: _Cells, random: np.random.Generator) -> Answer:
    """The answer that the plan's noise makes of exact sums: normal in place of discrete noise, at the same scales."""
    plan, measure, load = scene.plan, scene.measure, scene.load
    step, shares = plan.privacy.unit.weight_scale, plan.privacy.shares
    bound, rho = measure.bound(step), plan.rho_of(measure)

    def noisy(exact: Iterable[int], scale: float) -> tuple[int, ...]:
        values = np.array(list(exact), dtype=float)
        return tuple(int(value) for value in np.rint(values + random.normal(0, scale, len(values))))

    counts = ExactCounts(cells.by_company)
    shape, residuals = [load.codes[key] for key in CHANGE_KEYS], []
    for residual in load.residuals:
        kept = [key for key in CHANGE_KEYS if key in residual.keys]
        gone = tuple(place for place, key in enumerate(CHANGE_KEYS) if key not in residual.keys)
        sums = counts.total().reshape(shape).sum(axis=gone)
        exact = residual.of(np.transpose(sums, [kept.index(key) for key in residual.keys]))
        scale = noise_scale(residual_sensitivity(bound, residual), rho * shares.estimates * residual.share)
        residuals.append(NoisyResidual(measure.name, residual.keys, noisy(exact, scale), scale))
    vectors: dict[str, tuple[tuple[int, ...], float]] = {}
    for vector in company_vectors(plan.privacy):
        scale = noise_scale(vector_sensitivity(bound, vector.factor), rho * vector.share)
        vectors[vector.name] = noisy((int(value) for value in vector.function(counts)), scale), scale
    scale = noise_scale(squares_sensitivity(bound), rho * shares.sampling)
    (squares,) = noisy([cells.squares], scale)
    (outside, outside_scale), (dominance, dominance_scale) = vectors["outside"], vectors["dominance"]
    marginal = NoisyMarginal(measure.name, CHANGE_KEYS, outside, outside_scale, dominance, dominance_scale, squares, scale)
    return Answer(tuple(residuals), (marginal,))


def whole_way(users: int = USERS) -> dict[str, float]:
    """One run through DuckDB, the draw by OpenDP and the tables, of generated records with the planted change."""
    scene = Scene(DIFFERENCE, EFFECT)
    planted = [
        {"change_class": CLASS, "at": change.at, "companies": (change.company,), "effect": EFFECT, "kind": "user_reply"}
        for change in scene.changes
    ]
    parameters = SimulationParameters.model_validate(
        {"seed": 11, "users": users, "quarters": 1, "companies": len(COMPANIES), "changes": planted}
    )
    plan = scene.plan.model_copy(update={"changes": changes_commitment(scene.changes, QUARTER, SECRET)})
    with TemporaryDirectory() as name:
        records = as_scrubbed(pooled_table(generate(parameters).quarters[0]), Path(name) / "records")
        records = replace(records, changes=scene.changes)
        with bounded_tables(records, plan, SECRET, Path(name) / "scratch", MeasurementSettings()) as tables:
            answer = prepare(tables, plan, records.companies).draw()
    rows = change_effects(tabulate(answer, plan), plan).rows.to_pylist()
    return {
        f"effect_whole_way_{row['design']}{name}": row[f"{column}"]
        for row in rows
        if (row["change_class"], row["outcome"]) == (CLASS, OUTCOME) and row["effect"] is not None
        for name, column in (("", "effect"), ("_low", "ci_low"), ("_high", "ci_high"))
    }


if __name__ == "__main__":
    main(sys.argv[1:])
