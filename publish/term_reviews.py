"""Reviewers' decisions on found terms: what each does, who may take one, and how each is signed, kept and verified.

Terms are what users wrote. They stand in the table and in what reviewers are shown, and in no message, repr or log.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import Connection, Engine, false, insert, or_, select

from publish.signoff import People, Person
from publish.store import deciding, decisions_made, signoffs, term_reviews
from schemas.canonical import canonical_json
from schemas.derived_tables import MEMBERS, PUBLIC
from schemas.errors import NotApprovedError
from schemas.periods import Quarter
from schemas.signing import public_key, sign, verify

REVIEWING_ROLE = "clinical"

TermKey = tuple[str, str]
"""Whose turns it was found in, and the term."""


class Decision(StrEnum):
    """What becomes of a term."""

    PUBLIC = PUBLIC
    MEMBERS = MEMBERS
    REJECT = "reject"


DECISION_MEANING: Mapping[Decision, str] = {
    Decision.PUBLIC: "in the public release, for everyone and for good",
    Decision.MEMBERS: "for members of the pool only: a method, or a way around safeguards",
    Decision.REJECT: "nowhere: a name, or anything else that could tell who somebody is",
}


@dataclass(frozen=True)
class TermReview:
    """One decision as it is stored. `revision` counts the decisions on this term for this release: the last one holds."""

    plan: str
    speaker: str
    term: str = field(repr=False)
    revision: int
    decision: Decision = field(repr=False)
    person: str
    decided_at: str
    signature: str = field(default="", repr=False)

    @property
    def key(self) -> TermKey:
        """What it is on."""
        return self.speaker, self.term

    def to_sign(self) -> bytes:
        """Canonical bytes that the reviewer signs: for one release, and once, so that none can be played again."""
        return canonical_json(
            {
                "what": "term_review",
                "plan": self.plan,
                "speaker": self.speaker,
                "term": self.term,
                "revision": self.revision,
                "decision": str(self.decision),
                "person": self.person,
                "decided_at": self.decided_at,
            }
        )


def may_review(person: Person) -> None:
    """Raises NotApprovedError where a person is no reviewer of terms."""
    if person.role != REVIEWING_ROLE:
        raise NotApprovedError("Only a clinician or lived-experience adviser decides on terms.", "Use the key of such a person.")


def decide(
    engine: Engine,
    plan: str,
    decisions: Mapping[TermKey, Decision],
    person: Person,
    private_key: bytes,
    resting: Sequence[tuple[Quarter, int]],
) -> int:
    """Signs and stores decisions on terms of a release, all or none. What is decided so already is not stored again.

    Args:
        engine: the state database.
        plan: hash of the release's plan.
        decisions: by term.
        person: who decides.
        private_key: theirs.
        resting: releases whose terms rest on these decisions: once one of them has a signature, nothing is decided any more.

    Returns:
        How many were stored.

    Raises:
        NotApprovedError: the person is no reviewer, the key is another's, or a release that rests on it is signed.
    """
    may_review(person)
    if public_key(private_key) != person.public_key:
        raise NotApprovedError("The key is not the one that is registered for this person.", "Use the person's own key.")
    stored = 0
    with deciding(engine) as connection:
        if _signed(connection, resting):
            raise NotApprovedError(
                "A release with these terms is signed: what was decided on them stands.", "Plan a new version to decide anew."
            )
        known, number = _last(connection, plan), decisions_made(connection)
        for (speaker, term), decision in decisions.items():
            before = known.get((speaker, term))
            if before is not None and before.decision is decision and before.person == person.id:
                continue
            revision = before.revision + 1 if before else 1
            review = TermReview(plan, speaker, term, revision, decision, person.id, datetime.now(UTC).isoformat())
            stored += 1
            row = {**vars(review), "decision": str(decision), "signature": sign(private_key, review.to_sign())}
            connection.execute(insert(term_reviews).values(number=number + stored, **row))
    return stored


def in_force(engine: Engine, plans: Sequence[str], people: People) -> dict[TermKey, TermReview]:
    """The decision that holds on each term: the last one for the first of these plans that has any on it.

    A decision of somebody who is no reviewer any more does not hold, nor does any before it: the term waits again.

    Raises:
        NotApprovedError: a decision is not signed by whom it names, or one that was taken back is there again or missing.
    """
    last: dict[TermKey, TermReview] = {}
    reviews = _reviews(engine, plans)
    for plan in plans:
        for key, given in reviews.get(plan, {}).items():
            if [review.revision for review in given] != list(range(1, len(given) + 1)):
                raise NotApprovedError("Decisions on terms are missing, or stand there twice.", _RESTORE)
            for review in given:
                _verify(review, people)
            last.setdefault(key, given[-1])
    reviewers = {person.id for person in people.by_id.values() if person.role == REVIEWING_ROLE}
    return {key: review for key, review in last.items() if review.person in reviewers}


_RESTORE = "Restore the state database from a backup, and find out who changed it."


def _verify(review: TermReview, people: People) -> None:
    person = people.by_id.get(review.person)
    if person is not None and not verify(person.public_key, review.to_sign(), review.signature):
        raise NotApprovedError("A decision on a term is not signed by the person whom it names.", _RESTORE)


def _signed(connection: Connection, releases: Iterable[tuple[Quarter, int]]) -> bool:
    of = [(signoffs.c.quarter == str(quarter)) & (signoffs.c.version == version) for quarter, version in releases]
    return connection.execute(select(signoffs.c.role).where(or_(false(), *of)).limit(1)).first() is not None


def _reviews(engine: Engine, plans: Sequence[str]) -> dict[str, dict[TermKey, list[TermReview]]]:
    found: dict[str, dict[TermKey, list[TermReview]]] = defaultdict(lambda: defaultdict(list))
    with engine.connect() as connection:
        for review in _of(connection, plans):
            found[review.plan][review.key].append(review)
    return found


def _last(connection: Connection, plan: str) -> dict[TermKey, TermReview]:
    return {review.key: review for review in _of(connection, (plan,))}


def _of(connection: Connection, plans: Sequence[str]) -> Iterator[TermReview]:
    names = [column.name for column in term_reviews.columns if column.name != "number"]
    query = (
        select(*(term_reviews.c[name] for name in names)).where(term_reviews.c.plan.in_(plans)).order_by(term_reviews.c.number)
    )
    for row in connection.execute(query).mappings():
        known = row["decision"] in set(Decision)
        # Of a decision that nobody could have signed, the signature cannot hold.
        yield TermReview(
            **{
                **row,
                "decision": Decision(row["decision"]) if known else Decision.REJECT,
                "signature": row["signature"] if known else "",
            }
        )
