"""Uncertainty: noise and sampling, for counts and for rates. Pure functions of noisy numbers and public scales."""

import math
from dataclasses import dataclass
from statistics import NormalDist


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


def count_interval(estimate: float, noise: float, z: float) -> Interval:
    """Interval of the expected mass behind a noisy sum of user weights, in users-equivalent.

    A user's weight in a cell lies between 0 and 1, so the sampling variance of a sum is at most its mean θ. The interval
    holds every θ with |estimate - θ| <= z · sqrt(noise² + max(θ, 0)): a score interval (Wilson 1927), which stays right
    for small and for negative estimates.
    """
    middle = estimate + z * z / 2
    spread = z * math.sqrt(max(noise**2 + estimate + z * z / 4, 0.0))
    low = middle - spread
    if low < 0 or estimate < 0:  # at θ < 0 there is no sampling variance; two pieces are published as their hull
        low = min(estimate - z * noise, 0.0)
    return Interval(low, max(middle + spread, estimate + z * noise))


@dataclass(frozen=True)
class Rate:
    """A rate with its interval, within [0, 1]."""

    value: float
    interval: Interval


def rate_interval(numerator: float, denominator: float, noise: float, parts: int, z: float) -> Rate | None:
    """A noisy cell divided by the sum of the `parts` cells that it is one of (Fieller 1954), noise and sampling.

    With N the cell, D the sum of `parts` cells with independent noise σ each, N - ρD has noise variance
    σ²(1 - 2ρ + parts · ρ²) and sampling variance at most ρ(1 - ρ)D. The interval holds every ρ in [0, 1] at which it is
    within z deviations of 0. None where the denominator cannot be told from 0: then no rate is known.
    """
    v = noise * noise
    mass = max(denominator, 0.0)
    a = denominator**2 - z * z * (v * parts - mass)
    b = -2 * numerator * denominator + z * z * (2 * v - mass)
    c = numerator**2 - z * z * v
    discriminant = b * b - 4 * a * c
    if denominator <= z * noise * math.sqrt(parts) or a <= 0 or discriminant < 0:
        return None
    root = math.sqrt(discriminant)
    low, high = (-b - root) / (2 * a), (-b + root) / (2 * a)
    value = min(max(numerator / denominator, 0.0), 1.0)
    # The ratio lies within its interval, which floating point may miss by its last digit.
    return Rate(value, Interval(min(max(low, 0.0), value), max(min(high, 1.0), value)))
