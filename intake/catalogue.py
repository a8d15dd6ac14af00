"""The catalogue of submissions: what was received, what became of it, and the receipt that was given."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    DateTime,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from schemas.errors import InternalError
from schemas.periods import Quarter

METADATA = MetaData()
_NAMES_A_QUERY = 500

SUBMISSIONS = Table(
    "submissions",
    METADATA,
    Column("digest", String(64), primary_key=True),
    Column("company", String(64), nullable=False),
    Column("submission_id", String(64), nullable=False),
    Column("quarter", String(6), nullable=False),
    Column("pseudonym_key_id", String(64), nullable=False),
    Column("kept", Integer, nullable=False),  # rows that name a user: not withdrawals of submissions
    Column("users", Integer, nullable=False),  # users of whom nothing was accepted in the quarter before
    Column("status", String(16), nullable=False),  # accepted, withdrawn
    Column("receipt", JSON, nullable=False),
    UniqueConstraint("company", "submission_id"),
)

AUDIT = Table(
    "intake_audit",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("company", String(64), nullable=False),  # a registered id, or empty
    Column("decision", String(16), nullable=False),  # accepted, refused, replayed
    Column("counts", JSON, nullable=False),  # findings by code
)


class AlreadyAcceptedError(InternalError):
    """A submission of this company and id, or of this digest, is in the catalogue."""

    def __init__(self, message: str = "", next_step: str = "") -> None:
        super().__init__(
            message or "The submission was accepted by another run at the same moment.",
            next_step or "Run the same command again: it is answered with the first receipt.",
        )


@dataclass(frozen=True)
class AcceptedSubmission:
    """One row of the catalogue."""

    digest: str
    company: str
    submission_id: str
    quarter: Quarter
    pseudonym_key_id: str
    kept: int
    users: int
    status: str
    receipt: dict[str, Any]

    @property
    def withdrawals(self) -> int:
        """Accepted rows that take something back."""
        return int(self.receipt.get("withdrawals", 0))

    @property
    def corrections(self) -> int:
        """Accepted records that stand in the place of earlier ones."""
        return int(self.receipt.get("corrections", 0))

    @property
    def records(self) -> int:
        """Accepted records, new ones and corrections."""
        return int(self.receipt["accepted"]) - self.withdrawals


class Catalogue:
    """Reads and writes the catalogue. Each method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        METADATA.create_all(engine)

    def find(self, company: str, submission_id: str) -> AcceptedSubmission | None:
        """The accepted submission of that id, or None."""
        where = (SUBMISSIONS.c.company == company) & (SUBMISSIONS.c.submission_id == submission_id)
        with self._engine.connect() as connection:
            row = connection.execute(select(SUBMISSIONS).where(where)).mappings().first()
        return _accepted(row) if row else None

    def quarters(self, company: str) -> dict[str, Quarter]:
        """The quarter of every submission of a company that was ever accepted, by its id."""
        query = select(SUBMISSIONS.c.submission_id, SUBMISSIONS.c.quarter).where(SUBMISSIONS.c.company == company)
        with self._engine.connect() as connection:
            return {name: Quarter.parse(quarter) for name, quarter in connection.execute(query)}

    def decided_since(self, company: str, moment: datetime) -> int:
        """How many submissions of a company were accepted or refused since a moment; answering one again is no decision."""
        decided = (AUDIT.c.company == company) & (AUDIT.c.at >= moment) & AUDIT.c.decision.in_(("accepted", "refused"))
        with self._engine.connect() as connection:
            return int(connection.execute(select(func.count()).select_from(AUDIT).where(decided)).scalar_one())

    def accepted(self, quarter: Quarter | None = None, company: str | None = None) -> list[AcceptedSubmission]:
        """Accepted submissions that were not withdrawn, by company and id."""
        query = select(SUBMISSIONS).where(SUBMISSIONS.c.status == "accepted")
        if quarter is not None:
            query = query.where(SUBMISSIONS.c.quarter == str(quarter))
        if company is not None:
            query = query.where(SUBMISSIONS.c.company == company)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(SUBMISSIONS.c.company, SUBMISSIONS.c.submission_id)).mappings().all()
        return [_accepted(row) for row in rows]

    def contributors(self, quarter: Quarter, until: str = "") -> list[str]:
        """Companies of which any record of a quarter was accepted (`until` a UTC moment, where one is given), in order.

        An empty submission, or one of withdrawals or repetitions alone, makes nobody a contributor.
        """
        accepted = self.accepted(quarter)
        return sorted({s.company for s in accepted if s.records and (not until or s.receipt["received_at"] <= until)})

    def taken_in(self, quarter: Quarter, company: str) -> list[AcceptedSubmission]:
        """Every submission that was ever accepted, withdrawn ones too: what was withdrawn is kept until its time is over."""
        where = (SUBMISSIONS.c.quarter == str(quarter)) & (SUBMISSIONS.c.company == company)
        with self._engine.connect() as connection:
            return [_accepted(row) for row in connection.execute(select(SUBMISSIONS).where(where)).mappings()]

    def add(self, submission: AcceptedSubmission, withdraws: set[str], counts: Counter[str]) -> None:
        """Records an accepted submission, the submissions (ids of the same company) that it withdraws, and the decision, at once.

        Raises AlreadyAcceptedError where it is there already; nothing is changed then.
        """
        there = False
        try:
            with self._engine.begin() as connection:
                values = {**submission.__dict__, "quarter": str(submission.quarter)}
                connection.execute(insert(SUBMISSIONS).values(**values))
                for names in _in_batches(sorted(withdraws)):
                    withdrawn = (SUBMISSIONS.c.company == submission.company) & SUBMISSIONS.c.submission_id.in_(names)
                    connection.execute(update(SUBMISSIONS).where(withdrawn).values(status="withdrawn"))
                _audit(connection, submission.digest, submission.company, "accepted", counts)
        except IntegrityError:  # whose text quotes the row
            there = True
        if there:
            raise AlreadyAcceptedError

    def audit(self, digest: str, company: str, decision: str, counts: Counter[str]) -> None:
        """One row for each decision on a submission. `company` is a registered id or empty, never the sender's text."""
        with self._engine.begin() as connection:
            _audit(connection, digest, company, decision, counts)

    def audit_rows(self) -> list[dict[str, Any]]:
        """All audit rows in order."""
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(select(AUDIT).order_by(AUDIT.c.number)).mappings()]


def _audit(connection: Connection, digest: str, company: str, decision: str, counts: Counter[str]) -> None:
    row = {"digest": digest, "company": company, "decision": decision, "counts": dict(sorted(counts.items()))}
    connection.execute(insert(AUDIT).values(at=datetime.now(UTC), **row))


def _in_batches(names: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), _NAMES_A_QUERY):
        yield names[start : start + _NAMES_A_QUERY]


def _accepted(row: Any) -> AcceptedSubmission:
    return AcceptedSubmission(**{**dict(row), "quarter": Quarter.parse(row["quarter"])})
