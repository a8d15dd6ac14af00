"""When each record is sent, and which are sent again, corrected or withdrawn later in the quarter."""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from sample_data.draws import Bools, Ints, stream
from sample_data.parameters import SimulationParameters
from sample_data.population import Records, Users
from schemas.periods import Quarter


@dataclass(frozen=True)
class Changes:
    """Submission numbers (from 0) by record, -1 where the thing does not happen. No record has two of the changes."""

    sent: Ints
    corrected: Ints
    withdrawn: Ints
    resent: Ints
    user_withdrawn: Bools  # by user: all records of the quarter are withdrawn, in the last submission
    removed: Bools  # by record: withdrawn in one way or another


def periods(p: SimulationParameters, quarter: Quarter) -> tuple[str, ...]:
    """The period of each submission of a quarter: months and, last, the quarter; or the quarter each time."""
    n = p.submissions_per_quarter
    if n not in (3, 4):
        return (str(quarter),) * n
    first = quarter.start.month
    return (*(f"{quarter.year:04d}-{first + i:02d}" for i in range(n - 1)), str(quarter))


def _submission_of(p: SimulationParameters, quarter: Quarter, second: Ints) -> Ints:
    n = p.submissions_per_quarter
    if n not in (3, 4):
        whole = (quarter.end - quarter.start).total_seconds()
        return np.minimum((second * n / whole).astype(np.int64), n - 1)
    starts = [quarter.start.replace(month=quarter.start.month + i) for i in range(3)]
    edges = np.array([(start - quarter.start) / timedelta(seconds=1) for start in starts[1:]])
    return np.searchsorted(edges, second, side="right").astype(np.int64)


def draw_changes(p: SimulationParameters, quarter: Quarter, users: Users, records: Records) -> Changes:
    """Draws what happens to records after they were first sent, independently of all that they say."""
    rng, n, last = stream(p.seed, quarter, "changes"), len(records.user), p.submissions_per_quarter - 1
    sent = _submission_of(p, quarter, records.second)
    # Only a submission of the whole quarter may hold records of an earlier month.
    sent = np.where(rng.random(n) < p.late_share, last, sent)
    owner = users.company[records.user]
    given_up = (owner < p.withdrawn_submissions) & (sent == 0) & (last > 0)
    early_users = np.ones(len(users.company), dtype=np.bool_)
    np.logical_and.at(early_users, records.user, (sent < last) & ~given_up)
    user_withdrawn = early_users & (rng.random(len(early_users)) < p.user_withdrawal_share)
    plain = ~user_withdrawn[records.user] & ~given_up
    draw = rng.random(n)
    steps = np.cumsum([p.correction_share, p.record_withdrawal_share, p.duplicate_share])
    early = plain & (sent < last)
    later = np.minimum(sent + 1 + np.floor(rng.random(n) * (last - sent)).astype(np.int64), last)
    corrected = np.where(early & (draw < steps[0]), later, -1)
    withdrawn = np.where(early & (draw >= steps[0]) & (draw < steps[1]), later, -1)
    again = plain & (draw >= steps[1]) & (draw < steps[2])
    resent = np.where(again, np.where(rng.random(n) < 0.5, sent, last), -1)
    removed = user_withdrawn[records.user] | (withdrawn >= 0) | given_up
    return Changes(sent, corrected, withdrawn, resent, user_withdrawn, removed)
