"""Records resolve as they would one user at a time in plain Python; only what a plan reads is loaded, and that whole."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from independent import counting, sums
from pooled import ALONE, SECRET, as_scrubbed, content_of, pool_row, pool_rows, registered

from aggregate import resolving
from aggregate.bounding import MeasurementSettings, bounded_tables
from aggregate.reading import _uuids, record_batches
from aggregate.resolving import plan_columns, resolved_records, unit_ranges
from sample_data.generate import generate
from sample_data.parameters import SimulationParameters
from schemas.errors import InternalError
from schemas.plan import EVENT_KEYS, OUTCOME_EVENTS, Event, RegisteredPlan

Rows = list[dict[str, Any]]
PLAN = registered()
DOMAIN = PLAN.release_plan.domain


def sent(user: str, record: str, status: str, target: str | None = None, version: str = "", **fields: Any) -> dict[str, Any]:
    own = {"domain": DOMAIN, "record_id": record, "origin": "synthetic", "user_pseudonym": user, **ALONE, **fields}
    own |= {"record_status": status, "supersedes": target}
    return pool_row("acme", own, content=content_of(user, record, status, str(target), version))


PLAIN: Rows = [sent("plain", name, "new") for name in "abc"]
"""A user of whom nothing is to be resolved, as most are."""

HISTORIES: dict[str, Rows] = {
    "sent twice": [sent("one", "a", "new"), sent("one", "a", "new"), sent("one", "b", "new")],
    "sent twice, not the same": [sent("one", "a", "new", version=v) for v in "xyz"],
    "corrected": [sent("one", "a", "new"), sent("one", "b", "correction", "a")],
    "corrected twice": [sent("one", "a", "new"), sent("one", "b", "correction", "a"), sent("one", "c", "correction", "a")],
    "a correction corrected": [sent("one", "a", "new"), sent("one", "b", "correction", "a"), sent("one", "c", "correction", "b")],
    "corrected into another domain": [sent("one", "a", "new"), sent("one", "b", "correction", "a", domain="other")],
    "corrected into this domain": [sent("one", "a", "new", domain="other"), sent("one", "b", "correction", "a")],
    "corrected, the original not here": [sent("one", "b", "correction", "a"), sent("one", "c", "correction", "b")],
    "a record withdrawn": [sent("one", "a", "new"), sent("one", "b", "new"), sent("one", "w", "withdrawal", "a", scope="record")],
    "a corrected record withdrawn": [
        sent("one", "a", "new"), sent("one", "b", "correction", "a"), sent("one", "w", "withdrawal", "a", scope="record"),
    ],
    "the user withdrawn": [sent("one", "a", "new"), sent("one", "w", "withdrawal", scope="user")],
    "another's record withdrawn": [sent("one", "a", "new"), sent("two", "w", "withdrawal", "a", scope="record")],
}  # fmt: skip

_ids = st.sampled_from("abcd")
_changed = st.fixed_dictionaries(
    {},
    optional={
        "domain": st.just("other"),
        "origin": st.sampled_from(["production", "adversarial_test"]),
        "pseudonym_unit": st.just("device"),
        "version": st.sampled_from("xy"),
    },
)
_action = st.one_of(
    st.builds(lambda name, more: (name, "new", None, more), _ids, _changed),
    st.builds(lambda name, target, more: (name, "correction", target, more), _ids, _ids, _changed),
    st.builds(lambda target: ("w", "withdrawal", target, {"scope": "record"}), _ids),
    st.just(("w", "withdrawal", None, {"scope": "user"})),
)
_history = st.lists(st.tuples(st.sampled_from(["one", "two", "three", "four"]), _action), max_size=12)


def history(actions: Iterable[tuple[str, tuple[str, str, str | None, dict[str, str]]]]) -> Rows:
    rows = []
    for user, (name, status, target, more) in actions:
        unit = more.get("pseudonym_unit", "account")
        fields = {key: value for key, value in more.items() if key != "pseudonym_unit"}
        fields["version"] = str(sorted(more.items()))
        rows.append(sent(user, name, status, target, **fields) | {"pseudonym_unit": unit})
    return rows


def resolved(rows: Rows, folder: Path, rows_a_pass: int = 2_000_000) -> list[tuple[UUID, str, UUID]]:
    found = []
    with duckdb.connect() as connection:
        for _ in resolved_records(connection, as_scrubbed(rows, folder).parts, PLAN, rows_a_pass):
            found += connection.execute("select unit, record_id, content from records").fetchall()
    return sorted(found)


def expected(rows: Rows) -> list[tuple[UUID, str, UUID]]:
    return sorted((UUID(row["unit"][:32]), row["record_id"], UUID(row["content"][:32])) for row in counting(rows, PLAN))


@pytest.mark.parametrize("rows", HISTORIES.values(), ids=HISTORIES)
@pytest.mark.parametrize("rows_a_pass", [1, 100])
def test_histories_resolve_as_in_plain_python(rows: Rows, rows_a_pass: int, tmp_path: Path) -> None:
    assert resolved([*PLAIN, *rows], tmp_path, rows_a_pass) == expected([*PLAIN, *rows])


@settings(max_examples=80, deadline=None)
@given(actions=_history, rows_a_pass=st.sampled_from([1, 3, 100]))
def test_random_histories_resolve_as_in_plain_python(
    actions: Any, rows_a_pass: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = [*PLAIN, *history(actions)]
    assert resolved(rows, tmp_path_factory.mktemp("history"), rows_a_pass) == expected(rows)


@pytest.mark.parametrize(
    ("broken", "told_by"),
    [
        ("record_status is distinct from 'new'", "sent twice"),
        ("hash(unit, record_id) in (select print from twice)", "corrected"),
        ("record_status = 'withdrawal' or hash(unit, record_id) in (select print from twice)", "corrected twice"),
        ("record_status = 'correction' or hash(unit, record_id) in (select print from twice)", "a record withdrawn"),
        ("false", "the user withdrawn"),
    ],
)
def test_a_user_who_is_not_looked_at_is_seen(broken: str, told_by: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rows = [*PLAIN, *HISTORIES[told_by]]
    monkeypatch.setattr(resolving, "_CHANGED", broken)
    assert resolved(rows, tmp_path) != expected(rows)


def test_looking_at_every_user_gives_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rows = [*PLAIN, *(row for rows in HISTORIES.values() for row in rows)]
    chosen = resolved(rows, tmp_path / "chosen")
    monkeypatch.setattr(resolving, "_CHANGED", "true")
    assert resolved(rows, tmp_path / "all") == chosen == expected(rows)


def test_a_record_without_a_unit_stops(tmp_path: Path) -> None:
    whole = {"unit": "", "bucket": 0}
    assert resolved([*PLAIN, sent("x", "w", "withdrawal", scope="submission") | {"origin": None} | whole], tmp_path) == expected(
        PLAIN
    )
    with pytest.raises(InternalError):
        resolved([*PLAIN, PLAIN[0] | whole], tmp_path)


@pytest.mark.parametrize("unit", ["ab", "g" * 64, "A" * 64, "0" * 65, "é" * 32])
def test_a_unit_that_is_no_digest_stops(unit: str, tmp_path: Path) -> None:
    records = as_scrubbed([*PLAIN, PLAIN[0] | {"unit": unit}], tmp_path)
    with pytest.raises(InternalError):
        list(record_batches(records.parts, ["unit"], ["unit"]))


@given(digests=st.lists(st.none() | st.just("") | st.binary(min_size=32, max_size=32).map(bytes.hex), max_size=20))
def test_digests_come_as_their_first_128_bits(digests: list[str | None]) -> None:
    wanted = [UUID(text[:32]) if text else None for text in digests]
    texts = pa.array(digests, pa.string())
    for array in (texts, texts.dictionary_encode(), pa.concat_arrays([texts, texts]).slice(len(texts))):
        assert _uuids(array).to_pylist() == wanted


@settings(deadline=None)
@given(ranges=st.integers(1, 40), unit=st.uuids())
def test_every_unit_is_in_one_range(ranges: int, unit: UUID) -> None:
    conditions = unit_ranges(ranges * 7 - 3, 7)
    assert len(conditions) == ranges
    query = " + ".join(f"({users})::int" for users in conditions)
    assert duckdb.sql(f"select {query} from (select '{unit}'::uuid as unit)").fetchall() == [(1,)]


@pytest.fixture(scope="module")
def rows() -> Rows:
    pool = generate(SimulationParameters(seed=13, users=60, quarters=1))
    return pool_rows(pool.quarters[0].records())


def plan_of(event: Event, key: str) -> RegisteredPlan:
    measure = {"name": "one", "table": "t", "event": event, "estimand": "share_of_user", "marginals": [[key]]}
    if event in OUTCOME_EVENTS:
        measure |= {"outcome_kind": "user_reply", "window": "next_turn"}
    if event is Event.FOLLOWED_CONVERSATION:
        measure |= {"ends_at": ["silent"]}
    return registered(plan={"domain": DOMAIN, "languages": ["en"], "regions": ["US"], "measure": [measure]})


ONE_BY_ONE = [(event, key) for event, keys in EVENT_KEYS.items() if event is not Event.CHANGE_OUTCOME for key in sorted(keys)]


@pytest.mark.parametrize(("event", "key"), ONE_BY_ONE)  # outcomes around changes have no marginal of one key: test_comparing
def test_each_key_of_each_event_has_its_columns(event: Event, key: str, rows: Rows, tmp_path: Path) -> None:
    plan = plan_of(event, key)
    scale = plan.privacy.unit.weight_scale
    truth = sums(rows, plan.release_plan, scale, lambda *_: ())["one", (key,)]
    with bounded_tables(as_scrubbed(rows, tmp_path), plan, SECRET, tmp_path, MeasurementSettings()) as (table,):
        found = table.connection.execute(f"select {key}, sum(w)::bigint from {table.name} group by {key}").fetchall()
    assert {(cell,): total for cell, total in found} == truth


@pytest.mark.parametrize(
    ("event", "key"),
    [
        (Event.RECORD, "week"),
        (Event.INTERVENTION_OUTCOME, "outcome"),
        (Event.EVASION_TACTIC, "bypassed"),
        (Event.FAILURE_MODE, "failure_mode"),
        (Event.REFERRAL, "layer"),
    ],
)
def test_a_column_that_was_forgotten_stops(
    event: Event, key: str, rows: Rows, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    records, plan = as_scrubbed(rows, tmp_path), plan_of(event, key)
    whole = plan_columns(plan)
    for forgotten in whole:
        monkeypatch.setattr(resolving, "plan_columns", lambda _, kept=whole - {forgotten}: kept)
        with pytest.raises(duckdb.BinderException), bounded_tables(records, plan, SECRET, tmp_path, MeasurementSettings()):
            pass


def test_a_column_that_no_record_has_stops(rows: Rows, tmp_path: Path) -> None:
    parts = as_scrubbed(rows, tmp_path).parts
    for column in ("no_such_column", "risk.no_such_field", "interventions.outcomes.kin", "unit.length"):
        with pytest.raises(InternalError):
            list(record_batches(parts, [column]))
