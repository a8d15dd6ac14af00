"""The search for terms from scrubbed records to the stored answer: one spend, and only text that counts is read."""

import dataclasses
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from pooled import QUARTER, SECRET, as_scrubbed, pool_rows, privacy, registered
from sqlalchemy import create_engine

from aggregate.answer import Answer
from aggregate.bounding import MeasurementSettings
from aggregate.ledger import Ledger
from aggregate.measurement import commitment, known_terms, measure
from aggregate.mechanisms.conversion import epsilon_of
from aggregate.planning import foresee_searches
from aggregate.terms.collecting import user_terms
from sample_data.generate import generate
from sample_data.parameters import SimulationParameters
from schemas.emerging import TermRule
from schemas.plan import RegisteredPlan
from schemas.stages import ScrubbedRecords

Row = dict[str, Any]


@pytest.fixture(scope="module")
def simulated() -> dict[str, list[Row]]:
    pool = generate(SimulationParameters(seed=3, users=240, quarters=2))
    return {str(quarter.quarter): pool_rows(quarter.records()) for quarter in pool.quarters}


def written(rows: Sequence[Row], *turns: tuple[str, str]) -> list[Row]:
    """The rows, each with the same turns, as adults' and in English."""
    told = [{"index": place, "role": role, "text": text} for place, (role, text) in enumerate(turns, start=1)]
    return [{**row, "turns": told, "person": {**row["person"], "age_band": "18_24", "language": "en"}} for row in rows]


def spelled(rows: Sequence[Row], folder: Path, earlier: Sequence[str] = (), **changes: Any) -> set[str]:
    """Terms that users of at least three companies could be found with, in text of users."""
    plan = registered(**changes)
    records = as_scrubbed(rows, folder / "records")
    known = {"user_terms": list(earlier)}
    with user_terms(records, plan, known, SECRET, folder / "scratch", MeasurementSettings()) as (user, _):
        user.round(1, ()).check()
        if earlier:
            user.of_tracked().check()
        found = set(user.spelled.values())
    assert not list((folder / "scratch").iterdir())  # nothing is left
    return found


def test_terms_are_found_in_users_turns_and_known_ones_are_not(simulated: dict[str, list[Row]], tmp_path: Path) -> None:
    rows = written(
        simulated[str(QUARTER)],
        ("user", "I grumfled <PERSON_1> at home. Then the doorling came"),
        ("assistant", "a sprointing thing"),
    )
    expected = {"grumfled", "doorling", "doorling came"}
    assert spelled(rows, tmp_path / "all") == expected
    assert spelled(rows, tmp_path / "again", earlier=["doorling"]) == expected - {"doorling"}


def test_text_is_read_only_of_records_that_count(simulated: dict[str, list[Row]], tmp_path: Path) -> None:
    """Not of known minors, nor of other languages, domains, origins and units; nor what was corrected or withdrawn."""
    rows = written(simulated[str(QUARTER)], ("user", "grumfled"))
    other = {"language": "de"}
    for number, changed in enumerate(
        [
            [{**row, "person": {**row["person"], "age_band": "13_15"}} for row in rows],
            [{**row, "person": {**row["person"], **other}} for row in rows],
            [{**row, "domain": "another"} for row in rows],
            [{**row, "origin": "adversarial_test"} for row in rows],
            [{**row, "pseudonym_unit": "device"} for row in rows],
            [
                *rows,
                *({**row, "record_id": f"w{n}", "record_status": "withdrawal", "scope": "user"} for n, row in enumerate(rows)),
            ],
            [{**row, "turns": None} for row in rows],
        ]
    ):
        assert spelled(changed, tmp_path / str(number)) == set()
    minors = [{**row, "person": {**row["person"], "age_band": "13_15"}} for row in rows]
    plan = registered().plan
    read = {**plan, "terms": [{**search, "minors": True} for search in plan["terms"]]}
    assert spelled(minors, tmp_path / "read", plan=read) == {"grumfled"}
    half = [{**row, "person": {**row["person"], "age_band": "16_17" if n == 0 else "18_24"}} for n, row in enumerate(rows)]
    assert spelled(half, tmp_path / "half") == {"grumfled"}


def test_one_record_of_a_known_minor_leaves_out_all_of_that_user(simulated: dict[str, list[Row]], tmp_path: Path) -> None:
    rows = written(simulated[str(QUARTER)], ("user", "grumfled"))
    young = [
        {**row, "record_id": f"y{n}", "content": f"{n:064x}", "person": {**row["person"], "age_band": "under_13"}}
        for n, row in enumerate({row["unit"]: row for row in rows}.values())
    ]
    assert spelled([*rows, *young], tmp_path) == set()


def test_a_user_who_is_gone_changes_no_other_users_terms(simulated: dict[str, list[Row]], tmp_path: Path) -> None:
    rows = [
        {
            **row,
            "turns": [{"index": 1, "role": "user", "text": " ".join(f"zorb{chr(97 + (n * 7 + k) % 26)}g" for k in range(60))}],
        }
        for n, row in enumerate(written(simulated[str(QUARTER)], ("user", "")))
    ]
    gone = rows[0]["unit"]

    def chosen(some: list[Row], folder: Path) -> set[tuple[object, ...]]:
        with user_terms(as_scrubbed(some, folder), registered(), {}, SECRET, folder, MeasurementSettings()) as (user, _):
            table = user.round(1, ())
            return set(user.connection.execute(f"select unit::varchar, company, term, w from {table.name}").fetchall())

    every, fewer = chosen(rows, tmp_path / "a"), chosen([row for row in rows if row["unit"] != gone], tmp_path / "b")
    assert {row for row in every if str(row[0]).replace("-", "") != gone[:32]} == fewer < every


def plan_of(quarter: Any, **changes: Any) -> RegisteredPlan:
    return registered(quarter=quarter, secret_commitment=commitment(SECRET, quarter), **changes)


def test_one_spend_one_answer_and_found_terms_are_followed(simulated: dict[str, list[Row]], tmp_path: Path) -> None:
    """Two quarters through the ledger, at the budget of the default plan and with as many users as it takes."""
    ledger = Ledger(create_engine(f"sqlite:///{tmp_path / 'state.db'}"), privacy().budget, epsilon_of)
    first, second = QUARTER, QUARTER.next()
    records: dict[str, ScrubbedRecords] = {}
    for quarter in (first, second):
        rows = []
        for copy in range(12):  # as many users again under other names
            for row in written(simulated[str(quarter)], ("user", "I grumfled."), ("assistant", "sprointe")):
                unit = f"{copy:02x}{row['unit'][2:]}"
                rows.append({**row, "unit": unit, "content": f"{copy:02x}{row['content'][2:]}"})
        records[str(quarter)] = as_scrubbed(rows, tmp_path / str(quarter), quarter)
    plan = plan_of(first)
    ledger.register(plan)
    told = measure(plan, records[str(first)], ledger, SECRET, tmp_path)
    again = measure(plan, dataclasses.replace(records[str(first)], parts=()), ledger, SECRET, tmp_path)  # reads no data
    assert again.spend == told.spend
    line = ledger.line(first)
    assert (line.rho_spent, line.threshold_delta_spent, line.releases) == (Fraction(plan.rho), Fraction(plan.threshold_delta), 1)
    answer = Answer.from_bytes(ledger.stored_answer(plan.hash) or b"")
    assert {one.search: one.words for one in answer.rounds} == {"user_terms": ("grumfled",), "assistant_terms": ("sprointe",)}
    assert sum(Fraction(one.delta) for one in answer.rounds) <= Fraction(plan.threshold_delta)
    assert answer.tracked == ()
    planned = foresee_searches(plan.release_plan, plan.privacy, Fraction(plan.rho), Fraction(plan.threshold_delta))
    assert [(one.noise, one.threshold) for one in planned] == [
        (one.scale / 2**20, one.threshold / 2**20) for one in answer.rounds
    ]

    following = plan_of(second, history=(plan.hash,))
    assert known_terms(following, [(plan, answer)]) == {"user_terms": {"grumfled"}, "assistant_terms": {"sprointe"}}
    ledger.register(following)
    measure(following, records[str(second)], ledger, SECRET, tmp_path)
    later = Answer.from_bytes(ledger.stored_answer(following.hash) or b"")
    assert all(one.words == () for one in later.rounds)  # no term is new twice
    (tracked, _) = later.tracked
    users = len({row for part in [records[str(second)]] for row in units_of(part)})
    assert tracked.words == ("grumfled",)
    assert planned[0].tracked_noise == tracked.scale / 2**20
    assert abs(tracked.values[0] - users * 2**20) < 6 * tracked.scale
    assert Answer.from_bytes(later.to_bytes()) == later


def units_of(records: ScrubbedRecords) -> list[str]:
    import pyarrow.parquet as pq

    from schemas.at_rest import decryption

    (part,) = records.parts
    return list(pq.read_table(part.files[0], decryption_properties=decryption(part.key)).column("unit").to_pylist())


def test_a_relaxed_search_spells_terms_of_few_companies_too(simulated: dict[str, list[Row]], tmp_path: Path) -> None:
    rows = written(simulated[str(QUARTER)], ("user", "grumfled"))
    rows[0] = {**rows[0], "turns": [{"index": 1, "role": "user", "text": "alonely"}]}
    plan = registered().plan
    relaxed = {**plan, "terms": [{**search, "rule": TermRule.RELAXED.value} for search in plan["terms"]]}
    assert spelled(rows, tmp_path / "strict") == {"grumfled"}
    assert spelled(rows, tmp_path / "relaxed", plan=relaxed) == {"grumfled", "alonely"}
