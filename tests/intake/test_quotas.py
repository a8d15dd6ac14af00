"""Quotas: reached is permitted, exceeded is refused, each part by its own name."""

import pytest

from intake.quotas import Arriving, Held, quota_findings
from intake.registry import Quota
from schemas.findings import refuses

QUOTA = Quota(records_a_quarter=100, users_a_quarter=10, bytes_a_submission=1000, submissions_a_day=3)
HELD = Held(records=60, users=6, submissions_today=2)
FITS = Arriving(records=40, users=4, bytes=1000)


def test_a_quota_may_be_reached() -> None:
    assert quota_findings(QUOTA, HELD, FITS) == []


@pytest.mark.parametrize(
    ("held", "arriving", "part"),
    [
        (HELD, Arriving(41, 4, 1000), "records_a_quarter"),
        (HELD, Arriving(40, 5, 1000), "users_a_quarter"),
        (HELD, Arriving(40, 4, 1001), "bytes_a_submission"),
        (Held(60, 6, 3), FITS, "submissions_a_day"),
        (Held(101, 6, 0), Arriving(0, 0, 0), "records_a_quarter"),  # the quota was lowered since
    ],
)
def test_over_it_the_whole_submission_is_refused(held: Held, arriving: Arriving, part: str) -> None:
    findings = quota_findings(QUOTA, held, arriving)
    assert [(finding.code, finding.field) for finding in findings] == [("E118", f"quota.{part}")]
    assert all(refuses(finding) for finding in findings)


def test_every_part_that_is_exceeded_is_named() -> None:
    assert len(quota_findings(QUOTA, HELD, Arriving(10**9, 10**9, 10**12))) == 3
