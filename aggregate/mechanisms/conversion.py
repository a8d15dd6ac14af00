"""From rho (zero-concentrated differential privacy) to ε at a δ, by OpenDP's own conversion."""

import math
from fractions import Fraction
from functools import cache

import opendp.prelude as dp

from schemas.errors import BudgetRefusedError


def float_up(value: Fraction) -> float:
    """The smallest float that is not below an exact number."""
    number = float(value)
    return number if Fraction(number) >= value else math.nextafter(number, math.inf)


def float_down(value: Fraction) -> float:
    """The largest float that is not above an exact number."""
    number = float(value)
    return number if Fraction(number) <= value else math.nextafter(number, -math.inf)


@cache
def epsilon_of(rho: Fraction, delta: Fraction) -> float:
    """ε of a rho at δ, as OpenDP converts it (Canonne, Kamath, Steinke 2020, Proposition 7). 0 for rho = 0.

    Raises BudgetRefusedError on a negative rho or a δ outside (0, 1).
    """
    if rho < 0 or not 0 < delta < 1:
        raise BudgetRefusedError("rho must not be negative, and delta must lie between 0 and 1.")
    if rho == 0:
        return 0.0
    dp.enable_features("contrib")
    # A mechanism of sensitivity 1 whose own map says this rho (or a hair more) is what is converted.
    scale = math.sqrt(1 / (2 * float_up(rho)))
    gaussian = dp.m.make_gaussian(dp.atom_domain(T="i64"), dp.absolute_distance(T="f64"), scale=scale)
    measurement = dp.c.make_fix_delta(dp.c.make_zCDP_to_approxDP(gaussian), float_down(delta))
    epsilon, _ = measurement.map(1.0)  # type: ignore[no-untyped-call]
    return float(epsilon)
