"""The draw: discrete Gaussian noise on every marginal of a plan, under one privacy filter.

One user domain stands for "the bounded tables in DuckDB"; its distance is the number of users added or removed. Each
query is a transformation whose stability map reads the one declared bound and whose function re-checks it on the table
(OpenDP checks no membership), followed by `make_gaussian`. The filter refuses what goes over the release's budget.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import opendp.prelude as dp

from aggregate.answer import Answer, NoisyMarginal
from aggregate.bounding import BoundedTable
from aggregate.counts import ExactCounts, Integers, exact_counts
from aggregate.mechanisms.conversion import float_down, float_up
from schemas.errors import BudgetRefusedError
from schemas.parameters import CompanyParameters
from schemas.periods import Quarter
from schemas.plan import Measure, RegisteredPlan


@dataclass(frozen=True)
class _Vector:
    """One noisy vector of a marginal: its function of the exact counts, its share of rho, and its Lipschitz factor."""

    name: str
    share: Fraction
    factor: int  # a user's mass m moves a cell by at most factor · m
    function: Callable[[ExactCounts], Integers]


def vectors(companies: CompanyParameters) -> tuple[_Vector, ...]:
    """Estimates, mass outside the K - 1 largest companies, and the dominance vector."""
    numerator, denominator = companies.dominance_share.numerator, companies.dominance_share.denominator
    return (
        _Vector("estimate", companies.estimate_share, 1, ExactCounts.total),
        _Vector("outside", companies.outside_share, 1, lambda c: c.outside_largest(companies.minimum - 1)),
        _Vector(
            "dominance",
            companies.dominance_rho_share,
            max(numerator, denominator - numerator),
            lambda c: c.dominance(numerator, denominator),
        ),
    )


def sensitivity(measure: Measure, weight_scale: int, factor: int) -> float:
    """L2 sensitivity of one vector of a marginal in integer steps, rounded up."""
    exact = Fraction(factor**2 * measure.l2_squared(weight_scale))
    root = math.sqrt(float_up(exact))
    while Fraction(root) ** 2 < exact:
        root = math.nextafter(root, math.inf)
    return root


def noise_scale(l2: float, rho: Fraction) -> float:
    """Scale σ in integer steps for which l2² / (2σ²) does not go over rho."""
    return math.sqrt(float_up(Fraction(l2) ** 2 / (2 * rho))) * (1 + 1e-12)


@dataclass(frozen=True)
class PreparedDraw:
    """Everything that can be done before the ledger is charged: tables bounded, checked and summed, maps evaluated.

    `draw` is called once, after the reservation; it takes milliseconds, so that little can go wrong between the two.
    """

    queries: tuple["_Query", ...]
    rho: Fraction
    threshold_delta: Fraction

    def draw(self) -> Answer:
        """Draws the noise under one privacy filter. Raises BudgetRefusedError where the filter refuses a query."""
        domain, metric = _space()
        output = (float_down(self.rho), float_down(self.threshold_delta))
        odometer = dp.c.make_fully_adaptive_composition(domain, metric, dp.approximate(dp.zero_concentrated_divergence()))
        session = dp.c.make_privacy_filter(odometer, d_in=1.0, d_out=output)(object())
        marginals: dict[tuple[str, tuple[str, ...]], dict[str, Any]] = {}
        for query in self.queries:
            noisy = _evaluate(session, query.measurement(domain, metric))
            entry = marginals.setdefault((query.measure.name, query.marginal), {})
            entry[query.name], entry[f"{query.name}_scale"] = tuple(noisy), query.scale
        return Answer(tuple(NoisyMarginal(name, marginal, **entry) for (name, marginal), entry in marginals.items()))


@dataclass(frozen=True)
class _Query:
    measure: Measure
    marginal: tuple[str, ...]
    name: str
    l2: float
    scale: float
    exact: Callable[[], list[int]]

    def measurement(self, domain: Any, metric: Any) -> Any:
        """Transformation and Gaussian as one measurement whose map OpenDP composes."""
        l2 = self.l2
        transformation = dp.t.make_user_transformation(
            domain,
            metric,
            dp.vector_domain(dp.atom_domain(T="i64")),
            dp.l2_distance(T="f64"),
            lambda _: self.exact(),
            lambda d_in: d_in * l2,
        )
        return dp.c.make_approximate(transformation >> dp.m.then_gaussian(scale=self.scale))


def _space() -> tuple[Any, Any]:
    dp.enable_features("contrib", "honest-but-curious")
    domain = dp.user_domain("BoundedTables", lambda _: True)
    return domain, dp.user_distance("users added or removed")


def _evaluate(session: Any, measurement: Any) -> list[int]:
    try:
        return [int(value) for value in session(measurement)]
    except Exception:  # OpenDP's message may carry what our own function raised: it goes no further
        refused = True
    if refused:
        raise BudgetRefusedError("The privacy filter refused a query, or a table broke its bound.")
    return []


def prepare(tables: Sequence[BoundedTable], plan: RegisteredPlan, companies: Sequence[str]) -> PreparedDraw:
    """Checks and sums every marginal, and fixes every noise scale, before anything is charged.

    Raises BudgetRefusedError where a table breaks its bound or the scales together would go over the plan's rho.
    """
    privacy, quarter = plan.privacy, Quarter.parse(plan.quarter)
    queries: list[_Query] = []
    spent = Fraction(0)
    for table in tables:
        measure = table.measure
        scope = measure.scope(quarter, plan.release_plan)
        for marginal in measure.marginals:
            counts = exact_counts(table, marginal, scope, companies)
            for vector in vectors(privacy.companies):
                l2 = sensitivity(measure, privacy.unit.weight_scale, vector.factor)
                scale = noise_scale(l2, plan.rho_of(measure) * vector.share)
                spent += Fraction(l2) ** 2 / (2 * Fraction(scale) ** 2)
                queries.append(
                    _Query(measure, tuple(marginal), vector.name, l2, scale, _checked(table, marginal, counts, vector))
                )
    if spent > Fraction(plan.rho):
        raise BudgetRefusedError("The plan's noise scales go over its rho.")
    return PreparedDraw(tuple(queries), Fraction(plan.rho), Fraction(plan.threshold_delta))


def _checked(table: BoundedTable, marginal: Sequence[str], counts: ExactCounts, vector: _Vector) -> Callable[[], list[int]]:
    def exact() -> list[int]:
        table.check(marginal)  # again, inside the transformation: the bound is what the map says, at the moment of the draw
        return [int(value) for value in vector.function(counts)]

    return exact
