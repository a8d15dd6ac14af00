"""`make bench-company_rules`: how many cells the company rules let through, by error rates and split of rho, on simulated data."""

import math
import sys
import tempfile
from pathlib import Path
from statistics import NormalDist
from unittest import mock

import numpy as np

from aggregate.bounding import MeasurementSettings, bounded_tables
from aggregate.intervals import one_sided_z
from aggregate.mechanisms.draw import prepare
from benchmarks.report import report
from flows.pool import packaged_config
from sample_data.generate import generate
from sample_data.parameters import SimulationParameters
from schemas.derived_tables import COVARIANCE
from schemas.parameters import load_privacy_parameters
from schemas.plan import load_release_plan

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "aggregate"))
from pooled import SECRET, as_scrubbed, pooled_table, registered

USERS = 24_000
NORMAL = NormalDist()


def main() -> None:
    """Expected share of published cells of `user_reply` by intervention, over the noise, for some settings."""
    privacy = load_privacy_parameters(packaged_config("privacy.toml"))
    plan = load_release_plan(packaged_config("release_plan.toml"), privacy)
    measure = next(m for m in plan.measures if m.name == "user_reply_next_turn")
    rho = float(privacy.budget.first_release_rho * privacy.split[measure.name]) / len(measure.marginals)
    events = generate(SimulationParameters(seed=7, users=USERS, quarters=1)).quarters[0].outcome_events("user_reply", "next_turn")
    _, user, count = np.unique(events.user, return_inverse=True, return_counts=True)
    cells = np.char.add(np.char.add(events.keys["intervention"], "|"), events.keys["outcome"])
    _, cell = np.unique(cells, return_inverse=True)
    _, company = np.unique(events.company, return_inverse=True)
    mass = np.zeros((cell.max() + 1, company.max() + 1))
    np.add.at(mass, (cell, company), 1 / count[user])
    total, largest = mass.sum(axis=1), np.sort(mass, axis=1)
    outside, dominance = total - largest[:, -2:].sum(axis=1), 2 * largest[:, -1] - total
    metrics: dict[str, float] = {"cells": len(total)}
    for share in (0.1, 0.25, 0.3):
        noise = 1 / math.sqrt(2 * rho * share)
        metrics[f"noise_users_estimate_share_{1 - 2 * share:.2f}"] = 1 / math.sqrt(2 * rho * (1 - 2 * share))
        for error in (0.05, 0.2):
            enough = [NORMAL.cdf(m / noise - one_sided_z(0.05)) for m in outside]
            shared = [NORMAL.cdf(-m / noise - one_sided_z(error)) for m in dominance]
            metrics[f"published_each_rule_{share:.2f}_dominance_error_{error}"] = float(np.dot(enough, shared))
    report("company_rules", metrics | _rests())


def _rests() -> dict[str, float]:
    """Published cells of the default plan, and how many there were if marginals could give each other's withheld cells away."""
    from aggregate import tabulation

    plan = registered()
    simulated = generate(SimulationParameters(seed=21, users=USERS, quarters=1)).quarters[0]
    with tempfile.TemporaryDirectory() as name:
        records = as_scrubbed(pooled_table(simulated), Path(name))
        with bounded_tables(records, plan, SECRET, Path(name) / "scratch", MeasurementSettings()) as tables:
            answer = prepare(tables, plan, records.companies).draw()

    def published() -> float:
        tables = (table.rows for table in tabulation.tabulate(answer, plan) if table.name != COVARIANCE)
        return float(sum(rows.num_rows - rows.column("estimate").null_count for rows in tables))

    with_rule = published()
    with mock.patch.object(tabulation, "withhold_what_gives_others_away", lambda cells, curve: None):
        return {"cells_published": with_rule, "cells_published_rests_open": published()}


if __name__ == "__main__":
    main()
