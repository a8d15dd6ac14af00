"""What a quarter's registered changes are compared with: who, when, and which part of the users, from the registry alone.

No record is read here. A change is compared within equal numbers of whole weeks before and after it, so that its company has
one weight on both sides and no day of the week counts more; so two companies that changed at different times do not trade
places between `before` and `after`.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime, timedelta
from itertools import pairwise

import duckdb

from schemas.canonical import canonical_json
from schemas.emerging import ProductChange
from schemas.keys import ARM_WITH, ARM_WITHOUT, CHANGED_AFTER, CHANGED_BEFORE, OTHERS_AFTER, OTHERS_BEFORE
from schemas.periods import Quarter
from schemas.plan import Names, RegisteredPlan

ALL_USERS = 2**32
"""Users are parted by the first 32 bits of a keyed hash."""

_WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Compared:
    """Outcomes that one company's conversations give to one group of one class of changes.

    They count that begin within [since, until), of users whose keyed hash lies within [low, high). With an `experiment` it is
    those of its `arm` (or, where not `with_change`, of its other arms) that were assigned by chance; without one, all but
    those that were so assigned in an experiment of `apart`.
    """

    company: str
    change_class: str
    change_group: str
    since: datetime
    until: datetime
    low: int = 0
    high: int = ALL_USERS
    experiment: str = ""
    arm: str = ""
    with_change: bool = False
    apart: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Window:
    """A change and the weeks around it: [start, since) and [until, end)."""

    change: ProductChange
    start: datetime
    end: datetime


def changes_of(changes: Iterable[ProductChange], quarter: Quarter) -> tuple[ProductChange, ...]:
    """Those of a quarter: that begin in it, and experiments that began before and last into it."""
    return tuple(
        change
        for change in changes
        if change.since < quarter.end and (change.since >= quarter.start or (change.experiment and change.until > quarter.start))
    )


def changes_commitment(changes: Iterable[ProductChange], quarter: Quarter, secret: bytes) -> str:
    """Public commitment to the registered changes of a quarter, whatever their order; it tells nothing to who lacks the secret."""
    listed = sorted(canonical_json(change.model_dump(mode="json")) for change in changes_of(changes, quarter))
    return hashlib.sha256(b"registered changes\x00" + str(quarter).encode() + b"\x00" + secret + b"\x00".join(listed)).hexdigest()


def comparisons(
    changes: Iterable[ProductChange], companies: Sequence[str], classes: Names, quarter: Quarter, minimum: int
) -> tuple[Compared, ...]:
    """All that is compared in a quarter: a class only where at least `minimum` of the companies have such a change.

    Companies without it are compared only where they are as many, arms only where as many companies assigned them by chance.
    """
    own = [change for change in changes_of(changes, quarter) if change.company in companies]
    found: list[Compared] = []
    for name in classes:
        listed = [change for change in own if change.change_class == name]
        found += _around(listed, companies, quarter, minimum)
        found += _arms(listed, quarter, minimum)
    return tuple(found)


def groups_of(compared: Iterable[Compared]) -> Names:
    """What is compared as a plan names it: `class:group`."""
    return tuple(sorted({f"{one.change_class}:{one.change_group}" for one in compared}))


def load_compared(connection: duckdb.DuckDBPyConnection, compared: Iterable[Compared]) -> None:
    """Makes the table `compared` of the measurement's connection."""
    columns = {"since": "timestamptz", "until": "timestamptz", "low": "bigint", "high": "bigint", "with_change": "boolean"}
    listed = ", ".join(
        f"{f.name} {columns.get(f.name, 'varchar[]' if f.name == 'apart' else 'varchar')}" for f in fields(Compared)
    )
    connection.execute(f"create table compared ({listed})")
    for one in compared:
        row = [list(value) if isinstance(value, tuple) else value for value in astuple(one)]
        connection.execute(f"insert into compared values ({', '.join('?' * len(row))})", row)


def compared_of(plan: RegisteredPlan, changes: Iterable[ProductChange], companies: Sequence[str]) -> tuple[Compared, ...]:
    """All that a plan compares."""
    quarter, minimum = Quarter.parse(plan.quarter), plan.privacy.companies.minimum
    return comparisons(changes, companies, plan.release_plan.change_classes, quarter, minimum)


def _around(changes: list[ProductChange], companies: Sequence[str], quarter: Quarter, minimum: int) -> Iterator[Compared]:
    """Before and after: of the companies that changed, and of the others, whose users are shared out over the dates."""
    windows = [window for company in companies for window in _windows(_dated(changes, company), quarter)]
    if len({window.change.company for window in windows}) < minimum:
        return
    for window in windows:
        apart = tuple(sorted({c.experiment for c in changes if c.company == window.change.company and c.experiment}))
        yield from _both(window, window.change.company, (CHANGED_BEFORE, CHANGED_AFTER), apart=apart)
    having: Collection[str] = {change.company for change in changes}
    others = [company for company in companies if company not in having]
    edges = [ALL_USERS * place // len(windows) for place in range(len(windows) + 1)]
    for company in others if len(others) >= minimum else ():
        for window, (low, high) in zip(windows, pairwise(edges), strict=True):
            yield from _both(window, company, (OTHERS_BEFORE, OTHERS_AFTER), low, high)


def _both(
    window: _Window, company: str, groups: tuple[str, str], low: int = 0, high: int = ALL_USERS, apart: tuple[str, ...] = ()
) -> Iterator[Compared]:
    name, change = window.change.change_class, window.change
    yield Compared(company, name, groups[0], window.start, change.since, low, high, apart=apart)
    yield Compared(company, name, groups[1], change.until, window.end, low, high, apart=apart)


def _dated(changes: list[ProductChange], company: str) -> list[ProductChange]:
    own = (change for change in changes if change.company == company and not change.experiment)
    return sorted(own, key=lambda change: change.since)


def _windows(changes: list[ProductChange], quarter: Quarter) -> Iterator[_Window]:
    """The weeks around each of a company's changes of one class, as many on both sides, none of them another's; or none."""
    for place, change in enumerate(changes):
        first = max([quarter.start, *(earlier.until for earlier in changes[:place])])
        last = min([quarter.end, *(later.since for later in changes[place + 1 :])])
        weeks = min(change.since - first, last - change.until) // _WEEK
        if weeks > 0:
            yield _Window(change, change.since - weeks * _WEEK, change.until + weeks * _WEEK)


def _arms(changes: list[ProductChange], quarter: Quarter, minimum: int) -> Iterator[Compared]:
    """Both arms, of one size in each company: of the larger one a part of the users counts, or its company would weigh more there."""
    randomised = [change for change in changes if change.experiment]
    if len({change.company for change in randomised}) < minimum:
        return
    for change in randomised:
        share = change.arm_share
        for group, kept in ((ARM_WITH, (1 - share) / share), (ARM_WITHOUT, share / (1 - share))):
            yield Compared(
                change.company,
                change.change_class,
                group,
                quarter.start,
                quarter.end,
                high=round(ALL_USERS * min(kept, 1.0)),
                experiment=change.experiment,
                arm=change.arm,
                with_change=group == ARM_WITH,
            )
