"""Found terms of a pool's quarter: what waits for a reviewer, what was decided, and the tables that follow.

Terms are what users wrote: they are in what is returned here, and in no message, log or state of a run.
"""

import csv
import hashlib
import hmac
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path

import orjson

from aggregate.answer import Answer
from aggregate.measurement import earlier
from aggregate.terms_table import FoundTerm, found_terms, terms_table
from flows.logs import Event, log
from flows.pool import Pool
from publish.content import members_digest, public_terms, sorted_rows, terms_digest
from publish.path import State, has_reached
from publish.signoff import APPROVING_ROLES, Person
from publish.store import decisions_made, state_of, states
from publish.term_reviews import Decision, TermKey, TermReview, decide, in_force, may_review
from publish.verify import manifest_of
from schemas.errors import CheckFailedError, NotApprovedError, UsageError
from schemas.periods import Quarter
from schemas.plan import RegisteredPlan
from schemas.stages import CheckResult, MeasuredRelease, NoisyTable

TERMS_REVIEWED = "terms_reviewed"
"""The check of a release that no term waits."""

_MOST_BYTES = 16 << 20
_COLUMNS = ("speaker", "term", "decision")


@dataclass(frozen=True)
class ReleaseTerms:
    """Every term that a plan found or follows, with the decisions that hold for its release. `salt` is of the members' digest."""

    plan: RegisteredPlan
    found: tuple[FoundTerm, ...] = field(repr=False)
    reviews: Mapping[TermKey, TermReview] = field(repr=False)
    salt: str = field(repr=False)

    @property
    def waiting(self) -> tuple[FoundTerm, ...]:
        """Those that nobody has decided on."""
        return tuple(each for each in self.found if each.key not in self.reviews)

    @property
    def counts(self) -> dict[str, int]:
        """How many wait, and how many were decided in each way."""
        decided = Counter(self.reviews[each.key].decision for each in self.found if each.key in self.reviews)
        return {"waiting": len(self.waiting), **{str(decision): decided[decision] for decision in Decision}}

    def told(self, *decisions: Decision) -> NoisyTable:
        """The table of the terms that were decided so."""
        held = {key: str(review.decision) for key, review in self.reviews.items() if review.decision in decisions}
        return terms_table(self.found, held, self.plan)

    @property
    def for_members(self) -> NoisyTable:
        """What members may read: their own terms, and the public ones."""
        return self.told(Decision.PUBLIC, Decision.MEMBERS)

    @property
    def result(self) -> CheckResult:
        """The check of a release that no term waits. It stops, and it counts only."""
        waiting = len(self.waiting)
        told = f"{waiting} terms wait for review." if waiting else "A reviewer has decided on every term."
        return CheckResult(TERMS_REVIEWED, not waiting, True, told)


def looks_for_terms(plan: RegisteredPlan) -> bool:
    """Whether a plan's release has a table of terms."""
    return bool(plan.release_plan.terms)


def release_terms(pool: Pool, plan: RegisteredPlan) -> ReleaseTerms:
    """The terms of a measured plan. Raises NotApprovedError where it is not measured, or a decision is not its reviewer's."""
    stored = pool.ledger.stored_answer(plan.hash)
    if stored is None:
        raise NotApprovedError(f"{plan.quarter} has not been measured.", f"Run `commons measure {plan.quarter}`.")
    before = earlier(plan, pool.ledger)
    decided_for = [each.hash for goes_on in (plan, *(other for other, _ in before)) for each in _versions(pool, goes_on)]
    # Nobody who has the release alone can make it: most of an answer is published nowhere.
    salt = hmac.new(stored, b"salt of what members are told", hashlib.sha256).hexdigest()
    reviews = in_force(pool.engine, decided_for, pool.people)
    return ReleaseTerms(plan, found_terms(plan, Answer.from_bytes(stored), before), reviews, salt)


def _versions(pool: Pool, plan: RegisteredPlan) -> Iterator[RegisteredPlan]:
    """A plan and those that it superseded, newest first: what was decided for one holds on until it is decided anew."""
    yield plan
    for version in range(plan.version - 1, 0, -1):
        superseded = pool.ledger.plan(Quarter.parse(plan.quarter), version)
        if superseded is not None:
            yield superseded


def quarters_terms(pool: Pool, quarter: Quarter) -> ReleaseTerms:
    """The terms of a quarter's latest plan. Raises UsageError where there is none, or it looks for none."""
    plan = pool.ledger.plan(quarter)
    if plan is None or not looks_for_terms(plan):
        raise UsageError(f"No plan of {quarter} that looks for terms is registered.", f"`commons plan {quarter}` registers one.")
    return release_terms(pool, plan)


def with_terms(pool: Pool, measured: MeasuredRelease) -> MeasuredRelease:
    """A measured release with its public table of terms, and the digest of the members' one: what is checked and signed."""
    if not looks_for_terms(measured.plan):
        return measured
    terms = release_terms(pool, measured.plan)
    rows = sorted_rows(terms.for_members, measured.plan.release_plan)
    return replace(
        measured,
        tables=(*measured.tables, terms.told(Decision.PUBLIC)),
        members_digest=members_digest(rows, terms.salt),
    )


def waiting_terms(pool: Pool, quarter: Quarter, state: State | None) -> int:
    """How many terms of a quarter's latest plan wait for review; 0 once it is approved, when none can."""
    plan = pool.ledger.plan(quarter)
    if plan is None or state not in (State.MEASURED, State.CHECKED) or not looks_for_terms(plan):
        return 0
    return len(release_terms(pool, plan).waiting)


def decisions_so_far(pool: Pool) -> int:
    """How many decisions there are, on any term of any quarter."""
    with pool.engine.connect() as connection:
        return decisions_made(connection)


def require_reviewed(pool: Pool, plan: RegisteredPlan) -> None:
    """Raises CheckFailedError while a term of a plan waits."""
    if looks_for_terms(plan) and not (result := release_terms(pool, plan).result).passed:
        raise CheckFailedError(result.detail, f"A reviewer runs `commons terms review {plan.quarter} --key KEY`.")


def signed_terms_digest(pool: Pool, plan: RegisteredPlan) -> str:
    """What signatures of a release must cover of its terms: of a published one as it is, of another as it would be now."""
    quarter = Quarter.parse(plan.quarter)
    if not looks_for_terms(plan):
        return ""
    folder = pool.releases / plan.quarter / f"v{plan.version}"
    if has_reached(state_of(pool.engine, quarter, plan.version), State.PUBLISHED) and folder.exists():
        return str(manifest_of(folder).get("terms_digest", ""))
    terms = release_terms(pool, plan)
    rows = sorted_rows(terms.for_members, plan.release_plan)
    return terms_digest(public_terms(rows), members_digest(rows, terms.salt))


def decide_terms(
    pool: Pool, terms: ReleaseTerms, decisions: Mapping[TermKey, Decision], person: Person, private_key: bytes
) -> int:
    """Signs and stores a reviewer's decisions on terms of a release, all or none; returns how many are new.

    Raises:
        NotApprovedError: the person is no reviewer, or a release that rests on these decisions has a signature.
        UsageError: a term is none of this release.
    """
    if set(decisions) - {each.key for each in terms.found}:
        raise UsageError("A term is none of this release.", "`commons terms list --key` lists them.")
    stored = decide(pool.engine, terms.plan.hash, decisions, person, private_key, _resting(pool, terms.plan))
    log(pool, Event.TERMS_REVIEWED, quarter=terms.plan.quarter, rows=stored)
    return stored


def _resting(pool: Pool, plan: RegisteredPlan) -> list[tuple[Quarter, int]]:
    """The release of a plan, and those of later quarters that go on from it."""
    own = Quarter.parse(plan.quarter)
    later = [(Quarter.parse(name), version) for name, version in states(pool.engine) if Quarter.parse(name) > own]
    plans = [(pool.ledger.plan(quarter, version), (quarter, version)) for quarter, version in later]
    return [(own, plan.version), *(release for other, release in plans if other is not None and plan.hash in other.history)]


def reviewer(person: Person) -> Person:
    """The person, where they may decide on terms. Raises NotApprovedError."""
    may_review(person)
    return person


def sees_terms(person: Person) -> None:
    """Raises NotApprovedError where a person is none of those who sign a release: nobody else needs to read its terms."""
    if person.role not in APPROVING_ROLES:
        raise NotApprovedError("Only who signs a release may read the terms that were found.", "Use an approver's key.")


def decisions_in(path: Path) -> dict[TermKey, Decision]:
    """Decisions from a file: CSV with the columns speaker, term, decision, or JSON as `commons terms list --json` prints it.

    Rows without a decision are left out. Raises UsageError, which names the row and never what stands in it.
    """
    rows = _rows(path)
    if rows is None:
        raise UsageError("The file of decisions cannot be read.", f"CSV with the columns {', '.join(_COLUMNS)}, or JSON.")
    decisions: dict[TermKey, Decision] = {}
    for number, row in enumerate(rows, start=1):
        speaker, term, decision = (row.get(name) if isinstance(row, dict) else None for name in _COLUMNS)
        if isinstance(speaker, str) and isinstance(term, str) and decision in ("", None):
            continue
        if not isinstance(speaker, str) or not isinstance(term, str) or decision not in set(Decision):
            raise UsageError(f"Row {number} of the decisions breaks a rule.", f"A decision is {', '.join(Decision)}.")
        if (speaker, term) in decisions:
            raise UsageError(f"Row {number} decides on a term that was decided on above.", "Give each term once.")
        decisions[speaker, term] = Decision(decision)
    return decisions


def _rows(path: Path) -> list[object] | None:
    try:
        data = path.read_bytes()
        if len(data) > _MOST_BYTES:
            return None
        if path.suffix == ".json":
            read = orjson.loads(data)
            rows = read.get("terms") if isinstance(read, dict) else read
            return rows if isinstance(rows, list) else None
        reader = csv.DictReader(StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        return list(reader) if set(_COLUMNS) <= set(reader.fieldnames or ()) else None
    except (OSError, ValueError, csv.Error):  # whose text quotes what was read
        return None
