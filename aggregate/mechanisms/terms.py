"""Drawing terms: which are found, over a threshold and round by round, and how many users the known ones have.

A search is one or more thresholded Gaussians over the terms of users (Gopi et al. 2020; in rounds: Swanberg et al. 2023,
DP-SIPS), under the privacy filter of the whole draw. The bound of a round's table is checked where its noise is drawn.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import opendp.prelude as dp

from aggregate.answer import NoisyRound, NoisyTracked
from aggregate.mechanisms.conversion import float_down
from aggregate.mechanisms.draw import company_vectors, noise_scale
from aggregate.mechanisms.threshold import threshold_delta
from aggregate.terms.bounded import TermTable, UserTerms, weight
from schemas.emerging import TermRule, TermSearch
from schemas.errors import BudgetRefusedError, InternalError
from schemas.parameters import PrivacyParameters
from schemas.plan import RegisteredPlan

ROUND_RATIO = Fraction(1, 10)
"""Budget of a round over that of the next: a first, cheap round takes the commonest terms out of the way."""

RELAXED_MARGIN = 4
"""Deviations of noise below the threshold at which a relaxed search stops a term that too few companies have."""

Session = Callable[[Any], Any]


@dataclass(frozen=True)
class RoundParameters:
    """One round: its number, its noise, the threshold in integer steps, and its exact rho and the δ that is charged."""

    number: int
    scale: float
    threshold: int
    rho: Fraction
    delta: float

    def margin(self) -> int:
        """Of a relaxed search: how far over the mass outside the K - 1 largest companies the measured mass may lie."""
        return max(0, math.floor(self.threshold - RELAXED_MARGIN * self.scale))


def round_parameters(search: TermSearch, rho: Fraction, delta: Fraction, mass: int) -> tuple[RoundParameters, ...]:
    """Noise and thresholds of a search's rounds. Raises BudgetRefusedError where it has no δ or no rho."""
    if rho <= 0 or delta <= 0:
        raise BudgetRefusedError(
            "A search for terms needs a share of rho and of the δ of thresholds.", "`commons plan` sets both."
        )
    shares = [ROUND_RATIO ** (search.rounds - number) for number in range(1, search.rounds + 1)]
    found = []
    for number, share in enumerate(shares, start=1):
        part = share / sum(shares)
        scale = noise_scale(float(mass), rho * part)
        threshold = _threshold(scale, float_down(delta * part) * (1 - 1e-9), search.most, mass)
        charged = user_delta(scale, threshold, mass, range(1, search.most + 1))
        found.append(RoundParameters(number, scale, threshold, Fraction(mass) ** 2 / (2 * Fraction(scale) ** 2), charged))
    return tuple(found)


def user_delta(scale: float, threshold: int, mass: int, terms: Iterable[int]) -> float:
    """δ of one user: the largest over how many terms the user may count with, each with the weight that so many have."""
    return max(threshold_delta(scale, threshold, count, float(mass), weight(mass, count)) for count in terms)


def _threshold(scale: float, delta: float, most: int, mass: int) -> int:
    """The smallest threshold at which δ is not above what is given."""
    low, high = mass + 1, mass + 2 + math.ceil(8 * scale)
    ends = {1, most}  # δ is largest at one of them; should it not be, the last step tells
    while user_delta(scale, high, mass, ends) > delta:
        low, high = high, high + math.ceil(4 * scale)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if user_delta(scale, middle, mass, ends) <= delta else (middle, high)
    while user_delta(scale, high, mass, range(1, most + 1)) > delta:
        high += math.ceil(scale / 100)
    return high


@dataclass(frozen=True)
class PreparedSearch:
    """One search before the charge: the first round is bounded, checked and summed; later ones need what it finds."""

    terms: UserTerms
    rule: TermRule | None  # None for comparisons only: then a term of one company may be found
    rounds: tuple[RoundParameters, ...]
    table: TermTable  # of the first round
    first: dict[int, int] = field(repr=False)  # its sums
    tracked: "PreparedTracked | None"

    @property
    def rho(self) -> Fraction:
        """Exact rho of all."""
        return sum((one.rho for one in self.rounds), Fraction(0)) + (self.tracked.rho if self.tracked else 0)

    @property
    def shares(self) -> list[str]:
        """What the split calls that."""
        search = self.terms.search
        return [search.name, search.tracked] if self.tracked else [search.name]

    def draw(self, session: Session, domain: Any, metric: Any) -> Iterator[NoisyRound]:
        """Draws the rounds, one after the other; what one finds is left out of the next."""
        found: set[int] = set()
        for one in self.rounds:
            noisy: dict[int, int] = _evaluate(session, self._measurement(one, found, domain, metric))
            found |= set(noisy)
            words = sorted((self.terms.spelled[term], value) for term, value in noisy.items())
            yield NoisyRound(
                search=self.terms.search.name,
                number=one.number,
                words=tuple(word for word, _ in words),
                values=tuple(value for _, value in words),
                scale=one.scale,
                threshold=one.threshold,
                delta=one.delta,
            )

    def _measurement(self, one: RoundParameters, found: set[int], domain: Any, metric: Any) -> Any:
        integer, most, mass = dp.atom_domain(T="i64"), self.terms.search.most, self.terms.mass
        distance = dp.l02inf_distance(dp.absolute_distance(T="f64"))
        real = dp.m.make_gaussian_threshold(dp.map_domain(integer, integer), distance, scale=one.scale, threshold=one.threshold)

        def function(_: Any) -> dict[int, int]:
            table = self.table if one.number == 1 else self.terms.round(one.number, found)
            table.check()  # inside: the bound is what the map says, at the moment of the draw
            exact = self.first if one.number == 1 else table.sums(self.rule, self.terms.minimum, one.margin())
            terms = sorted(exact)
            noisy = real({number: exact[term] for number, term in enumerate(terms)})
            return {terms[number]: int(value) for number, value in noisy.items()}

        def loss(users: float) -> tuple[float, float]:
            if users > 1:
                raise InternalError("A search for terms is charged for one user.")
            rho, _ = real.map((most, float(mass), float(mass)))  # type: ignore[no-untyped-call]
            return float(rho), user_delta(one.scale, one.threshold, mass, range(1, most + 1))

        divergence = dp.approximate(dp.zero_concentrated_divergence())
        return dp.m.make_user_measurement(domain, metric, divergence, function=function, privacy_map=loss)


@dataclass(frozen=True)
class PreparedTracked:
    """Known terms before the charge: the table, and each vector's exact values, sensitivity and noise."""

    terms: UserTerms
    table: TermTable
    vectors: dict[str, tuple[tuple[int, ...], float, float]] = field(repr=False)

    @property
    def rho(self) -> Fraction:
        """Exact rho of its vectors."""
        return sum((Fraction(l2) ** 2 / (2 * Fraction(scale) ** 2) for _, l2, scale in self.vectors.values()), Fraction(0))

    def draw(self, session: Session, domain: Any, metric: Any) -> NoisyTracked:
        """Draws the vectors."""
        noisy: dict[str, Any] = {}
        for name, (exact, l2, scale) in self.vectors.items():
            noisy[name] = tuple(_evaluate(session, self._measurement(exact, l2, scale, domain, metric)))
            noisy["scale" if name == "values" else f"{name}_scale"] = scale
        return NoisyTracked(search=self.terms.search.name, words=self.terms.tracked, **noisy)

    def _measurement(self, exact: tuple[int, ...], l2: float, scale: float, domain: Any, metric: Any) -> Any:
        def values(_: Any) -> list[int]:
            self.table.check()
            return list(exact)

        vector, distance = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64")
        sums = dp.t.make_user_transformation(domain, metric, vector, distance, values, lambda users: users * l2)
        return dp.c.make_approximate(sums >> dp.m.then_gaussian(scale=scale))


def prepare_search(terms: UserTerms, plan: RegisteredPlan) -> PreparedSearch:
    """Bounds, checks and sums what can be before the charge. Raises BudgetRefusedError where a bound is broken."""
    search = terms.search
    tracked = _prepare_tracked(terms, plan.privacy, plan.rho_of(search.tracked)) if terms.tracked else None
    return prepare_rounds(terms, search.rule, plan.rho_of(search.name), plan.threshold_delta_of(search), tracked)


def prepare_rounds(
    terms: UserTerms, rule: TermRule | None, rho: Fraction, delta: Fraction, tracked: PreparedTracked | None = None
) -> PreparedSearch:
    """The same of the rounds alone, at any rho and δ, and without a company rule where `rule` is None: for comparisons."""
    rounds = round_parameters(terms.search, rho, delta, terms.mass)
    table = terms.round(1, ())
    table.check()
    first = table.sums(rule, terms.minimum, rounds[0].margin())
    return PreparedSearch(terms, rule, rounds, table, first, tracked)


def _prepare_tracked(terms: UserTerms, privacy: PrivacyParameters, rho: Fraction) -> PreparedTracked:
    table = terms.of_tracked()
    table.check()
    counts, shares = table.by_company(terms.prints, terms.companies), privacy.shares
    exact = {"values": (counts.total(), shares.estimates + shares.sampling, 1)}
    exact |= {vector.name: (vector.function(counts), vector.share, vector.factor) for vector in company_vectors(privacy)}
    vectors = {}
    for name, (values, share, factor) in exact.items():
        l2 = float(factor * terms.mass)
        vectors[name] = (tuple(int(value) for value in values), l2, noise_scale(l2, rho * share))
    return PreparedTracked(terms, table, vectors)


def _evaluate(session: Session, measurement: Any) -> Any:
    try:
        noisy = session(measurement)
    except Exception:  # OpenDP's message may carry what our own function raised: it goes no further
        noisy = None
    if noisy is None:
        raise BudgetRefusedError("The privacy filter refused a search for terms, or a table broke its bound.")
    return noisy
