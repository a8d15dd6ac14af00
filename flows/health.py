"""Whether a pool is well: one line a check, and for each that is not, what to do and the exit code whose cause it is.

Nothing is changed by looking. The checks stand in the order in which they are mended: what rests on one that fails is not known.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy.exc import DatabaseError, OperationalError

from flows.backlog import late_runs, waiting_parts, waiting_submissions
from flows.budget import budget_lines, ledger_faults
from flows.deployments import FILE
from flows.guard import guarded
from flows.machine import free_disk
from flows.pool import Pool
from publish.path import State
from publish.store import states, stored_checks
from schemas.at_rest import NoLongerHeldError, Room
from schemas.errors import (
    BudgetRefusedError,
    CheckFailedError,
    CommonsError,
    ExitCode,
    InternalError,
    OutOfSpaceError,
    ScrubStoppedError,
    SubmissionRefusedError,
    TransportError,
)
from schemas.periods import Quarter

LOCAL = ("", "staging", "accepted", "scrubbed", "answers", "state", "scratch", "releases", "logs")
"""Folders below the root, each of which may lie on a disk of its own."""

_FLOOD = 3
"""Refused submissions of a day from which on they are looked at, where they are more than the accepted ones."""


class Condition(StrEnum):
    """How a check found the pool."""

    WELL = "ok"
    FAILED = "FAILED"
    UNKNOWN = "not known"


@dataclass(frozen=True)
class HealthLine:
    """What one check found. `exit_code` and `next_step` are of a failed one."""

    check: str
    condition: Condition
    told: str
    next_step: str = ""
    exit_code: ExitCode = ExitCode.DONE


def health(pool: Pool, now: datetime | None = None) -> list[HealthLine]:
    """Every check, in order."""
    found, moment = list[HealthLine](), now or datetime.now(UTC)
    for name, check in CHECKS.items():
        failed = [each.check for each in found if each.condition is Condition.FAILED]
        needs = ["configuration"] if name in _WITHOUT_STATE else ["configuration", "state"]
        if missing := next((each for each in needs if each in failed), ""):
            found.append(HealthLine(name, Condition.UNKNOWN, f"needs the {missing}"))
            continue
        try:
            found.append(HealthLine(name, Condition.WELL, guarded(check, pool, moment)))
        except CommonsError as error:
            found.append(HealthLine(name, Condition.FAILED, error.message, error.next_step, error.exit_code))
    return found


def exit_code(found: list[HealthLine]) -> ExitCode:
    """The code of the first check that failed; 0 where all is well."""
    return next((each.exit_code for each in found if each.condition is Condition.FAILED), ExitCode.DONE)


def _configuration(pool: Pool, now: datetime) -> str:
    _ = pool.retention, pool.release_plan, pool.scrub_settings, pool.people  # each raises where it breaks a rule
    return f"{len(pool.registry.companies)} companies"


def _disk(pool: Pool, now: datetime) -> str:
    least = min((free_disk(pool.root / name), name or "the root") for name in LOCAL)
    if least[0] <= pool.keep_free:
        raise OutOfSpaceError(
            f"Too little disk is free for {least[1]}: {least[0]:,} bytes, and {pool.keep_free:,} are kept free.",
            "Free some below the pool's root (`commons purge --due --dry-run` shows what is over), or enlarge the disk.",
        )
    return f"{least[0]:,} bytes are free, {pool.keep_free:,} are kept free"


def _memory(pool: Pool, now: datetime) -> str:
    machine, limits = pool.machine, pool.settings.measurement
    measuring = (limits.memory_limit or machine.measure_memory) + machine.terms_memory
    if measuring > machine.memory:
        raise OutOfSpaceError(
            f"Measuring may take {measuring:,} bytes of memory, and this machine has {machine.memory:,}.",
            "Lower `memory_limit` in pool.toml, or leave it empty: then it follows from the machine.",
        )
    return f"{machine.memory:,} bytes, {machine.cores} cores; measuring may take {measuring:,}, the scrub {pool.scrub_workers} workers"


def _state(pool: Pool, now: datetime) -> str:
    damaged = False
    try:
        with pool.engine.connect() as connection:
            dialect = connection.dialect.name
    except OperationalError:
        raise
    except DatabaseError:  # whose text names the file
        damaged = True
    if damaged:
        raise CheckFailedError("The state database is damaged.", "Restore state/ from a backup, together with secrets/.")
    return f"{dialect}, at this program's version"


def _ledger(pool: Pool, now: datetime) -> str:
    if faults := ledger_faults(pool):
        raise CheckFailedError(
            f"The ledger is not as it was written: {len(faults)} faults.",
            "Measure nothing. `commons budget --verify` says where; restore the state database from a backup.",
        )
    return f"{len(pool.ledger.entries())} entries, as they were written"


def _keys(pool: Pool, now: datetime) -> str:
    expected = [name for name in pool.secrets_in_use if not (pool.root / "secrets" / name).is_file()]
    held = sorted({(each.quarter, each.company) for each in pool.catalogue.accepted()})
    lost = len(expected) + sum(not _key_is_there(pool, room, *place) for room in Room for place in held)
    if lost:
        raise CheckFailedError(
            f"{lost} keys are not there, or not whole.", "Restore secrets/ from a backup: without them nothing can be read."
        )
    return "all that is needed are there"


def _key_is_there(pool: Pool, room: Room, quarter: Quarter, company: str) -> bool:
    folder = (pool.accepted if room is Room.ACCEPTED else pool.scrubbed) / str(quarter) / company
    if not folder.exists():
        return True
    with suppress(NoLongerHeldError):
        try:
            pool.keys_at_rest.existing(room, quarter, company)
        except InternalError:
            return False
    return True


def _queue(pool: Pool, now: datetime) -> str:
    waiting, unreachable = waiting_submissions(pool)
    if unreachable:
        raise TransportError(
            f"{len(unreachable)} of {len(pool.registry.companies)} drops cannot be looked into: {', '.join(unreachable)}.",
            next(iter(unreachable.values())).next_step,
        )
    if waiting.hours(now) > pool.settings.health.queue_hours:
        raise TransportError(
            f"{waiting.number} submissions wait, the oldest for {waiting.hours(now):.0f} hours.",
            "Run `commons ingest`: it says what keeps them. Does the worker run?",
        )
    return f"{waiting.number} submissions wait in {len(pool.registry.companies)} drops"


def _scrub(pool: Pool, now: datetime) -> str:
    waiting = waiting_parts(pool)
    if waiting.hours(now) > pool.settings.health.queue_hours:
        raise ScrubStoppedError(
            f"{waiting.number} accepted parts are not scrubbed, the oldest for {waiting.hours(now):.0f} hours.",
            "Run `commons ingest`: it says what keeps them. Until then nothing of their quarters is measured.",
        )
    return f"{waiting.number} parts wait"


def _refusals(pool: Pool, now: datetime) -> str:
    day = now - timedelta(days=1)
    decided = [row["decision"] for row in pool.catalogue.audit_rows() if row["at"].replace(tzinfo=UTC) >= day]
    refused, accepted = decided.count("refused"), decided.count("accepted")
    if refused >= _FLOOD and refused > accepted:
        raise SubmissionRefusedError(
            f"{refused} submissions were refused in a day, {accepted} accepted.",
            "`commons status` says whose and why; ask the company, or take its drop away.",
        )
    return f"{refused} submissions refused in a day, {accepted} accepted"


def _schedule(pool: Pool, now: datetime) -> str:
    if not (pool.root / FILE).exists():
        return "not deployed"
    if late := late_runs(pool, now):
        raise TransportError(
            f"{len(late)} scheduled runs did not end well in time: {', '.join(late)}.",
            "Look at Prefect's page: does the worker run, did a run fail? By hand: `commons ingest`, `commons purge --due`.",
        )
    return "every run that was due has ended well"


def _checks(pool: Pool, now: datetime) -> str:
    stopped = []
    for (quarter, version), state in states(pool.engine).items():
        results = stored_checks(pool.engine, Quarter.parse(quarter), version) if state is State.MEASURED else []
        failed = [each.name for each in results if each.stops and not each.passed]
        stopped += [f"{quarter} version {version} ({', '.join(failed)})"] if failed else []
    if stopped:
        raise CheckFailedError(
            f"A check stops a release: {'; '.join(stopped)}.", "`commons check QUARTER` says why; nobody can sign until it holds."
        )
    return "none stops a release"


def _budget(pool: Pool, now: datetime) -> str:
    before = now - timedelta(hours=pool.settings.health.queue_hours)
    if lost := [each["quarter"] for each in _unanswered(pool) if datetime.fromisoformat(each["at"]) < before]:
        raise BudgetRefusedError(
            f"Budget was charged for a draw that has no answer: {', '.join(lost)}.",
            "It stays spent. Register a superseding version: it spends from the quarter's reserve.",
        )
    years = [line for line in budget_lines(pool) if len(line.scope) == 4]
    return (
        "; ".join(f"{line.scope}: ε {line.epsilon_spent:.3g} of {line.epsilon_cap:.3g}" for line in years) or "nothing is spent"
    )


def _unanswered(pool: Pool) -> list[dict[str, Any]]:
    """Charges without an answer, unless a later plan of the quarter has one."""
    entries = pool.ledger.entries()
    answered = {each["quarter"]: each["number"] for each in entries if each["kind"] == "answer"}  # the last of each quarter
    return [each for each in entries if each["kind"] == "reserve" and answered.get(each["quarter"], 0) < each["number"]]


CHECKS: dict[str, Callable[[Pool, datetime], str]] = {
    "configuration": _configuration,
    "disk": _disk,
    "memory": _memory,
    "state": _state,
    "ledger": _ledger,
    "keys": _keys,
    "queue": _queue,
    "scrub": _scrub,
    "refusals": _refusals,
    "schedule": _schedule,
    "checks": _checks,
    "budget": _budget,
}
"""By name, in order. Each returns what it found, or raises the error whose cause it is."""

_WITHOUT_STATE = ("disk", "memory", "state")
