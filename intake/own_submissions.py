"""The pool's answers in a drop, as the company sees them: receipts whose signature is checked, and its own submissions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from intake.drop import ANSWERS, INCOMING, RECEIPT_NAME, Drop, as_digest
from intake.receipt import receipt_is_genuine
from intake.sealing import MANIFEST_PART

_RECEIPT_BYTES = 1 << 20
_ANSWER_BYTES = 64 << 20
_LISTED = 10_000


@dataclass(frozen=True)
class OwnSubmission:
    """One submission in the company's drop. `state`: being sent, waiting, answered. `genuine` is None where no key was given."""

    digest: str
    state: str
    receipt: Mapping[str, Any] | None = field(default=None, repr=False)
    genuine: bool | None = None


def read_receipt(drop: Drop, digest: str, pool_key: str) -> Mapping[str, Any] | None:
    """The receipt of a submission, or None where there is none; with a key, one that it did not sign is none either."""
    receipt = _receipt(drop, digest)
    return receipt if receipt and _is_genuine(receipt, digest, pool_key) is not False else None


def own_submissions(drop: Drop, pool_key: str) -> list[OwnSubmission]:
    """Every submission of the company that waits or was answered, by digest. `pool_key` (base64) may be empty."""
    waiting = {each.name for each in drop.entries(INCOMING, _LISTED) if each.is_folder and as_digest(each.name)}
    answered = {each.name for each in drop.entries(ANSWERS, _LISTED) if each.is_folder and as_digest(each.name)}
    found = []
    for digest in sorted(waiting | answered):
        receipt = _receipt(drop, digest) if digest in answered else None
        if receipt is not None:
            found.append(OwnSubmission(digest, "answered", receipt, _is_genuine(receipt, digest, pool_key)))
        if digest in waiting:
            complete = drop.look(f"{INCOMING}/{digest}/{MANIFEST_PART}") is not None
            if complete or receipt is None:
                found.append(OwnSubmission(digest, "waiting" if complete else "being sent"))
    return found


def saved_answer(drop: Drop, digest: str) -> dict[str, bytes]:
    """What the pool wrote about a submission, by our own names: receipt, findings and, where there is one, the report."""
    names = (RECEIPT_NAME, "findings.jsonl", "report.html")
    found = {name: drop.read(f"{ANSWERS}/{digest}/{name}", _ANSWER_BYTES) for name in names}
    return {name: data for name, data in found.items() if data is not None}


def _receipt(drop: Drop, digest: str) -> Mapping[str, Any] | None:
    if (data := drop.read(f"{ANSWERS}/{digest}/{RECEIPT_NAME}", _RECEIPT_BYTES)) is None:
        return None
    try:
        receipt = orjson.loads(data)
    except ValueError:
        receipt = None
    return receipt if isinstance(receipt, dict) else {}  # something lies there that is no receipt: it holds for nothing


def _is_genuine(receipt: Mapping[str, Any], digest: str, pool_key: str) -> bool | None:
    if not pool_key:
        return None
    try:
        return receipt.get("digest") == digest and receipt_is_genuine(receipt, pool_key)
    except ValueError:  # a receipt of no canonical form was not signed
        return False
