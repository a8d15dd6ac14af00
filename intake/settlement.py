"""Settling the rows of one submission among each other and against what was accepted before, in SQL and out of core.

Duplicates, spellings, quarters and references can only be judged when every row has been seen. What is needed of a row
is kept in a temporary SQLite database, so that memory stays flat in the number of rows, at the company and at the pool.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from schemas.periods import Quarter
from schemas.unit import unit_id

MANY_UNITS = 200_000


class RowFacts(NamedTuple):
    """What settles a sound row. `kind` is `new`, `correction`, or the scope of a withdrawal; `target` what it refers to."""

    file: int
    row: int
    kind: str
    quarter: str
    pseudonym: str
    record_id: str
    content: str
    target: str


class SettledProblem(NamedTuple):
    """A finding of settlement: the row's place in the list of files and in its file, code and field."""

    file: int
    row: int
    code: str
    field: str


class KnownRecords(Protocol):
    """What the pool has accepted of the same company before; a company that validates at home knows nothing of it."""

    def of_quarter(self, quarter: Quarter, units: Sequence[str] | None) -> Iterable[tuple[str, str, str]]:
        """Unit, record id and content digest of accepted records of a quarter, of these units or (None) of all."""

    def submission_quarter(self, submission_id: str) -> Quarter | None:
        """Quarter of an accepted submission of the company, or None."""


_TABLES = """
create table rows (
  n integer primary key, file integer, row integer, kind text, quarter text, unit text, spelling text, record_id text,
  content text, target text, problem text, field text
);
create table known (unit text, record_id text, content text, primary key (unit, record_id)) without rowid;
"""


class Settlement:
    """The rows of one submission, in the order in which they were added: that order numbers them from 0.

    A context manager; its database is temporary (`path`, or one that SQLite removes by itself).
    """

    def __init__(self, company: str, period_quarter: Quarter, known: KnownRecords | None, path: Path | None = None) -> None:
        self._company, self._period_quarter, self._known = company, period_quarter, known
        self._database = sqlite3.connect(str(path) if path else "", isolation_level=None)
        self._database.executescript(
            f"pragma journal_mode = off; pragma synchronous = off; pragma cache_size = -65536; {_TABLES} begin;"
        )
        self._count = 0
        self._cased = False
        self._withdrawn: dict[str, str] = {}
        self.quarter = period_quarter
        self.new_users = 0
        self.kept = 0

    def __enter__(self) -> "Settlement":
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def add(self, rows: Sequence[RowFacts]) -> list[str]:
        """Takes sound rows in, and returns the unit of each (empty where a row names no user)."""
        units, values = [], []
        for number, (file, row, kind, quarter, pseudonym, record_id, content, target) in enumerate(rows, start=self._count):
            unit = unit_id(self._company, pseudonym) if pseudonym else ""
            spelling = pseudonym.casefold()
            if spelling != pseudonym:
                self._cased = True
            units.append(unit)
            values.append((number, file, row, kind, quarter, unit, spelling, record_id, content, target))
        self._count += len(values)
        self._database.executemany("insert into rows values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, null, null)", values)
        return units

    def settle(self) -> None:
        """Judges all rows: `quarter` is then that of most of them, `problems` and `left_out` tell the rest."""
        self._settle_withdrawn_submissions()
        if self._cased:
            self._settle_spellings()
        self._database.execute("create index by_record on rows (unit, record_id)")
        self._settle_repeats()
        self._settle_quarter()
        if self._known is not None:
            self._load_known(self._known)
            self._settle_against_known()
            self._settle_references()
            self.new_users = self._one(
                "select count(*) from (select distinct unit from rows where kind in ('new', 'correction') and problem is null) u "
                "where not exists (select 1 from known k where k.unit = u.unit)"
            )

        self.kept = self._one("select count(*) from rows where kind <> 'submission'")

    def problems(self) -> Iterator[SettledProblem]:
        """What settlement found, in order."""
        for row in self._database.execute("select file, row, problem, field from rows where problem is not null order by n"):
            yield SettledProblem(*row)

    def left_out(self) -> Iterator[int]:
        """Numbers of the rows that are not kept as records, in order: those with a problem, and withdrawals of submissions."""
        for (number,) in self._database.execute("select n from rows where problem is not null or kind = 'submission' order by n"):
            yield number

    def sound_by_kind(self) -> dict[str, int]:
        """How many rows of each kind have no problem."""
        return dict(self._database.execute("select kind, count(*) from rows where problem is null group by kind"))

    def withdrawn_submissions(self) -> set[str]:
        """Ids of the submissions that sound rows withdraw."""
        found = self._database.execute("select distinct target from rows where kind = 'submission' and problem is null")
        return {name for (name,) in found}

    def _any(self, query: str) -> bool:
        return self._database.execute(f"{query} limit 1").fetchone() is not None

    def _one(self, query: str) -> int:
        return int(self._database.execute(query).fetchone()[0])

    def _settle_withdrawn_submissions(self) -> None:
        names = self._database.execute("select distinct target from rows where kind = 'submission'").fetchall()
        if not names:
            return
        known = self._known.submission_quarter if self._known else lambda name: self._period_quarter
        quarters = ((name, str(quarter)) for (name,) in names if (quarter := known(name)) is not None)
        self._database.execute("create table withdrawn (name text primary key, quarter text) without rowid")
        self._database.executemany("insert into withdrawn values (?, ?)", quarters)
        of_row = "(select w.quarter from withdrawn w where w.name = rows.target)"
        self._database.execute(f"update rows set quarter = {of_row} where kind = 'submission'")
        self._mark("E223", "submission_id", "kind = 'submission' and quarter is null")

    def _mark(self, code: str, field: str, where: str, *values: str) -> None:
        self._database.execute(
            f"update rows set problem = ?, field = ? where problem is null and {where}", (code, field, *values)
        )

    def _settle_spellings(self) -> None:
        """The spelling that came first holds: another would be a second user."""
        self._database.execute("create index by_spelling on rows (spelling, n)")
        self._mark(
            "E225",
            "user_pseudonym",
            "kind <> 'submission' and unit <> (select f.unit from rows f where f.spelling = rows.spelling order by f.n limit 1)",
        )

    def _settle_repeats(self) -> None:
        """Of records of one user and id the first holds; the others repeat it, or contradict it."""
        if not self._any("select 1 from rows group by unit, record_id having count(*) > 1"):
            return
        first = (
            "(select f.content from rows f where f.unit = rows.unit and f.record_id = rows.record_id "
            "and f.kind in ('new', 'correction') and coalesce(f.problem, '') <> 'E225' order by f.n limit 1)"
        )
        repeated = (
            "kind in ('new', 'correction') and exists (select 1 from rows f where f.unit = rows.unit "
            "and f.record_id = rows.record_id and f.kind in ('new', 'correction') "
            "and coalesce(f.problem, '') <> 'E225' and f.n < rows.n)"
        )
        self._mark("W301", "record_id", f"{repeated} and content = {first}")
        self._mark("E219", "record_id", repeated)

    def _settle_quarter(self) -> None:
        """The submission's quarter is that of most of its rows, so that no single row decides for all others."""
        counted = self._database.execute(
            "select quarter from rows where problem is null group by quarter order by count(*) desc, quarter <> ?, quarter",
            (str(self._period_quarter),),
        ).fetchall()
        if counted:
            self.quarter = Quarter.parse(counted[0][0])
        chosen = str(self.quarter)
        self._mark("E211", "started_at", "quarter <> ? and kind in ('new', 'correction')", chosen)
        self._mark("E211", "supersedes_started_at", "quarter <> ?", chosen)

    def _load_known(self, known: KnownRecords) -> None:
        count = self._one(f"select count(*) from (select distinct unit from rows limit {MANY_UNITS + 1})")
        units = None
        if count <= MANY_UNITS:
            units = [unit for (unit,) in self._database.execute("select distinct unit from rows where unit <> ''")]
        if units != []:
            self._database.executemany("insert or ignore into known values (?, ?, ?)", known.of_quarter(self.quarter, units))

    def _settle_against_known(self) -> None:
        """What was accepted before holds: a row repeats it, or contradicts it."""
        before = "(select k.content from known k where k.unit = rows.unit and k.record_id = rows.record_id)"
        self._database.execute(
            f"update rows set problem = iif(content = {before}, 'W301', 'E219'), field = 'record_id' "
            f"where kind in ('new', 'correction') and coalesce(problem, 'W301') in ('W301', 'E219') and {before} is not null"
        )

    def _settle_references(self) -> None:
        """What is superseded must itself be accepted: where it is not, neither is what refers to it, and so on."""
        if not self._any("select 1 from rows where kind in ('correction', 'record', 'user')"):
            return
        self._database.execute("create index by_target on rows (unit, target)")
        known = "exists (select 1 from known k where k.unit = r.unit and k.record_id = r.target)"
        new = "exists (select 1 from rows t where t.unit = r.unit and t.record_id = r.target and t.kind = 'new' and t.problem is null)"
        # A correction stands on a record that does: one of the pool, a new one, or a correction that stands. So nothing
        # supersedes itself, by whatever detour.
        self._database.execute("create table standing (n integer primary key, unit text, record_id text)")
        self._database.execute(
            f"""
            with recursive stands (n, unit, record_id) as (
              select r.n, r.unit, r.record_id from rows r
              where r.kind = 'correction' and r.problem is null and ({known} or {new})
              union
              select r.n, r.unit, r.record_id from stands s
              join rows r on r.unit = s.unit and r.target = s.record_id
              where r.kind = 'correction' and r.problem is null
            )
            insert into standing select * from stands
            """
        )
        self._mark("E218", "supersedes", "kind = 'correction' and n not in (select n from standing)")
        self._mark(
            "E218",
            "supersedes",
            "kind = 'record' and not exists (select 1 from known k where k.unit = rows.unit and k.record_id = rows.target) "
            "and not exists (select 1 from rows t where t.unit = rows.unit and t.record_id = rows.target "
            "and t.kind in ('new', 'correction') and t.problem is null)",
        )
        self._mark(
            "E218",
            "user_pseudonym",
            "kind = 'user' and not exists (select 1 from known k where k.unit = rows.unit) and not exists "
            "(select 1 from rows t where t.unit = rows.unit and t.kind in ('new', 'correction') and t.problem is null)",
        )
