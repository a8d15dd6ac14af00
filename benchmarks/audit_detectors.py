"""What may raise the alarm over a measurement, each by a way of its own. True means alarm."""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import dp_accounting
import numpy as np
import numpy.typing as npt
from dp_accounting.rdp import RdpAccountant
from scipy.stats import chi2, norm

from aggregate.answer import Answer
from aggregate.mechanisms.draw import PreparedDraw

BINS = 20
_SURE = 1e-6  # chance of a false alarm of each test of noise
_SUMMED = 10_000  # up to this scale the discrete Gaussian is summed exactly; over it, it is the continuous one to 1e-9

Floats = npt.NDArray[np.float64]


def composed_epsilon(draw: PreparedDraw, delta: Fraction) -> float:
    """ε of all that is drawn together, by Google's Rényi accountant from each query's sensitivity and scale."""
    return renyi_epsilon([dp_accounting.GaussianDpEvent(query.scale / query.l2) for query in draw.queries], delta)


def renyi_epsilon(events: Sequence[dp_accounting.DpEvent], delta: Fraction) -> float:
    """ε of a composition by Google's Rényi accountant."""
    accountant = RdpAccountant()
    for event in events:
        accountant.compose(event)
    return float(accountant.get_epsilon(float(delta)))


def costs_more(draw: PreparedDraw, rho: Fraction, delta: Fraction) -> bool:
    """Whether what is drawn costs more than is charged, by the accountant that does not charge."""
    return composed_epsilon(draw, delta) > renyi_epsilon([dp_accounting.ZCDpEvent(float(rho))], delta) * (1 + 1e-9)


def one_user_moves_more(before: PreparedDraw, after: PreparedDraw, rho: Fraction) -> bool:
    """Whether the exact sums of two pools that differ by one user are further apart than rho hides at the scales drawn with."""
    return float(moved_rho(before, after)) > float(rho) * (1 + 1e-9)


def moved_rho(before: PreparedDraw, after: PreparedDraw) -> float:
    """Sum of the squared distances of the exact sums, each over twice the variance of its noise."""
    return math.fsum(
        sum((x - y) ** 2 for x, y in zip(b.exact, a.exact, strict=True)) / (2 * a.scale**2)
        for b, a in zip(before.queries, after.queries, strict=True)
    )


def noise_is_not_as_stated(draw: PreparedDraw, answers: Sequence[Answer]) -> bool:
    """Whether draws are not of the scale that stands in the answer: variance z-test, and chi-square against the exact law."""
    drawn = [pair for answer in answers for pair in noises(draw, answer)]
    return bool(variance_z(drawn) > norm.isf(_SURE / 2) or fit(drawn) < _SURE)


def variance_z(drawn: Sequence[tuple[Floats, float]]) -> float:
    """By how many deviations the variance, in units of what is stated, is off 1."""
    noise = np.concatenate([values / scale for values, scale in drawn])
    return float(abs(np.mean(noise**2) - 1) / math.sqrt(2 / len(noise)))


def fit(drawn: Sequence[tuple[Floats, float]]) -> float:
    """p-value of a chi-square test in BINS bins of about equal chance, each of its exact chance at the stated scale."""
    seen, expected = np.zeros(BINS), np.zeros(BINS)
    for values, scale in drawn:
        edges = np.round(scale * norm.ppf(np.arange(1, BINS) / BINS))
        seen += np.bincount(np.searchsorted(edges, values, side="right"), minlength=BINS)
        expected += len(values) * np.diff(_below(edges, scale), prepend=0.0, append=1.0)
    return float(chi2.sf(((seen - expected) ** 2 / expected).sum(), BINS - 1))


def _below(edges: Floats, scale: float) -> Floats:
    """Chance that discrete Gaussian noise is below each edge."""
    if scale > _SUMMED:
        return np.asarray(norm.cdf((edges - 0.5) / scale))
    reach, weights = discrete_gaussian(scale)
    return np.array([weights[reach < edge].sum() for edge in edges])


def discrete_gaussian(scale: float) -> tuple[Floats, Floats]:
    """Integers and their chances, exactly but for floats."""
    reach = np.arange(-40 * math.ceil(scale), 40 * math.ceil(scale) + 1, dtype=float)
    weights = np.exp(-(reach**2) / (2 * scale**2))
    return reach, weights / weights.sum()


def noises(draw: PreparedDraw, answer: Answer) -> list[tuple[Floats, float]]:
    """What was added to each exact vector, with the scale that the answer states."""
    residuals = {(r.measure, r.keys): r for r in answer.residuals}
    marginals = {(m.measure, m.marginal): m for m in answer.marginals}
    found = []
    for query in draw.queries:
        place = query.measure.name, query.keys
        if query.name == "estimates":
            values, scale = residuals[place].values, residuals[place].scale
        else:
            values, scale = getattr(marginals[place], query.name), getattr(marginals[place], f"{query.name}_scale")
        found.append((np.atleast_1d(np.array(values, dtype=float)) - np.array(query.exact, dtype=float), scale))
    return found


def answered_anew(stored: Sequence[bytes]) -> bool:
    """Whether one plan, asked again, was not answered byte for byte as before."""
    return len(set(stored)) > 1


THRESHOLDS = [(scale, threshold, keys) for scale in (0.7, 1.0, 2.0, 3.0, 5.0) for threshold, keys in ((0, 1), (2, 3))]
"""Small scales; thresholds in steps above three deviations and a step, so that no δ is lost in floats; keys of a user."""


def threshold_costs_more(charge: Callable[[float, int, int, float, int], float], scale: float, steps: int, keys: int) -> bool:
    """Whether a user's own keys, each of mass 1, appear more often than δ as charged says."""
    threshold = math.ceil(3 * scale) + 1 + steps
    return charge(scale, threshold, keys, math.sqrt(keys), 1) < exact_delta(scale, threshold, keys)


def exact_delta(scale: float, threshold: int, keys: int) -> float:
    """Chance that one of a user's own keys of mass 1 appears: the noise summed over the integers."""
    reach, weights = discrete_gaussian(scale)
    return float(-np.expm1(keys * np.log1p(-weights[reach >= threshold - 1].sum())))
