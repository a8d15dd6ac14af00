"""The draw: discrete Gaussian noise on everything that a plan asks for, under one privacy filter.

One user domain stands for "the bounded tables in DuckDB"; its distance is the number of users added or removed. Each
query is a transformation whose stability map reads the one declared bound and whose function re-checks it on the table
(OpenDP checks no membership), followed by `make_gaussian`. The filter refuses what goes over the release's budget.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import opendp.prelude as dp

from aggregate.answer import Answer, NoisyMarginal, NoisyPanel, NoisyResidual
from aggregate.bounding import BoundedTable
from aggregate.counts import ExactCounts, Integers, exact_counts
from aggregate.mechanisms.conversion import float_down, float_up
from aggregate.workload import Residual, Workload
from schemas.errors import BudgetRefusedError
from schemas.keys import Scope
from schemas.parameters import PrivacyParameters
from schemas.periods import Quarter
from schemas.plan import ContributionBound, Measure, Names, RegisteredPlan

if TYPE_CHECKING:
    from aggregate.mechanisms.terms import PreparedSearch


@dataclass(frozen=True)
class _CompanyVector:
    """One noisy vector that decides a company rule: its function of the exact counts, its share of rho, its Lipschitz factor."""

    name: str
    share: Fraction
    factor: int  # a user's mass m moves a cell by at most factor · m
    function: Callable[[ExactCounts], Integers]


def company_vectors(privacy: PrivacyParameters) -> tuple[_CompanyVector, ...]:
    """Mass outside the K - 1 largest companies, and the dominance vector."""
    companies, shares = privacy.companies, privacy.shares
    numerator, denominator = companies.dominance_share.numerator, companies.dominance_share.denominator
    return (
        _CompanyVector("outside", shares.outside, 1, lambda c: c.outside_largest(companies.minimum - 1)),
        _CompanyVector(
            "dominance",
            shares.dominance,
            max(numerator, denominator - numerator),
            lambda c: c.dominance(numerator, denominator),
        ),
    )


def root_up(square: Fraction) -> float:
    """The square root of an exact number, rounded up."""
    root = math.sqrt(float_up(square))
    while Fraction(root) ** 2 < square:
        root = math.nextafter(root, math.inf)
    return root


def vector_sensitivity(bound: ContributionBound, factor: int) -> float:
    """L2 sensitivity of a company vector of a marginal in integer steps, rounded up."""
    return root_up(Fraction(factor**2 * bound.l2_squared))


def residual_sensitivity(bound: ContributionBound, residual: Residual) -> float:
    """L2 sensitivity of a residual in integer steps, rounded up: its linear part, and the rounding of its numbers."""
    linear, rounded = residual.l2(bound.mass, bound.strata)
    return float_up(Fraction(root_up(linear)) + Fraction(root_up(Fraction(rounded))))


def squares_sensitivity(bound: ContributionBound) -> float:
    """Sensitivity of `BoundedTable.squares`: a user adds at most strata · mass, and one for the division."""
    return float_up(Fraction(bound.strata * bound.mass + 1))


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
    searches: tuple["PreparedSearch", ...] = ()

    def draw(self) -> Answer:
        """Draws the noise under one privacy filter. Raises BudgetRefusedError where the filter refuses a query."""
        domain, metric = _space()
        output = (float_down(self.rho), float_down(self.threshold_delta))
        odometer = dp.c.make_fully_adaptive_composition(domain, metric, dp.approximate(dp.zero_concentrated_divergence()))
        session = dp.c.make_privacy_filter(odometer, d_in=1.0, d_out=output)(object())
        checked: set[str] = set()
        residuals: list[NoisyResidual] = []
        panels: list[NoisyPanel] = []
        marginals: dict[tuple[str, Names], dict[str, Any]] = {}
        # One by one the filter would evaluate the maps of all earlier queries anew at each: 162 took 3 s, together they take 0.1 s.
        measurements = [query.measurement(domain, metric, checked) for query in self.queries]
        drawn = _evaluate(session, dp.c.make_composition(measurements)) if measurements else []
        for query, values in zip(self.queries, drawn, strict=True):
            noisy = tuple(int(value) for value in values)
            if query.name == "estimates":
                residuals.append(NoisyResidual(query.measure.name, query.keys, noisy, query.scale))
            elif query.name == "panel":
                panels.append(NoisyPanel(query.measure.name, query.keys, noisy, query.scale))
            else:
                entry = marginals.setdefault((query.measure.name, query.keys), {})
                entry[query.name] = noisy[0] if query.name == "squares" else noisy
                entry[f"{query.name}_scale"] = query.scale
        told = tuple(NoisyMarginal(name, marginal, **entry) for (name, marginal), entry in marginals.items())
        rounds = tuple(one for search in self.searches for one in search.draw(session, domain, metric))
        tracked = tuple(search.tracked.draw(session, domain, metric) for search in self.searches if search.tracked)
        return Answer(tuple(residuals), told, tuple(panels), rounds=rounds, tracked=tracked)


@dataclass(frozen=True)
class _Query:
    measure: Measure
    keys: Names
    name: str
    l2: float
    scale: float
    table: BoundedTable
    exact: tuple[int, ...] = field(repr=False)

    def measurement(self, domain: Any, metric: Any, checked: set[str] | None = None) -> Any:
        """Transformation and Gaussian as one measurement whose map OpenDP composes.

        `checked` names the tables whose bound was found to hold in this draw; each is looked at once.
        """
        l2, found = self.l2, set[str]() if checked is None else checked

        def exact(_: Any) -> list[int]:
            if self.table.name not in found:
                self.table.check()  # again, inside the transformation: the bound is what the map says, at the moment of the draw
                found.add(self.table.name)
            return list(self.exact)

        transformation = dp.t.make_user_transformation(
            domain,
            metric,
            dp.vector_domain(dp.atom_domain(T="i64")),
            dp.l2_distance(T="f64"),
            exact,
            lambda d_in: d_in * l2,
        )
        return dp.c.make_approximate(transformation >> dp.m.then_gaussian(scale=self.scale))


def _space() -> tuple[Any, Any]:
    dp.enable_features("contrib", "honest-but-curious")
    domain = dp.user_domain("BoundedTables", lambda _: True)
    return domain, dp.user_distance("users added or removed")


def _evaluate(session: Any, measurement: Any) -> list[Any]:
    try:
        return list(session(measurement))
    except Exception:  # OpenDP's message may carry what our own function raised: it goes no further
        refused = True
    if refused:
        raise BudgetRefusedError("The privacy filter refused a query, or a table broke its bound.")
    return []


@dataclass(frozen=True)
class Panel:
    """What is drawn once more over some of the companies: who contributed in the quarter before too, and marginals by measure."""

    companies: frozenset[str] = frozenset()
    marginals: Mapping[str, tuple[Names, ...]] = field(default_factory=dict)


_NO_PANEL = Panel()


def prepare(
    tables: Sequence[BoundedTable],
    plan: RegisteredPlan,
    companies: Sequence[str],
    searches: Sequence["PreparedSearch"] = (),
    panel: Panel = _NO_PANEL,
) -> PreparedDraw:
    """Checks and sums every marginal, and fixes every noise scale, before anything is charged.

    Sums over the companies of a panel take their rho from their measure's estimates.

    Raises BudgetRefusedError where a table breaks its bound or the scales together would go over the plan's rho.
    """
    quarter = Quarter.parse(plan.quarter)
    queries = [
        query
        for table in tables
        for query in _queries(table, plan, table.measure.scope(quarter, plan.release_plan), companies, panel)
    ]
    spent = sum((Fraction(query.l2) ** 2 / (2 * Fraction(query.scale) ** 2) for query in queries), Fraction(0))
    shares = [table.measure.name for table in tables]
    for search in searches:
        spent += search.rho
        shares += search.shares
    if spent > sum((plan.rho_of(share) for share in shares), Fraction(0)) or len(set(shares)) < len(shares):
        raise BudgetRefusedError("The plan's noise scales go over its rho.")
    return PreparedDraw(tuple(queries), Fraction(plan.rho), Fraction(plan.threshold_delta), tuple(searches))


def _queries(table: BoundedTable, plan: RegisteredPlan, scope: Scope, companies: Sequence[str], panel: Panel) -> Iterator[_Query]:
    table.check()
    measure, bound, privacy, rho = table.measure, table.bound, plan.privacy, plan.rho_of(table.measure)
    counts = {marginal: exact_counts(table, marginal, scope, companies) for marginal in measure.marginals}
    workload = Workload.of(measure, scope)
    again = panel.marginals.get(measure.name, ())
    estimates = privacy.shares.estimates - (privacy.shares.panel if again else 0)

    def query(name: str, keys: Names, l2: float, share: Fraction, exact: list[int]) -> _Query:
        return _Query(measure, keys, name, l2, noise_scale(l2, rho * share), table, tuple(exact))

    for residual in workload.residuals:
        exact = residual.of(sums_of(residual, counts, workload))
        l2 = residual_sensitivity(bound, residual)
        yield query("estimates", residual.keys, l2, estimates * residual.share, exact)
    for marginal in again:
        exact = [int(value) for value in counts[marginal].of([company in panel.companies for company in companies])]
        yield query("panel", marginal, vector_sensitivity(bound, 1), privacy.shares.panel / len(again), exact)
    for marginal, exact_marginal in counts.items():
        for vector in company_vectors(privacy):
            exact = [int(value) for value in vector.function(exact_marginal)]
            share = vector.share / len(counts)
            yield query(vector.name, marginal, vector_sensitivity(bound, vector.factor), share, exact)
        share = privacy.shares.sampling / len(counts)
        yield query("squares", marginal, squares_sensitivity(bound), share, [table.squares(marginal)])


def sums_of(residual: Residual, counts: dict[Names, ExactCounts], workload: Workload) -> Integers:
    """Exact sums over the keys of a residual, from a marginal that has them all."""
    marginal = next(marginal for marginal in counts if set(residual.keys) <= set(marginal))
    whole = counts[marginal].total().reshape([workload.codes[key] for key in marginal])
    kept = [key for key in marginal if key in residual.keys]
    summed = whole.sum(axis=tuple(place for place, key in enumerate(marginal) if key not in residual.keys), dtype=np.int64)
    return np.asarray(np.transpose(summed, [kept.index(key) for key in residual.keys]), dtype=np.int64)
