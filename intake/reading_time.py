"""The time that reading one submission may take: one company's files do not keep all others waiting for hours."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

from intake.limits import Limits
from intake.reading import CheckedRows, UnreadableFileError


class OverTimeError(Exception):
    """All the time of a submission is used up."""


class ReadingTime:
    """What is left of a submission's time, from now on. `size` is of all its files, in bytes; `clock` counts seconds."""

    def __init__(self, limits: Limits, size: int, clock: Callable[[], float]) -> None:
        self._limits, self._clock, self._end = limits, clock, clock() + limits.submission_seconds(size)

    def within(self, read: Callable[[Limits], Iterator[CheckedRows]]) -> Iterator[CheckedRows]:
        """The batches of a file, read under limits that leave it no more than what is left. Raises OverTimeError."""
        limits = replace(self._limits, most_seconds=math.ceil(self._left()))
        try:
            for checked in read(limits):
                yield checked
                self._left()
        except UnreadableFileError:
            self._left()  # where it was stopped because time was over, that is the reason
            raise

    def _left(self) -> float:
        left = self._end - self._clock()
        if left <= 0:
            raise OverTimeError
        return left
