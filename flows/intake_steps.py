"""Steps of intake as plain functions: one submission of the inbox at a time."""

import re
import shutil
from typing import Any

from flows.pool import Pool
from intake.acceptance import take_in

_DIGEST = re.compile(r"[0-9a-f]{64}")


def waiting(pool: Pool) -> list[str]:
    """Names (digests) of the submissions in the inbox, in order of arrival, so that corrections follow what they correct."""
    if not pool.inbox.exists():
        return []
    entries = [entry for entry in pool.inbox.iterdir() if _DIGEST.fullmatch(entry.name) and entry.is_dir()]
    return [entry.name for entry in sorted(entries, key=lambda entry: (entry.stat().st_mtime_ns, entry.name))]


def take_in_submission(pool: Pool, name: str) -> dict[str, Any]:
    """Takes one submission in and clears it from the inbox. Returns counts and codes only."""
    folder = pool.inbox / name
    result = take_in(folder, pool.door)
    shutil.rmtree(folder)
    return {
        "decision": result.decision,
        "company": result.receipt["company"],
        "quarter": result.receipt["quarter"],
        "records": result.report.records,
        "accepted": result.receipt["accepted"] if result.decision == "accepted" else 0,
        "quarantined": result.report.quarantined,
        "findings": dict(sorted(result.report.counts.items())),
    }
