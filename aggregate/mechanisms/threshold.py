"""δ of a thresholded Gaussian: what it costs that a key may appear only because one user has it.

OpenDP 0.16.0 runs the mechanism right and states its δ one step too low: a key of mass m appears where m plus noise is at
least θ, and its map takes the chance that the noise is *more* than θ - m. So it is run at θ and charged as if at θ - 1.
"""

import opendp.prelude as dp

from schemas.errors import InternalError


def threshold_delta(scale: float, threshold: int, keys: int, l2: float, mass: int) -> float:
    """δ that is charged for `make_gaussian_threshold` run at `scale` and `threshold`, in integer steps.

    Args:
        keys: most keys that one user has.
        l2: most that one user moves the sums, in L2.
        mass: most that one user weighs in one key; below the threshold.

    Raises InternalError where a key of one user alone is as good as sure to appear: there is no δ to speak of.
    """
    if not mass < threshold - 1:
        raise InternalError("A threshold lies two steps or more above the mass of one user in one key.")
    dp.enable_features("contrib")
    integer = dp.atom_domain(T="i64")
    metric = dp.l02inf_distance(dp.absolute_distance(T="f64"))
    charged = dp.m.make_gaussian_threshold(dp.map_domain(integer, integer), metric, scale=scale, threshold=threshold - 1)
    _, delta = charged.map((keys, l2, float(mass)))  # type: ignore[no-untyped-call]
    return float(delta)
