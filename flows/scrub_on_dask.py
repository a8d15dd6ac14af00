"""The scrub on a Dask cluster, through Prefect's Dask runner: the same work a part, on workers of several machines.

What goes over the network is the pool's root, the name of a run and numbers of parts; counts and errors of ours come back.
Which parts they are, the settings and the keys are read by each worker below the root, which all machines share.
"""

import json
import os
import secrets
import shutil
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from distributed import CancelledError, get_worker
from distributed.scheduler import KilledWorker
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext
from prefect.settings import PREFECT_API_URL
from prefect_dask.task_runners import DaskTaskRunner

from flows.guard import guarded
from flows.pool import Pool
from flows.scrub_workers import TELL_SECONDS, WorkerDiedError, alone_in_the_end
from flows.scrubbing import Job, Part, keys_of, scrub_one, tell_by_size
from schemas.errors import CommonsError, ScrubStoppedError, TransportError, UsageError
from schemas.periods import Quarter

if TYPE_CHECKING:
    from anonymize.report import ScrubReport

BATCHES_A_WORKER = 3
"""A batch is this part of a worker's share of what is left: batches get smaller, so that all workers end together."""

NO_WORKER_SECONDS = 300.0
_PARTS = "parts.json"

# A worker that was given several threads still has one model, and that scrubs one batch at a time.
_SCRUBBING = threading.Lock()


def scrub_on_cluster(pool: Pool, pending: Sequence[Part]) -> "list[ScrubReport | CommonsError]":
    """Scrubs parts on the cluster of pool.toml; gives what each ended with, in order.

    A part whose worker died is done again when all others are, alone, as in `flows.scrub_workers`.

    Raises TransportError where the cluster is out of reach or its last worker is gone, UsageError without a Prefect server.
    """
    if not PREFECT_API_URL.value():
        raise UsageError(
            "A cluster needs a Prefect server that its workers reach.", "Set PREFECT_API_URL; see docs/guides/machines.md."
        )
    runner: Any = DaskTaskRunner(address=pool.settings.scrub.cluster)
    with _run_of(pool, pending) as run:
        outcomes: list[ScrubReport | CommonsError] = scrub_flow.with_options(task_runner=runner)(str(pool.root.resolve()), run)
    return outcomes


@contextmanager
def _run_of(pool: Pool, pending: Sequence[Part]) -> Iterator[str]:
    """A folder in the scratch that lists the parts and lives as long as its run: workers of one that is over stop."""
    for left in pool.scratch.glob("scrub-*"):
        shutil.rmtree(left, ignore_errors=True)
    folder = pool.scratch / f"scrub-{secrets.token_hex(8)}"
    folder.mkdir(parents=True)
    told = {"ruleset_version": pool.scrub_settings.ruleset_version, "parts": [_place(part) for part in pending]}
    (folder / _PARTS).write_text(json.dumps(told), encoding="utf-8")
    try:
        yield folder.name
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _parts(pool: Pool, run: str) -> list[Part]:
    try:
        told = json.loads((pool.scratch / run / _PARTS).read_bytes())
    except FileNotFoundError:
        raise _is_over() from None
    if told["ruleset_version"] != pool.scrub_settings.ruleset_version:
        raise UsageError(
            "Workers of the cluster would scrub by other rules than this machine.",
            "Install the same versions on all of them, and let them share the pool's root.",
        )
    return [_part(pool, *place) for place in told["parts"]]


def _is_over() -> CommonsError:
    return ScrubStoppedError("Another run of the scrub took the place of this one.", "Run the same command again.")


def _place(part: Part) -> tuple[str, str, str, str]:
    return str(part.quarter), part.company, part.source.parent.name, part.source.name


def _part(pool: Pool, quarter: str, company: str, digest: str, name: str) -> Part:
    below = f"{quarter}/{company}/{digest}/{name}"
    return Part(pool.accepted / below, pool.scrubbed / below, Quarter.parse(quarter), company)


@flow(name="scrub on the cluster", validate_parameters=False, persist_result=False)
def scrub_flow(root: str, run: str) -> "list[ScrubReport | CommonsError]":
    """All parts of a run, batch by batch. What each part ended with is data: a part that fails keeps no other from it."""
    return guarded(_scrub_run, Pool(Path(root)), run)


# No retry: Dask does the batch of a worker that died again, and finished parts are kept.
@task(name="scrub parts", retries=0, cache_policy=NO_CACHE, persist_result=False)
def scrub_batch_task(root: str, run: str, numbers: list[int]) -> "list[ScrubReport | CommonsError]":
    """Some parts of a run, on a worker."""
    return guarded(scrub_batch, Pool(Path(root)), run, numbers)


def scrub_batch(pool: Pool, run: str, numbers: Sequence[int]) -> "list[ScrubReport | CommonsError]":
    """Scrubs parts of a run in this process; gives what each ended with, in order."""
    with _SCRUBBING:
        parts = _parts(pool, run)
        return [_outcome(pool, run, number, parts[number]) for number in numbers]


def _outcome(pool: Pool, run: str, number: int, part: Part) -> "ScrubReport | CommonsError":
    from anonymize.report import ScrubReport

    if part.target.exists():  # done before the worker died that had this batch first
        return ScrubReport.from_dict(json.loads(part.report_file.read_bytes()))
    begun = pool.scratch / run / str(number)
    try:
        os.close(os.open(begun, os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return WorkerDiedError()
    except FileNotFoundError:
        return _is_over()
    try:
        job = Job(part, pool.scrub_settings, keys_of(pool, part))
        return guarded(scrub_one, job, lambda share: get_worker().log_event(run, [number, share]))
    except CommonsError as error:
        return type(error)(error.message, error.next_step)
    finally:
        begun.unlink(missing_ok=True)


def _scrub_run(pool: Pool, run: str) -> "list[ScrubReport | CommonsError]":
    parts = _parts(pool, run)
    batches = _Batches(pool, run, [part.source.stat().st_size for part in parts], _client())
    found = dict(alone_in_the_end(batches.outcomes, range(len(parts))))
    return [found[number] for number in range(len(parts))]


def _client() -> Any:
    context = FlowRunContext.get()
    runner = context.task_runner if context else None
    if isinstance(runner, DaskTaskRunner):
        try:
            client = runner.client
            client.wait_for_workers(1, NO_WORKER_SECONDS)
            return client
        except (OSError, TimeoutError, TypeError):  # of the last kind: certificates that are not there
            pass
    raise TransportError(
        "The cluster is out of reach, or has no worker.", "Look at `cluster` in pool.toml and docs/guides/machines.md."
    )


@dataclass
class _Batches:
    """Gives each worker one batch at a time; what each part ended with comes as batches end."""

    pool: Pool
    run: str
    sizes: Sequence[int]
    client: Any
    shares: list[float] = field(init=False)
    alone_since: float = 0.0

    def __post_init__(self) -> None:
        self.shares = [0.0] * len(self.sizes)
        self.client.subscribe_topic(self.run, self._hear)

    def outcomes(self, waiting: deque[int], most: int | None = None) -> "Iterator[tuple[int, ScrubReport | CommonsError]]":
        """Does all that waits, in at most so many batches at a time; without a number, one a worker."""
        ended = SimpleQueue[Any]()
        running: dict[Any, list[int]] = {}
        while waiting or running:
            workers = len(self.client.nthreads())
            while waiting and len(running) < (most or workers):
                numbers = self._next(waiting, most or workers)
                future = self._submit(numbers)
                running[future] = numbers
                future.add_done_callback(ended.put)
            self._told(workers)
            try:
                future = ended.get(timeout=TELL_SECONDS)
            except Empty:
                continue
            numbers = running.pop(future)
            yield from zip(numbers, _ended(future, len(numbers)), strict=True)
            future.wrapped_future.release()  # or Dask would do it again where the worker dies that still holds the counts
            for number in numbers:
                self.shares[number] = 1.0
        self._told(1)

    def _next(self, waiting: deque[int], workers: int) -> list[int]:
        share = sum(self.sizes[number] for number in waiting) / (workers * BATCHES_A_WORKER)
        numbers = [waiting.popleft()]
        size = self.sizes[numbers[0]]
        while waiting and (size := size + self.sizes[waiting[0]]) <= share:
            numbers.append(waiting.popleft())
        return numbers

    def _submit(self, numbers: list[int]) -> Any:
        for number in numbers:  # a worker that died before left it
            (self.pool.scratch / self.run / str(number)).unlink(missing_ok=True)
        return scrub_batch_task.submit(str(self.pool.root), self.run, numbers)

    def _hear(self, event: tuple[float, tuple[int, float]]) -> None:
        number, share = event[1]
        self.shares[number] = share

    def _told(self, workers: int) -> None:
        tell_by_size(self.sizes, self.shares)
        now = time.monotonic()
        self.alone_since = 0.0 if workers else self.alone_since or now
        if not workers and now - self.alone_since > NO_WORKER_SECONDS:
            raise TransportError("The cluster has no worker left.", "What is scrubbed stays: start workers and run it again.")


def _ended(future: Any, count: int) -> "list[ScrubReport | CommonsError]":
    try:
        outcomes: list[ScrubReport | CommonsError] = future.result()
        return outcomes
    except KilledWorker:
        return [WorkerDiedError()] * count
    except CommonsError as error:
        return [type(error)(error.message, error.next_step)] * count
    except CancelledError:
        pass
    except Exception:  # its text may quote what the batch was about
        return [ScrubStoppedError("A worker of the cluster failed.", "Is the same version installed on all machines?")] * count
    raise TransportError("The cluster went away.", "What is scrubbed stays: run the same command again.")
