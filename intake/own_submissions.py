"""The pool's answers in a drop, as the company sees them: receipts whose signature is checked, and its own submissions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from intake.drop import ANSWERS, INCOMING, RECEIPT_NAME, Drop, as_digest
from intake.receipt import SCRUB_REPORT, SCRUB_REPORT_NAME, receipt_is_genuine
from intake.sealing import MANIFEST_PART

_RECEIPT_BYTES = 1 << 20
_ANSWER_BYTES = 64 << 20
_LISTED = 10_000


@dataclass(frozen=True)
class OwnSubmission:
    """One submission in the company's drop. `state`: being sent, waiting, answered. `genuine` is None where no key was given.

    `scrub` is its scrub report, where the pool has scrubbed it; `genuine` holds for both.
    """

    digest: str
    state: str
    receipt: Mapping[str, Any] | None = field(default=None, repr=False)
    genuine: bool | None = None
    scrub: Mapping[str, Any] | None = field(default=None, repr=False)


def read_receipt(drop: Drop, digest: str, pool_key: str) -> Mapping[str, Any] | None:
    """The receipt of a submission, or None where there is none; with a key, one that it did not sign is none either."""
    receipt = _read(drop, digest, RECEIPT_NAME)
    return receipt if receipt and _is_genuine(receipt, digest, pool_key) is not False else None


def own_submissions(drop: Drop, pool_key: str) -> list[OwnSubmission]:
    """Every submission of the company that waits or was answered, by digest. `pool_key` (base64) may be empty."""
    waiting = {each.name for each in drop.entries(INCOMING, _LISTED) if each.is_folder and as_digest(each.name)}
    answered = {each.name for each in drop.entries(ANSWERS, _LISTED) if each.is_folder and as_digest(each.name)}
    found = []
    for digest in sorted(waiting | answered):
        receipt = _read(drop, digest, RECEIPT_NAME) if digest in answered else None
        if receipt is not None:
            scrub = _read(drop, digest, SCRUB_REPORT_NAME)
            told = [each for each in (receipt, scrub) if each is not None]
            genuine = all(_is_genuine(each, digest, pool_key) for each in told) if pool_key else None
            found.append(OwnSubmission(digest, "answered", receipt, genuine, scrub))
        if digest in waiting:
            complete = drop.look(f"{INCOMING}/{digest}/{MANIFEST_PART}") is not None
            if complete or receipt is None:
                found.append(OwnSubmission(digest, "waiting" if complete else "being sent"))
    return found


def saved_answer(drop: Drop, digest: str) -> dict[str, bytes]:
    """What the pool wrote about a submission, by our own names: receipt, findings and, where there are any, the reports."""
    names = (RECEIPT_NAME, "findings.jsonl", "report.html", SCRUB_REPORT_NAME)
    found = {name: drop.read(f"{ANSWERS}/{digest}/{name}", _ANSWER_BYTES) for name in names}
    return {name: data for name, data in found.items() if data is not None}


def _read(drop: Drop, digest: str, name: str) -> Mapping[str, Any] | None:
    """A receipt or scrub report; empty where something else lies there, or one in the other's place: it holds for nothing."""
    if (data := drop.read(f"{ANSWERS}/{digest}/{name}", _RECEIPT_BYTES)) is None:
        return None
    try:
        told = orjson.loads(data)
    except ValueError:
        told = None
    is_one = isinstance(told, dict) and told.get("report") == (SCRUB_REPORT if name == SCRUB_REPORT_NAME else None)
    return told if is_one else {}


def _is_genuine(receipt: Mapping[str, Any], digest: str, pool_key: str) -> bool | None:
    if not pool_key:
        return None
    try:
        return receipt.get("digest") == digest and receipt_is_genuine(receipt, pool_key)
    except ValueError:  # a receipt of no canonical form was not signed
        return False
