"""Exact sums equal the truth; no user moves a measure by more than declared; a tampered table is refused."""

import copy
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from independent import sums
from pooled import QUARTER, SECRET, as_scrubbed, content_of, pool_row, pool_rows, registered

from aggregate.bounding import BoundedTable, MeasurementSettings, bounded_tables
from aggregate.counts import exact_counts, public_cells
from aggregate.key_expressions import SEVERITY
from sample_data.generate import generate
from sample_data.parameters import SimulationParameters
from schemas.codes import code_lists
from schemas.errors import BudgetRefusedError, InternalError
from schemas.plan import Estimand, RegisteredPlan
from schemas.stages import ScrubbedRecords

Sums = dict[tuple[str, tuple[str, ...]], np.ndarray]


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    pool = generate(SimulationParameters(seed=11, users=400, quarters=1, pareto_exponent=1.1))
    return pool_rows(pool.quarters[0].records())


def tables_of(records: ScrubbedRecords, plan: RegisteredPlan, folder: Path, **limits: int) -> Iterator[list[BoundedTable]]:
    with bounded_tables(records, plan, SECRET, folder / "scratch", MeasurementSettings(**limits)) as tables:  # type: ignore[arg-type]
        yield tables


def exact_sums(rows: list[dict[str, Any]], folder: Path, plan: RegisteredPlan | None = None, **limits: int) -> Sums:
    plan = plan or registered()
    records = as_scrubbed(rows, folder)
    found: Sums = {}
    for tables in tables_of(records, plan, folder, **limits):
        for table in tables:
            table.check()
            scope = table.measure.scope(QUARTER, plan.release_plan)
            for marginal in table.measure.marginals:
                found[table.measure.name, marginal] = exact_counts(table, marginal, scope, records.companies).total()
    return found


def order(estimand: Estimand, row: dict[str, Any]) -> tuple[Any, ...]:
    """Which of a user's records stands for it comes first: the most severe, then by keyed hash; or by keyed hash alone."""
    drawn = hashlib.sha256(SECRET.hex().encode() + bytes.fromhex(row["unit"])[:16] + row["record_id"].encode()).hexdigest()
    if estimand is Estimand.ONE_RECORD:
        return (drawn,)
    return (*(-SEVERITY[field].get(row["risk"][field], 0) for field in SEVERITY), drawn)


def test_exact_sums_equal_an_independent_computation(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    plan = registered()
    truth = sums(rows, plan.release_plan, plan.privacy.unit.weight_scale, order)
    found = exact_sums(rows, tmp_path)
    assert set(found) == set(truth)
    measures = {m.name: m for m in plan.release_plan.measures}
    for (name, marginal), values in found.items():
        cells = public_cells(marginal, measures[name].scope(QUARTER, plan.release_plan))
        assert {c: int(v) for c, v in zip(cells, values, strict=True) if v} == {
            c: v for c, v in truth[name, marginal].items() if v
        }


def test_passes_over_buckets_change_nothing(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    whole, parts = exact_sums(rows, tmp_path / "a"), exact_sums(rows, tmp_path / "b", rows_a_pass=37)
    assert all(np.array_equal(whole[name], parts[name]) for name in whole)


def test_rows_in_another_order_give_the_same_sums(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    forward, backward = exact_sums(rows, tmp_path / "a"), exact_sums(rows[::-1], tmp_path / "b")
    assert all(np.array_equal(forward[name], backward[name]) for name in forward)


def removing_a_user_keeps_the_bound(pick: int, copies: int, rows: list[dict[str, Any]], folder: Path) -> None:
    """Also for a user made heavy: `copies` of each record, every one under an id of its own."""
    units = sorted({row["unit"] for row in rows})
    unit = units[pick % len(units)]
    others = [row for row in rows if row["unit"] != unit]
    own = [
        {**copy.deepcopy(row), "record_id": f"{n}-{row['record_id'][:50]}", "content": content_of(str(n), row["content"])}
        for row in rows
        if row["unit"] == unit
        for n in range(copies)
    ]
    plan = registered()
    with_user, without = exact_sums(others + own, folder / "with"), exact_sums(others, folder / "without")
    bounds = {m.name: m.bound(plan.privacy.unit.weight_scale).l2_squared for m in plan.release_plan.measures}
    for name, values in with_user.items():
        change = [int(c) for c in values - without[name]]
        assert sum(c * c for c in change) <= bounds[name[0]], name


ANY_USER = {"pick": st.integers(min_value=0, max_value=10**6), "copies": st.integers(min_value=1, max_value=30)}


@settings(max_examples=6, deadline=None)
@given(**ANY_USER)
def test_removing_any_user_moves_each_marginal_by_at_most_the_bound(
    pick: int, copies: int, rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    removing_a_user_keeps_the_bound(pick, copies, rows[:400], tmp_path_factory.mktemp("neighbours"))


@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(max_examples=300, deadline=None)
@given(**ANY_USER)
def test_removing_any_user_keeps_the_bound_at_length(
    pick: int, copies: int, rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    removing_a_user_keeps_the_bound(pick, copies, rows, tmp_path_factory.mktemp("neighbours"))


def test_many_values_in_one_record_stay_within_the_bound(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    """A user with many interventions, each with an outcome, weighs no more than any other."""
    source = next(row for row in rows if any(i["outcomes"] for i in row["interventions"]))
    intervention = next(i for i in source["interventions"] if i["outcomes"])
    outcome = {"kind": "user_reply", "value": "engaged", "window": "next_turn", "basis": "observed"}
    many = [{**intervention, "turn": turn, "outcomes": [outcome]} for turn in range(1, 101)]
    row = {**source, "n_turns": 120, "interventions": many}
    found = exact_sums([row, *(r for r in rows if r["unit"] != row["unit"])], tmp_path / "a")
    without = exact_sums([r for r in rows if r["unit"] != row["unit"]], tmp_path / "b")
    scale = registered().privacy.unit.weight_scale
    reply = (
        found["user_reply_next_turn", ("intervention", "outcome")] - without["user_reply_next_turn", ("intervention", "outcome")]
    )
    assert 0.999 * scale <= reply.sum() <= scale
    depth = found["depth_user_reply_next_turn", ("depth_band", "outcome")]
    moved = depth - without["depth_user_reply_next_turn", ("depth_band", "outcome")]
    assert (moved <= scale).all()
    assert (moved > 0).sum() == 6  # one cell a band, each of at most one


def test_ten_tactics_and_failures_in_one_record_weigh_one_user(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    """Fields of many values are unnested before they are counted: a user of ten tactics weighs a tenth in each."""
    scale, plan = registered().privacy.unit.weight_scale, registered().release_plan
    tactics, failures = list(code_lists()["tactic"]), list(code_lists()["failure_mode"])
    source = next(row for row in rows if row["interventions"])
    others = [row for row in rows if row["unit"] != source["unit"]]
    heavy = {**source, "evasion": {"tactics": tactics, "bypassed": "yes"}, "failure_modes": failures}
    found, without = exact_sums([heavy, *others], tmp_path / "a"), exact_sums(others, tmp_path / "b")
    for name, key, values in (("evasion", "tactic", tactics), ("failure_modes", "failure_mode", failures)):
        measure = next(m for m in plan.measures if m.name == name)
        for marginal in measure.marginals:
            moved = found[name, marginal] - without[name, marginal]
            assert moved.sum() == len(values) * (scale // len(values))
            assert (moved >= 0).all()
            if key in marginal:
                assert sorted(moved[moved > 0]) == [scale // len(values)] * len(values)


def test_tampering_with_a_bounded_table_is_refused(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    plan = registered()
    for tables in tables_of(as_scrubbed(rows, tmp_path), plan, tmp_path):
        table = tables[0]
        table.check()
        table.connection.execute(f"insert into {table.name} select * from {table.name} limit 1")  # someone weighs twice as much
        with pytest.raises(BudgetRefusedError):
            table.check()


@pytest.mark.parametrize("break_it", ["update {t} set w = -1", "update {t} set unit = null", "update {t} set w = w * 2"])
def test_every_break_of_the_bound_is_seen(break_it: str, rows: list[dict[str, Any]], tmp_path: Path) -> None:
    for tables in tables_of(as_scrubbed(rows, tmp_path), registered(), tmp_path):
        for table in tables:
            table.connection.execute(break_it.format(t=table.name))
            with pytest.raises(BudgetRefusedError):
                table.check()


def test_a_unit_of_two_companies_is_refused(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    moved = [{**rows[0], "record_id": "elsewhere", "company": "other"}, *rows]
    for tables in tables_of(as_scrubbed(moved, tmp_path), registered(), tmp_path):
        table = next(t for t in tables if t.measure.estimand is Estimand.MOST_SEVERE_RECORD)
        table.connection.execute(
            f"insert into {table.name} select unit, 'other', 0, * exclude (unit, company, w) from {table.name}"
        )
        with pytest.raises(BudgetRefusedError):
            table.check()


def test_a_key_outside_the_public_domain_stops(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    outside = copy.deepcopy(rows[:50])
    outside[0]["selection_reason"] = "not a reason"
    with pytest.raises(InternalError):
        exact_sums(outside, tmp_path)


def changed(row: dict[str, Any], record_id: str, **fields: Any) -> dict[str, Any]:
    return {**copy.deepcopy(row), "record_id": record_id, "content": content_of(record_id, row["content"]), **fields}


def withdrawal(row: dict[str, Any], scope: str, supersedes: str | None) -> dict[str, Any]:
    record = {
        "domain": "suicide_self_harm",
        "record_id": f"w-{scope}-{supersedes}",
        "record_status": "withdrawal",
        "scope": scope,
    }
    own = pool_row(row["company"], {**record, "user_pseudonym": "x", "supersedes": supersedes})
    return {**own, "unit": row["unit"], "bucket": row["bucket"], "selection_reason": None}


def test_duplicates_corrections_and_withdrawals_resolve_within_a_user(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    heavy = max({r["unit"] for r in rows}, key=lambda u: sum(r["unit"] == u for r in rows))
    own, others = [r for r in rows if r["unit"] == heavy][:4], [r for r in rows if r["unit"] != heavy]
    assert len(own) == 4
    a, b, c, d = own
    corrected = changed(b, "b2", record_status="correction", supersedes=b["record_id"])
    of_withdrawn = changed(c, "c2", record_status="correction", supersedes=c["record_id"])
    sent = [a, a, b, corrected, c, of_withdrawn, withdrawal(c, "record", c["record_id"]), d]
    plain = exact_sums([*others, a, {**corrected, "record_status": "new", "supersedes": None}, d], tmp_path / "plain")
    resolved = exact_sums([*others, *sent], tmp_path / "resolved")
    assert all(np.array_equal(plain[name], resolved[name]) for name in plain)
    gone = exact_sums([*others, *sent, withdrawal(a, "user", None)], tmp_path / "gone")
    without = exact_sums(others, tmp_path / "without")
    assert all(np.array_equal(gone[name], without[name]) for name in without)


def test_a_withdrawal_of_another_users_record_changes_nothing(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    stranger = next(r for r in rows if r["unit"] != rows[0]["unit"])
    attack = {**withdrawal(stranger, "record", rows[0]["record_id"])}
    plain, attacked = exact_sums(rows, tmp_path / "a"), exact_sums([*rows, attack], tmp_path / "b")
    assert all(np.array_equal(plain[name], attacked[name]) for name in plain)


def test_real_and_synthetic_records_never_mix(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    real = [{**row, "origin": "production"} for row in rows[:20]] + [{**row, "origin": "adversarial_test"} for row in rows[20:40]]
    real_plan = registered(synthetic=False)
    of_real = exact_sums([*real, *rows[40:]], tmp_path / "a", real_plan)
    only = exact_sums(real[:20], tmp_path / "b", real_plan)
    assert all(np.array_equal(of_real[name], only[name]) for name in only)


def test_other_pseudonym_units_are_left_out(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    devices = [{**row, "pseudonym_unit": "device"} for row in rows]
    assert all(not values.any() for values in exact_sums(devices, tmp_path).values())


def test_a_correction_whose_original_left_with_its_submission_leaves_too(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    corrected = changed(rows[0], "b2", record_status="correction", supersedes=rows[0]["record_id"])
    others = [row for row in rows if row["unit"] != rows[0]["unit"]]
    orphan, without = exact_sums([*others, corrected], tmp_path / "a"), exact_sums(others, tmp_path / "b")
    assert all(np.array_equal(orphan[name], without[name]) for name in without)


def test_a_withdrawal_holds_whatever_its_pseudonyms_name(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    out = {**withdrawal(rows[0], "user", None), "pseudonym_unit": "device"}
    others = [row for row in rows if row["unit"] != rows[0]["unit"]]
    gone, without = exact_sums([*rows, out], tmp_path / "a"), exact_sums(others, tmp_path / "b")
    assert all(np.array_equal(gone[name], without[name]) for name in without)
