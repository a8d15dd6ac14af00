"""What approvers are shown before they sign: what is in a release, what it costs, what the checks say, what changed."""

from dataclasses import dataclass

from flows.briefs import measured_release, staff_text, text_path
from flows.pool import Pool
from flows.terms import looks_for_terms, release_terms
from publish.brief import cells_by_status
from publish.cells import ReleaseCells
from publish.changes import Change, release_changes
from publish.findings import find
from publish.path import State, has_reached
from publish.signoff import SignedContent, missing_roles
from publish.staff_text import Objection, StaffText
from publish.store import states, stored_checks, stored_signoffs
from schemas.errors import CommonsError
from schemas.periods import Quarter
from schemas.stages import CheckResult, MeasuredRelease, SignOff


@dataclass(frozen=True)
class ToSign:
    """The screen before a signature. `content` is what the signature covers; everything else is there to judge it by."""

    measured: MeasuredRelease
    content: SignedContent
    statuses: list[dict[str, int | str]]
    claims: int
    text: StaffText
    text_file: str
    objections: list[Objection]
    checks: list[CheckResult]
    earlier: str
    changes: list[Change]
    signed: tuple[SignOff, ...]
    terms: dict[str, int]  # how many wait, and how many were decided in which way

    @property
    def missing(self) -> tuple[str, ...]:
        """Roles that nobody has signed in yet."""
        return missing_roles(self.signed)


def to_sign(pool: Pool, quarter: Quarter) -> ToSign:
    """What would be signed now. Raises UsageError or NotApprovedError where nothing has been measured."""
    measured = measured_release(pool, quarter)
    cells, text = ReleaseCells(measured), staff_text(pool, quarter)
    claims, before = find(cells), earlier_measured(pool, quarter)
    changes = [] if before is None else release_changes(measured, before, claims, find(ReleaseCells(before)))
    return ToSign(
        measured=measured,
        content=SignedContent.of(measured, text.digest),
        statuses=cells_by_status(cells),
        claims=len(claims),
        text=text,
        text_file=str(text_path(pool, quarter).relative_to(pool.root)) if text.source else "",
        objections=text.objections(cells),
        checks=stored_checks(pool.engine, quarter, measured.version),
        earlier="" if before is None else f"{before.quarter}/v{before.version}",
        changes=changes,
        signed=stored_signoffs(pool.engine, quarter, measured.version),
        terms=release_terms(pool, measured.plan).counts if looks_for_terms(measured.plan) else {},
    )


def earlier_measured(pool: Pool, quarter: Quarter) -> MeasuredRelease | None:
    """The latest measured release of the last quarter before this one that has any."""
    known = [(Quarter.parse(name), state) for (name, _), state in states(pool.engine).items()]
    before = sorted({other for other, state in known if other < quarter and has_reached(state, State.MEASURED)})
    for other in reversed(before):
        try:
            return measured_release(pool, other)
        except CommonsError:  # planned anew and not measured, or an answer that is no longer held
            continue
    return None
