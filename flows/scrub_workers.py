"""Work in processes, any of which may die: one that is killed takes down its own job and nobody else's."""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from ctypes import Array, c_double
from typing import Generic, TypeVar

from schemas.errors import CommonsError, ScrubStoppedError

J = TypeVar("J")
R = TypeVar("R")
Told = Callable[[Sequence[float]], None]
"""Told, twice a second, the share of each job that is done, 0 to 1."""

TRIES_ALONE = 2
TELL_SECONDS = 0.5

# Spawned: a fork would copy the locks that threads of whoever runs this hold.
_CONTEXT = multiprocessing.get_context("spawn")
_shares: "Array[c_double] | None" = None


class WorkerDiedError(ScrubStoppedError):
    """A job's worker died beside others, and each time that it was tried again alone."""

    def __init__(self, message: str = "", next_step: str = "") -> None:
        super().__init__(
            message or "Workers of the scrub died, each also when it had the machine for itself.",
            next_step
            or "Give them more memory and run the same command again. If it stops again, let the company withdraw the submission "
            "(logs/commons.jsonl names its digest): until then nothing of the quarter is measured.",
        )


def alone_in_the_end(
    run: Callable[[deque[int], bool], Iterator[tuple[int, R | CommonsError]]], numbers: Iterable[int]
) -> Iterator[tuple[int, R | CommonsError]]:
    """Gives the number and the outcome of each job, as they end; a job whose worker died is tried again when all others are done.

    It may have needed no more than the memory that they took.

    Args:
        run: does the jobs of these numbers; told whether it is for one to be tried alone.
    """
    again = []
    for number, outcome in run(deque(numbers), False):
        if isinstance(outcome, WorkerDiedError):
            again.append(number)
        else:
            yield number, outcome
    for number in again:
        last: R | CommonsError = WorkerDiedError()
        for _ in range(TRIES_ALONE):
            [(_, last)] = run(deque([number]), True)
            if not isinstance(last, WorkerDiedError):
                break
        yield number, last


class Workers(Generic[J, R]):
    """Runs `work(number, job)` for every job, in at most `count` processes. What ends in a CommonsError has it as its outcome.

    Each process is a pool of its own: the standard one, of several, ends all of them when one dies. The processes end with
    this one, however that ends.
    """

    def __init__(self, work: Callable[[int, J], R], jobs: Sequence[J], count: int) -> None:
        self._work, self._jobs, self._count = work, jobs, count
        # Without a lock, which a killed process would hold for ever: each job has a cell of its own.
        self._shares: Array[c_double] = _CONTEXT.RawArray(c_double, max(1, len(jobs)))

    def outcomes(self, told: Told = lambda shares: None) -> Iterator[tuple[int, R | CommonsError]]:
        """Gives the number and the outcome of each job, as they end."""

        def run(waiting: deque[int], alone: bool) -> Iterator[tuple[int, R | CommonsError]]:
            return self._run(waiting, 1 if alone else self._count, told)

        return alone_in_the_end(run, range(len(self._jobs)))

    def _run(self, waiting: deque[int], count: int, told: Told) -> Iterator[tuple[int, R | CommonsError]]:
        running: dict[Future[R], tuple[int, _Worker]] = {}
        with ExitStack() as stack:
            idle = [stack.enter_context(_Worker(self._shares)) for _ in range(min(count, len(waiting)))]
            while waiting or running:
                while waiting and idle:
                    number, worker = waiting.popleft(), idle.pop()
                    running[worker.submit(self._work, number, self._jobs[number])] = number, worker
                for future in wait(running, TELL_SECONDS, FIRST_COMPLETED).done:
                    number, worker = running.pop(future)
                    idle.append(worker)
                    self._shares[number] = 1.0
                    yield number, self._outcome(future)
                told(list(self._shares))

    @staticmethod
    def _outcome(future: Future[R]) -> R | CommonsError:
        error = future.exception()
        if error is None:
            return future.result()
        if isinstance(error, BrokenProcessPool):
            return WorkerDiedError()
        if isinstance(error, CommonsError):
            return type(error)(error.message, error.next_step)
        # Its text may quote what the job was about.
        return ScrubStoppedError("A worker of the scrub failed.", "This is a bug: please report it.")


class _Worker:
    """A process; where it died, another takes its place."""

    def __init__(self, shares: "Array[c_double]") -> None:
        self._shares = shares
        self._process = self._new()

    def __enter__(self) -> "_Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.shutdown()

    def submit(self, work: Callable[[int, J], R], number: int, job: J) -> Future[R]:
        try:
            return self._process.submit(work, number, job)
        except BrokenProcessPool:
            self._process.shutdown()
            self._process = self._new()
        return self._process.submit(work, number, job)

    def _new(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(1, _CONTEXT, initializer=_begin, initargs=(self._shares,))


def share_done(number: int, share: float) -> None:
    """Tells, in a worker, how much of a job is done, 0 to 1."""
    if _shares is not None:
        _shares[number] = share


def _begin(shares: "Array[c_double]") -> None:
    global _shares
    _shares = shares
    os.environ["OMP_NUM_THREADS"] = "1"  # one model a process, one thread a model
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    """A worker whose parent was killed would wait for its next job for ever, with a model in memory."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
