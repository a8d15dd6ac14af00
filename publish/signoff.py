"""Sign-offs: two people in two roles, neither of whom made the plan, each with a key of their own."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from publish.content import signed_terms, tables_digest
from schemas.canonical import canonical_json
from schemas.errors import NotApprovedError, UsageError
from schemas.signing import decode_key, encode_key, public_key, sign, verify
from schemas.stages import MeasuredRelease, SignOff

APPROVING_ROLES: tuple[str, ...] = ("clinical", "privacy")
ROLES: Mapping[str, str] = {
    "operator": "plans and runs releases",
    "clinical": "clinician or lived-experience adviser; approves",
    "privacy": "privacy reviewer; approves",
}
_PERSON_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
_REGISTRY_HELP = "Each [[person]] has id, role (operator, clinical or privacy), public_key and, if wanted, name."


@dataclass(frozen=True)
class Person:
    """One person of the registry. `public_key` is 32 raw bytes."""

    id: str
    role: str
    public_key: bytes
    name: str = ""


@dataclass(frozen=True)
class People:
    """The people who may plan or approve, by id."""

    by_id: Mapping[str, Person]

    def get(self, person: str) -> Person:
        """One person. Raises NotApprovedError where the registry has none of that id."""
        found = self.by_id.get(person)
        if found is None:
            raise NotApprovedError("This person is not in the registry of people.", "Add them, with role and public key.")
        return found


@dataclass(frozen=True)
class SignedContent:
    """What is signed: which release, plan, numbers, text of staff, and terms. The role is added for each signature."""

    quarter: str
    version: int
    plan_hash: str
    tables_digest: str
    text_digest: str = ""  # of staff's own paragraphs of the brief; empty where there are none
    terms_digest: str = ""  # of the terms that reviewers let out, to everyone and to members; empty where none are looked for

    @classmethod
    def of(cls, measured: MeasuredRelease, text_digest: str = "") -> "SignedContent":
        """The content of a measured release with staff's text."""
        terms = signed_terms(measured)
        return cls(str(measured.quarter), measured.version, measured.plan.hash, tables_digest(measured), text_digest, terms)

    def to_sign(self, role: str) -> bytes:
        """Canonical bytes that a person in `role` signs."""
        return canonical_json(
            {
                "quarter": self.quarter,
                "version": self.version,
                "plan_hash": self.plan_hash,
                "tables_digest": self.tables_digest,
                "role": role,
                **({"text_digest": self.text_digest} if self.text_digest else {}),
                **({"terms_digest": self.terms_digest} if self.terms_digest else {}),
            }
        )


def _person(raw: Mapping[str, Any]) -> Person:
    person, role, key = raw.get("id"), raw.get("role"), raw.get("public_key")
    known = {"id", "role", "public_key", "name"}
    if not (isinstance(person, str) and _PERSON_ID.fullmatch(person)) or role not in ROLES or not isinstance(key, str):
        raise UsageError("An entry of the registry of people breaks a rule.", _REGISTRY_HELP)
    if set(raw) - known or not isinstance(raw.get("name", ""), str):
        raise UsageError("An entry of the registry of people has an unknown field.", _REGISTRY_HELP)
    return Person(person, str(role), decode_key(key), raw.get("name", ""))


def load_people(path: Path) -> People:
    """Reads the registry of people (`[[person]]` entries in TOML).

    Raises:
        UsageError: missing, unreadable, an unknown field or role, an id twice, or one key for two people.
    """
    try:
        raw: dict[str, Any] | None = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raw = None
    entries = raw.get("person", []) if raw is not None and set(raw) <= {"person"} else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UsageError("The registry of people cannot be read.", _REGISTRY_HELP)
    people = [_person(entry) for entry in entries]
    if len({p.id for p in people}) != len(people) or len({p.public_key for p in people}) != len(people):
        # One key under two ids would let one person be both approvers.
        raise UsageError("The registry of people has an id or a key twice.", "Each person has a key of their own.")
    return People({p.id: p for p in people})


def verify_signoff(content: SignedContent, people: People, planner: str, signoff: SignOff) -> None:
    """Checks one sign-off: a known person in that very role, not the planner, whose key signed this content.

    Raises:
        NotApprovedError: any of that does not hold.
    """
    person, made_plan = people.get(signoff.person), people.get(planner)
    if signoff.role not in APPROVING_ROLES or person.role != signoff.role:
        raise NotApprovedError("A sign-off is in a role that this person does not hold.", "Approvers are clinical or privacy.")
    if person.id == planner or person.public_key == made_plan.public_key:
        raise NotApprovedError("Whoever made the plan cannot approve its release.", "Ask another person in that role.")
    if signoff.signed_at.utcoffset() is None:
        raise NotApprovedError("The time of a sign-off has no time zone.", "Sign again.")
    if not verify(person.public_key, content.to_sign(signoff.role), signoff.signature):
        raise NotApprovedError(
            "A signature does not hold for this plan, these tables and terms, and this text of staff.",
            "Put the text back as it was when it was signed; numbers do not change.",
        )


def missing_roles(signoffs: Iterable[SignOff]) -> tuple[str, ...]:
    """Approving roles that nobody has signed in yet."""
    signed = {signoff.role for signoff in signoffs}
    return tuple(role for role in APPROVING_ROLES if role not in signed)


def verify_signoffs(content: SignedContent, people: People, planner: str, signoffs: Iterable[SignOff]) -> None:
    """Checks that a release is approved: each role signed once, by different people with different keys, none the planner.

    Raises:
        NotApprovedError: a role is missing or signed twice, one person or key signed twice, or a signature does not hold.
    """
    given = tuple(signoffs)
    if missing := missing_roles(given):
        raise NotApprovedError(f"Not signed yet: {', '.join(missing)}.", "`commons approve` takes the missing signatures.")
    for signoff in given:
        verify_signoff(content, people, planner, signoff)
    keys = {people.get(signoff.person).public_key for signoff in given}
    if not len(given) == len(APPROVING_ROLES) == len({s.person for s in given}) == len(keys):
        raise NotApprovedError("Two different people must sign, each once and with a key of their own.", "Ask a second person.")


def sign_off(
    measured: MeasuredRelease,
    people: People,
    person: str,
    private_key: bytes,
    signed_at: datetime,
    existing: Iterable[SignOff] = (),
    text_digest: str = "",
) -> SignOff:
    """Signs a measured release in the role that the registry gives a person, and verifies the result as publishing will.

    Args:
        measured: what is signed.
        people: the registry.
        person: id of who signs.
        private_key: 32 raw bytes; its public key must be the registered one.
        signed_at: when, with a time zone.
        existing: sign-offs that are there already: they must hold for the very same content.
        text_digest: of staff's text.

    Raises:
        NotApprovedError: unknown person, wrong role or key, the planner, a role or person that signed already, or a sign-off
            under another text.
    """
    role = people.get(person).role
    if any(role == done.role or person == done.person for done in existing):
        raise NotApprovedError("This role or this person has signed already.", "`commons status` shows who is missing.")
    content = SignedContent.of(measured, text_digest)
    for done in existing:
        verify_signoff(content, people, measured.plan.planner, done)
    signoff = SignOff(person, role, signed_at.astimezone(UTC), sign(private_key, content.to_sign(role)))
    if public_key(private_key) != people.get(person).public_key:
        raise NotApprovedError("The key is not the one that is registered for this person.", "Use the person's own key.")
    verify_signoff(content, people, measured.plan.planner, signoff)
    return signoff


def signoff_entry(signoff: SignOff, people: People) -> dict[str, str]:
    """A sign-off as it stands in the manifest: with the public key, so that anyone can verify it, and without a name."""
    return {
        "person": signoff.person,
        "role": signoff.role,
        "signed_at": signoff.signed_at.astimezone(UTC).isoformat(timespec="seconds"),
        "signature": signoff.signature,
        "public_key": encode_key(people.get(signoff.person).public_key),
    }
