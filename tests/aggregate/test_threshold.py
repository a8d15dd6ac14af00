"""δ of the thresholded Gaussian, against the exact sum over the integers: at θ - 1 it holds, at θ it does not."""

import math

import opendp.prelude as dp
import pytest

from aggregate.mechanisms.threshold import threshold_delta
from benchmarks.audit_detectors import exact_delta
from schemas.errors import InternalError

CASES = [(3.0, 8, 1), (1.0, 5, 1), (0.7, 4, 1), (2.0, 9, 2), (5.0, 21, 1), (3.0, 14, 4)]
"""Scale, threshold, keys of a user; each of mass 1."""


def opendp_delta(scale: float, threshold: int, keys: int) -> float:
    """What OpenDP itself states: the threshold off by one."""
    dp.enable_features("contrib")
    integer = dp.atom_domain(T="i64")
    metric = dp.l02inf_distance(dp.absolute_distance(T="f64"))
    stated = dp.m.make_gaussian_threshold(dp.map_domain(integer, integer), metric, scale=scale, threshold=threshold)
    return float(stated.map((keys, math.sqrt(keys), 1.0))[1])


@pytest.mark.parametrize(("scale", "threshold", "keys"), CASES)
def test_what_is_charged_covers_the_exact_delta(scale: float, threshold: int, keys: int) -> None:
    charged = threshold_delta(scale, threshold, keys, math.sqrt(keys), 1)
    assert exact_delta(scale, threshold, keys) <= charged


@pytest.mark.parametrize(("scale", "threshold", "keys"), CASES)
def test_the_threshold_off_by_one_is_seen(scale: float, threshold: int, keys: int) -> None:
    """OpenDP's own map at θ. Where this fails, the trap is mended: charge at θ again."""
    assert opendp_delta(scale, threshold, keys) < exact_delta(scale, threshold, keys)


def test_a_key_appears_as_often_as_the_exact_sum_says() -> None:
    """The exact sum is of what OpenDP really does: 100,000 keys of one unit of mass each, within five deviations."""
    dp.enable_features("contrib")
    scale, threshold, keys = 3.0, 8, 100_000
    integer = dp.atom_domain(T="i64")
    metric = dp.l02inf_distance(dp.absolute_distance(T="f64"))
    mechanism = dp.m.make_gaussian_threshold(dp.map_domain(integer, integer), metric, scale=scale, threshold=threshold)
    appeared = len(mechanism(dict.fromkeys(range(keys), 1))) / keys
    chance = exact_delta(scale, threshold, 1)
    deviation = math.sqrt(chance * (1 - chance) / keys)
    assert abs(appeared - chance) < 5 * deviation
    assert abs(appeared - opendp_delta(scale, threshold, 1)) > 5 * deviation


def test_a_threshold_that_one_user_reaches_is_refused() -> None:
    with pytest.raises(InternalError):
        threshold_delta(1.0, 3, 1, 2.0, 2)
