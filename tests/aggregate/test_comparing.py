"""Outcomes around registered changes: who is compared with whom, the same in plain Python, and what each rule keeps out."""

import copy
import hashlib
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pooled import ALONE, QUARTER, SECRET, as_scrubbed, pool_row, privacy, registered
from sqlalchemy import create_engine

from aggregate.bounding import BoundedTable, MeasurementSettings, bounded_tables
from aggregate.comparing import ALL_USERS, changes_commitment, changes_of, comparisons, groups_of
from aggregate.ledger import Ledger
from aggregate.measurement import measure
from aggregate.mechanisms.conversion import epsilon_of
from sample_data.generate import generate
from sample_data.parameters import SimulationParameters
from schemas.emerging import ProductChange
from schemas.errors import BudgetRefusedError
from schemas.plan import Event, RegisteredPlan

COMPANIES = ("alder", "birch", "cedar", "dogwood", "elm", "fir")
CLASSES = registered().release_plan.change_classes
K = privacy().companies.minimum


def change(company: str, kind: str = "classifier", at: date = date(2026, 2, 10), **fields: Any) -> ProductChange:
    return ProductChange(company=company, change_class=kind, at=at, **fields)


def arms(company: str, share: float = 0.5, **fields: Any) -> ProductChange:
    return change(company, "memory", date(2026, 1, 5), experiment="e1", arm="new", arm_share=share, **fields)


AROUND = (change("alder"), change("birch", at=date(2026, 2, 1), settled=date(2026, 2, 15)), change("cedar", at=date(2026, 3, 5)))
ARMS = (arms("dogwood"), arms("elm", 0.25), arms("fir", 0.8))
REGISTRY = (*AROUND, *ARMS, change("alder", "system_prompt"), change("birch", "system_prompt"))


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    records = (valid.record for valid in generate(SimulationParameters(seed=1, users=20, quarters=1)).quarters[0].records())
    return next(record for record in records if record.get("interventions") and record["record_status"] == "new")


def row(template: dict[str, Any], company: str, user: str, number: int, at: datetime, arm: Any = None) -> dict[str, Any]:
    record = copy.deepcopy(template)
    intervention = {**record["interventions"][0], "outcomes": []}
    for value in ("engaged", "rejected")[: 1 + number % 2]:
        outcome = {"kind": "user_reply", "value": value, "window": "next_turn", "basis": "user_turn"}
        intervention["outcomes"].append(outcome)
    record |= {"record_id": f"{user}-{number}", "user_pseudonym": user, "started_at": at, "interventions": [intervention]}
    record["deployment"] = {**record["deployment"], "experiment": arm}
    return pool_row(company, record, **ALONE)


@pytest.fixture(scope="module")
def rows(template: dict[str, Any]) -> list[dict[str, Any]]:
    draw, found = random.Random(5), []
    assigned = ("randomised_user", "randomised_session", "staged_rollout", "inferred")
    for company in COMPANIES:
        for user in range(25):
            for number in range(draw.randint(1, 5)):
                at = QUARTER.start + timedelta(hours=draw.randrange(90 * 24))
                arm = {"id": draw.choice(("e1", "other")), "arm": draw.choice(("new", "old")), "assigned": draw.choice(assigned)}
                found.append(row(template, company, f"{company}{user:040}", number, at, arm if draw.random() < 0.6 else None))
    return found


def planned(changes: Sequence[ProductChange], companies: Sequence[str] = COMPANIES, **fields: Any) -> RegisteredPlan:
    compared = groups_of(comparisons(changes, companies, CLASSES, QUARTER, K))
    commitment = changes_commitment(changes, QUARTER, SECRET)
    return registered(len(companies), **{"compared": compared, "changes": commitment, **fields})


def bounded(rows: list[dict[str, Any]], changes: Sequence[ProductChange], folder: Path) -> list[tuple[Any, ...]]:
    """Rows of the bounded table: unit, company, weight, class, group, outcome."""
    records = replace(as_scrubbed(rows, folder), changes=tuple(changes))
    plan = planned(changes, records.companies)
    with bounded_tables(records, plan, SECRET, folder / "s", MeasurementSettings()) as tables:
        table = next((t for t in tables if t.measure.event is Event.CHANGE_OUTCOME), None)
        if table is None:
            return []
        table.check()
        columns = "unit::varchar, company, w, change_class, change_group, outcome"
        return table.connection.execute(f"select {columns} from {table.name}").fetchall()


def groups_in_python(row: dict[str, Any]) -> list[tuple[str, str]]:
    """Classes and groups of a record's outcomes under REGISTRY, by the words of decision 0019, with its weeks worked out by hand."""
    day, company, arm = (
        (row["started_at"] - QUARTER.start).total_seconds() / 86400,
        row["company"],
        row["deployment"]["experiment"],
    )
    by_chance = arm and arm["assigned"] in ("randomised_user", "randomised_session")
    place = int(hashlib.sha256(SECRET.hex().encode() + bytes.fromhex(row["unit"][:32])).hexdigest()[:8], 16) / 2**32
    # Day of the change, first day when all have it, whole weeks on both sides.
    weeks = {"alder": (40, 40, 5), "birch": (31, 45, 4), "cedar": (63, 63, 3)}
    found = []
    own = weeks.get(company) or weeks[("alder", "birch", "cedar")[int(place * 3)]]
    side = "changed" if company in weeks else "others"
    if own[0] - 7 * own[2] <= day < own[0]:
        found.append(("classifier", f"{side}_before"))
    if own[1] <= day < own[1] + 7 * own[2]:
        found.append(("classifier", f"{side}_after"))
    shares = {"dogwood": (1, 1), "elm": (1, 1 / 3), "fir": (0.25, 1)}  # kept of the arm with the change, and of the other
    if company in shares and by_chance and arm["id"] == "e1":
        with_change = arm["arm"] == "new"
        if place < shares[company][not with_change]:
            found.append(("memory", "arm_with" if with_change else "arm_without"))
    return found


def test_the_rows_are_those_of_a_computation_in_plain_python(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    expected = Counter(
        (row["unit"][:32], *group, outcome["value"])
        for row in rows
        for group in groups_in_python(row)
        for outcome in row["interventions"][0]["outcomes"]
    )
    found = Counter((unit.replace("-", ""), *keys) for unit, _, _, *keys in bounded(rows, REGISTRY, tmp_path))
    assert found == expected
    assert {group for _, _, group, _ in expected} == {
        "changed_before", "changed_after", "others_before", "others_after", "arm_with", "arm_without",
    }  # fmt: skip


def test_no_user_weighs_more_than_one_in_all_changes_and_experiments_together(
    template: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user in two changes of two classes and in two experiments; the break is a copy of the rows after weighting."""
    both = [*AROUND, *(replace_class(one, "system_prompt") for one in AROUND), *ARMS]
    both += [arms(company) for company in ("alder", "birch")]
    both += [change(c, "memory", date(2026, 1, 5), experiment="e2", arm="new") for c in ("alder", "birch")]
    arm = {"id": "e1", "arm": "new", "assigned": "randomised_user"}
    days = [QUARTER.start + timedelta(days=day) for day in (20, 30, 50, 60)]
    rows = [row(template, "alder", "a" * 40, n, at, arm) for n, at in enumerate(days)]
    rows += [row(template, company, company * 8, 0, days[0]) for company in COMPANIES[1:]]
    found = bounded(rows, both, tmp_path)
    weights = Counter[str]()
    for unit, company, weight, *_ in found:
        weights[unit] += weight if company == "alder" else 0
    assert {kind for _, company, _, kind, *_ in found if company == "alder"} == {"classifier", "system_prompt", "memory"}
    (most,) = (weight for weight in weights.values() if weight)
    scale = privacy().unit.weight_scale
    assert scale - len(found) <= most <= scale

    check = BoundedTable.check

    def twice(table: BoundedTable) -> None:
        if table.measure.event is Event.CHANGE_OUTCOME:
            table.connection.execute(f"insert into {table.name} select * from {table.name}")
        check(table)

    monkeypatch.setattr(BoundedTable, "check", twice)
    with pytest.raises(BudgetRefusedError, match="bound"):
        bounded(rows, both, tmp_path / "broken")


def replace_class(one: ProductChange, kind: str) -> ProductChange:
    return one.model_copy(update={"change_class": kind})


def test_a_class_of_fewer_than_k_companies_is_not_compared() -> None:
    assert groups_of(comparisons(AROUND[: K - 1], COMPANIES, CLASSES, QUARTER, K)) == ()
    assert groups_of(comparisons(ARMS[: K - 1], COMPANIES, CLASSES, QUARTER, K)) == ()
    again = [AROUND[0], AROUND[0].model_copy(update={"at": date(2026, 3, 10)}), AROUND[1]]
    assert groups_of(comparisons(again, COMPANIES, CLASSES, QUARTER, K)) == ()  # three changes of two companies
    assert groups_of(comparisons(AROUND, COMPANIES[1:], CLASSES, QUARTER, K)) == ()  # one of three sent nothing


def test_others_are_compared_only_where_they_are_as_many() -> None:
    changed = ("classifier:changed_after", "classifier:changed_before")
    assert groups_of(comparisons(AROUND, COMPANIES[:5], CLASSES, QUARTER, K)) == changed
    assert len(groups_of(comparisons(AROUND, COMPANIES, CLASSES, QUARTER, K))) == 4
    late = [*AROUND, change("dogwood", at=date(2026, 3, 29))]  # too late to be compared, and no company without the change
    assert groups_of(comparisons(late, COMPANIES, CLASSES, QUARTER, K)) == changed


def test_changes_of_a_company_share_no_week_and_those_at_the_edge_have_none() -> None:
    pairs = [change(c, at=day) for c in COMPANIES for day in (date(2026, 2, 1), date(2026, 2, 20), date(2026, 3, 28))]
    compared = [one for one in comparisons(pairs, COMPANIES, CLASSES, QUARTER, K) if one.company == "alder"]
    assert sorted((one.since.date(), one.until.date(), one.change_group) for one in compared) == [
        (date(2026, 1, 18), date(2026, 2, 1), "changed_before"),
        (date(2026, 2, 1), date(2026, 2, 15), "changed_after"),
        (date(2026, 2, 6), date(2026, 2, 20), "changed_before"),
        (date(2026, 2, 20), date(2026, 3, 6), "changed_after"),
    ]


def test_what_is_between_the_days_of_a_staged_change_counts_nowhere(template: dict[str, Any], tmp_path: Path) -> None:
    days = {day: QUARTER.start + timedelta(days=day, hours=1) for day in (30, 31, 44, 45)}
    rows = [row(template, "birch", f"{day:040}", 0, at) for day, at in days.items()]
    rows += [row(template, company, company * 8, 0, days[30]) for company in ("alder", "cedar")]
    found = bounded(rows, AROUND, tmp_path)
    assert sorted(group for _, company, _, _, group, _ in found if company == "birch") == ["changed_after", "changed_before"]


def test_a_staged_rollout_is_never_taken_for_chance(template: dict[str, Any], tmp_path: Path) -> None:
    rows = []
    for place, assigned in enumerate(("staged_rollout", "inferred", "user_reported", "randomised_session")):
        arm = {"id": "e1", "arm": "new", "assigned": assigned}
        rows += [row(template, c, f"{c}{place:038}", place, QUARTER.start + timedelta(days=20), arm) for c in COMPANIES[3:]]
    found = bounded(rows, [arms(company) for company in COMPANIES[3:]], tmp_path)
    assert Counter(company for _, company, *_ in found) == dict.fromkeys(COMPANIES[3:], 2)  # the two outcomes of the last


def test_arms_are_of_one_size_in_each_company() -> None:
    kept = {(one.company, one.with_change): one.high / ALL_USERS for one in comparisons(ARMS, COMPANIES, CLASSES, QUARTER, K)}
    shares = {one.company: one.arm_share for one in ARMS}
    for company, share in shares.items():
        assert share * kept[company, True] == pytest.approx((1 - share) * kept[company, False])
        assert max(kept[company, True], kept[company, False]) == 1


def test_an_experiment_counts_in_each_quarter_that_it_runs_in() -> None:
    long = arms("dogwood").model_copy(update={"at": date(2025, 12, 1), "settled": date(2026, 1, 20)})
    over = long.model_copy(update={"settled": date(2025, 12, 31)})
    assert changes_of([long, over, change("alder", at=date(2026, 4, 1)), *AROUND], QUARTER) == (long, *AROUND)


def test_measuring_refuses_a_registry_that_is_not_the_planned_one(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    records = replace(as_scrubbed(rows[:400], tmp_path / "r"), companies=COMPANIES, changes=REGISTRY)
    ledger = Ledger(create_engine(f"sqlite:///{tmp_path / 'state.db'}"), privacy().budget, epsilon_of)
    moved = (AROUND[0].model_copy(update={"at": date(2026, 2, 11)}), *REGISTRY[1:])
    plan = planned(REGISTRY)
    for changes in (moved, REGISTRY[1:], ()):
        with pytest.raises(BudgetRefusedError, match="committed"):
            measure(plan, replace(records, changes=changes), ledger, SECRET, tmp_path)
    unlike = planned(REGISTRY, compared=(*plan.compared, "age_assurance:changed_after"))
    with pytest.raises(BudgetRefusedError, match="committed"):
        measure(unlike, records, ledger, SECRET, tmp_path)
    assert ledger.entries() == []


def test_the_commitment_is_to_what_is_registered_whatever_its_order() -> None:
    one = changes_commitment(REGISTRY, QUARTER, SECRET)
    assert one == changes_commitment(REGISTRY[::-1], QUARTER, SECRET)
    others = {changes_commitment(REGISTRY, QUARTER, SECRET[::-1]), changes_commitment(REGISTRY[1:], QUARTER, SECRET)}
    others.add(changes_commitment((change("alder", at=date(2026, 2, 9)), *REGISTRY[1:]), QUARTER, SECRET))
    assert len({one, *others}) == 4
    assert "alder" not in repr(REGISTRY[0])


def test_a_moment_without_a_zone_is_of_utc() -> None:
    assert ProductChange(company="a", change_class="memory", at=datetime(2026, 2, 1, 12)).since == datetime(
        2026, 2, 1, 12, tzinfo=UTC
    )
