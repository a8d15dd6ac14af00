"""Asking again tells nothing more: one plan has one answer and one charge, however often it is asked."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from pooled import QUARTER, SECRET, as_scrubbed, pooled_table, registered
from sqlalchemy import create_engine

from aggregate.bounding import MeasurementSettings, bounded_tables
from aggregate.counts import exact_counts, public_cells
from aggregate.ledger import Ledger
from aggregate.measurement import measure
from aggregate.mechanisms.conversion import epsilon_of
from benchmarks.audit_breaks import BREAKS, planted
from sample_data.generate import generate
from sample_data.parameters import SimulationParameters
from schemas.plan import RegisteredPlan
from schemas.stages import MeasuredRelease, ScrubbedRecords

REUSED = next(fault.unguarded for fault in BREAKS if fault.name == "reused_release" and fault.unguarded)
MARGINAL = ("age_band", "outcome")


def small_plan() -> RegisteredPlan:
    """The packaged budget, all of it on one small table."""
    packaged = registered()
    measure = {
        "name": "replies",
        "table": "intervention_outcomes",
        "event": "intervention_outcome",
        "estimand": "share_of_user",
        "outcome_kind": "user_reply",
        "window": "next_turn",
        "marginals": [MARGINAL],
    }
    plan = {**packaged.plan, "measure": [measure], "terms": [], "patterns": None}
    return packaged.model_copy(update={"plan": plan, "parameters": {**packaged.parameters, "split": {"replies": "1"}}})


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> ScrubbedRecords:
    simulated = generate(SimulationParameters(seed=17, users=3_000, quarters=1)).quarters[0]
    return as_scrubbed(pooled_table(simulated), tmp_path_factory.mktemp("averaging"))


def truth(records: ScrubbedRecords, plan: RegisteredPlan, folder: Path) -> np.ndarray:
    with bounded_tables(records, plan, SECRET, folder / "truth", MeasurementSettings()) as (table,):
        counts = exact_counts(table, MARGINAL, table.measure.scope(QUARTER, plan.release_plan), records.companies)
        return counts.total() / plan.privacy.unit.weight_scale


def published(release: MeasuredRelease) -> tuple[np.ndarray, np.ndarray]:
    """Estimates of the table in the order of its public cells, NaN where withheld, and their printed noise."""
    (table,) = release.cell_tables
    rows = {(row["age_band"], row["outcome"]): row for row in table.rows.to_pylist()}
    plan = release.plan.release_plan
    scope = plan.measures[0].scope(release.quarter, plan)
    ordered = [rows[cell] for cell in public_cells(MARGINAL, scope)]
    return tuple(np.array([row[name] for row in ordered], dtype=float) for name in ("estimate", "noise_stddev"))


@contextmanager
def asked(records: ScrubbedRecords, folder: Path, times: int) -> Iterator[tuple[list[MeasuredRelease], Ledger, RegisteredPlan]]:
    plan = small_plan()
    ledger = Ledger(create_engine(f"sqlite:///{folder / 'state.db'}"), plan.privacy.budget, epsilon_of)
    ledger.register(plan)
    yield [measure(plan, records, ledger, SECRET, folder / "scratch") for _ in range(times)], ledger, plan


def off_by(releases: list[MeasuredRelease], exact: np.ndarray) -> float:
    """Root mean square error of the average of all answers, in units of the printed noise."""
    estimates = np.array([published(release)[0] for release in releases])
    everywhere = ~np.isnan(estimates).any(axis=0)
    error = estimates.mean(axis=0) - exact
    return float(np.sqrt(np.mean((error / published(releases[0])[1])[everywhere] ** 2)))


@pytest.mark.parametrize("repeats", [100, pytest.param(1_000, marks=pytest.mark.long)])
def test_all_repeats_are_one_answer_and_one_charge(repeats: int, records: ScrubbedRecords, tmp_path: Path) -> None:
    with asked(records, tmp_path, repeats) as (releases, ledger, plan):
        assert all(release.tables[0].rows.equals(releases[0].tables[0].rows) for release in releases)
        line = ledger.line(quarter=QUARTER)
        assert (line.releases, str(line.rho_spent)) == (1, plan.rho)
        assert ledger.chain_holds()
        exact = truth(records, plan, tmp_path)
        assert off_by(releases, exact) == pytest.approx(off_by(releases[:1], exact))
        assert off_by(releases, exact) > 0.25  # as far off as one answer of so many cells is


def test_another_process_that_asks_has_the_same_answer(records: ScrubbedRecords, tmp_path: Path) -> None:
    """A ledger opened anew on the same database; the data may even be gone."""
    with asked(records, tmp_path, 1) as (releases, _, plan):
        again = Ledger(create_engine(f"sqlite:///{tmp_path / 'state.db'}"), plan.privacy.budget, epsilon_of)
        nothing = ScrubbedRecords(QUARTER, (), records.companies)
        assert measure(plan, nothing, again, SECRET, tmp_path).tables[0].rows.equals(releases[0].tables[0].rows)


def test_the_attack_works_where_answers_are_drawn_anew(records: ScrubbedRecords, tmp_path: Path) -> None:
    """The break: 30 answers to one plan, charged once. Their average is off by a fifth of the printed noise."""
    # The company rules are left aside, so that the same cells are there each time.
    with (
        planted(REUSED),
        mock.patch("aggregate.withholding.CompanyRules.hold", staticmethod(lambda cells: True)),
        asked(records, tmp_path, 30) as (releases, _, plan),
    ):
        exact = truth(records, plan, tmp_path)
        assert off_by(releases, exact) < 0.35
        assert off_by(releases[:1], exact) > 0.5
        assert len({release.tables[0].rows.column("estimate")[0].as_py() for release in releases}) == 30
