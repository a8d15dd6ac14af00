"""What is wrong with a file as a whole, which no single row tells: clocks, mappings, and files that differ. Warnings all.

Memory is flat: counts, and one candidate for the commonest second (Boyer and Moore 1991, majority vote).
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from intake.record_checks import Problem, Record

FEW_ROWS = 20  # of fewer, no share is worth telling
SAME_FAULT_SHARE = 0.5
ROUNDED_SHARE = 0.8
OFF_CALENDAR_SHARE = 0.05
_EPOCH_YEAR = 1970
_MOST_FAULTS = 1_000  # different (code, field) pairs that are counted
_PLACE = re.compile(r"\[\d+\]")


class FileWatch:
    """Sees every row of one file with its problems, and tells at the end what most rows share."""

    def __init__(self) -> None:
        self.rows = self.timed = 0
        self._faults = Counter[Problem]()
        self._midnight = self._off_calendar = 0
        self._second: datetime | None = None
        self._lead = 0

    def see(self, record: Record | None, problems: Sequence[Problem]) -> None:
        """Counts one row: its record where it has one, and its problems."""
        self.rows += 1
        if problems:
            self._see_problems(problems)
        if record is None or "started_at" not in record:
            return
        moment: datetime = record["started_at"]
        self.timed += 1
        if not moment.second and moment.hour == moment.minute == 0:
            self._midnight += 1
        if moment.microsecond:
            moment = moment.replace(microsecond=0)
        if moment == self._second:
            self._lead += 1
        elif self._lead:
            self._lead -= 1
        else:
            self._second, self._lead = moment, 1
        if moment.year == _EPOCH_YEAR or (problems and any(code == "E230" for code, _ in problems)):
            self._off_calendar += 1

    def _see_problems(self, problems: Sequence[Problem]) -> None:
        for fault in {(code, _PLACE.sub("[]", field)) for code, field in problems if field and code.startswith("E")}:
            if fault in self._faults or len(self._faults) < _MOST_FAULTS:
                self._faults[fault] += 1

    def common_faults(self) -> frozenset[Problem]:
        """Faults that at least half of the rows have, as (code, field); places in lists are left out of the field."""
        if self.rows < FEW_ROWS:
            return frozenset()
        return frozenset(fault for fault, rows in self._faults.items() if rows >= SAME_FAULT_SHARE * self.rows)

    def warnings(self) -> list[Problem]:
        """W306, W307 and W308 of the file, in that order; W311 where it has no rows."""
        if not self.rows:
            return [("W311", "")]
        found = [("W308", field) for _, field in sorted(self.common_faults())]
        if self.timed < FEW_ROWS:
            return found
        if self._off_calendar >= OFF_CALENDAR_SHARE * self.timed:
            found.insert(0, ("W307", "started_at"))
        # The lead of a majority vote is at most twice the share less one, so that this share is never overstated.
        if self._midnight >= ROUNDED_SHARE * self.timed or self._lead >= (2 * ROUNDED_SHARE - 1) * self.timed:
            found.insert(0, ("W306", "started_at"))
        return found


def differing_files(faults: Mapping[str, Iterable[str]]) -> list[tuple[str, str]]:
    """Files, with the field, in which most rows have a fault that another file of the submission has not (W309).

    `faults` holds the fields of the W308 of every file of at least FEW_ROWS rows, by the file's name in the manifest.
    """
    each = {file: frozenset(fields) for file, fields in faults.items()}
    shared = frozenset[str]().union(*each.values()).intersection(*each.values())
    return [(file, field) for file, fields in each.items() for field in sorted(fields - shared)]
