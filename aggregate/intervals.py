"""Uncertainty: noise and sampling, for counts and for rates. Pure functions of noisy numbers and public scales."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True)
class LineNoise:
    """Noise of the cells of one line, which differ in one key only: cov(i, j) = `own` · (i == j) + `shared`."""

    own: float
    shared: float = 0.0

    def variance(self, cells: int = 1) -> float:
        """Of the sum of so many cells of the line."""
        return cells * self.own + cells**2 * self.shared

    def covariance(self, cells: int) -> float:
        """Of one cell with the sum of so many cells, itself among them."""
        return self.own + cells * self.shared

    def ratio(self, cells: int) -> "RatioNoise":
        """Of one cell over the sum of so many cells, itself among them."""
        return RatioNoise(self.variance(), self.covariance(cells), self.variance(cells))


@dataclass(frozen=True)
class RatioNoise:
    """Noise of a part and of the whole that it is a share of: variance of the part, covariance, variance of the whole."""

    part: float
    both: float
    whole: float


@dataclass(frozen=True)
class Interval:
    """A two-sided interval."""

    low: float
    high: float


def z_value(confidence: float) -> float:
    """Two-sided standard normal quantile, 1.96 for 0.95."""
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def one_sided_z(error_rate: float) -> float:
    """One-sided standard normal quantile, 1.645 for 0.05."""
    return NormalDist().inv_cdf(1 - error_rate)


def count_interval(estimate: float, noise: float, z: float, sampling: float = 1.0) -> Interval:
    """Interval of the expected mass behind a noisy sum of user weights, in users-equivalent.

    A user's weight in a cell lies between 0 and 1, so the sampling variance of a sum is at most its mean θ; `sampling` is the
    part of that which there is, Σw² / Σw. The interval holds every θ with |estimate - θ| <= z · sqrt(noise² + sampling ·
    max(θ, 0)): a score interval (Wilson 1927), which stays right for small and for negative estimates.
    """
    middle = estimate + sampling * z * z / 2
    spread = z * math.sqrt(max(noise**2 + sampling * estimate + (sampling * z) ** 2 / 4, 0.0))
    low = middle - spread
    if low < 0 or estimate < 0:  # at θ < 0 there is no sampling variance; two pieces are published as their hull
        low = min(estimate - z * noise, 0.0)
    return Interval(low, max(middle + spread, estimate + z * noise))


@dataclass(frozen=True)
class Rate:
    """A ratio of two noisy sums with its interval."""

    value: float
    interval: Interval


def rate_interval(part: float, whole: float, noise: RatioNoise, z: float, sampling: float = 1.0) -> Rate | None:
    """A noisy sum divided by another that it is part of (Fieller 1954), noise and sampling.

    With N the part and D the whole, N - ρD has the noise variance V(N) - 2ρ cov(N, D) + ρ² V(D) and a sampling variance of
    `sampling` · ρ(1 - ρ)D. The interval holds every ρ in [0, 1] at which it is within z deviations of 0. None where the
    whole cannot be told from 0: then no rate is known.
    """
    mass = sampling * max(whole, 0.0)
    a = whole**2 - z * z * (noise.whole - mass)
    b = -2 * part * whole + z * z * (2 * noise.both - mass)
    c = part**2 - z * z * noise.part
    discriminant = b * b - 4 * a * c
    if whole <= z * math.sqrt(noise.whole) or a <= 0 or discriminant < 0:
        return None
    root = math.sqrt(discriminant)
    low, high = (-b - root) / (2 * a), (-b + root) / (2 * a)
    value = min(max(part / whole, 0.0), 1.0)
    # The ratio lies within its interval, which floating point may miss by its last digit.
    return Rate(value, Interval(min(max(low, 0.0), value), max(min(high, 1.0), value)))


_STEPS = 60  # halvings: to a part in 10^18 of where was looked


def selected_count(value: float, threshold: float, noise: float, confidence: float) -> tuple[float, Interval]:
    """Estimate and interval of the mass behind a noisy sum that is told because it reached a threshold.

    A sum of mass θ is normal with variance noise² + θ (sampling is at most that), and was seen because it was `threshold` or
    more: so it is normal above it and nothing below. The interval holds every θ >= 0 of which what was seen lies in the middle
    `confidence` of that law, and reaches to the value itself, which it may miss where that is all but at the threshold. The
    estimate is the θ of which it is the median: as often too large as too small, in the long run of what is told.
    """

    def beyond(mass: float) -> float:
        """How probable a larger value would have been."""
        deviation = math.sqrt(noise**2 + mass)
        return _upper((value - mass) / deviation) / _upper((threshold - mass) / deviation)

    tail = (1 - confidence) / 2
    top = value + 2 * z_value(confidence) * (math.sqrt(noise**2 + max(value, 0.0)) + z_value(confidence))
    low, middle, high = (_reached(beyond, share, top) for share in (tail, 0.5, 1 - tail))
    return middle, Interval(low, max(high, value))


def _upper(z: float) -> float:
    """Share of a standard normal law above z."""
    return math.erfc(z / math.sqrt(2)) / 2


def _reached(rising: Callable[[float], float], share: float, top: float) -> float:
    """Where in [0, top] a rising function reaches a share; 0 where it is there from the start."""
    if rising(0.0) >= share:
        return 0.0
    low, high = 0.0, top
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) >= share else (middle, high)
    return high


def growth_interval(now: tuple[float, float], before: tuple[float, float], z: float) -> Rate | None:
    """One noisy sum over another, independent one (Fieller 1954), noise and sampling; from 0 on, it may be over 1.

    Each is given with the deviation of its noise; its sampling variance is at most its mean. The interval holds every ratio ρ
    at which now - ρ · before is within z deviations of 0. None where `before` cannot be told from 0: then no ratio is known.
    """
    (part, part_noise), (whole, whole_noise) = now, before
    part_variance, whole_variance = part_noise**2 + max(part, 0.0), whole_noise**2 + max(whole, 0.0)
    a, b, c = whole**2 - z * z * whole_variance, -2 * part * whole, part**2 - z * z * part_variance
    if whole <= 0 or a <= 0:
        return None
    root = math.sqrt(max(b * b - 4 * a * c, 0.0))
    value, low, high = max(part / whole, 0.0), (-b - root) / (2 * a), (-b + root) / (2 * a)
    return Rate(value, Interval(min(max(low, 0.0), value), max(high, value))) if high > 0 else None
