"""Intervals cover what they say, in simulation, also for small cells; and they keep their order."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aggregate.intervals import LineNoise, count_interval, rate_interval, z_value

Z = z_value(0.95)


@pytest.mark.parametrize("mean", [0.0, 3.0, 30.0, 300.0, 3000.0])
@pytest.mark.parametrize("noise", [2.0, 30.0])
def test_counts_cover_the_expected_count(mean: float, noise: float) -> None:
    draws = np.random.default_rng(5)
    estimates = draws.poisson(mean, 4000) + draws.normal(0, noise, 4000)
    intervals = [count_interval(float(x), noise, Z) for x in estimates]
    covered = np.mean([i.low <= mean <= i.high for i in intervals])
    # Below a handful of users the Poisson steps show where noise is small: there it may only cover more.
    assert 0.93 <= covered <= (0.985 if mean * 4 < noise**2 * 4 and mean < 5 else 0.97)


def test_noise_alone_would_not_cover() -> None:
    draws = np.random.default_rng(5)
    estimates = draws.poisson(3000, 4000) + draws.normal(0, 30, 4000)
    assert np.mean(np.abs(estimates - 3000) <= Z * 30) < 0.75


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("users", [300, 1000, 10_000])
def test_rates_cover_the_generating_rate(rate: float, users: int) -> None:
    draws = np.random.default_rng(7)
    noise, parts = 25.0, 3
    hits = 0
    for _ in range(3000):
        cells = draws.multinomial(users, [rate, (1 - rate) / 2, (1 - rate) / 2]) + draws.normal(0, noise, parts)
        found = rate_interval(float(cells[0]), float(cells.sum()), LineNoise(noise**2).ratio(parts), Z)
        hits += found is not None and found.interval.low <= rate <= found.interval.high
    assert 0.93 <= hits / 3000 <= 0.97


def test_no_rate_where_the_denominator_may_be_nothing() -> None:
    assert rate_interval(10.0, 20.0, LineNoise(625.0).ratio(3), Z) is None
    assert rate_interval(10.0, -50.0, LineNoise(25.0).ratio(3), Z) is None


numbers = st.floats(min_value=-1e6, max_value=1e6)


@example(estimate=-1.0, noise=0.5)  # the score set is two pieces, one on each side of 0
@given(estimate=numbers, noise=st.floats(min_value=0.01, max_value=1e4))
def test_a_count_lies_in_its_interval(estimate: float, noise: float) -> None:
    interval = count_interval(estimate, noise, Z)
    assert interval.low <= estimate <= interval.high
    assert math.isfinite(interval.low)
    assert interval.high - interval.low >= 2 * Z * noise * 0.999 or interval.low == 0.0


@example(numerator=3.0, denominator=3.0, noise=1.0, parts=1)  # its upper end is one digit short of 1
@given(numerator=numbers, denominator=numbers, noise=st.floats(min_value=0.01, max_value=1e4), parts=st.integers(1, 9))
def test_a_rate_lies_in_its_interval(numerator: float, denominator: float, noise: float, parts: int) -> None:
    found = rate_interval(numerator, denominator, LineNoise(noise**2).ratio(parts), Z)
    if found is not None:
        assert 0 <= found.interval.low <= found.value <= found.interval.high <= 1
