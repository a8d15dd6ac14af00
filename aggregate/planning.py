"""What a plan would tell, before anything is spent: a function of configuration and expected size only. No data are read."""

import math
from dataclasses import dataclass
from fractions import Fraction
from statistics import NormalDist

from aggregate.intervals import LineNoise, one_sided_z, z_value
from aggregate.mechanisms.conversion import epsilon_of
from aggregate.mechanisms.draw import company_vectors, noise_scale, residual_sensitivity, vector_sensitivity
from aggregate.mechanisms.terms import round_parameters
from aggregate.workload import Workload
from schemas.emerging import TermSearch
from schemas.keys import KEYS, Scope
from schemas.parameters import PrivacyParameters
from schemas.periods import Quarter
from schemas.plan import Measure, Names, ReleasePlan
from schemas.tables import TABLES

POWER = 0.8
"""Of the smallest difference that can be told: a true difference of that size is seen so often."""


@dataclass(frozen=True)
class PlannedMarginal:
    """What one marginal would tell. Deviations in users-equivalent, rates and their differences as shares.

    `noise` is of each cell. `least_outside` is the mass outside the K - 1 largest companies from which on a cell is as likely
    published as withheld. `line` is the users-equivalent expected in an average line, over which a rate is a share.
    `difference` is the smallest difference of two such rates around one half that is told with a power of 0.8, noise and
    sampling; with ε doubled, and with half of the measures left out. They are None where there are no rates, or none could be
    told from 0.
    """

    measure: str
    table: str
    marginal: Names
    cells: int
    noise: float
    least_outside: float
    line: float | None
    difference: float | None
    difference_at_twice_epsilon: float | None
    difference_at_half_the_measures: float | None


@dataclass(frozen=True)
class PlannedSearch:
    """What a search for terms would find, in users-equivalent, of its last round (the one with most of the budget).

    `threshold` is the noisy mass from which on a term is told; under the strict rule that is mass outside the K - 1 largest
    companies. `users_alone` and `users_typical` are how many users, there, are as likely found as not: who count with that
    term alone, and who count with `most` of them. `tracked_noise` is of each term that is followed from the next quarter on.
    """

    search: str
    most: int
    rounds: int
    rule: str
    noise: float
    threshold: float
    users_alone: float
    users_typical: float
    tracked_noise: float


def foresee_searches(
    plan: ReleasePlan, privacy: PrivacyParameters, rho: Fraction, threshold_delta: Fraction
) -> tuple[PlannedSearch, ...]:
    """What each search for terms of a plan would find at `rho` and a δ of thresholds."""
    return tuple(_foreseen_search(search, privacy, rho, threshold_delta) for search in plan.terms)


def _foreseen_search(search: TermSearch, privacy: PrivacyParameters, rho: Fraction, delta: Fraction) -> PlannedSearch:
    step = privacy.unit.weight_scale
    last = round_parameters(search, rho * privacy.split[search.name], delta * privacy.threshold_split[search.name], step)[-1]
    threshold, shares = last.threshold / step, privacy.shares
    tracked = noise_scale(float(step), rho * privacy.split[search.tracked] * (shares.estimates + shares.sampling)) / step
    alone, typical = threshold, threshold * math.sqrt(search.most)
    return PlannedSearch(
        search.name, search.most, search.rounds, search.rule, last.scale / step, threshold, alone, typical, tracked
    )


def foresee(
    plan: ReleasePlan, privacy: PrivacyParameters, quarter: Quarter, rho: Fraction, users: float
) -> tuple[PlannedMarginal, ...]:
    """What each marginal of a plan would tell at `rho`, with `users` users in each measure, evenly spread over its lines."""
    twice = _rho_at(2 * epsilon_of(rho, privacy.budget.delta), privacy)
    return tuple(
        _foreseen(measure, marginal, measure.scope(quarter, plan), privacy, rho, twice, users)
        for measure in plan.measures
        for marginal in measure.marginals
    )


def _foreseen(
    measure: Measure, marginal: Names, scope: Scope, privacy: PrivacyParameters, rho: Fraction, twice: Fraction, users: float
) -> PlannedMarginal:
    share = privacy.split[measure.name]
    own, more, fewer = (_Noise(measure, scope, privacy, share * spent) for spent in (rho, twice, 2 * rho))
    codes = own.workload.codes
    cells = math.prod(codes[key] for key in marginal)
    key = TABLES[measure.table].rate_key(marginal)
    line = users / (cells / codes[key]) if key else None
    told = [None if line is None else noise.difference(marginal, key, line) for noise in (own, more, fewer)]
    edge = one_sided_z(privacy.companies.too_few_error_rate) * own.outside
    return PlannedMarginal(measure.name, measure.table, marginal, cells, own.deviation(marginal), edge, line, *told)


@dataclass(frozen=True)
class _Noise:
    """The noise of a measure at a rho of its own, in users-equivalent."""

    measure: Measure
    scope: Scope
    privacy: PrivacyParameters
    rho: Fraction

    @property
    def workload(self) -> Workload:
        return Workload.of(self.measure, self.scope)

    @property
    def scales(self) -> dict[Names, float]:
        step, shares = self.privacy.unit.weight_scale, self.privacy.shares
        bound = self.measure.bound(step)
        return {
            r.keys: noise_scale(residual_sensitivity(bound, r), self.rho * shares.estimates * r.share) / step
            for r in self.workload.residuals
        }

    @property
    def outside(self) -> float:
        step = self.privacy.unit.weight_scale
        vector = next(vector for vector in company_vectors(self.privacy) if vector.name == "outside")
        rho = self.rho * vector.share / len(self.measure.marginals)
        return noise_scale(vector_sensitivity(self.measure.bound(step), vector.factor), rho) / step

    def deviation(self, marginal: Names) -> float:
        return self.workload.deviation(marginal, self.scales)

    def difference(self, marginal: Names, key: str, line: float) -> float | None:
        """The smallest difference of two rates of one half over the codes of a key, each over `line` users-equivalent."""
        noise = self.workload.line_noise(marginal, key, self.scales)
        known = sum(code not in KEYS[key].open_codes for code in KEYS[key].domain(self.scope))
        z = z_value(self.privacy.confidence)
        if line <= z * math.sqrt(noise.variance(known)):
            return None
        spread = _rate_variance(noise, known, line)
        return (z + NormalDist().inv_cdf(POWER)) * math.sqrt(2 * spread)


def _rate_variance(noise: LineNoise, parts: int, line: float, rate: float = 0.5) -> float:
    drawn = noise.variance() - 2 * rate * noise.covariance(parts) + rate**2 * noise.variance(parts)
    return drawn / line**2 + rate * (1 - rate) / line


def _rho_at(epsilon: float, privacy: PrivacyParameters) -> Fraction:
    """The rho of an ε at the stated δ, by halving."""
    low, high = Fraction(0), Fraction(8)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if epsilon_of(middle, privacy.budget.delta) <= epsilon else (low, middle)
    return low
