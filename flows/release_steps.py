"""Steps of a release as plain functions: plan, measure, check, approve, publish. Each may be repeated."""

import time
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from importlib.metadata import version as package_version
from pathlib import Path

from aggregate.comparing import changes_commitment, comparisons, groups_of
from aggregate.measurement import answered, commitment, measure, panel_of
from flows.briefs import helplines, measured_release, staff_text, text_result
from flows.budget import refuse_broken_ledger
from flows.history import earlier_plans, newcomers
from flows.logs import Event, log
from flows.pool import MEMBERS_KEY, RELEASE_KEY, SAMPLING_SECRET, Pool
from flows.scrubbing import scrubbed_records
from flows.terms import decisions_so_far, looks_for_terms, release_terms, require_reviewed
from flows.turns import Turn, in_turn
from publish.cells import ReleaseCells
from publish.checks import run_checks
from publish.path import State, has_reached
from publish.signoff import Person, SignedContent, sign_off, verify_signoffs
from publish.store import (
    mark_measured,
    mark_planned,
    mark_published,
    record_checks,
    record_signoff,
    require_checks,
    state_of,
    stored_checks,
    stored_signoffs,
)
from schemas.errors import NotApprovedError, UsageError
from schemas.periods import Quarter
from schemas.plan import RegisteredPlan
from schemas.signing import decode_key, public_key
from schemas.stages import CheckResult, MeasuredRelease, Release, SignOff


def person_of(pool: Pool, key_file: Path) -> tuple[Person, bytes]:
    """Who holds a key file, by the registry of people, and the key. Raises UsageError or NotApprovedError."""
    try:
        private_key = decode_key(key_file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        private_key = b""
    if not private_key:
        raise UsageError("The key file cannot be read.", "Make one with `commons keygen`.")
    own = public_key(private_key)
    for person in pool.people.by_id.values():
        if person.public_key == own:
            return person, private_key
    raise NotApprovedError("The key belongs to nobody in people.toml.", "Register its public key with a role.")


def registered_plan(pool: Pool, quarter: Quarter) -> RegisteredPlan:
    """The latest registered plan of a quarter. Raises UsageError where there is none."""
    found = pool.ledger.plan(quarter)
    if found is None:
        raise UsageError(f"No plan of {quarter} is registered.", f"Register one with `commons plan {quarter}`.")
    return found


def make_plan(pool: Pool, quarter: Quarter, key_file: Path, reason: str = "") -> RegisteredPlan:
    """Registers the plan of a quarter before any data are read.

    Without a reason it is the quarter's first release; with one it is a superseding version, paid from the quarter's reserve.
    Asked again, by the same reason or without one, the registered plan is returned while it is not published. What is taken in
    waits meanwhile: whatever is received before a plan is in the catalogue before it. Raises UsageError where the quarter is not
    closed or the configuration changed since, NotApprovedError where the key is not an operator's, BudgetRefusedError where the
    plan could not be paid.
    """
    planner, _ = person_of(pool, key_file)
    if planner.role != "operator":
        raise NotApprovedError("Only an operator makes plans.", "Use the key of a person whose role is operator.")
    closes = quarter.end + timedelta(days=pool.privacy.close_days)
    if datetime.now(UTC) < closes:
        raise UsageError(f"{quarter} is not closed before {closes.date()}.", "Late outcomes are still coming in.")
    with in_turn(pool, Turn.INGEST):
        existing = pool.ledger.plan(quarter)
        if existing is not None and _is_asked_again(pool, existing, reason):
            mark_planned(pool.engine, quarter, existing.version, existing.hash)
            return existing
        plan = _new_plan(pool, quarter, planner.id, existing, reason)
        pool.ledger.refuse_unpayable(plan)
        pool.ledger.register(plan)
    mark_planned(pool.engine, quarter, plan.version, plan.hash)
    log(pool, Event.PLAN_REGISTERED, quarter=str(quarter))
    return plan


def _is_asked_again(pool: Pool, existing: RegisteredPlan, reason: str) -> bool:
    same = existing.parameters == pool.privacy.model_dump(mode="json") and existing.plan == _questions(pool)
    if reason:
        state = state_of(pool.engine, Quarter.parse(existing.quarter), existing.version)
        return same and reason == existing.reason and not has_reached(state, State.PUBLISHED)
    if not same:
        raise UsageError("The configuration changed since the plan was registered.", "Give `--supersede REASON` to plan anew.")
    return True


def _questions(pool: Pool) -> dict[str, object]:
    return pool.release_plan.model_dump(mode="json", by_alias=True)


def _new_plan(pool: Pool, quarter: Quarter, planner: str, existing: RegisteredPlan | None, reason: str) -> RegisteredPlan:
    companies = pool.catalogue.contributors(quarter)
    registered = [pool.registry.companies[name] for name in companies if name in pool.registry.companies]
    if not companies or len(registered) < len(companies):
        raise UsageError(f"No registered company has accepted records of {quarter}.", "`commons status` shows what came in.")
    if len({company.synthetic for company in registered}) > 1:
        raise UsageError("Synthetic and real companies are in one pool.", "Keep demonstrations under a root of their own.")
    kinds = {measure.outcome_kind for measure in pool.release_plan.measures if measure.outcome_kind}
    minimum = pool.privacy.companies.minimum
    missing = sorted(k for k in kinds if sum(k not in company.not_collected for company in registered) < minimum)
    budget, secret = pool.privacy.budget, pool.secret(SAMPLING_SECRET)
    history = earlier_plans(pool, quarter, synthetic=registered[0].synthetic)
    return RegisteredPlan(
        quarter=str(quarter),
        version=existing.version + 1 if existing else 1,
        synthetic=registered[0].synthetic,
        reason=reason or "first release",
        planner=planner,
        contributors=len(companies),
        not_collected=tuple(missing),
        rho=str(budget.reserve_rho if existing else budget.first_release_rho),
        threshold_delta=str(_threshold_delta(pool, first=existing is None)),
        secret_commitment=commitment(secret, quarter),
        history=tuple(plan.hash for plan in history),
        panel=panel_of(secret, companies),
        newcomers=len(newcomers(pool, companies, next(iter(history), None))),
        changes=changes_commitment(pool.changes, quarter, secret),
        compared=groups_of(comparisons(pool.changes, companies, pool.release_plan.change_classes, quarter, minimum)),
        parameters=pool.privacy.model_dump(mode="json"),
        plan=_questions(pool),
    )


def _threshold_delta(pool: Pool, *, first: bool) -> Fraction:
    """δ is charged only where a thresholded mechanism is in the plan."""
    budget = pool.privacy.budget
    given = budget.first_release_threshold_delta if first else budget.reserve_threshold_delta
    return given if pool.release_plan.terms else Fraction(0)


def measure_release(pool: Pool, quarter: Quarter) -> MeasuredRelease:
    """Measures the registered plan of a quarter, once: asked again, the stored answer comes back and nothing is spent."""
    with in_turn(pool, Turn.RELEASE):
        plan = registered_plan(pool, quarter)
        measured = answered(plan, pool.ledger)
        if measured is None:
            refuse_broken_ledger(pool)
            before = pool.ledger.plan_by_hash(plan.history[0]) if plan.history else None
            records = scrubbed_records(pool, quarter, pool.ledger.planned_at(plan.hash), before)
            start = time.monotonic()
            measured = measure(plan, records, pool.ledger, pool.secret(SAMPLING_SECRET), pool.scratch, pool.measurement_settings)
            log(pool, Event.MEASURED, quarter=str(quarter), seconds=time.monotonic() - start)
        mark_measured(pool.engine, measured)
        return measured


def check_release(pool: Pool, quarter: Quarter) -> list[CheckResult]:
    """Runs and stores the checks of a measured release; once approved, the stored results are returned."""
    with in_turn(pool, Turn.RELEASE):
        measured = measured_release(pool, quarter)
        if has_reached(state_of(pool.engine, quarter, measured.version), State.APPROVED):
            return stored_checks(pool.engine, quarter, measured.version)
        start = time.monotonic()
        reviewed = [release_terms(pool, measured.plan).result] if looks_for_terms(measured.plan) else []
        results = [*run_checks(measured), *reviewed, text_result(staff_text(pool, quarter), measured)]
        record_checks(pool.engine, measured, results)
        log(pool, Event.CHECKED, quarter=str(quarter), seconds=time.monotonic() - start)
        return results


def stored_results(pool: Pool, quarter: Quarter) -> list[CheckResult]:
    """The stored check results of a quarter's latest plan."""
    return stored_checks(pool.engine, quarter, registered_plan(pool, quarter).version)


def approve_release(pool: Pool, quarter: Quarter, key_file: Path, shown: SignedContent | None = None) -> tuple[SignOff, ...]:
    """Signs a checked release, with staff's text as it stands, with a person's key.

    Args:
        pool: the pool.
        quarter: the quarter.
        key_file: the person's private key.
        shown: what the person was shown; nothing else is signed.

    Raises:
        NotApprovedError: that person may not, or what would be signed is not what was shown or what another has signed.
        CheckFailedError: a check stops the release, staff's text is not supported, or a term waits for review.
    """
    decided = decisions_so_far(pool)  # before they are read: one that is added meanwhile refuses the signature
    measured = measured_release(pool, quarter)
    person, private_key = person_of(pool, key_file)
    existing = stored_signoffs(pool.engine, quarter, measured.version)
    if not any(done.person == person.id for done in existing):
        require_checks(stored_checks(pool.engine, quarter, measured.version))
        text = staff_text(pool, quarter)
        text.require(ReleaseCells(measured))  # the checks saw it as it was then
        require_reviewed(pool, measured.plan)
        if shown is not None and shown != SignedContent.of(measured, text.digest):
            raise NotApprovedError("What would be signed has changed since it was shown.", "Look at it again.")
        signed = sign_off(measured, pool.people, person.id, private_key, datetime.now(UTC), existing, text.digest)
        record_signoff(pool.engine, measured, pool.people, signed, text.digest, decided)
        log(pool, Event.APPROVED, quarter=str(quarter))
    return stored_signoffs(pool.engine, quarter, measured.version)


def is_approved(pool: Pool, quarter: Quarter) -> bool:
    """Whether both have signed the latest version of a quarter."""
    return has_reached(state_of(pool.engine, quarter, registered_plan(pool, quarter).version), State.APPROVED)


def publish_release(pool: Pool, quarter: Quarter) -> Release:
    """Writes what an approved release tells members, its release folder and catalogue entry. Again: the same, unchanged."""
    with in_turn(pool, Turn.RELEASE):
        return _publish(pool, quarter)


def _publish(pool: Pool, quarter: Quarter) -> Release:
    from publish.release import write_release

    measured = measured_release(pool, quarter)
    state = state_of(pool.engine, quarter, measured.version)
    if not has_reached(state, State.APPROVED):
        raise NotApprovedError(
            f"{quarter} version {measured.version} is not approved.", "Two people sign with `commons approve`."
        )
    checks = stored_checks(pool.engine, quarter, measured.version)
    signoffs = stored_signoffs(pool.engine, quarter, measured.version)
    require_checks(checks)
    text = staff_text(pool, quarter)
    verify_signoffs(SignedContent.of(measured, text.digest), pool.people, measured.plan.planner, signoffs)
    code_version, start = package_version("incident-commons"), time.monotonic()
    if looks_for_terms(measured.plan):
        _write_for_members(pool, measured, signoffs, code_version, text.digest)
    release = write_release(
        measured,
        checks,
        signoffs,
        pool.people,
        pool.releases,
        signing_key=pool.secret(RELEASE_KEY),
        code_version=code_version,
        helplines=helplines(pool),
        text=text,
    )
    mark_published(pool.engine, quarter, measured.version)
    size = sum(each["bytes"] for each in release.manifest["files"])
    log(pool, Event.PUBLISHED, quarter=str(quarter), bytes=size, seconds=time.monotonic() - start)
    return release


def _write_for_members(
    pool: Pool, measured: MeasuredRelease, signoffs: tuple[SignOff, ...], code_version: str, text_digest: str
) -> None:
    from publish.members import write_members

    terms = release_terms(pool, measured.plan)
    write_members(
        measured,
        terms.for_members,
        terms.salt,
        signoffs,
        pool.people,
        pool.members,
        signing_key=pool.secret(MEMBERS_KEY),
        code_version=code_version,
        text_digest=text_digest,
    )
