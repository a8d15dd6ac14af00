"""State of each release, its check results and its sign-offs, in the transactional database that the caller hands in."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    delete,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.exc import IntegrityError

from publish.path import State, advance, transition
from publish.signoff import People, SignedContent, missing_roles, verify_signoff, verify_signoffs
from schemas.errors import CheckFailedError, NotApprovedError
from schemas.periods import Quarter
from schemas.stages import CheckResult, MeasuredRelease, SignOff

metadata = MetaData()


def _key() -> tuple[Column[Any], Column[Any]]:
    return Column("quarter", String(6), primary_key=True), Column("version", Integer, primary_key=True)


releases = Table(
    "releases",
    metadata,
    *_key(),
    Column("state", String(16), nullable=False),
    Column("plan_hash", String(64), nullable=False),
    Column("tables_digest", String(64)),
)
checks = Table(
    "checks",
    metadata,
    *_key(),
    Column("name", String(64), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("stops", Boolean, nullable=False),
    Column("detail", String, nullable=False),
)
signoffs = Table(
    "signoffs",
    metadata,
    *_key(),
    Column("role", String(16), primary_key=True),
    Column("person", String(64), nullable=False),
    Column("signed_at", String(40), nullable=False),
    Column("signature", String(128), nullable=False),
    UniqueConstraint("quarter", "version", "person"),
)

term_reviews = Table(
    "term_reviews",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("plan", String(64), nullable=False),  # of the release for which it is decided
    Column("speaker", String(16), nullable=False),
    Column("term", String, nullable=False),
    Column("previous", String(64), nullable=False),  # digest of the decision before, on whatever term
    Column("decision", String(16), nullable=False),
    Column("person", String(64), nullable=False),
    Column("decided_at", String(40), nullable=False),
    Column("signature", String(128), nullable=False),
)
"""Reviewers' decisions on found terms (`publish.term_reviews`). Append-only, hash-chained."""


def create_tables(engine: Engine) -> None:
    """Makes the tables of this room where they are missing."""
    metadata.create_all(engine)


def _of(table: Table, quarter: Quarter, version: int) -> Any:
    return (table.c.quarter == str(quarter)) & (table.c.version == version)


def _state(connection: Connection, quarter: Quarter, version: int) -> State | None:
    found = connection.execute(select(releases.c.state).where(_of(releases, quarter, version))).scalar_one_or_none()
    return None if found is None else State(found)


def _move(connection: Connection, quarter: Quarter, version: int, verb: str, **values: str) -> bool:
    """Moves a release one step, only from the state that the path names: of two processes one moves it."""
    step = transition(verb)
    here = (_of(releases, quarter, version), releases.c.state == step.before)
    return connection.execute(update(releases).where(*here).values(state=step.after.value, **values)).rowcount == 1


def _advance(connection: Connection, quarter: Quarter, version: int, verb: str, **values: str) -> State:
    if not _move(connection, quarter, version, verb, **values):
        advance(_state(connection, quarter, version), verb, quarter, version)  # raises with the next step
        raise NotApprovedError(f"Release {quarter} version {version} was changed by another process.", "Look at its status.")
    return transition(verb).after


def _holds(connection: Connection, content: SignedContent, quarter: Quarter, version: int) -> None:
    row = connection.execute(
        select(releases.c.plan_hash, releases.c.tables_digest).where(_of(releases, quarter, version))
    ).first()
    if row is None or tuple(row) != (content.plan_hash, content.tables_digest):
        raise NotApprovedError(
            f"The tables at hand are not those that were measured for {quarter} version {version}.",
            "Measure asks the ledger again and gets the stored answer.",
        )


def stored_content(
    engine: Engine, quarter: Quarter, version: int, text_digest: str, terms_digest: str = ""
) -> SignedContent | None:
    """What signatures of a measured release must cover, with staff's text and terms as they are; None where it is not measured."""
    with engine.connect() as connection:
        row = connection.execute(select(releases).where(_of(releases, quarter, version))).first()
    if row is None or row.tables_digest is None:
        return None
    return SignedContent(str(quarter), version, row.plan_hash, row.tables_digest, text_digest, terms_digest)


def state_of(engine: Engine, quarter: Quarter, version: int) -> State | None:
    """Where a release stands; None where it is not planned."""
    with engine.connect() as connection:
        return _state(connection, quarter, version)


def states(engine: Engine) -> dict[tuple[str, int], State]:
    """All releases with their state, by quarter and version."""
    with engine.connect() as connection:
        found = connection.execute(select(releases).order_by(releases.c.quarter, releases.c.version))
        return {(row.quarter, row.version): State(row.state) for row in found}


def mark_planned(engine: Engine, quarter: Quarter, version: int, plan_hash: str) -> State:
    """Enters a registered plan. The same plan again changes nothing.

    Raises:
        NotApprovedError: that version has another plan.
    """
    try:
        with engine.begin() as connection:
            connection.execute(
                insert(releases).values(quarter=str(quarter), version=version, state=State.PLANNED.value, plan_hash=plan_hash)
            )
            return State.PLANNED
    except IntegrityError:
        pass
    with engine.connect() as connection:
        known = connection.execute(select(releases.c.plan_hash).where(_of(releases, quarter, version))).scalar_one()
        if known != plan_hash:
            raise NotApprovedError(f"{quarter} version {version} has another plan already.", "Plan a new version.")
        state = _state(connection, quarter, version)
    return state or State.PLANNED


def mark_measured(engine: Engine, measured: MeasuredRelease) -> State:
    """Enters what was measured, by digest. The same tables again change nothing, at whatever state the release is.

    Raises:
        NotApprovedError: not planned, another plan, or other tables than those measured before.
    """
    content = SignedContent.of(measured)
    quarter, version = measured.quarter, measured.version
    with engine.begin() as connection:
        state = _state(connection, quarter, version)
        if state is State.PLANNED:
            state = _advance(connection, quarter, version, "measure", tables_digest=content.tables_digest)
        elif state is None:
            advance(state, "measure", quarter, version)
        _holds(connection, content, quarter, version)
    return state or State.MEASURED


def record_checks(engine: Engine, measured: MeasuredRelease, results: Iterable[CheckResult]) -> State:
    """Stores the results of the checks; the release is `checked` where no stop check failed. May be repeated until approved.

    Raises:
        NotApprovedError: the release is not measured, is approved already, or holds other tables.
    """
    quarter, version, given = measured.quarter, measured.version, tuple(results)
    stopped = not given or any(result.stops and not result.passed for result in given)
    with engine.begin() as connection:
        _holds(connection, SignedContent.of(measured), quarter, version)
        state = _state(connection, quarter, version)
        if state is State.CHECKED and stopped:
            raise NotApprovedError("A check that had passed now fails.", "Find out why before anybody signs.")
        if state not in (State.MEASURED, State.CHECKED):
            advance(state, "check", quarter, version)
        if state is State.MEASURED and not stopped:
            state = _advance(connection, quarter, version, "check")
        connection.execute(delete(checks).where(_of(checks, quarter, version)))
        rows = [
            {
                "quarter": str(quarter),
                "version": version,
                "name": result.name,
                "position": position,
                "passed": result.passed,
                "stops": result.stops,
                "detail": result.detail,
            }
            for position, result in enumerate(given)
        ]
        if rows:
            connection.execute(insert(checks), rows)
    return state or State.MEASURED


def stored_checks(engine: Engine, quarter: Quarter, version: int) -> list[CheckResult]:
    """Results of the latest checks, in their order."""
    with engine.connect() as connection:
        found = connection.execute(select(checks).where(_of(checks, quarter, version)).order_by(checks.c.position))
        return [CheckResult(row.name, row.passed, row.stops, row.detail) for row in found]


@contextmanager
def deciding(engine: Engine) -> Iterator[Connection]:
    """One serialised write transaction: nobody decides on terms while somebody signs, and the other way round."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("begin immediate")
        else:  # a lock on the table would need the right to change it, which nobody has
            connection.execute(text("select pg_advisory_xact_lock(hashtext('term_reviews'))"))
        yield connection
        connection.commit()  # left without, it is rolled back


def decisions_made(connection: Connection) -> int:
    """How many decisions on terms there are: while it stays the same, so does what they say."""
    return int(connection.execute(select(func.count()).select_from(term_reviews)).scalar_one())


def record_signoff(
    engine: Engine, measured: MeasuredRelease, people: People, signoff: SignOff, text_digest: str = "", decided: int | None = None
) -> State:
    """Stores one verified sign-off; the release is `approved` once both roles have signed. The same one again changes nothing.

    `decided` is how many decisions on terms there were when the release was put together.

    Raises:
        NotApprovedError: the release is not checked, the sign-off does not hold, the role or person has signed already, or
            somebody decided on a term meanwhile.
    """
    quarter, version, content = measured.quarter, measured.version, SignedContent.of(measured, text_digest)
    verify_signoff(content, people, measured.plan.planner, signoff)
    try:
        with deciding(engine) as connection:
            if decided is not None and decided != decisions_made(connection):
                raise NotApprovedError("Somebody decided on a term meanwhile.", "Look at the release again.")
            _holds(connection, content, quarter, version)
            state = _state(connection, quarter, version)
            if signoff not in _signoffs(connection, quarter, version):
                if state is not State.CHECKED:
                    advance(state, "approve", quarter, version)
                    raise NotApprovedError("The release takes no further sign-off.", "`commons status` shows who signed.")
                connection.execute(
                    insert(signoffs).values(
                        quarter=str(quarter),
                        version=version,
                        role=signoff.role,
                        person=signoff.person,
                        signed_at=signoff.signed_at.isoformat(),
                        signature=signoff.signature,
                    )
                )
        # A transaction of its own: whoever signs last sees the other's signature, also when both sign at once.
        with engine.begin() as connection:
            state, given = _state(connection, quarter, version), _signoffs(connection, quarter, version)
            if state is State.CHECKED and not missing_roles(given):
                verify_signoffs(content, people, measured.plan.planner, given)
                _move(connection, quarter, version, "approve")  # whoever signed at the same moment may have been first
                state = _state(connection, quarter, version)
            return state or State.CHECKED
    except IntegrityError:
        pass
    raise NotApprovedError("This role or this person has signed already.", "`commons status` shows who is missing.")


def _signoffs(connection: Connection, quarter: Quarter, version: int) -> tuple[SignOff, ...]:
    found = connection.execute(select(signoffs).where(_of(signoffs, quarter, version)).order_by(signoffs.c.role))
    return tuple(SignOff(r.person, r.role, datetime.fromisoformat(r.signed_at), r.signature) for r in found)


def stored_signoffs(engine: Engine, quarter: Quarter, version: int) -> tuple[SignOff, ...]:
    """Sign-offs of a release, by role."""
    with engine.connect() as connection:
        return _signoffs(connection, quarter, version)


def mark_published(engine: Engine, quarter: Quarter, version: int) -> State:
    """Marks a written release as published and earlier published versions of its quarter as superseded.

    Call it after the folder is written: a crash in between leaves `approved`, and publishing again finds the folder as it is.

    Raises:
        NotApprovedError: the release is not approved.
    """
    with engine.begin() as connection:
        if _state(connection, quarter, version) in (State.PUBLISHED, State.SUPERSEDED):
            return State.PUBLISHED
        _advance(connection, quarter, version, "publish")
        earlier = (releases.c.quarter == str(quarter)) & (releases.c.version < version)
        connection.execute(
            update(releases)
            .where(earlier, releases.c.state == transition("supersede").before)
            .values(state=State.SUPERSEDED.value)
        )
    return State.PUBLISHED


def require_checks(results: Iterable[CheckResult]) -> None:
    """Raises CheckFailedError unless checks were made and no stop check failed; the message names the failed ones."""
    given = tuple(results)
    failed = [result.name for result in given if result.stops and not result.passed]
    if failed or not given:
        named = ", ".join(failed) or "none was made"
        raise CheckFailedError(f"The release stops at its checks: {named}.", "`commons check` shows each with its detail.")
