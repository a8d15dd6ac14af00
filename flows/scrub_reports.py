"""What the scrub did to each submission: for the operator, and, signed, for the company whose records they were.

Counts only, and of a company's own records only: it has the text anyway, so that they single nobody out to it. They vary with
single users, so they go no further (`docs/guides/operating.md`).
"""

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson

from flows.drops import drop_of
from flows.pool import POOL_KEY, Pool
from flows.scrubbing import parts_of
from flows.turns import Turn, in_turn
from intake.answering import RECEIPT_FILE, is_kept, keep_answer
from intake.catalogue import AcceptedSubmission
from intake.drop import ANSWERS
from intake.receipt import SCRUB_REPORT, SCRUB_REPORT_NAME, signed
from schemas.errors import CommonsError
from schemas.storage import read_files

if TYPE_CHECKING:
    from anonymize.report import ScrubReport


def report_of(pool: Pool, submission: AcceptedSubmission) -> "ScrubReport | None":
    """The scrub report of a submission; None before all of it is scrubbed, and where it has no records."""
    from anonymize.report import ScrubReport

    parts = list(parts_of(pool, submission))
    if not parts or not all(part.scrubbed for part in parts):
        return None
    try:
        written = read_files([part.report_file for part in parts])
    except FileNotFoundError:
        return None
    return _merged(ScrubReport.from_dict(orjson.loads(each)) for each in written)


def deliver_scrub_reports(pool: Pool) -> int:
    """Writes the report of each submission that is scrubbed by now beside its receipt in the company's drop, once; how many.

    What the pool keeps was delivered, so where a run ends before it kept one, the next delivers the same again. A drop that is
    out of reach gets its reports by a later run.
    """
    waiting = defaultdict[str, list[AcceptedSubmission]](list)
    for each in pool.catalogue.accepted():
        place = pool.root / "answers", each.company, each.digest
        if is_kept(*place, RECEIPT_FILE) and not is_kept(*place, SCRUB_REPORT_NAME):
            waiting[each.company].append(each)
    delivered = 0
    for company, submissions in waiting.items():
        found = [(each, report) for each in submissions if (report := report_of(pool, each)) is not None]
        if found and company in pool.registry.companies:
            with suppress(CommonsError), in_turn(pool, Turn.INGEST), drop_of(pool, company) as drop:
                for submission, report in found:
                    files = {SCRUB_REPORT_NAME: _told(pool, submission, report)}
                    drop.write(f"{ANSWERS}/{submission.digest}/{SCRUB_REPORT_NAME}", files[SCRUB_REPORT_NAME])
                    keep_answer(pool.root / "answers", company, submission.digest, files)
                    delivered += 1
    return delivered


def _told(pool: Pool, submission: AcceptedSubmission, report: "ScrubReport") -> bytes:
    about = {
        "report": SCRUB_REPORT,
        "company": submission.company,
        "submission_id": submission.submission_id,
        "digest": submission.digest,
        "quarter": str(submission.quarter),
    }
    told = signed(pool.secret(POOL_KEY), about | report.as_dict())
    return orjson.dumps(told, option=orjson.OPT_INDENT_2) + b"\n"


def scrub_overview(pool: Pool) -> list[dict[str, Any]]:
    """For the operator: the reports of all that is scrubbed, by quarter and company."""
    found = defaultdict[tuple[str, str], list["ScrubReport"]](list)
    for submission in pool.catalogue.accepted():
        if (report := report_of(pool, submission)) is not None:
            found[str(submission.quarter), submission.company].append(report)
    return [
        {"quarter": quarter, "company": company, **_merged(reports).as_dict()}
        for (quarter, company), reports in sorted(found.items())
    ]


def _merged(reports: Iterable["ScrubReport"]) -> "ScrubReport":
    from anonymize.report import ScrubReport

    merged = ScrubReport()
    for report in reports:
        merged = merged.merge(report)
    return merged
