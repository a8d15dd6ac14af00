"""Attacks on the gate of found terms: forged and replayed decisions, a way of members' terms to the public, and leaks."""

import logging
import shutil
import sqlite3
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

sys.path.append(str(Path(__file__).parents[1] / "flows"))
from terms_pool import FIRST, decided, key, measured_by_hand, released, terms_pool

from cli.main import run
from flows.guard import guarded
from flows.mirroring import copy_release, store_at
from flows.pool import Pool
from flows.release_steps import approve_release, check_release, publish_release
from flows.state import open_state
from flows.terms import decide_terms, decisions_in, quarters_terms
from publish import release as release_module
from publish.path import State
from publish.store import state_of
from publish.term_reviews import Decision, TermReview
from schemas.errors import CommonsError, InternalError, NotApprovedError, UsageError
from schemas.signing import decode_key, encode_key, new_private_key, sign

if TYPE_CHECKING:
    from sqlalchemy import URL

PUBLIC_TERM, MEMBERS_TERM, REJECTED_TERM = "canarypublic", "canarymembers", "canaryreject"
DECIDED = {PUBLIC_TERM: "public", MEMBERS_TERM: "members", REJECTED_TERM: "reject"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pool = terms_pool(tmp_path_factory.mktemp("made") / "pool")
    measured_by_hand(pool, FIRST, dict.fromkeys(DECIDED, 300.0))
    decided(pool, FIRST, **dict.fromkeys(DECIDED, "public"))
    decided(pool, FIRST, **DECIDED)
    pool.engine.dispose()
    return pool.root


@pytest.fixture
def pool(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pool:
    monkeypatch.setattr(release_module, "_pages", lambda _: ({"README.md": b"SYNTHETIC"}, {}))
    return Pool(Path(shutil.copytree(made, tmp_path / "pool")))


def tamper(pool: Pool, *statements: str) -> None:
    """As whoever may write the file can: what refuses a change is taken away first."""
    with sqlite3.connect(pool.root / "state" / "state.db") as connection:
        for name in ("update", "delete", "replace"):
            connection.execute(f"drop trigger term_reviews_no_{name}")
        for statement in statements:
            connection.execute(statement)


COLUMNS = "plan, speaker, term, previous, decision, person, decided_at, signature"
NEXT = "(select max(number) + 1 from term_reviews)"
HELD = f"(select max(number) from term_reviews where term = '{MEMBERS_TERM}')"  # the decision that holds
FIRST_ONE = f"(select min(number) from term_reviews where term = '{MEMBERS_TERM}')"  # the one that it took the place of
ATTACKS = {
    "a decision changed": f"update term_reviews set decision = 'public' where number = {HELD}",
    "a term changed": f"update term_reviews set term = 'another' where number = {HELD}",
    "a reviewer changed": f"update term_reviews set person = 'clea' where number = {HELD}",
    "a reviewer whom nobody knows": f"update term_reviews set person = 'gone', term = 'another' where number = {HELD}",
    "a decision nobody could take": f"update term_reviews set decision = 'all' where number = {HELD}",
    "an earlier decision played again": f"insert into term_reviews select {NEXT}, {COLUMNS} from term_reviews where number = {FIRST_ONE}",
    "the decision that holds taken away": f"delete from term_reviews where number = {HELD}",
    "an earlier decision taken away": f"delete from term_reviews where number = {FIRST_ONE}",
    "a decision moved to another release": f"update term_reviews set plan = 'other' where number = {HELD}",
    "places changed": f"update term_reviews set number = 99 where number = {FIRST_ONE}",
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_a_forged_decision_is_refused(attack: str, pool: Pool) -> None:
    tamper(pool, attack)
    for step in (quarters_terms, check_release):
        with pytest.raises(NotApprovedError):
            step(pool, FIRST)


def written_past_the_gate(pool: Pool, private_key: bytes) -> None:
    """A decision that makes the members' term public, right in all but that nobody asked whether it may be taken."""
    plan = pool.ledger.plan(FIRST)
    assert plan is not None
    last = list(quarters_terms(pool, FIRST).reviews.values())
    before = max(last, key=lambda review: review.number)
    review = TermReview(
        before.number + 1, plan.hash, "user", MEMBERS_TERM, before.digest, Decision.PUBLIC, "carl", "2026-05-01T00:00:00+00:00"
    )
    values = ("user", MEMBERS_TERM, review.previous, "public", "carl", review.decided_at, sign(private_key, review.to_sign()))
    listed = ", ".join(f"'{value}'" for value in (plan.hash, *values))
    tamper(pool, f"insert into term_reviews (number, {COLUMNS}) values ({review.number}, {listed})")


def test_a_decision_under_a_key_that_is_not_registered_is_refused(pool: Pool) -> None:
    """Even where the intruder signs, and signs all that a reviewer would."""
    written_past_the_gate(pool, new_private_key())
    with pytest.raises(NotApprovedError, match="not signed"):
        quarters_terms(pool, FIRST)


def test_what_is_decided_cannot_be_taken_back_in_the_database(state: "URL") -> None:
    engine = open_state(state)
    row = f"insert into term_reviews (number, {COLUMNS}) values (1, 'p', 'user', 'a', '', 'reject', 'carl', 'now', 's')"
    with engine.begin() as connection:
        connection.execute(text(row))
    changes = ["update term_reviews set decision = 'public'", "delete from term_reviews"]
    changes += [row.replace("insert", "insert or replace")] if engine.dialect.name == "sqlite" else ["truncate term_reviews"]
    for statement in changes:
        with engine.connect() as connection, pytest.raises(Exception, match="append-only"):
            connection.execute(text(statement))
    engine.dispose()


def test_what_was_decided_after_a_signature_is_never_published(pool: Pool) -> None:
    """A reviewer who writes past the check, with a signature of their own that holds, makes nothing public."""
    check_release(pool, FIRST)
    for person in ("petra", "carl"):
        approve_release(pool, FIRST, key(pool, person))
    with pytest.raises(NotApprovedError):
        decided(pool, FIRST, **{MEMBERS_TERM: "public"})
    written_past_the_gate(pool, decode_key(key(pool, "carl").read_text()))
    assert quarters_terms(pool, FIRST).counts["public"] == 2  # it is genuine, so it counts: but it was not signed for
    with pytest.raises(NotApprovedError, match="does not hold"):
        publish_release(pool, FIRST)
    assert state_of(pool.engine, FIRST, 1) is State.APPROVED
    assert not pool.releases.exists() and not pool.members.exists()


def test_members_terms_go_to_no_store(pool: Pool, store_of: Callable[[str], Any]) -> None:
    release = released(pool, FIRST)
    running = store_of("s3")
    with running.person("pool"):
        copy_release(pool.releases, "2026Q1/v1", "s3://pool/gate")
        place = store_at("s3://pool/gate")
        there = {name: place.read(name) or b"" for name in place.names()}
        assert {"catalog.json", "2026Q1/v1/MANIFEST.json"} <= set(there)
        for term in (MEMBERS_TERM, REJECTED_TERM):
            assert not [name for name, data in there.items() if term.encode() in data or "members" in name]
        with pytest.raises(CommonsError):  # nor when it is asked for
            copy_release(pool.members, "2026Q1/v1", "s3://pool/gate-members")
        assert not store_at("s3://pool/gate-members").names()
    assert release.folder.exists()


def test_a_folder_for_members_among_the_releases_is_in_no_catalogue(pool: Pool) -> None:
    from publish.catalog import write_catalog

    released(pool, FIRST)
    shutil.copytree(pool.members / "2026Q1", pool.releases / "2026Q2")
    with pytest.raises(InternalError):
        write_catalog(pool.releases)
    assert "2026Q2" not in (pool.releases / "catalog.json").read_text()


def test_a_term_is_in_no_message_log_or_traceback(pool: Pool, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """Everything that can go wrong with a term, and everything that is told where it goes right."""
    caplog.set_level(logging.DEBUG)
    told: list[str] = []

    def attempt(step: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        try:
            told.append(repr(guarded(step, *arguments, **named)))
        except CommonsError:
            told.append(traceback.format_exc())

    found, carl, private_key = quarters_terms(pool, FIRST), pool.people.get("carl"), decode_key(key(pool, "carl").read_text())
    told += [repr(found), repr(found.found), repr(list(found.reviews.values())), str(found.result), repr(found.for_members)]
    files = {
        "unknown.csv": f"speaker,term,decision\nuser,{MEMBERS_TERM}x,public\n",
        "wrong.csv": f"speaker,term,decision\nuser,{MEMBERS_TERM},{MEMBERS_TERM}\n",
        "twice.csv": f"speaker,term,decision\nuser,{MEMBERS_TERM},public\nuser,{MEMBERS_TERM},reject\n",
        "broken.csv": f'speaker,term,decision\nuser,"{MEMBERS_TERM}',
        "broken.json": f'[{{"term": "{MEMBERS_TERM}',
        "shape.json": f'[["{MEMBERS_TERM}"]]',
        "columns.csv": f"{MEMBERS_TERM}\n",
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content)
        attempt(lambda path: decide_terms(pool, found, decisions_in(path), carl, private_key), tmp_path / name)
    attempt(decided, pool, FIRST, "petra", **DECIDED)
    attempt(decided, pool, FIRST, **{MEMBERS_TERM: "reject"})
    tamper(pool, f"update term_reviews set signature = '' where term = '{MEMBERS_TERM}'")
    attempt(quarters_terms, pool, FIRST)
    with pool.engine.begin() as connection:
        connection.execute(text("drop table term_reviews"))
    attempt(decided, pool, FIRST, **DECIDED)
    assert len(told) > 10 and any("Row 1" in each for each in told)
    logs = "".join(path.read_text() for path in (pool.root / "logs").rglob("*") if path.is_file())
    assert "terms_reviewed" in logs
    for term in DECIDED:
        assert term not in "\n".join(told) + caplog.text + logs


def test_the_command_line_tells_no_term_to_who_may_not_see_one(
    pool: Pool, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    root = ["--root", str(pool.root)]
    stranger = tmp_path / "stranger.key"
    stranger.write_text(encode_key(new_private_key()))
    (tmp_path / "unknown.csv").write_text(f"speaker,term,decision\nuser,{MEMBERS_TERM}x,public\n")
    codes = [
        run(["terms", "list", "2026Q1", *root]),
        run(["terms", "list", "2026Q1", "--json", *root]),
        run(["status", *root]),
        run(["approve", "2026Q1", "--show", "--key", str(key(pool, "petra")), *root]),
        run(["terms", "list", "2026Q1", "--key", str(key(pool, "olga")), *root]),
        run(["terms", "list", "2026Q1", "--key", str(stranger), *root]),
        run(["terms", "review", "2026Q1", "--key", str(key(pool, "petra")), *root]),
        run(["terms", "review", "2026Q1", "--key", str(key(pool, "carl")), "--decide", str(tmp_path / "unknown.csv"), *root]),
    ]
    assert codes == [0, 0, 0, 0, 15, 15, 15, 2]
    shown = capfd.readouterr()
    assert "canary" not in shown.out + shown.err
    assert run(["terms", "list", "2026Q1", "--key", str(key(pool, "petra")), *root]) == 0
    assert MEMBERS_TERM in capfd.readouterr().out  # who signs may see: the search above would have found it


def test_a_file_of_decisions_is_taken_whole_or_not_at_all(pool: Pool, tmp_path: Path) -> None:
    path = tmp_path / "decisions.csv"
    path.write_text(f"speaker,term,decision\nuser,{PUBLIC_TERM},reject\nuser,unknown,public\n")
    before = quarters_terms(pool, FIRST).counts
    assert (
        run(["terms", "review", "2026Q1", "--key", str(key(pool, "carl")), "--decide", str(path), "--root", str(pool.root)]) == 2
    )
    assert quarters_terms(pool, FIRST).counts == before
    with pytest.raises(UsageError):
        decisions_in(tmp_path / "missing.csv")
