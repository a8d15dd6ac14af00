"""The test for growing and receding cells, against simulated truth: false discoveries, power, and what each part of it bought.

    python -m benchmarks.emerging_growth [PART ...]

Parts: `fdr`, `power`, `sigma`, `plan`, `bought`; all where none is named. A world is 12 marginals of 25 cells, log-normal in
size around 80 users-equivalent, of four earlier quarters and a present one, with Gaussian noise; where cells change, one in ten
does. A call is false where the cell's own rate did not change, or changed the other way.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from aggregate import growth as tested
from aggregate.growth import Floats, NoisyHistory, adjusted, called
from aggregate.patterns import marginals_tested
from aggregate.planning import foresee
from benchmarks.report import report, reported
from flows.pool import packaged_config
from schemas.parameters import load_privacy_parameters
from schemas.periods import Quarter
from schemas.plan import RegisteredPlan, load_release_plan

RATE, SIGMA, QUARTERS, CHANGING = 0.10, 10.0, 4, 0.10
WORLDS, WORLDS_OF_POWER = 200, 60
Calls = list[npt.NDArray[np.int64]]
Test = Callable[[list[NoisyHistory]], Calls]


@dataclass(frozen=True)
class Scenario:
    """A world without and with changes. `factor` is what a changing cell grows by; one in four of them recedes by it."""

    volume: float = 1.0
    cv: float = 0.0
    factor: float = 2.0
    joins: bool = False
    changing: float = CHANGING
    doubling: float = 0.0  # users of the first cell of each marginal, which doubles while nothing else changes
    sigma: float = SIGMA
    quarters: int = QUARTERS
    marginals: int = 12
    cells: int = 25


@dataclass(frozen=True)
class World:
    """What is published, what a like-for-like comparison sees, and by what each cell's rate changed."""

    totals: list[NoisyHistory]
    panel: list[NoisyHistory]
    factors: list[Floats]


def world(scenario: Scenario, rng: np.random.Generator) -> World:
    """One simulated world."""
    totals, panel, factors = [], [], []
    for _ in range(scenario.marginals):
        rates = np.clip(np.exp(rng.normal(np.log(80), 1.2, scenario.cells)), 2, 5000)
        factor = np.where(
            rng.random(scenario.cells) < scenario.changing,
            np.where(rng.random(scenario.cells) < 0.25, 1 / scenario.factor, scenario.factor),
            1.0,
        )
        if scenario.doubling:
            rates[0], factor = scenario.doubling, np.ones(scenario.cells)
            factor[0] = 2.0
        earlier = np.array([_drawn(rates, scenario, rng) for _ in range(scenario.quarters)])
        now = rng.poisson(rates * scenario.volume * factor * _unrest(scenario, rng)) * 1.0
        own = now + rng.normal(0, scenario.sigma, scenario.cells)
        newcomer = rng.poisson(rng.permutation(rates) * 0.5) if scenario.joins else 0.0
        scales, ones = np.full(scenario.quarters + 1, scenario.sigma), np.ones(scenario.quarters + 1)
        panel.append(NoisyHistory(earlier, own, scales, ones))
        totals.append(NoisyHistory(earlier, own + newcomer, scales, ones))
        factors.append(factor)
    return World(totals, panel, factors)


def _drawn(rates: Floats, scenario: Scenario, rng: np.random.Generator) -> Floats:
    return np.asarray(rng.poisson(rates * _unrest(scenario, rng)) + rng.normal(0, scenario.sigma, len(rates)))


def _unrest(scenario: Scenario, rng: np.random.Generator) -> Floats | float:
    return rng.gamma(1 / scenario.cv**2, scenario.cv**2, scenario.cells) if scenario.cv else 1.0


@dataclass(frozen=True)
class Score:
    """Means over worlds: the rate of false discoveries with its standard error, and the share of changed cells that is called."""

    fdr: float
    error: float
    power: float


def score(scenario: Scenario, test: Test, worlds: int, *, like_for_like: bool = True, seed: int = 1) -> Score:
    """Runs a test over worlds of one scenario, a seed each."""
    false, found = [], []
    for number in range(worlds):
        made = world(scenario, np.random.default_rng((seed, number)))
        calls = np.concatenate(test(made.panel if like_for_like else made.totals))
        true = np.sign(np.log(np.concatenate(made.factors))).astype(int)
        false.append(((calls != 0) & (calls != true)).sum() / max((calls != 0).sum(), 1))
        found.append(((calls == true) & (true != 0)).sum() / max((true != 0).sum(), 1))
    return Score(float(np.mean(false)), float(np.std(false) / np.sqrt(worlds)), float(np.mean(found)))


def ours(histories: list[NoisyHistory]) -> Calls:
    """The test of the release."""
    return called(histories, RATE)


def naive(histories: list[NoisyHistory]) -> Calls:
    """Counts of two quarters, normal, with the noise but without volume, unrest and history: the test to beat."""
    scores = []
    for history in histories:
        before, now = history.earlier[-1], history.now
        spread = np.sqrt(np.maximum(before + now, 1.0) + (history.noise[-2:] ** 2).sum())
        scores.append((now - before) / spread)
    return _normal_calls(scores)


def _normal_calls(scores: list[Floats]) -> Calls:
    tail = np.vectorize(NormalDist().cdf, otypes=[float])
    below = adjusted(np.concatenate([tail(-np.concatenate(scores)), tail(np.concatenate(scores))])) <= RATE
    up, down = np.split(below, 2)
    return [up.astype(int) - down]


def of_two(histories: list[NoisyHistory]) -> Calls:
    """With the shortest history that a comparison takes."""
    return ours([NoisyHistory(h.earlier[-2:], h.now, h.noise[-3:], h.sampling[-3:]) for h in histories])


def each_alone(histories: list[NoisyHistory]) -> Calls:
    """With each marginal's own dispersion."""
    return _with([tested.dispersions([history])[0] for history in histories], histories)


def without_unrest(histories: list[NoisyHistory]) -> Calls:
    """As if nothing but sampling and noise made counts stray."""
    return _with([0.0] * len(histories), histories)


def _with(dispersions: list[float], histories: list[NoisyHistory]) -> Calls:
    sides = [tested._Model(h, b).p_values() for h, b in zip(histories, dispersions, strict=True)]
    below = iter(np.split(adjusted(np.concatenate([p for side in sides for p in side])) <= RATE, 2 * len(sides)))
    return [up.astype(int) - down for up, down in zip(below, below, strict=True)]


def by_marginal(histories: list[NoisyHistory]) -> Calls:
    """Hierarchical: marginals first, by Simes' p-value of their cells, then cells of those at a rate for what was selected.

    Benjamini and Bogomolov (2014).
    """
    models = [tested._Model(h, b) for h, b in zip(histories, tested.dispersions(histories), strict=True)]
    sides = [np.concatenate(model.p_values()) for model in models]
    whole = adjusted(np.array([adjusted(each).min() for each in sides])) <= RATE
    rate, found = RATE * whole.mean(), []
    for each, taken in zip(sides, whole, strict=True):
        below = (adjusted(each) <= rate) & taken
        half = len(each) // 2
        found.append(below[:half].astype(int) - below[half:])
    return found


SCENARIOS: Mapping[str, Scenario] = {
    "no_change": Scenario(changing=0.0),
    "plain": Scenario(),
    "small_changes": Scenario(factor=1.3),
    "volume": Scenario(volume=1.1),
    "joining": Scenario(joins=True),
    "cv10": Scenario(cv=0.1),
    "cv20": Scenario(cv=0.2),
    "cv30": Scenario(cv=0.3),
    "volume_cv30": Scenario(volume=1.1, cv=0.3),
    "no_change_cv30": Scenario(cv=0.3, changing=0.0),
    "small_marginals": Scenario(marginals=36, cells=8, volume=1.1),
}
FIFTY = Scenario(changing=0.0, doubling=50.0)


def fdr() -> dict[str, float]:
    """False discoveries by scenario, against the naive test, which compares totals."""
    found: dict[str, float] = {}
    for name, scenario in SCENARIOS.items():
        told = score(scenario, ours, WORLDS)
        found |= {f"fdr_{name}": told.fdr, f"fdr_{name}_error": told.error, f"power_{name}": told.power}
        found[f"fdr_naive_{name}"] = score(scenario, naive, 40, like_for_like=False).fdr
    return found | {"fdr_worst": max(found[f"fdr_{name}"] for name in SCENARIOS)}


def power() -> dict[str, float]:
    """How often a doubling of a cell of 50 users is called, with four earlier quarters."""
    told = {
        f"power_doubling_cv{round(100 * cv)}": score(replace(FIFTY, cv=cv), ours, WORLDS_OF_POWER).power for cv in (0.1, 0.2, 0.3)
    }
    return {"power": score(FIFTY, ours, WORLDS_OF_POWER).power, **told}


def sigma() -> dict[str, float]:
    """The same against the deviation of the noise."""
    levels = (0.0, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 60.0)
    return {f"power_sigma_{level:g}": score(replace(FIFTY, sigma=level), ours, WORLDS_OF_POWER).power for level in levels}


def plan() -> dict[str, float]:
    """At the noise of the default plan's tested marginals (least, median, most): how often a doubled cell of some size is called."""
    privacy = load_privacy_parameters(packaged_config("privacy.toml"))
    asked = load_release_plan(packaged_config("release_plan.toml"), privacy)
    foreseen = foresee(asked, privacy, Quarter(2026, 1), privacy.budget.first_release_rho, 30_000)
    registered = RegisteredPlan.model_construct(
        plan=asked.model_dump(mode="json", by_alias=True), parameters=privacy.model_dump(mode="json")
    )
    wanted = {(m.name, marginal) for m in asked.measures for marginal in marginals_tested(m, registered)}
    noise = sorted(each.noise for each in foreseen if (each.measure, each.marginal) in wanted)
    levels = {"least": noise[0], "median": noise[len(noise) // 2], "most": noise[-1]}
    found = {f"plan_noise_{name}": level for name, level in levels.items()}
    for name, level in levels.items():
        for users in (50.0, 100.0, 200.0, 400.0):
            scenario = replace(FIFTY, sigma=level, doubling=users)
            found[f"power_plan_{name}_{users:g}"] = score(scenario, ours, 20).power
    found["plan_tested_cells"] = float(sum(each.cells for each in foreseen if (each.measure, each.marginal) in wanted))
    return found


def bought() -> dict[str, float]:
    """What each part of the test bought: the power for a doubled cell of 50 users, and false discoveries, without it."""
    found: dict[str, float] = {}
    volume, unrest = SCENARIOS["volume"], SCENARIOS["cv10"]
    without: dict[str, Test] = {
        "all": ours,
        "two_quarters": of_two,
        "dispersion_alone": each_alone,
        "no_dispersion": without_unrest,
        "hierarchical": by_marginal,
        "naive": naive,
    }
    for name, test in without.items():
        found[f"bought_power_{name}"] = score(FIFTY, test, 40).power
        found[f"bought_power_cv10_{name}"] = score(replace(FIFTY, cv=0.1), test, 40).power
        for which, scenario in (("volume", volume), ("cv10", unrest)):
            found[f"bought_fdr_{which}_{name}"] = score(scenario, test, 40).fdr
    return found


PARTS: Mapping[str, Callable[[], dict[str, float]]] = {
    "fdr": fdr, "power": power, "sigma": sigma, "plan": plan, "bought": bought
}  # fmt: skip


def figures(parts: tuple[str, ...] = ()) -> dict[str, float]:
    """The figures of some parts, of all where none is named."""
    return {name: value for part in parts or PARTS for name, value in PARTS[part]().items()}


if __name__ == "__main__":
    if unknown := set(sys.argv[1:]) - set(PARTS):
        sys.exit(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    report("emerging", reported("emerging") | figures(tuple(sys.argv[1:])))
