"""The rows of one submission in the order of its files: records, later changes, repeats and malformed records."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from typing import Any

import numpy as np

from sample_data.changes import Changes, periods
from sample_data.conversations import Conversation
from sample_data.draws import name_of, stream
from sample_data.generate import SimulatedQuarter
from sample_data.malformed import MALFORMED_KINDS, Malformed, make
from sample_data.outcome_plants import DOMAIN
from sample_data.records import Record, change_id, moment_text
from schemas.periods import period_bounds

MAX_MALFORMED_SHARE = 0.045  # the pool refuses a submission with more than 5 %


@dataclass
class Row:
    """One row of a data file, and what the truth says of it."""

    content: Record | bytes
    place: float  # rows of a file are sorted by it
    what: str  # new, correction, withdrawal, duplicate, malformed
    conversation: Conversation | None = None
    malformed: Malformed | None = None
    needs_memory: bool = False  # only the pool can tell, because it takes an earlier submission


@dataclass
class SubmissionPlan:
    """One submission of one company: the number of its submission in the quarter, and the formats of its files."""

    company: str
    number: int
    submission_id: str
    period: str
    formats: tuple[str, ...]
    first_submission_id: str


TextOf = Callable[[int, Record], Conversation | None]


def malformed_queue(seed: int) -> list[Malformed]:
    """All kinds in an order that follows from the seed; they are taken in turn."""
    kinds = list(MALFORMED_KINDS.values())
    return [kinds[k] for k in stream(seed, "malformed kinds").permutation(len(kinds))]


class RowMaker:
    """Makes the rows of a quarter's submissions. `kinds` is the queue of malformed kinds, shared by all quarters."""

    def __init__(self, simulated: SimulatedQuarter, text_of: TextOf, kinds: list[Malformed]) -> None:
        self._s, self._text_of = simulated, text_of
        self._c: Changes = simulated.columns.changes
        p, records = simulated.columns.parameters, simulated.columns.records
        self._p, self._builder = p, simulated.builder
        self._owner = simulated.columns.users.company[records.user]
        rng = stream(p.seed, simulated.quarter, "files")
        n = len(records.user)
        self._file, self._again = rng.integers(0, p.files_per_submission, n), rng.integers(0, p.files_per_submission, n)
        self._place, self._gap = rng.random(n), rng.random(n)
        self.kinds = kinds

    def rows(self, plan: SubmissionPlan) -> list[list[Row]]:
        """The rows of each file, in order."""
        files: list[list[Row]] = [[] for _ in plan.formats]
        company = self._p.company_ids.index(plan.company)
        mine = self._owner == company
        for index in np.flatnonzero(mine & (self._c.sent == plan.number)).tolist():
            content = self._builder.as_first_sent(index) if self._c.corrected[index] >= 0 else self._builder.new(index)
            files[self._file[index]].append(self._row(index, content, float(self._place[index]), "new"))
        self._changes(plan, mine, files)
        self._duplicates(plan, mine, files)
        self._malformed(plan, mine, files)
        for file in files:
            file.sort(key=lambda row: row.place)
        return files

    def _row(self, index: int, content: Record, place: float, what: str) -> Row:
        conversation = self._text_of(index, content)
        if conversation is not None:
            content["turns"] = list(conversation.turns)
        return Row(content, place, what, conversation)

    def _changes(self, plan: SubmissionPlan, mine: Any, files: list[list[Row]]) -> None:
        for index in np.flatnonzero(mine & (self._c.corrected == plan.number)).tolist():
            files[self._again[index]].append(
                self._row(index, self._builder.correction(index), float(self._gap[index]), "correction")
            )
        for index in np.flatnonzero(mine & (self._c.withdrawn == plan.number)).tolist():
            files[self._again[index]].append(Row(self._builder.record_withdrawal(index), float(self._gap[index]), "withdrawal"))
        if plan.number < self._p.submissions_per_quarter - 1:
            return
        users = self._s.columns.users
        company = self._p.company_ids.index(plan.company)
        for user in np.flatnonzero(self._c.user_withdrawn & (users.company == company)).tolist():
            files[0].append(Row(self._builder.user_withdrawal(user), user / len(users.company), "withdrawal"))
        if plan.number > 0 and company < self._p.withdrawn_submissions:
            row = {
                "domain": DOMAIN,
                "record_id": change_id(self._s.columns, "submission-withdrawal", company),
                "record_status": "withdrawal",
                "scope": "submission",
                "submission_id": plan.first_submission_id,
            }
            files[-1].append(Row(row, 0.5, "withdrawal"))

    def _duplicates(self, plan: SubmissionPlan, mine: Any, files: list[list[Row]]) -> None:
        for index in np.flatnonzero(mine & (self._c.resent == plan.number)).tolist():
            first, place = int(self._file[index]), float(self._place[index])
            within = self._c.sent[index] == plan.number
            # Within a submission the repeat comes after the first one: in a later file, or further down in the same.
            file = max(first, int(self._again[index])) if within else int(self._again[index])
            place = place + (1 - place) * float(self._gap[index]) if within and file == first else float(self._gap[index])
            row = self._row(index, self._builder.new(index), place, "duplicate")
            row.needs_memory = not within
            files[file].append(row)

    def _malformed(self, plan: SubmissionPlan, mine: Any, files: list[list[Row]]) -> None:
        written = sum(len(file) for file in files)
        wanted = self._p.malformed_share * written
        rng = stream(self._p.seed, self._s.quarter, "malformed", plan.company, plan.number)
        count = min(int(wanted + rng.random()), int(MAX_MALFORMED_SHARE * written))
        others = np.flatnonzero(mine & (self._c.sent < plan.number) & ~self._c.removed & (self._c.corrected < 0))
        for n in range(count):
            other = self._builder.new(int(others[int(rng.integers(len(others)))])) if len(others) else None
            frame = {**self._frame(plan), "other": other}
            for kind in self.kinds:  # the first that these files lend themselves to; the others wait
                if self._add_broken(plan, kind, files, frame, rng, n):
                    self.kinds.remove(kind)
                    self.kinds.append(kind)
                    break

    def _add_broken(
        self,
        plan: SubmissionPlan,
        kind: Malformed,
        files: list[list[Row]],
        frame: Mapping[str, Any],
        rng: np.random.Generator,
        n: int,
    ) -> bool:
        """Adds a malformed record of one kind to a file that can hold it; says whether there is one."""
        fitting = [i for i, f in enumerate(plan.formats) if files[i] and not (kind.jsonl_only and f == "parquet")]
        if not fitting or (kind.needs and not frame[kind.needs]):
            return False
        file = files[fitting[int(rng.integers(len(fitting)))]]
        start, other = int(rng.integers(len(file))), _user_of(frame["other"])
        candidates = (
            (row.content, row.place)
            for row in chain(file[start:], file[:start])
            if row.what == "new" and isinstance(row.content, dict) and _user_of(row.content) != other
        )
        record_id = "m" + name_of(self._p.seed, plan.submission_id, "malformed", n)
        made = make(kind, candidates, record_id, frame)
        if made is None:
            return False
        content, place = made
        # After the record that it was made from: the first of two with one id counts.
        place += (1 - place) * float(rng.random())
        file.append(Row(content, place, "malformed", malformed=kind, needs_memory=kind.needs_memory))
        return True

    def _frame(self, plan: SubmissionPlan) -> Mapping[str, Any]:
        quarter = self._s.quarter
        bounds = period_bounds(plan.period)
        month = plan.period != str(quarter) and bounds is not None
        inside = bounds is not None and bounds[1] < quarter.end
        outside = (bounds[1] + timedelta(days=3) if inside else quarter.start + timedelta(days=3)) if bounds else quarter.start
        seconds = int((outside - quarter.start).total_seconds())
        return {
            "month": month,
            "next_month": moment_text(quarter, seconds),
            "next_quarter": moment_text(quarter.next(), 86_400),
        }


def _user_of(record: Record | None) -> str:
    return str(record["user_pseudonym"]) if record else ""


def submission_plans(simulated: SimulatedQuarter, company: str) -> list[SubmissionPlan]:
    """The submissions of a company in a quarter; formats are taken in turn over companies and submissions."""
    p, quarter = simulated.columns.parameters, simulated.quarter
    n = p.submissions_per_quarter
    ids = [f"{company}-{str(quarter).lower()}-{i + 1:0{len(str(n))}d}" for i in range(n)]  # in order when sorted as text
    at = p.company_ids.index(company) * n + p.quarter_list.index(quarter)
    plans = []
    for number, period in enumerate(periods(p, quarter)):
        first = (at + number) * p.files_per_submission
        formats = tuple(p.formats[(first + f) % len(p.formats)] for f in range(p.files_per_submission))
        plans.append(SubmissionPlan(company, number, ids[number], period, formats, ids[0]))
    return plans
