"""What waits in a pool, and since when: submissions in the drops, accepted parts for the scrub, deployments for their run."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flows.deployments import last_due
from flows.drops import drop_of
from flows.logs import Event, log_lines
from flows.pool import Pool
from flows.scrubbing import parts_of
from intake.arrival import LOOKED_AT
from intake.drop import INCOMING
from intake.sealing import MANIFEST_PART
from schemas.errors import CommonsError

MAY_RUN = timedelta(hours=6)
"""A run that has not ended so long after it was due is late."""

_ENDS = {Event.RELEASE_ENDED: "release", Event.RETENTION_ENDED: "retention"}


@dataclass(frozen=True)
class Backlog:
    """How many wait, and since when the oldest of them."""

    number: int = 0
    since: datetime | None = None

    def hours(self, now: datetime) -> float:
        """How long the oldest waits, in hours; 0 where nothing waits."""
        return max(0.0, (now - self.since).total_seconds() / 3600) if self.since else 0.0


def waiting_submissions(pool: Pool) -> tuple[Backlog, dict[str, CommonsError]]:
    """Complete submissions in all drops, and by company why a drop could not be looked into."""
    moments, unreachable = list[float](), dict[str, CommonsError]()
    for company in sorted(pool.registry.companies):
        if "://" not in (url := pool.drop_url(company)) and not Path(url).exists():
            continue  # a new company's: the next intake makes it
        try:
            with drop_of(pool, company) as drop:
                moments += [each.modified for each in drop.of_each(INCOMING, MANIFEST_PART, LOOKED_AT).values()]
        except CommonsError as error:
            unreachable[company] = error
    return _since(datetime.fromtimestamp(moment, UTC) for moment in moments), unreachable


def waiting_parts(pool: Pool) -> Backlog:
    """Accepted parts that are not scrubbed yet, since their submission was received."""
    return _since(
        datetime.fromisoformat(submission.receipt["received_at"])
        for submission in pool.catalogue.accepted()
        for part in parts_of(pool, submission)
        if not part.scrubbed
    )


def last_ends(pool: Pool) -> dict[str, datetime]:
    """When each deployment last ended a run well, by its name, as far as the log goes back. An intake of all is one of each."""
    found = dict[str, datetime]()
    for line in log_lines(pool):
        if line["event"] in _ENDS:
            found[_ENDS[line["event"]]] = datetime.fromisoformat(line["at"])
        elif line["event"] == Event.INGEST_ENDED:
            for company in [line["company"]] if "company" in line else pool.registry.companies:
                found[f"intake-{company}"] = datetime.fromisoformat(line["at"])
    return found


def late_runs(pool: Pool, now: datetime) -> list[str]:
    """Names of deployments of which no run has ended well since it was due, MAY_RUN ago or longer."""
    ends = last_ends(pool)
    due = last_due(pool, now - MAY_RUN)
    return sorted(name for name, moment in due.items() if name not in ends or ends[name] < moment)


def _since(moments: "Iterator[datetime]") -> Backlog:
    found = list(moments)
    return Backlog(len(found), min(found, default=None))
