"""`make bench-measure_workload`: error of one workload of marginals against noise on each marginal, at the same rho."""

import itertools
import math
from fractions import Fraction

import numpy as np
import opendp.prelude as dp

from aggregate.mechanisms.draw import noise_scale, residual_sensitivity
from aggregate.workload import Workload
from benchmarks.report import report
from flows.pool import packaged_config
from schemas.parameters import load_privacy_parameters
from schemas.periods import Quarter
from schemas.plan import ContributionBound, Measure, Names, load_release_plan

RHO = Fraction("0.02002")  # (1, 1e-7)
KEYS = ("ideation_before", "behavior", "age_band", "language", "region", "layer")
DRAWS = 40
SCALE = 2**20


def main() -> None:
    """Prints the figures of decision 0011 and writes `build/bench/measure_workload.json`."""
    report("measure_workload", figures())


def figures() -> dict[str, float]:
    """Fifteen three-way marginals, the outcome with every pair of six keys, at (1, 1e-7) for all of them.

    Errors are root mean squares over all cells, in users-equivalent. `charged` is what OpenDP's own maps add up to, as a share of rho.
    """
    marginals: tuple[Names, ...] = tuple((*pair, "outcome") for pair in itertools.combinations(KEYS, 2))
    load, bound = _workload(marginals)
    measured, charged = _drawn(load, bound, marginals)
    laplace = math.sqrt(2) * len(marginals)
    gaussian = math.sqrt(len(marginals) / (2 * float(RHO)))
    return {
        "workload_rmse_vs_laplace": measured / laplace,
        "workload_rmse_vs_gaussian": measured / gaussian,
        "workload_rmse": measured,
        "workload_rmse_said": _said(load, bound, marginals),
        "laplace_rmse": laplace,
        "gaussian_rmse": gaussian,
        "workload_charged": charged,
        "workload_marginals": len(marginals),
        "workload_cells": sum(_cells(load, marginal) for marginal in marginals),
    }


def _workload(marginals: tuple[Names, ...]) -> tuple[Workload, ContributionBound]:
    own = {"name": "workload", "table": "intervention_outcomes", "event": "intervention_outcome", "estimand": "share_of_user"}
    measure = Measure.model_validate({**own, "outcome_kind": "user_reply", "window": "next_turn", "marginals": marginals})
    plan = load_release_plan(packaged_config("release_plan.toml"), load_privacy_parameters(packaged_config("privacy.toml")))
    return Workload.of(measure, measure.scope(Quarter(2026, 1), plan)), measure.bound(SCALE)


def _scales(load: Workload, bound: ContributionBound) -> dict[Names, float]:
    return {r.keys: noise_scale(residual_sensitivity(bound, r), RHO * r.share) for r in load.residuals}


def _cells(load: Workload, marginal: Names) -> int:
    return math.prod(load.codes[key] for key in marginal)


def _said(load: Workload, bound: ContributionBound, marginals: tuple[Names, ...]) -> float:
    """The error that the published deviations say."""
    scales = {keys: scale / SCALE for keys, scale in _scales(load, bound).items()}
    squares = sum(_cells(load, m) * load.deviation(m, scales) ** 2 for m in marginals)
    return math.sqrt(squares / sum(_cells(load, m) for m in marginals))


def _drawn(load: Workload, bound: ContributionBound, marginals: tuple[Names, ...]) -> tuple[float, float]:
    """Error of marginals of an empty table under OpenDP's own noise, and the share of rho that its maps charge."""
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64")
    noises = {keys: dp.m.make_gaussian(*space, scale=scale) for keys, scale in _scales(load, bound).items()}
    charged = sum(noises[r.keys].map(residual_sensitivity(bound, r)) for r in load.residuals)
    squares = []
    for _ in range(DRAWS):
        values = {r.keys: noises[r.keys]([0] * math.prod(r.shape)) for r in load.residuals}
        squares += [(load.marginal(marginal, values) / SCALE) ** 2 for marginal in marginals]
    return math.sqrt(np.concatenate(squares).mean()), charged / float(RHO)


if __name__ == "__main__":
    main()
