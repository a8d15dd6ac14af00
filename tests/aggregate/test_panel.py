"""Sums without companies that came new: as sensitive as declared, charged, and only of the companies that the plan knows."""

from collections.abc import Iterator
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
from aggregate.bounding import BoundedTable, MeasurementSettings, bounded_tables
from aggregate.counts import ExactCounts, exact_counts
from aggregate.ledger import Ledger
from aggregate.measurement import answered, earlier, measure, panel_of
from aggregate.mechanisms.conversion import epsilon_of
from aggregate.mechanisms.draw import Panel, PreparedDraw, prepare
from sample_data.generate import generate
from sample_data.parameters import SimulationParameters
from schemas.derived_tables import PATTERNS
from schemas.errors import BudgetRefusedError
from schemas.plan import RegisteredPlan
from schemas.stages import ScrubbedRecords
from schemas.tables import Status

BEFORE = ("alder", "birch", "cedar")
MEASURE, MARGINALS = "failure_modes", (("ideation", "failure_mode"), ("surface", "failure_mode"))


def asked() -> dict[str, Any]:
    whole = registered().plan
    measures = [m | {"marginals": [list(each) for each in MARGINALS]} for m in whole["measure"] if m["name"] == MEASURE]
    search = {"false_discovery_rate": 0.1, "quarters": 4, "measures": [MEASURE]}
    return whole | {"measure": measures, "terms": [], "patterns": search}


def planned(companies: tuple[str, ...] = BEFORE, **changes: Any) -> RegisteredPlan:
    named = {"contributors": len(companies), "panel": panel_of(SECRET, companies), "plan": asked()}
    return registered(**{**named, **changes})


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> ScrubbedRecords:
    rows = pool_rows(generate(SimulationParameters(seed=3, users=120, quarters=1)).quarters[0].records())
    return as_scrubbed(rows, tmp_path_factory.mktemp("panel"))


@pytest.fixture(scope="module")
def table(records: ScrubbedRecords, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BoundedTable]:
    plan = planned(tuple(records.companies))
    with bounded_tables(records, plan, SECRET, tmp_path_factory.mktemp("bounded"), MeasurementSettings()) as tables:
        yield tables[0]


def drawn_with(table: BoundedTable, records: ScrubbedRecords, companies: frozenset[str]) -> PreparedDraw:
    panel = Panel(companies, {MEASURE: MARGINALS})
    return prepare([table], planned(tuple(records.companies)), records.companies, panel=panel)


def charged(draw: PreparedDraw) -> dict[str, float]:
    """Rho by kind of query, by OpenDP's own map."""
    dp.enable_features("contrib", "honest-but-curious")
    domain, metric = dp.user_domain("any", lambda _: True), dp.user_distance("users")
    found: dict[str, float] = {}
    for query in draw.queries:
        found[query.name] = found.get(query.name, 0.0) + query.measurement(domain, metric).map(1.0)[0]
    return found


masses = st.lists(st.lists(st.integers(0, 2**24), min_size=4, max_size=4), min_size=1, max_size=6)


@given(
    masses,
    st.lists(st.booleans(), min_size=4, max_size=4),
    st.integers(0, 3),
    st.lists(st.integers(0, 2**20), min_size=6, max_size=6),
)
def test_a_panel_moves_by_no_more_than_a_users_mass(
    before: list[list[int]], inside: list[bool], company: int, added: list[int]
) -> None:
    """Random neighbours: a user of any company, in the panel or not."""
    base, mass = np.array(before, dtype=np.int64), np.array(added[: len(before)], dtype=np.int64)
    after = base.copy()
    after[:, company] += mass
    moved = ExactCounts(after).of(inside) - ExactCounts(base).of(inside)
    assert (moved == (mass if inside[company] else 0)).all()
    assert (ExactCounts(base).of([True] * 4) == ExactCounts(base).total()).all()


def test_what_is_summed_is_of_the_panels_companies_alone(table: BoundedTable, records: ScrubbedRecords) -> None:
    inside = frozenset(records.companies[1:])
    plan = planned(tuple(records.companies))
    queries = [query for query in drawn_with(table, records, inside).queries if query.name == "panel"]
    assert [query.keys for query in queries] == list(MARGINALS)
    scope = table.measure.scope(QUARTER, plan.release_plan)
    for query in queries:
        counts = exact_counts(table, query.keys, scope, records.companies)
        assert list(query.exact) == counts.by_company[:, 1:].sum(axis=1).tolist() != counts.total().tolist()


def test_a_panel_takes_its_rho_from_the_estimates_and_all_of_it_is_charged(table: BoundedTable, records: ScrubbedRecords) -> None:
    plan = planned(tuple(records.companies))
    plain, paid = charged(prepare([table], plan, records.companies)), charged(drawn_with(table, records, frozenset(BEFORE)))
    whole, shares = float(plan.rho_of(MEASURE)), privacy().shares
    assert sum(paid.values()) <= whole and sum(paid.values()) == pytest.approx(whole, rel=1e-6)
    assert paid["panel"] == pytest.approx(whole * float(shares.panel), rel=1e-6)
    assert plain["estimates"] - paid["estimates"] == pytest.approx(paid["panel"], rel=1e-6)
    assert {name: paid[name] for name in ("outside", "dominance", "squares")} == pytest.approx(
        {name: plain[name] for name in ("outside", "dominance", "squares")}
    )


def test_the_filter_counts_a_panel(table: BoundedTable, records: ScrubbedRecords) -> None:
    """With just its own rho as budget the draw is given; with a panel drawn twice it is refused."""
    draw = drawn_with(table, records, frozenset(BEFORE))
    exact = sum((Fraction(q.l2) ** 2 / (2 * Fraction(q.scale) ** 2) for q in draw.queries), Fraction(0)) * (
        1 + Fraction(1, 10**9)
    )
    answer = PreparedDraw(draw.queries, exact, Fraction(0)).draw()
    assert [(panel.measure, panel.marginal) for panel in answer.panels] == [(MEASURE, marginal) for marginal in MARGINALS]
    assert Answer.from_bytes(answer.to_bytes()) == answer
    twice = next(query for query in draw.queries if query.name == "panel")
    with pytest.raises(BudgetRefusedError):
        PreparedDraw((*draw.queries, twice), exact, Fraction(0)).draw()


def test_a_panel_beside_whole_estimates_goes_over_the_plan(
    table: BoundedTable, records: ScrubbedRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were it not taken from the estimates, more than the plan's rho would be asked for."""
    plan, honest = planned(tuple(records.companies)), privacy()
    kept = honest.shares.model_copy(update={"estimates": honest.shares.estimates + honest.shares.panel})
    monkeypatch.setattr(RegisteredPlan, "privacy", honest.model_copy(update={"shares": kept}))
    with pytest.raises(BudgetRefusedError):
        prepare([table], plan, records.companies, panel=Panel(frozenset(BEFORE), {MEASURE: MARGINALS}))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(create_engine(f"sqlite:///{tmp_path / 'state.db'}"), privacy().budget, epsilon_of)


def as_of(
    records: ScrubbedRecords, companies: tuple[str, ...], newcomers: tuple[str, ...] = (), quarters: int = 0
) -> ScrubbedRecords:
    quarter = records.quarter
    for _ in range(quarters):
        quarter = quarter.next()
    return ScrubbedRecords(quarter, records.parts, companies, newcomers)


def test_a_quarter_with_a_newcomer_is_compared_without_it(records: ScrubbedRecords, ledger: Ledger, tmp_path: Path) -> None:
    """Three quarters end to end: two of all companies but one, then that one comes new."""
    everyone = tuple(records.companies)
    rows = pool_rows(generate(SimulationParameters(seed=3, users=120, quarters=1)).quarters[0].records())
    before = tuple(company for company in everyone if company != everyone[0])
    hashes: list[str] = []
    quarter = QUARTER
    for number in range(3):
        companies = everyone if number == 2 else before
        new = (everyone[0],) if number == 2 else ()
        own = as_scrubbed([row for row in rows if row["company"] in companies], tmp_path / str(number), quarter)
        plan = planned(companies, quarter=quarter, history=tuple(hashes), newcomers=len(new), **low_minimum())
        ledger.register(plan)
        measured = measure(plan, ScrubbedRecords(quarter, own.parts, companies, new), ledger, SECRET, tmp_path)
        hashes.insert(0, plan.hash)
        quarter = quarter.next()
    stored = ledger.stored_answer(plan.hash)
    assert stored is not None and len(Answer.from_bytes(stored).panels) == len(MARGINALS)
    assert [len(answer.panels) for _, answer in earlier(plan, ledger)] == [0, 0]
    table = next(table for table in measured.tables if table.name == PATTERNS).rows.to_pylist()
    assert {row["status"] for row in table} <= {Status.TOO_FEW_COMPANIES, Status.NOT_COMPARABLE}
    assert all(row["ratio"] is None and row["q_value"] is None for row in table)
    again = answered(plan, ledger)
    assert again is not None
    assert [t.rows for t in again.tables] == [t.rows for t in measured.tables]


def low_minimum() -> dict[str, Any]:
    parameters = privacy().model_dump(mode="json")
    return {"parameters": parameters | {"companies": parameters["companies"] | {"minimum": 2}}}


def test_other_companies_than_the_plan_knows_are_refused(records: ScrubbedRecords, ledger: Ledger, tmp_path: Path) -> None:
    """As many companies as planned, but others; newcomers that are none of them, or too many; and nothing is spent."""
    everyone = tuple(records.companies)
    others = (*everyone[:-1], "elder")
    for plan, changed in (
        (planned(everyone), as_of(records, others)),
        (planned(everyone, version=2), as_of(records, everyone, newcomers=("elder",))),
        (planned(everyone, version=3, newcomers=1), as_of(records, everyone)),
        (planned(everyone, version=4, newcomers=1), as_of(records, everyone, newcomers=everyone[:1])),  # without a quarter before
    ):
        ledger.register(plan)
        with pytest.raises(BudgetRefusedError, match="not of the companies"):
            measure(plan, changed, ledger, SECRET, tmp_path)
    assert ledger.line(year=QUARTER.year).rho_spent == 0


def test_a_newcomer_may_not_stand_in_for_one_who_left(records: ScrubbedRecords, ledger: Ledger, tmp_path: Path) -> None:
    """The counts fit: as many contribute as before and one more. But it is another company that is said to be new."""
    everyone = tuple(records.companies)
    first = planned(("alder", "elder", *everyone[2:]), quarter=QUARTER, contributors=len(everyone))
    ledger.register(first)
    plan = planned((*everyone, "fir"), quarter=QUARTER.next(), newcomers=1, history=(first.hash,), version=1)
    ledger.register(plan)
    with pytest.raises(BudgetRefusedError, match="not of the companies"):
        measure(plan, as_of(records, (*everyone, "fir"), ("fir",), 1), ledger, SECRET, tmp_path)


def test_history_that_is_not_in_the_ledger_is_refused(records: ScrubbedRecords, ledger: Ledger, tmp_path: Path) -> None:
    everyone = tuple(records.companies)
    unknown = planned(everyone, quarter=QUARTER.next(), history=("0" * 64,))
    ledger.register(unknown)
    with pytest.raises(BudgetRefusedError):
        measure(unknown, as_of(records, everyone, quarters=1), ledger, SECRET, tmp_path)
    first = planned(everyone)
    ledger.register(first)
    with pytest.raises(BudgetRefusedError, match="was not measured"):
        earlier(planned(everyone, history=(first.hash,)), ledger)
    assert ledger.plan_by_hash(first.hash) == first


def test_a_panels_digest_tells_sets_apart_and_needs_the_secret() -> None:
    assert panel_of(SECRET, ["a", "b"]) == panel_of(SECRET, ["b", "a"])
    assert (
        len({panel_of(SECRET, ["a", "b"]), panel_of(SECRET, ["ab"]), panel_of(SECRET, ["a"]), panel_of(b"x" * 32, ["a", "b"])})
        == 4
    )
