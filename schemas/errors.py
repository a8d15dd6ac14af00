"""Named errors, each with its own exit code. Messages are fixed text or our own identifiers: never a field's value."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of `commons`: they tell the cause without the logs."""

    DONE = 0
    USAGE = 2
    SUBMISSION_REFUSED = 10
    RECORDS_QUARANTINED = 11
    SCRUB_STOPPED = 12
    BUDGET_REFUSED = 13
    CHECK_FAILED = 14
    NOT_APPROVED = 15
    TRANSPORT = 20
    OUT_OF_SPACE = 30
    INTERNAL = 70


EXIT_MEANING: dict[ExitCode, str] = {
    ExitCode.DONE: "done",
    ExitCode.USAGE: "the command was called wrongly",
    ExitCode.SUBMISSION_REFUSED: "the submission was refused: nothing of it entered",
    ExitCode.RECORDS_QUARANTINED: "some records were quarantined, the rest was accepted",
    ExitCode.SCRUB_STOPPED: "the scrub gate stopped a batch",
    ExitCode.BUDGET_REFUSED: "the privacy budget, or the plan that would spend it, was refused",
    ExitCode.CHECK_FAILED: "a check failed (release, verify, brief --check, budget --verify)",
    ExitCode.NOT_APPROVED: "the release is not approved for this step",
    ExitCode.TRANSPORT: "transport failed, try again",
    ExitCode.OUT_OF_SPACE: "out of disk or memory; the same command resumes",
    ExitCode.INTERNAL: "our own bug",
}


class CommonsError(Exception):
    """Base of the errors that a user can act on. `next_step` says what to do; both are fixed text or our own ids."""

    exit_code = ExitCode.INTERNAL

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.message, self.next_step = message, next_step


class UsageError(CommonsError):
    """The caller asked for something that does not exist or does not fit (a quarter, a folder, an option)."""

    exit_code = ExitCode.USAGE


class SubmissionRefusedError(CommonsError):
    """A submission was refused as a whole; its findings say why."""

    exit_code = ExitCode.SUBMISSION_REFUSED


class ScrubStoppedError(CommonsError):
    """The scrub could not vouch for a batch and stopped it."""

    exit_code = ExitCode.SCRUB_STOPPED


class BudgetRefusedError(CommonsError):
    """Over budget, or an unregistered or changed plan, or a bound that the data break."""

    exit_code = ExitCode.BUDGET_REFUSED


class CheckFailedError(CommonsError):
    """A stop check of a release failed, or a verification did not hold."""

    exit_code = ExitCode.CHECK_FAILED


class NotApprovedError(CommonsError):
    """The release has not the state or the sign-offs that this step needs."""

    exit_code = ExitCode.NOT_APPROVED


class TransportError(CommonsError):
    """A store could not be reached or written; trying again is safe."""

    exit_code = ExitCode.TRANSPORT


class OutOfSpaceError(CommonsError):
    """Disk or memory ran out; what was finished stays, the same command resumes."""

    exit_code = ExitCode.OUT_OF_SPACE


class InternalError(CommonsError):
    """A promise of our own code is broken: a bug, never the caller's fault."""

    exit_code = ExitCode.INTERNAL
