"""Uncertainty: noise and sampling, for counts and for rates. Pure functions of noisy numbers and public scales."""

import math
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
    """A rate with its interval, within [0, 1]."""

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
