"""Coverage of the macros of `views.sql` by simulation: does a 95 % interval of a sum, rate, difference, share or trend hold the truth?

Users have several events with a total weight of one, and half of them the same outcome each time, so that what one user does
in many cells goes together. Truth is the mass expected of such users: noise and sampling both have to be in the interval.
Noise is the plan's own. `python -m benchmarks.macros` prints the coverage.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from aggregate.answer import Answer, NoisyMarginal, NoisyResidual
from aggregate.counts import public_cells
from aggregate.tabulation import tabulate
from aggregate.workload import Workload
from benchmarks.report import report
from flows.pool import packaged_config
from publish.views import cells_view, macros_sql
from schemas.derived_tables import COVARIANCE
from schemas.keys import KEYS
from schemas.parameters import load_privacy_parameters
from schemas.periods import Quarter
from schemas.plan import Measure, RegisteredPlan, load_release_plan

MEASURES = ("risk_profile", "user_reply_next_turn", "depth_user_reply_next_turn")
QUARTERS = ("2025Q4", "2026Q1", "2026Q2", "2026Q3")
GAIN = 0.03  # by which the first outcome becomes more frequent each quarter

Floats = np.ndarray[Any, np.dtype[np.float64]]


def simulated_plan(quarter: str = QUARTERS[0]) -> RegisteredPlan:
    """The packaged plan with three of its measures: one cell a user, a shared weight, and a weight within each depth band."""
    privacy = load_privacy_parameters(packaged_config("privacy.toml"))
    questions = load_release_plan(packaged_config("release_plan.toml"), privacy).model_dump(mode="json", by_alias=True)
    asked = [measure for measure in questions["measure"] if measure["name"] in MEASURES]
    questions |= {"measure": asked, "patterns": None, "terms": []}
    return RegisteredPlan(
        quarter=quarter,
        version=1,
        synthetic=True,
        reason="simulated",
        planner="nobody",
        contributors=5,
        not_collected=(),
        rho=str(privacy.budget.first_release_rho),
        threshold_delta="0",
        secret_commitment="0" * 64,
        parameters=privacy.model_dump(mode="json"),
        plan=questions,
    )


@dataclass(frozen=True)
class Population:
    """Users of one measure: how likely their events have each code, and how many events they have."""

    measure: Measure
    plan: RegisteredPlan
    users: float
    gain: float
    most_events: int = 6

    @cached_property
    def codes(self) -> Mapping[str, tuple[str, ...]]:
        """Codes of the keys, the outcome last."""
        scope = self.measure.scope(Quarter.parse(self.plan.quarter), self.plan.release_plan)
        keys = dict.fromkeys(key for marginal in self.measure.marginals for key in marginal)
        return {key: KEYS[key].domain(scope) for key in sorted(keys, key=lambda key: key == "outcome")}

    def chances(self, key: str) -> Floats:
        """How likely a code is; of an outcome, given the code of the first key: shape (codes of the first key, outcomes)."""
        size = len(self.codes[key])
        if key != "outcome":
            weights = 1 / (1 + 0.3 * np.arange(size))
            return np.asarray(weights / weights.sum())
        rows = len(self.codes[next(iter(self.codes))])
        first = 0.45 - 0.2 * np.arange(rows) / rows + self.gain
        rest = np.linspace(2, 1, size - 1)
        return np.column_stack([first, (1 - first)[:, None] * rest / rest.sum()])

    def expected(self) -> Floats:
        """Expected mass by all keys, one axis each."""
        keys = [key for key in self.codes if key != "outcome"]
        mass = np.ones(())
        for key in keys:
            chance = self.chances(key)
            if key == self.measure.stratum:  # a user weighs one in each band with an event
                number = np.arange(1, self.most_events + 1)[:, None]
                chance = (1 - (1 - chance) ** number).mean(axis=0)
            mass = np.multiply.outer(mass, chance)
        mass = mass * self.users
        if "outcome" not in self.codes:
            return mass
        return mass[..., None] * self.chances("outcome").reshape(-1, *[1] * (len(keys) - 1), len(self.codes["outcome"]))

    def drawn(self, random: np.random.Generator) -> tuple[Floats, dict[tuple[str, ...], float]]:
        """Weights by all keys of the users that there happen to be, and for each marginal its sum of squares."""
        one = self.measure.estimand == "most_severe_record"
        events = (
            np.ones(random.poisson(self.users), int)
            if one
            else random.integers(1, self.most_events + 1, random.poisson(self.users))
        )
        user = np.repeat(np.arange(len(events)), events)
        places = [
            random.choice(len(listed), len(user), p=self.chances(key)) for key, listed in self.codes.items() if key != "outcome"
        ]
        if "outcome" in self.codes:
            alike = random.random(len(events)) < 0.5
            luck = np.where(alike[user], random.random(len(events))[user], random.random(len(user)))
            steps = np.cumsum(self.chances("outcome"), axis=1)[places[0]]
            places.append(np.minimum((luck[:, None] > steps).sum(axis=1), steps.shape[1] - 1))
        unit = user if not self.measure.stratum else user * 100 + places[list(self.codes).index(self.measure.stratum)]
        _, inverse, number = np.unique(unit, return_inverse=True, return_counts=True)
        weight = 1 / number[inverse]
        mass = np.zeros([len(listed) for listed in self.codes.values()])
        np.add.at(mass, tuple(places), weight)
        squares = {}
        for marginal in self.measure.marginals:
            own = [places[list(self.codes).index(key)] for key in marginal]
            cell = np.ravel_multi_index((user, *own), (len(events), *(len(self.codes[key]) for key in marginal)))
            squares[marginal] = float((np.bincount(np.unique(cell, return_inverse=True)[1], weight) ** 2).sum())
        return mass, squares


def _over(mass: Floats, keys: Sequence[str], wanted: Sequence[str]) -> Floats:
    summed = mass.sum(axis=tuple(place for place, key in enumerate(keys) if key not in wanted))
    kept = [key for key in keys if key in wanted]
    return np.asarray(np.transpose(summed, [kept.index(key) for key in wanted]))


def _answer(population: Population, random: np.random.Generator) -> Answer:
    measure, plan = population.measure, population.plan
    scale, rho = plan.privacy.unit.weight_scale, float(plan.rho_of(measure) * plan.privacy.shares.estimates)
    scope, keys = measure.scope(Quarter.parse(plan.quarter), plan.release_plan), list(population.codes)
    mass, squares = population.drawn(random)
    residuals, marginals = [], []
    for residual in Workload.of(measure, scope).residuals:
        square, _ = residual.l2(scale, measure.bound(scale).strata)
        sigma = float(np.sqrt(float(square) / (2 * rho * float(residual.share))))
        exact = np.rint(_over(mass, keys, residual.keys) * scale).astype(np.int64)
        noisy = np.array(residual.of(exact), dtype=float) + random.normal(0, sigma, int(np.prod(residual.shape)))
        residuals.append(NoisyResidual(measure.name, residual.keys, tuple(int(value) for value in noisy), sigma))
    for marginal in measure.marginals:
        far = (10**15,) * len(public_cells(marginal, scope))
        below = tuple(-value for value in far)
        marginals.append(NoisyMarginal(measure.name, marginal, far, 1.0, below, 1.0, round(squares[marginal] * scale), 1.0))
    return Answer(tuple(residuals), tuple(marginals))


@dataclass
class Simulation:
    """Draws of the same population, quarter after quarter, in one database: the window of each draw is its number."""

    draws: int
    users: float
    seed: int
    quarters: Sequence[str] = QUARTERS[:1]
    expected: dict[tuple[str, str], tuple[list[str], Floats, Population]] = field(default_factory=dict)

    def connection(self) -> duckdb.DuckDBPyConnection:
        """A database with the views and macros of `views.sql` over all draws."""
        random, tables = np.random.default_rng(self.seed), dict[str, list[pa.Table]]()
        plans = {quarter: simulated_plan(quarter) for quarter in self.quarters}
        for place, (quarter, plan) in enumerate(plans.items()):
            people = [Population(measure, plan, self.users, GAIN * place) for measure in plan.release_plan.measures]
            for population in people:
                self.expected[quarter, population.measure.table] = list(population.codes), population.expected(), population
            for draw in range(self.draws):
                answers = [_answer(population, random) for population in people]
                whole = Answer(sum((a.residuals for a in answers), ()), sum((a.marginals for a in answers), ()))
                for table in tabulate(whole, plan):
                    rows = table.rows
                    number = pa.array([f"{draw:04}"] * rows.num_rows)
                    at = rows.schema.get_field_index("window")
                    rows = rows.append_column("window", number) if at < 0 else rows.set_column(at, "window", number)
                    tables.setdefault(table.name, []).append(rows)
        privacy, connection = plans[self.quarters[0]].privacy, duckdb.connect(config={"threads": 2})
        for name, parts in tables.items():
            stacked = pa.concat_tables(parts)
            connection.register("stacked", stacked)
            connection.execute(f"CREATE TABLE {name} AS FROM stacked")
            connection.execute("\n".join(cells_view(name, stacked.column_names)))
        connection.execute(macros_sql(privacy.confidence, privacy.too_noisy_ratio, list(tables)))
        return connection

    def mass(self, table: str, quarter: str = "", **codes: Sequence[str]) -> float:
        """Expected mass of the cells with these codes, summed over all else."""
        keys, expected, population = self.expected[quarter or self.quarters[0], table]
        for place, key in enumerate(keys):
            if key in codes:
                expected = np.take(expected, [population.codes[key].index(code) for code in codes[key]], axis=place)
        return float(expected.sum())

    def codes(self, table: str, key: str) -> tuple[str, ...]:
        """Codes of a key."""
        return self.expected[self.quarters[0], table][2].codes[key]


def _in(codes: Mapping[str, Sequence[str]]) -> str:
    shown = (f"{key} IN ({', '.join(repr(code) for code in listed)})" for key, listed in codes.items())
    return " AND ".join(shown)


@dataclass
class Coverage:
    """How many intervals held their truth, of how many, by macro."""

    simulation: Simulation
    connection: duckdb.DuckDBPyConnection
    held: dict[str, list[int]] = field(default_factory=dict)

    def look(self, macro: str, call: str, truth: float, where: str = "true") -> None:
        """Asks once over all draws."""
        found = self.connection.execute(
            f"SELECT ci_low <= $truth AND $truth <= ci_high FROM {macro}({call}) WHERE {where}", {"truth": truth}
        )
        count = self.held.setdefault(macro, [0, 0])
        for (held,) in found.fetchall():
            if held is not None:
                count[0], count[1] = count[0] + held, count[1] + 1

    def shares(self) -> dict[str, float]:
        """Coverage by macro."""
        return {macro: held / number for macro, (held, number) in self.held.items() if number}


def coverage(draws: int = 150, users: float = 3_000, seed: int = 1, shrink: float = 1.0) -> Coverage:
    """Coverage of the intervals of every macro but the trend. `shrink` multiplies the noise that is shipped, to see the alarm."""
    simulation = Simulation(draws, users, seed)
    found = Coverage(simulation, simulation.connection())
    found.connection.execute(f"UPDATE {COVARIANCE} SET variance = variance * {shrink}")
    _risk(found)
    for table, key in (
        ("intervention_outcomes", "intervention"),
        ("intervention_outcomes", "surface"),
        ("depth_of_conversation", "depth_band"),
    ):
        _rates(found, table, key)
    return found


def _risk(found: Coverage) -> None:
    risk, mass = "risk_profile", found.simulation.mass
    ages, levels = found.simulation.codes(risk, "age_band"), found.simulation.codes(risk, "ideation")
    for size in (1, 2, 4):
        a, b = {"ideation": levels[:size], "age_band": ages[:size]}, {"ideation": levels[-size:], "age_band": ages[:size]}
        whole = {"ideation": levels, "age_band": ages[:size]}
        found.look("sum_of", f"'{risk}', {_in(a)}", mass(risk, **a))
        found.look("sum_of", f"'{risk}', {_in(b)}", mass(risk, **b))
        found.look("difference_of", f"'{risk}', {_in(a)}, {_in(b)}", mass(risk, **a) - mass(risk, **b))
        found.look("share_of", f"'{risk}', {_in(a)}, {_in(whole)}", mass(risk, **a) / mass(risk, **whole))


def _rates(found: Coverage, table: str, key: str) -> None:
    mass, codes = found.simulation.mass, found.simulation.codes(table, key)
    values = found.simulation.codes(table, "outcome")
    known = [value for value in values if value not in KEYS["outcome"].open_codes]
    only = f"marginal = '{key} x outcome'"
    for first, second in ((codes[:1], codes[1:2]), (codes[:2], codes[2:4]), (codes[:3], codes[3:])):
        for good in (known[:1], known[:2]):
            a, b, part = _in({key: first}), _in({key: second}), _in({"outcome": good})
            rates = [
                mass(table, **{key: c, "outcome": good}) / mass(table, **{key: c, "outcome": known}) for c in (first, second)
            ]
            found.look("rate_of", f"'{table}', {part}, {a}", rates[0], only)
            found.look("rate_difference", f"'{table}', {part}, {a}, {b}", rates[0] - rates[1], only)
            summed, whole = mass(table, **{key: first, "outcome": good}), mass(table, **{key: first, "outcome": values})
            found.look("share_of", f"'{table}', {part} AND {a}, {a}", summed / whole, only)
            found.look("sum_of", f"'{table}', {part} AND {a}", summed, only)
            found.look(
                "difference_of",
                f"'{table}', {part} AND {a}, {part} AND {b}",
                summed - mass(table, **{key: second, "outcome": good}),
                only,
            )


def trend_coverage(draws: int = 60, users: float = 3_000, seed: int = 2) -> Coverage:
    """Coverage of the interval of a trend over four quarters."""
    simulation = Simulation(draws, users, seed, QUARTERS)
    found = Coverage(simulation, simulation.connection())
    for table, key in (("intervention_outcomes", "intervention"), ("depth_of_conversation", "depth_band")):
        codes, values = simulation.codes(table, key), simulation.codes(table, "outcome")
        known = [value for value in values if value not in KEYS["outcome"].open_codes]
        for chosen in (codes[:1], codes[:3], codes):
            rates = [
                simulation.mass(table, quarter, **{key: chosen, "outcome": values[:1]})
                / simulation.mass(table, quarter, **{key: chosen, "outcome": known})
                for quarter in QUARTERS
            ]
            slope = float(np.mean([(b - a) * w for (a, b), w in zip(pairwise(rates), (0.9, 1.2, 0.9), strict=True)]))
            found.look(
                "trend_of",
                f"'{table}', {_in({'outcome': values[:1]})}, {_in({key: chosen})}",
                slope,
                f"marginal = '{key} x outcome'",
            )
    return found


def main() -> None:
    """Prints the figures and writes `build/bench/macros.json`."""
    report("macros", figures())


def figures() -> dict[str, float]:
    """Coverage by macro, and over all."""
    one, trend = coverage(draws=400), trend_coverage(draws=200)
    held = one.held | trend.held
    metrics = {f"coverage_{macro}": held[macro][0] / held[macro][1] for macro in held}
    tried = sum(number for _, number in held.values())
    return {**metrics, "macro_intervals": tried, "macro_coverage": sum(h for h, _ in held.values()) / tried}


if __name__ == "__main__":
    main()
