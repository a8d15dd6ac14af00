"""Quotas: what one company may bring into a quarter. Over them a submission is refused whole, before anything is kept.

They bound how much one company can make the pool store and work. How much one *user* weighs is not theirs to say: the
measurement bounds each user's contribution itself (`aggregate/bounding.py`), whatever a company sends.
"""

from dataclasses import dataclass

from intake.registry import Quota
from schemas.findings import Finding
from schemas.manifest import MANIFEST_NAME


@dataclass(frozen=True)
class Held:
    """What a company has in a quarter already: accepted records and users, and submissions of this UTC day, refused ones too."""

    records: int
    users: int
    submissions_today: int


@dataclass(frozen=True)
class Arriving:
    """What a submission would add. `users` are those without an accepted record in the quarter; `bytes` as the manifest lists."""

    records: int
    users: int
    bytes: int


def quota_findings(quota: Quota, held: Held, arriving: Arriving) -> list[Finding]:
    """E118 for each part of the quota that would be exceeded; the field says which. Reaching it exactly is permitted."""
    over = {
        "quota.records_a_quarter": held.records + arriving.records > quota.records_a_quarter,
        "quota.users_a_quarter": held.users + arriving.users > quota.users_a_quarter,
        "quota.bytes_a_submission": arriving.bytes > quota.bytes_a_submission,
        "quota.submissions_a_day": held.submissions_today + 1 > quota.submissions_a_day,
    }
    return [Finding("E118", MANIFEST_NAME, 0, name) for name, exceeded in over.items() if exceeded]
