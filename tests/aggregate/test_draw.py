"""The draw: noise of the declared size, charged by OpenDP's own map, and nothing drawn over the budget."""

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import opendp.prelude as dp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pooled import QUARTER, SECRET, as_scrubbed, pool_rows, privacy, registered
from sqlalchemy import create_engine

from aggregate.answer import Answer
from aggregate.bounding import MeasurementSettings, bounded_tables
from aggregate.counts import ExactCounts
from aggregate.ledger import Ledger
from aggregate.measurement import measure
from aggregate.mechanisms.conversion import epsilon_of, float_down, float_up
from aggregate.mechanisms.draw import PreparedDraw, company_vectors, noise_scale, prepare, residual_sensitivity
from aggregate.workload import Workload
from sample_data.generate import generate
from sample_data.parameters import SimulationParameters
from schemas.errors import BudgetRefusedError
from schemas.stages import ScrubbedRecords


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> ScrubbedRecords:
    pool = generate(SimulationParameters(seed=3, users=300, quarters=1))
    return as_scrubbed(pool_rows(pool.quarters[0].records()), tmp_path_factory.mktemp("draw"))


def prepared(records: ScrubbedRecords, folder: Path, **changes: Any) -> PreparedDraw:
    plan = registered(**changes)
    with bounded_tables(records, plan, SECRET, folder, MeasurementSettings()) as tables:
        return prepare(tables, plan, records.companies)


def test_the_noise_is_as_large_as_declared() -> None:
    """A variance z-test on 50,000 draws at a scale of the default plan: it sees 2 % less."""
    dp.enable_features("contrib")
    plan = registered()
    first = plan.release_plan.measures[0]
    residual = Workload.of(first, first.scope(QUARTER, plan.release_plan)).residuals[-1]
    share = plan.privacy.shares.estimates * residual.share
    scale = noise_scale(residual_sensitivity(first.bound(2**20), residual), plan.rho_of(first) * share)
    gaussian = dp.m.make_gaussian(dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64"), scale=scale)
    draws = np.array(gaussian([0] * 50_000), dtype=float)
    z = (draws.var() / scale**2 - 1) / math.sqrt(2 / len(draws))
    assert abs(z) < 4.5
    too_small = ((0.98 * draws).var() / scale**2 - 1) / math.sqrt(2 / len(draws))
    assert too_small < -2.0


def test_opendp_charges_no_more_than_the_plan(records: ScrubbedRecords, tmp_path: Path) -> None:
    """The sum of OpenDP's own maps over all queries is at most their measures' shares of the plan's rho, and all of it is used."""
    draw = prepared(records, tmp_path)
    planned = float(sum(registered().rho_of(name) for name in {query.measure.name for query in draw.queries}))
    dp.enable_features("contrib", "honest-but-curious")
    domain, metric = dp.user_domain("any", lambda _: True), dp.user_distance("users")
    charged = sum(query.measurement(domain, metric).map(1.0)[0] for query in draw.queries)
    assert 0.999 * planned < charged <= planned < 0.016016


def test_the_filter_refuses_what_goes_over(records: ScrubbedRecords, tmp_path: Path) -> None:
    draw = prepared(records, tmp_path)
    twice = PreparedDraw((*draw.queries, draw.queries[0]), draw.rho, draw.threshold_delta)
    with pytest.raises(BudgetRefusedError):
        twice.draw()


def test_scales_over_the_plans_rho_are_refused(records: ScrubbedRecords, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aggregate.mechanisms.draw.noise_scale", lambda l2, rho: noise_scale(l2, rho) * 0.99)
    with pytest.raises(BudgetRefusedError):
        prepared(records, tmp_path)


def test_a_table_tampered_with_before_the_draw_gives_no_answer(records: ScrubbedRecords, tmp_path: Path) -> None:
    plan = registered()
    with bounded_tables(records, plan, SECRET, tmp_path, MeasurementSettings()) as tables:
        draw = prepare(tables, plan, records.companies)
        tables[0].connection.execute(f"update {tables[0].name} set w = w + 1")
        with pytest.raises(BudgetRefusedError):
            draw.draw()


def test_two_draws_differ_and_one_answer_stays(records: ScrubbedRecords, tmp_path: Path) -> None:
    plan = registered()
    ledger = Ledger(create_engine(f"sqlite:///{tmp_path / 'state.db'}"), privacy().budget, epsilon_of)
    ledger.register(plan)
    with bounded_tables(records, plan, SECRET, tmp_path, MeasurementSettings()) as tables:
        draw = prepare(tables, plan, records.companies)
        assert draw.draw() != draw.draw()
    first = measure(plan, records, ledger, SECRET, tmp_path)
    again = measure(plan, ScrubbedRecords(records.quarter, (), ()), ledger, SECRET, tmp_path)  # reads no data
    assert [t.rows for t in first.tables] == [t.rows for t in again.tables]
    assert first.spend == again.spend


def test_another_secret_than_the_plans_is_refused(records: ScrubbedRecords, tmp_path: Path) -> None:
    plan = registered()
    ledger = Ledger(create_engine(f"sqlite:///{tmp_path / 'state.db'}"), privacy().budget, epsilon_of)
    ledger.register(plan)
    with pytest.raises(BudgetRefusedError):
        measure(plan, records, ledger, b"x" * 32, tmp_path)
    assert ledger.line(year=2026).rho_spent == 0


def test_too_few_companies_are_not_measured(records: ScrubbedRecords, tmp_path: Path) -> None:
    plan = registered(contributors=2)
    ledger = Ledger(create_engine(f"sqlite:///{tmp_path / 'state.db'}"), privacy().budget, epsilon_of)
    ledger.register(plan)
    with pytest.raises(BudgetRefusedError):
        measure(plan, records, ledger, SECRET, tmp_path)
    assert ledger.line(year=2026).rho_spent == 0


def test_other_companies_than_planned_are_not_measured(records: ScrubbedRecords, tmp_path: Path) -> None:
    """A company that withdrew between plan and measure: the company rule rests on what is read, not on what was planned."""
    plan = registered()
    ledger = Ledger(create_engine(f"sqlite:///{tmp_path / 'state.db'}"), privacy().budget, epsilon_of)
    ledger.register(plan)
    for changed in (
        ScrubbedRecords(records.quarter, records.parts, records.companies[:2]),
        ScrubbedRecords(records.quarter.next(), records.parts, records.companies),
    ):
        with pytest.raises(BudgetRefusedError):
            measure(plan, changed, ledger, SECRET, tmp_path)
    assert ledger.line(year=2026).rho_spent == 0


masses = st.lists(st.lists(st.integers(0, 2**24), min_size=4, max_size=4), min_size=1, max_size=6)


@given(before=masses, company=st.integers(0, 3), added=st.lists(st.integers(0, 2**21), min_size=6, max_size=6))
def test_company_vectors_move_by_no_more_than_a_users_mass(before: list[list[int]], company: int, added: list[int]) -> None:
    """Lipschitz: a user's mass in one company moves each vector by at most its factor, cell by cell."""
    base = np.array(before, dtype=np.int64)
    mass = np.array(added[: len(before)], dtype=np.int64)
    after = base.copy()
    after[:, company] += mass
    for vector in company_vectors(privacy()):
        moved = np.abs(vector.function(ExactCounts(after)) - vector.function(ExactCounts(base)))
        assert (moved <= vector.factor * mass).all()


def test_a_number_of_two_companies_has_nothing_outside_them() -> None:
    counts = ExactCounts(np.array([[5, 7, 0], [5, 7, 1], [0, 0, 0]], dtype=np.int64))
    assert counts.outside_largest(2).tolist() == [0, 1, 0]
    assert (counts.dominance(1, 2) > 0).tolist() == [True, True, False]


def test_exact_counts_show_nothing() -> None:
    assert "1234567" not in repr(ExactCounts(np.array([[1234567]], dtype=np.int64)))


@given(value=st.fractions(min_value=Fraction(1, 10**9), max_value=1))
def test_floats_are_rounded_to_the_safe_side(value: Fraction) -> None:
    assert Fraction(float_up(value)) >= value >= Fraction(float_down(value))


def test_answers_are_stored_and_read_back_alike(records: ScrubbedRecords, tmp_path: Path) -> None:
    plan = registered()
    with bounded_tables(records, plan, SECRET, tmp_path, MeasurementSettings()) as tables:
        answer = prepare(tables, plan, records.companies).draw()
    assert Answer.from_bytes(answer.to_bytes()) == answer
    assert Answer.from_bytes(answer.to_bytes()).to_bytes() == answer.to_bytes()
