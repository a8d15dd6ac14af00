"""Steps of intake as plain functions: one submission of the inbox at a time."""

import fcntl
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flows.pool import Pool
from intake.acceptance import take_in

_DIGEST = re.compile(r"[0-9a-f]{64}")


def waiting(pool: Pool) -> list[str]:
    """Names (digests) of the submissions in the inbox, in order of arrival, so that corrections follow what they correct."""
    if not pool.inbox.exists():
        return []
    entries = [e for e in pool.inbox.iterdir() if _DIGEST.fullmatch(e.name) and e.is_dir() and not e.is_symlink()]
    return [entry.name for entry in sorted(entries, key=lambda entry: (entry.stat().st_mtime_ns, entry.name))]


@contextmanager
def _one_at_a_time(pool: Pool) -> Iterator[None]:
    """Two ingests of one pool take turns, submission by submission."""
    with (pool.root / ".ingest.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def take_in_submission(pool: Pool, name: str) -> dict[str, Any]:
    """Takes one submission in and clears it from the inbox. Returns counts and codes only."""
    folder = pool.inbox / name
    with _one_at_a_time(pool):
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
