"""Calendar quarters and the periods that a submission may cover, all in UTC."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from schemas.errors import UsageError

_QUARTER = re.compile(r"(\d{4})Q([1-4])", re.ASCII)
_MONTH = re.compile(r"(\d{4})-(\d{2})", re.ASCII)
_WEEK = re.compile(r"(\d{4})-W(\d{2})", re.ASCII)
_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII)


@dataclass(frozen=True, order=True)
class Quarter:
    """One calendar quarter, the time scope of the privacy unit."""

    year: int
    number: int

    @classmethod
    def parse(cls, text: str) -> "Quarter":
        """Reads `2026Q3`. Raises UsageError on anything else."""
        match = _QUARTER.fullmatch(text)
        if match is None or int(match[1]) < 1:
            raise UsageError("A quarter is written like 2026Q3.")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def of(cls, moment: datetime) -> "Quarter":
        """The quarter in which a UTC moment lies."""
        return cls(moment.year, (moment.month - 1) // 3 + 1)

    @property
    def start(self) -> datetime:
        """First moment of the quarter."""
        return datetime(self.year, 3 * self.number - 2, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """First moment after the quarter."""
        return self.next().start

    def next(self) -> "Quarter":
        """The quarter that follows."""
        return Quarter(self.year + self.number // 4, self.number % 4 + 1)

    def previous(self) -> "Quarter":
        """The quarter before."""
        return Quarter(self.year - (self.number == 1), (self.number - 2) % 4 + 1)

    def weeks(self) -> list[str]:
        """ISO weeks that the quarter touches, in order: the public domain of the key `week`."""
        first, last = self.start.date(), (self.end - timedelta(days=1)).date()
        days = (first + timedelta(days=n) for n in range((last - first).days + 1))
        return list(dict.fromkeys(iso_week(day) for day in days))

    def __str__(self) -> str:
        return f"{self.year:04d}Q{self.number}"


def iso_week(day: date) -> str:
    """`2026-W31` for a day of that ISO week."""
    year, week, _ = day.isocalendar()
    return f"{year:04d}-W{week:02d}"


_YEARS = range(1900, 3000)
"""Years of periods: what is held of a quarter has dates of its own after it, which a calendar must still have."""


def period_bounds(text: str) -> tuple[datetime, datetime] | None:
    """Start (inclusive) and end (exclusive) of a quarter, month, ISO week or day; None where `text` is none of them.

    A period of no year from 1900 to 2999 is none.
    """
    bounds = _bounds(text)
    return bounds if bounds and bounds[0].year in _YEARS else None


def _bounds(text: str) -> tuple[datetime, datetime] | None:
    try:
        if match := _QUARTER.fullmatch(text):
            quarter = Quarter(int(match[1]), int(match[2]))
            return quarter.start, quarter.end
        if match := _MONTH.fullmatch(text):
            start = datetime(int(match[1]), int(match[2]), 1, tzinfo=UTC)
            return start, (start + timedelta(days=32)).replace(day=1)
        if match := _WEEK.fullmatch(text):
            day = date.fromisocalendar(int(match[1]), int(match[2]), 1)
            start = datetime(day.year, day.month, day.day, tzinfo=UTC)
            return start, start + timedelta(days=7)
        if match := _DAY.fullmatch(text):
            start = datetime(int(match[1]), int(match[2]), int(match[3]), tzinfo=UTC)
            return start, start + timedelta(days=1)
    except (ValueError, OverflowError):
        return None
    return None
