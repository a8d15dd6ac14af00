"""Reviewers' decisions on found terms: what each does, who may take one, and how each is signed, kept and verified.

Terms are what users wrote. They stand in the table and in what reviewers are shown, and in no message, repr or log.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import Connection, Engine, false, insert, or_, select

from publish.signoff import People, Person
from publish.store import deciding, signoffs, term_reviews
from schemas.canonical import canonical_json, sha256_bytes
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
    """One decision as it is stored. `number` and `previous`, the digest of the one before, chain them: the last on a term holds."""

    number: int
    plan: str
    speaker: str
    term: str = field(repr=False)
    previous: str
    decision: Decision = field(repr=False)
    person: str
    decided_at: str
    signature: str = field(default="", repr=False)

    @property
    def key(self) -> TermKey:
        """What it is on."""
        return self.speaker, self.term

    def to_sign(self) -> bytes:
        """Canonical bytes that the reviewer signs: for one release and one place, so that none can be played again."""
        return canonical_json(
            {
                "what": "term_review",
                "number": self.number,
                "previous": self.previous,
                "plan": self.plan,
                "speaker": self.speaker,
                "term": self.term,
                "decision": str(self.decision),
                "person": self.person,
                "decided_at": self.decided_at,
            }
        )

    @property
    def digest(self) -> str:
        """What the next decision names."""
        return sha256_bytes(self.to_sign() + self.signature.encode())


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
    with deciding(engine) as connection:
        if _signed(connection, resting):
            raise NotApprovedError(
                "A release with these terms is signed: what was decided on them stands.", "Plan a new version to decide anew."
            )
        given = list(_reviews(connection))
        last, before = {review.key: review for review in given if review.plan == plan}, len(given)
        for (speaker, term), decision in decisions.items():
            known = last.get((speaker, term))
            if known is not None and (known.decision, known.person) == (decision, person.id):
                continue
            previous, at = given[-1].digest if given else "", datetime.now(UTC).isoformat()
            review = TermReview(len(given) + 1, plan, speaker, term, previous, decision, person.id, at)
            given.append(replace(review, signature=sign(private_key, review.to_sign())))
            connection.execute(insert(term_reviews).values(**{**vars(given[-1]), "decision": str(decision)}))
    return len(given) - before


def in_force(engine: Engine, plans: Sequence[str], people: People) -> dict[TermKey, TermReview]:
    """The decision that holds on each term: the last one for the first of these plans that has any on it.

    A decision of somebody who is no reviewer any more does not hold, nor does any before it: the term waits again.

    Raises:
        NotApprovedError: of all decisions there are, one is not signed by whom it names, or not in its place in the chain.
    """
    last: dict[str, dict[TermKey, TermReview]] = defaultdict(dict)
    previous = ""
    with engine.connect() as connection:
        for number, review in enumerate(_reviews(connection), start=1):
            person = people.by_id.get(review.person)
            if person is not None and not verify(person.public_key, review.to_sign(), review.signature):
                raise NotApprovedError("A decision on a term is not signed by the person whom it names.", _RESTORE)
            if (review.number, review.previous) != (number, previous):
                raise NotApprovedError("Decisions on terms are missing, or not as they were written.", _RESTORE)
            previous = review.digest
            last[review.plan][review.key] = review
    held: dict[TermKey, TermReview] = {}
    for plan in plans:
        held = last[plan] | held
    reviewers = {person.id for person in people.by_id.values() if person.role == REVIEWING_ROLE}
    return {key: review for key, review in held.items() if review.person in reviewers}


_RESTORE = "Restore the state database from a backup, and find out who changed it."


def _signed(connection: Connection, releases: Iterable[tuple[Quarter, int]]) -> bool:
    of = [(signoffs.c.quarter == str(quarter)) & (signoffs.c.version == version) for quarter, version in releases]
    return connection.execute(select(signoffs.c.role).where(or_(false(), *of)).limit(1)).first() is not None


def _reviews(connection: Connection) -> Iterator[TermReview]:
    """All decisions, in order."""
    for row in connection.execute(select(term_reviews).order_by(term_reviews.c.number)).mappings():
        if row["decision"] not in set(Decision):
            raise NotApprovedError("Decisions on terms are missing, or not as they were written.", _RESTORE)
        yield TermReview(**{**row, "decision": Decision(row["decision"])})
