"""Scrubbing what was accepted: processes, one model each, over Parquet parts. Finished parts are not done again."""

import dataclasses
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from aggregate.comparing import changes_of
from flows.guard import guarded
from flows.history import newcomers
from flows.logs import Event, log
from flows.pool import Pool
from flows.progress import tell
from flows.scrub_workers import WorkerDiedError, Workers, share_done
from flows.turns import Turn, in_turn
from intake.catalogue import AcceptedSubmission
from intake.known import submission_folder
from schemas.at_rest import Room
from schemas.errors import CommonsError, OutOfSpaceError, ScrubStoppedError, UsageError
from schemas.periods import Quarter
from schemas.plan import RegisteredPlan
from schemas.stages import EncryptedFiles, ScrubbedRecords
from schemas.storage import Place, clear_parts, files_below

if TYPE_CHECKING:
    from anonymize.report import ScrubReport
    from anonymize.settings import ScrubSettings
    from anonymize.shard import ShardKeys


_WORTH_A_WORKER = 48 << 10  # a part has 30 KiB without any row; a model loads in the time of 100,000 characters
_PART = re.compile(r"[^./][^/]*\.parquet")


@dataclasses.dataclass(frozen=True)
class Part:
    """One accepted Parquet file and where its scrubbed form goes."""

    source: Place
    target: Place
    quarter: Quarter
    company: str
    scrubbed: bool = False  # whether it was, when the places were listed

    @property
    def report_file(self) -> Place:
        """The scrub report of the part. Where the scrubbed part is, it is there too."""
        return self.target.with_suffix(".report.json")


@dataclasses.dataclass(frozen=True)
class Job:
    """A part with all that scrubbing it needs. Keys go to a worker in memory: neither its environment nor its command line holds one."""

    part: Part
    settings: "ScrubSettings"
    keys: "ShardKeys"


def parts(pool: Pool, quarter: Quarter | None = None, until: str = "") -> Iterator[Part]:
    """Every part of every accepted submission (received `until` a UTC moment, where one is given), in order."""
    for submission in _accepted(pool, quarter, until):
        yield from parts_of(pool, submission)


def parts_of(pool: Pool, submission: AcceptedSubmission) -> Iterator[Part]:
    """Every part of a submission, in order."""
    source, target = submission_folder(pool.accepted, submission), submission_folder(pool.scrubbed, submission)
    accepted, scrubbed = ({name for name in files_below(place) if _PART.fullmatch(name)} for place in (source, target))
    # What is scrubbed outlives what was accepted: after a purge of that, only the scrubbed part is there.
    for name in sorted(accepted | scrubbed):
        yield Part(source / name, target / name, submission.quarter, submission.company, name in scrubbed)


def _accepted(pool: Pool, quarter: Quarter | None, until: str) -> list[AcceptedSubmission]:
    return [s for s in pool.catalogue.accepted(quarter) if not until or s.receipt["received_at"] <= until]


def pending_parts(pool: Pool) -> list[Part]:
    """Parts that are not scrubbed yet. A scrubbed part is put in place whole, so its presence is its state.

    Companies take turns, so that nobody keeps the others waiting by sending a lot.
    """
    pending = [part for part in parts(pool) if not part.scrubbed]
    turns = Counter[str]()
    numbered = []
    for part in pending:
        turns[part.company] += 1
        numbered.append((turns[part.company], part))
    return [part for _, part in sorted(numbered, key=lambda each: each[0])]


def scrub_parts(pool: Pool, pending: list[Part]) -> "ScrubReport":
    """Scrubs parts and keeps a report beside each. A part that cannot be scrubbed keeps no other from it.

    Raises, when all others are done, ScrubStoppedError where a part could not be vouched for or its worker died time and
    again, and whatever else a part ended with. A key that was destroyed, or lost, stops it before anything is read.
    """
    from anonymize.report import ScrubReport

    merged, failed = ScrubReport(), list[tuple[Part, CommonsError]]()
    if not pending:
        return merged
    with in_turn(pool, Turn.SCRUB):
        pending = [part for part in pending if not part.target.exists()]
        for number, outcome in _outcomes(pool, pending):
            if isinstance(outcome, CommonsError):
                failed.append((pending[number], outcome))
            else:
                merged = merged.merge(outcome)
    if failed:
        for part, _ in failed:
            log(pool, Event.SCRUB_STOPPED, company=part.company, quarter=str(part.quarter), digest=part.source.parent.name)
        raise _all_in_one(failed, len(pending))
    return merged


def _outcomes(pool: Pool, pending: Sequence[Part]) -> "Iterator[tuple[int, ScrubReport | CommonsError]]":
    one_of_each = {(part.quarter, part.company): part for part in pending}
    keys = {place: keys_of(pool, part) for place, part in one_of_each.items()}
    jobs = [Job(part, pool.scrub_settings, keys[part.quarter, part.company]) for part in pending]
    if pool.settings.scrub.cluster and pending:
        from flows.scrub_on_dask import scrub_on_cluster

        return enumerate(scrub_on_cluster(pool, pending))
    sizes = [part.source.stat().st_size for part in pending]
    return Workers(_scrub_part, jobs, pool.settings.scrub.workers or workers_for(sizes, pool.machine.workers)).outcomes(
        partial(tell_by_size, sizes)
    )


def workers_for(sizes: Sequence[int], most: int) -> int:
    """Processes for parts of these sizes, in bytes: no second one that would take longer to load its model than there is to do."""
    return max(1, min(most, sum(size // _WORTH_A_WORKER for size in sizes) + len(sizes) // 16))


def tell_by_size(sizes: Sequence[int], shares: Sequence[float]) -> None:
    """Tells the progress of parts of these sizes, of each of which a share is done."""
    tell("scrub", sum(size * share for size, share in zip(sizes, shares, strict=False)) / max(1, sum(sizes)))


_NEED = (ScrubStoppedError, OutOfSpaceError, WorkerDiedError)
"""Which of several errors is told: the one that needs a person most."""


def _all_in_one(failed: Sequence[tuple[Part, CommonsError]], pending: int) -> CommonsError:
    worst = min((e for _, e in failed), key=lambda error: _NEED.index(type(error)) if type(error) in _NEED else len(_NEED))
    companies = Counter(part.company for part, _ in failed)
    whose = ", ".join(f"{company} {number}" for company, number in sorted(companies.items()))
    left = f"{len(failed)} of {pending} parts are not scrubbed ({whose})" + (
        "." if len(failed) == pending else "; the others are."
    )
    return type(worst)(f"{worst.message} {left}", worst.next_step)


def keys_of(pool: Pool, part: Part) -> "ShardKeys":
    """The keys of a part. Raises NoLongerHeldError where one was destroyed, InternalError where one is lost."""
    from anonymize.shard import ShardKeys

    place = (part.quarter, part.company)
    return ShardKeys(pool.keys_at_rest.existing(Room.ACCEPTED, *place), pool.scrubbed_key(*place))


def _scrub_part(number: int, job: Job) -> "ScrubReport":
    return guarded(scrub_one, job, partial(share_done, number))


def scrub_one(job: Job, progress: Callable[[float], None]) -> "ScrubReport":
    """Scrubs a part in this process; see `anonymize.shard.scrub_shard`."""
    from anonymize.shard import scrub_shard

    part = job.part
    for place in (part.target, part.report_file):
        clear_parts(place)  # by a worker that was killed
    return scrub_shard(part.source, part.target, job.settings, job.keys, report_file=part.report_file, progress=progress)


def scrubbed_records(pool: Pool, quarter: Quarter, until: str = "", before: RegisteredPlan | None = None) -> ScrubbedRecords:
    """Scrubbed records of a quarter, as accepted `until` a moment: what comes in after a plan is registered is not in it.

    Newcomers are those companies that the plan of the quarter before did not count, where there is one.

    Raises ScrubStoppedError where an accepted part is not scrubbed yet, UsageError where records are not where they should be.
    """
    found = [part for submission in _accepted(pool, quarter, until) for part in _present(pool, submission)]
    if not all(part.scrubbed for part in found):
        raise ScrubStoppedError("Accepted records of the quarter are not scrubbed yet.", "Run `commons ingest`.")
    companies = tuple(pool.catalogue.contributors(quarter, until))
    changes = changes_of(pool.changes, quarter)
    return ScrubbedRecords(quarter, tuple(_by_company(pool, found)), companies, newcomers(pool, companies, before), changes)


def _present(pool: Pool, submission: AcceptedSubmission) -> list[Part]:
    """Parts of a submission; none only where it has no records, or they were purged."""
    found = list(parts_of(pool, submission))
    if (
        not found
        and submission.records
        and not pool.keys_at_rest.destroyed(Room.SCRUBBED, submission.quarter, submission.company)
    ):
        raise UsageError(
            "Records that were accepted are not where pool.toml says.",
            "Set `records` in [storage] to where they are, or restore them from a backup: nothing is measured without them.",
        )
    return found


def _by_company(pool: Pool, found: list[Part]) -> Iterator[EncryptedFiles]:
    for (quarter, company), own in itertools.groupby(found, key=lambda part: (part.quarter, part.company)):
        key = pool.keys_at_rest.existing(Room.SCRUBBED, quarter, company)
        yield EncryptedFiles(tuple(part.target for part in own), key)
