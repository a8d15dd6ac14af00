"""The coverage benchmark sees intervals that are too narrow."""

from unittest import mock

import pytest

from aggregate import tabulation
from aggregate.intervals import Interval, count_interval
from benchmarks.measure_coverage import figures


def test_intervals_of_the_packaged_plan_cover_and_ones_without_sampling_do_not() -> None:
    told = figures(users=2000, seeds=1, rounds=3)
    for name in ("noise", "full", "noise_small", "full_small", "rate"):
        assert told[f"coverage_{name}_tried"] > 200
        assert told[f"coverage_{name}"] == pytest.approx(0.955, abs=0.03), name

    def narrow(estimate: float, noise: float, z: float, sampling: float = 1.0) -> Interval:
        return count_interval(estimate, noise / 2, z, sampling)

    with mock.patch.object(tabulation, "count_interval", narrow):
        assert figures(users=2000, seeds=1, rounds=1)["coverage_full"] < 0.8
