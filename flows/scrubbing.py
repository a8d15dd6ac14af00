"""Scrubbing what was accepted: a pool of processes, one model each, over Parquet parts. Finished parts are not done again."""

import dataclasses
import itertools
import multiprocessing
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from flows.guard import guarded
from flows.pool import Pool
from flows.progress import tell
from intake.catalogue import AcceptedSubmission
from intake.known import submission_folder
from schemas.at_rest import Room
from schemas.errors import CommonsError, ScrubStoppedError
from schemas.periods import Quarter
from schemas.stages import EncryptedFiles, ScrubbedRecords

if TYPE_CHECKING:
    from anonymize.report import ScrubReport
    from anonymize.settings import ScrubSettings
    from anonymize.shard import ShardKeys


@dataclasses.dataclass(frozen=True)
class Part:
    """One accepted Parquet file and where its scrubbed form goes."""

    source: Path
    target: Path
    quarter: Quarter
    company: str


def parts(pool: Pool, quarter: Quarter | None = None, until: str = "") -> Iterator[Part]:
    """Every part of every accepted submission (received `until` a UTC moment, where one is given), in order."""
    for submission in _accepted(pool, quarter, until):
        source, target = submission_folder(pool.accepted, submission), submission_folder(pool.scrubbed, submission)
        # What is scrubbed outlives what was accepted: after a purge of that, only the scrubbed part is there.
        for name in sorted({path.name for folder in (source, target) for path in folder.glob("*.parquet")}):
            yield Part(source / name, target / name, submission.quarter, submission.company)


def _accepted(pool: Pool, quarter: Quarter | None, until: str) -> list[AcceptedSubmission]:
    return [s for s in pool.catalogue.accepted(quarter) if not until or s.receipt["received_at"] <= until]


def pending_parts(pool: Pool) -> list[Part]:
    """Parts that are not scrubbed yet. A scrubbed part is put in place whole, so its presence is its state.

    Companies take turns, so that nobody keeps the others waiting by sending a lot.
    """
    pending = [part for part in parts(pool) if not part.target.exists()]
    turns = Counter[str]()
    numbered = []
    for part in pending:
        turns[part.company] += 1
        numbered.append((turns[part.company], part))
    return [part for _, part in sorted(numbered, key=lambda each: each[0])]


def scrub_parts(pool: Pool, pending: list[Part]) -> "ScrubReport":
    """Scrubs parts and keeps a report beside each. Raises ScrubStoppedError where a part could not be vouched for.

    A key that was destroyed, or lost, stops it before anything is read.
    """
    from anonymize.report import ScrubReport

    merged = ScrubReport()
    if not pending:
        return merged
    settings = pool.scrub_settings
    with_keys = _with_keys(pool, pending)
    workers = min(pool.settings.scrub.workers or os.cpu_count() or 1, len(pending))
    # A process of its own for each model; spawned, since a fork would copy the threads' locks of whoever runs this.
    context = multiprocessing.get_context("spawn")
    stopped: CommonsError | None = None
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_single_threaded) as executor:
        # Keys go to a worker in memory: neither its environment nor its command line holds one.
        futures = {executor.submit(_scrub_part, part, settings, keys): part for part, keys in with_keys}
        for done, future in enumerate(as_completed(futures), start=1):
            try:
                merged = merged.merge(future.result())
            except CommonsError as error:
                stopped = type(error)(error.message, error.next_step)
            except Exception:  # a worker died, or its error could not be carried over
                stopped = ScrubStoppedError("A worker of the scrub died.", "Run the same command again: finished parts are kept.")
            tell("scrub", done / len(pending))
    if stopped is not None:
        raise stopped
    return merged


def _with_keys(pool: Pool, pending: list[Part]) -> "list[tuple[Part, ShardKeys]]":
    from anonymize.shard import ShardKeys

    found: dict[tuple[Quarter, str], ShardKeys] = {}
    for part in pending:
        place = (part.quarter, part.company)
        if place not in found:
            found[place] = ShardKeys(pool.keys_at_rest.existing(Room.ACCEPTED, *place), pool.keys_at_rest(Room.SCRUBBED, *place))
    return [(part, found[part.quarter, part.company]) for part in pending]


def _single_threaded() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"


def _scrub_part(part: Part, settings: "ScrubSettings", keys: "ShardKeys") -> "ScrubReport":
    return guarded(_scrub, part, settings, keys)


def _scrub(part: Part, settings: "ScrubSettings", keys: "ShardKeys") -> "ScrubReport":
    from anonymize.shard import scrub_shard

    part.target.parent.mkdir(parents=True, exist_ok=True)
    report = scrub_shard(part.source, part.target, settings, keys)
    body = orjson.dumps({**dataclasses.asdict(report), "ruleset": settings.ruleset_version}, option=orjson.OPT_SORT_KEYS)
    temporary = part.target.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_bytes(body)
    temporary.replace(part.target.with_suffix(".report.json"))
    return report


def scrubbed_records(pool: Pool, quarter: Quarter, until: str = "") -> ScrubbedRecords:
    """Scrubbed records of a quarter, as accepted `until` a moment: what comes in after a plan is registered is not in it.

    Raises ScrubStoppedError where an accepted part is not scrubbed yet.
    """
    found = list(parts(pool, quarter, until))
    if any(not part.target.exists() for part in found):
        raise ScrubStoppedError("Accepted records of the quarter are not scrubbed yet.", "Run `commons ingest`.")
    companies = sorted({submission.company for submission in _accepted(pool, quarter, until)})
    return ScrubbedRecords(quarter, tuple(_by_company(pool, found)), tuple(companies))


def _by_company(pool: Pool, found: list[Part]) -> Iterator[EncryptedFiles]:
    for (quarter, company), own in itertools.groupby(found, key=lambda part: (part.quarter, part.company)):
        key = pool.keys_at_rest.existing(Room.SCRUBBED, quarter, company)
        yield EncryptedFiles(tuple(part.target for part in own), key)
