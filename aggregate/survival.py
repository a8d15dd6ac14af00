"""Survival: from the noisy cells last depth × ending to the curve that they tell (Kaplan and Meier 1958), with its noise."""

import math
from dataclasses import dataclass

import numpy as np

from aggregate.intervals import Interval, Rate, RatioNoise, rate_interval
from aggregate.workload import Floats


@dataclass(frozen=True)
class DepthSurvival:
    """At one depth: the share of those followed to it that end there, and the share that goes beyond it."""

    hazard: Rate
    surviving: Rate


def survival_curve(ended: Floats, followed: Floats, covariance: Floats, z: float, sampling: float = 1.0) -> list[DepthSurvival]:
    """The curve over the depths, in order, as far as it can be told.

    Args:
        ended: noisy number that ended at each depth with the outcome seen.
        followed: noisy number that was followed to its end there without it; they count as at risk at that depth.
        covariance: of their noise, shape (2n, 2n), the cells of `ended` first.
        z: two-sided normal quantile of the intervals.
        sampling: sampling variance of a cell over its mean.

    Returns:
        One entry a depth, from the first on; it stops where those at risk cannot be told from 0. The interval of `surviving` is
        that of a linear function of the cells around the estimate (Greenwood's, with the noise in it).
    """
    depths = len(ended)
    cells = np.concatenate([ended, followed])
    spread = covariance + sampling * np.diag(np.maximum(cells, 0.0))
    curve: list[DepthSurvival] = []
    surviving, gradient = 1.0, np.zeros(2 * depths)
    for depth in range(depths):
        later = np.arange(depths) >= depth
        risk = np.concatenate([later, later]).astype(float)
        here = np.zeros(2 * depths)
        here[depth] = 1.0
        at_risk, here_ended = float(risk @ cells), float(ended[depth])
        noise = RatioNoise(float(here @ covariance @ here), float(here @ covariance @ risk), float(risk @ covariance @ risk))
        hazard = rate_interval(here_ended, at_risk, noise, z, sampling)
        if hazard is None or at_risk <= here_ended:
            break
        surviving *= 1 - here_ended / at_risk
        gradient = gradient + (risk - here) / (at_risk - here_ended) - risk / at_risk
        half = z * surviving * math.sqrt(max(float(gradient @ spread @ gradient), 0.0))
        value = min(max(surviving, 0.0), 1.0)
        interval = Interval(min(max(surviving - half, 0.0), value), max(min(surviving + half, 1.0), value))
        curve.append(DepthSurvival(hazard, Rate(value, interval)))
    return curve
