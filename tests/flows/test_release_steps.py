"""The steps of a release as plain functions: who may do what, what may be repeated, what a new version costs."""

import json
import shutil
import threading
from collections import Counter
from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from filled_pool import QUARTER, key, until_checked, until_published
from stores import send

from flows.drops import waiting
from flows.explaining import explain_plan
from flows.guard import guarded
from flows.intake_steps import take_in_submission
from flows.pool import Pool, packaged_config
from flows.release_steps import (
    approve_release,
    check_release,
    make_plan,
    measure_release,
    publish_release,
    registered_plan,
)
from flows.scrub_reports import deliver_scrub_reports
from flows.scrubbing import pending_parts, scrubbed_records
from flows.turns import Turn, in_turn
from intake.catalogue import AcceptedSubmission
from intake.sealing import recipient_of
from publish.path import State
from publish.store import state_of
from sample_data.parameters import SimulationParameters
from sample_data.simulate import simulate
from schemas.errors import BudgetRefusedError, CommonsError, InternalError, NotApprovedError, ScrubStoppedError, UsageError
from schemas.periods import Quarter
from schemas.signing import encode_key, new_private_key, public_key


def test_only_an_operator_plans_and_only_a_closed_quarter(pool: Pool) -> None:
    with pytest.raises(NotApprovedError):
        make_plan(pool, QUARTER, key(pool, "petra"))
    (pool.root / "stranger.key").write_text(encode_key(new_private_key()))
    with pytest.raises(NotApprovedError):
        make_plan(pool, QUARTER, pool.root / "stranger.key")
    with pytest.raises(UsageError, match="not closed"):
        make_plan(pool, Quarter.of(datetime.now().astimezone()), key(pool, "olga"))
    with pytest.raises(UsageError, match="No registered company"):
        make_plan(pool, Quarter(2025, 1), key(pool, "olga"))


def test_a_company_without_a_record_is_no_contributor(pool: Pool) -> None:
    """An empty submission of a fourth company would have lifted the pool over the company rule's minimum."""
    registry = pool.root / "config" / "companies.toml"
    registry.write_text(
        f'{registry.read_text()}\n[[company]]\nid = "empty"\nagreement_id = "agr-empty-1"\nsynthetic = true\n'
        f'[[company.key]]\nkey_id = "empty-1"\npublic_key = "{encode_key(public_key(new_private_key()))}"\n'
        "valid_from = 2026-01-01\nvalid_until = 2027-12-31\n"
    )
    pool = Pool(pool.root)
    receipt = {"accepted": 0, "quarantined": 0, "received_at": "2026-04-01T00:00:00Z"}
    row = AcceptedSubmission("e" * 64, "empty", "s", QUARTER, "k", 0, 0, "accepted", receipt)
    pool.catalogue.add(row, set(), Counter())
    plan = make_plan(pool, QUARTER, key(pool, "olga"))
    assert (plan.contributors, scrubbed_records(pool, QUARTER).companies) == (3, ("alder", "birch", "cedar"))
    assert measure_release(pool, QUARTER).plan == plan


def test_steps_out_of_order_are_refused(pool: Pool) -> None:
    with pytest.raises(UsageError):
        measure_release(pool, QUARTER)
    make_plan(pool, QUARTER, key(pool, "olga"))
    with pytest.raises(NotApprovedError):
        check_release(pool, QUARTER)
    measure_release(pool, QUARTER)
    with pytest.raises(CommonsError):
        approve_release(pool, QUARTER, key(pool, "carl"))
    with pytest.raises(NotApprovedError):
        publish_release(pool, QUARTER)


def test_every_step_may_be_repeated_and_spends_once(pool: Pool) -> None:
    first = until_published(pool)
    manifest = (first / "MANIFEST.json").read_bytes()
    assert make_plan(pool, QUARTER, key(pool, "olga")).version == 1
    measure_release(pool, QUARTER)
    check_release(pool, QUARTER)
    approve_release(pool, QUARTER, key(pool, "carl"))
    assert publish_release(pool, QUARTER).folder == first
    assert (first / "MANIFEST.json").read_bytes() == manifest
    assert pool.ledger.line(quarter=QUARTER).releases == 1


def test_neither_planner_nor_one_person_twice_approves(pool: Pool) -> None:
    until_checked(pool)
    for person in ("olga", "otto"):
        with pytest.raises(NotApprovedError):
            approve_release(pool, QUARTER, key(pool, person))
    approve_release(pool, QUARTER, key(pool, "carl"))
    approve_release(pool, QUARTER, key(pool, "carl"))
    with pytest.raises(NotApprovedError):
        publish_release(pool, QUARTER)
    assert state_of(pool.engine, QUARTER, 1) is State.CHECKED


def test_a_changed_configuration_needs_a_reason_and_a_new_version_costs_the_reserve(pool: Pool) -> None:
    first = until_published(pool)
    plan = packaged_config("release_plan.toml").read_text().replace('languages = ["en", "es", "fr"]', 'languages = ["en"]')
    (pool.root / "config" / "release_plan.toml").write_text(plan)
    changed = Pool(pool.root)
    with pytest.raises(UsageError, match="changed"):
        make_plan(changed, QUARTER, key(pool, "olga"))
    second = make_plan(changed, QUARTER, key(pool, "olga"), "fewer languages")
    assert (second.version, second.rho) == (2, str(pool.privacy.budget.reserve_rho))
    measure_release(changed, QUARTER)
    check_release(changed, QUARTER)
    for person in ("carl", "petra"):
        approve_release(changed, QUARTER, key(pool, person))
    folder = publish_release(changed, QUARTER).folder
    assert folder != first
    assert first.exists()
    assert (state_of(pool.engine, QUARTER, 1), state_of(pool.engine, QUARTER, 2)) == (State.SUPERSEDED, State.PUBLISHED)
    assert pool.ledger.line(quarter=QUARTER).rho_left == 0
    with pytest.raises(BudgetRefusedError):
        make_plan(changed, QUARTER, key(pool, "olga"), "again")
    assert registered_plan(changed, QUARTER) == second  # a plan that could not be paid would stand in the way of the one that was
    assert pool.ledger.chain_holds()


def test_superseding_again_by_the_same_reason_is_the_same_plan(pool: Pool) -> None:
    until_published(pool)
    second = make_plan(pool, QUARTER, key(pool, "olga"), "a mistake")
    assert make_plan(pool, QUARTER, key(pool, "olga"), "a mistake") == second
    measure_release(pool, QUARTER)
    assert make_plan(pool, QUARTER, key(pool, "olga"), "a mistake") == second
    assert make_plan(pool, QUARTER, key(pool, "olga")) == second


def test_users_are_expected_from_what_was_published_and_not_from_what_was_drawn(pool: Pool) -> None:
    until_checked(pool)
    with pytest.raises(UsageError, match="No release tells"):
        explain_plan(pool, QUARTER.next())
    for person in ("carl", "petra"):
        approve_release(pool, QUARTER, key(pool, person))
    publish_release(pool, QUARTER)
    assert explain_plan(pool, QUARTER.next()).users_from == f"the release of {QUARTER}"


def test_a_plan_waits_for_what_is_being_taken_in(pool: Pool) -> None:
    planned = threading.Event()

    def plan() -> None:
        make_plan(pool, QUARTER, key(pool, "olga"))
        planned.set()

    with in_turn(pool, Turn.INGEST):
        planner = threading.Thread(target=plan)
        planner.start()
        assert not planned.wait(1)
        assert pool.ledger.plan(QUARTER) is None
    planner.join()
    assert planned.is_set()


def test_late_data_do_not_change_an_answer_and_the_company_is_told(pool: Pool) -> None:
    until_checked(pool)
    before = measure_release(pool, QUARTER)
    late = pool.root / "late"
    simulate(late, SimulationParameters(seed=42, users=60, quarters=1, submissions_per_quarter=1))
    # The keys of a simulation come from its seed: register those of the late one.
    shutil.copy(late / "companies.toml", pool.root / "config" / "companies.toml")
    again = Pool(pool.root)
    send(again, next(late.glob("alder/*")))
    result = take_in_submission(again, *waiting(again)[0])
    if result["decision"] == "accepted":
        assert "W303" in result["findings"]
    after = measure_release(again, QUARTER)
    assert [t.rows for t in after.tables] == [t.rows for t in before.tables]


def test_unscrubbed_records_are_not_measured(pool: Pool) -> None:
    next(pool.scrubbed.rglob("*.parquet")).unlink()
    with pytest.raises(ScrubStoppedError):
        scrubbed_records(pool, QUARTER)
    assert len(pending_parts(pool)) == 1


def test_secrets_are_their_owners_only(pool: Pool) -> None:
    pool.secret("pool.key")
    assert recipient_of(pool.identities) == recipient_of(pool.identities)
    assert {oct(p.stat().st_mode & 0o777) for p in (pool.root / "secrets").rglob("*") if p.is_file()} == {"0o600"}
    assert {oct(p.stat().st_mode & 0o777) for p in (pool.root / "secrets").rglob("*") if p.is_dir()} <= {"0o700"}


def test_what_leaves_a_task_quotes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    def fails(value: str) -> None:
        raise ValueError(f"cannot read {value}")

    with pytest.raises(InternalError) as raised:
        guarded(fails, "canary-1190")
    assert "canary" not in repr(raised.value) + str(raised.value.__cause__) + str(raised.value.__context__)
    assert "ValueError" in str(raised.value)


def test_no_figure_of_the_scrub_is_in_a_release(pool: Pool) -> None:
    """Counts of what was masked or withheld vary with single users: they are the operator's and the company's own."""
    planted, name = 918_273_645, "PLANTED_ENTITY"
    for path in pool.scrubbed.rglob("*.report.json"):
        told = {key: planted if isinstance(value, int) else value for key, value in json.loads(path.read_bytes()).items()}
        path.write_text(json.dumps(told | {"counts": {name: planted}, "withheld": {name: planted}, "languages": {name: planted}}))
    folder = until_published(pool)
    cells = "".join(str(pq.read_table(path).to_pydict()) for path in folder.rglob("*.parquet"))
    pages = "".join(path.read_text() for path in folder.rglob("*") if path.suffix in (".md", ".html", ".json", ".sql"))
    assert "withheld" not in cells
    for planted_form in (str(planted), f"{planted:,}", name, name.lower()):
        assert planted_form not in cells + pages
    assert deliver_scrub_reports(pool)  # there they are found
    assert all(name in path.read_text() for path in Path(pool.drop_url("alder"), "out").glob("*/scrub.json"))
