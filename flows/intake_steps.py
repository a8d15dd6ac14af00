"""Steps of intake as plain functions: one submission of a company's drop at a time, taken in, answered, cleared."""

import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from flows.drops import drop_of
from flows.logs import Event, log
from flows.pool import Pool
from flows.turns import Turn, in_turn
from intake.acceptance import IntakeResult, PoolDoor, clear_staging, take_in
from intake.answering import answer_files, keep_answer
from intake.arrival import DropDelivery, answer, clear
from intake.arrival import clear_leftovers as clear_drop
from intake.delivery import Delivery, DeliveryError
from intake.drop import INCOMING
from intake.manifest_checks import parse_manifest
from intake.receipt import make_receipt
from intake.sealing import MANIFEST_PART
from intake.validation import ValidationReport
from schemas.errors import CommonsError
from schemas.findings import Finding
from schemas.manifest import MANIFEST_NAME


def take_in_submission(pool: Pool, company: str, digest: str) -> dict[str, Any]:
    """Takes one submission in, answers it and clears it from the drop. Returns counts and codes only.

    Where a run ends before it answered, the next one finds the submission still there and answers with the first receipt.
    What another run has answered and cleared meanwhile is left alone. Raises TransportError where the drop cannot be read
    or answered.
    """
    start = time.monotonic()
    with in_turn(pool, Turn.INGEST), drop_of(pool, company) as drop:
        clear_staging(pool.door)
        if drop.look(f"{INCOMING}/{digest}/{MANIFEST_PART}") is None:
            nothing = {"digest": digest, "quarter": "", "records": 0, "accepted": 0, "quarantined": 0, "findings": {}}
            return {"decision": "answered by another run", "company": company, **nothing}
        delivery = DropDelivery(drop, digest, pool.identities)
        result = _refused_at_the_door(pool.door, delivery, company, digest) or take_in(delivery, pool.door)
        answer(drop, digest, result.answer)
        clear(drop, digest)
    size = sum(file.bytes for file in result.submission.manifest.files) if result.submission else 0
    told = {
        "decision": result.decision,
        "company": company,
        "digest": digest,
        "quarter": result.receipt["quarter"],
        "records": result.report.records,
        "accepted": result.receipt["accepted"] if result.decision == "accepted" else 0,
        "quarantined": result.report.quarantined,
        "findings": dict(sorted(result.report.counts.items())),
    }
    _log_decision(pool, digest, told, size, time.monotonic() - start)
    return told


def _log_decision(pool: Pool, digest: str, told: dict[str, Any], size: int, seconds: float) -> None:
    quarter = {"quarter": told["quarter"]} if told["quarter"] else {}
    fields = {"company": told["company"], "decision": told["decision"], "rows": told["records"], "counts": told["findings"]}
    log(pool, Event.SUBMISSION_DECIDED, digest=digest, bytes=size, seconds=seconds, **quarter, **fields)


def clear_leftovers(pool: Pool) -> None:
    """Removes what runs that were killed left in the staging folder, and in drops of what was accepted."""
    with in_turn(pool, Turn.INGEST):
        clear_staging(pool.door)
        for company in pool.registry.companies:
            accepted = {submission.digest for submission in pool.catalogue.accepted(company=company)}
            with suppress(CommonsError), drop_of(pool, company) as drop:  # a drop that is out of reach is told elsewhere
                clear_drop(drop, accepted)


def _refused_at_the_door(door: PoolDoor, delivery: Delivery, company: str, digest: str) -> IntakeResult | None:
    """Refuses what cannot be this company's submission of this name; None where that is no reason to."""
    code, field = "", ""
    try:
        read, findings = parse_manifest(delivery.manifest(door.limits.manifest_bytes), door.limits)
    except DeliveryError as error:
        code = error.code
    else:
        if read is None:
            code, field = findings[0].code, findings[0].field
        elif read.manifest.company != company:
            code, field = "E104", "company"  # sent through another company's drop
        elif read.digest != digest:
            code, field = "E106", "signature"  # sent under the name of something else
    if not code:
        return None
    report = ValidationReport()
    report.add(Finding(code, MANIFEST_NAME, 0, field), door.limits)
    receipt = make_receipt(door.signing_key, "refused", company, digest, report, datetime.now(UTC))
    files = answer_files(report, receipt)
    keep_answer(door.answers, company, digest, files)
    door.catalogue.audit(digest, company, "refused", report.counts)
    return IntakeResult("refused", report, receipt, files)
