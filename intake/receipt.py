"""Receipts: the pool's signed word on what became of a submission, and what the scrub did to it."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from intake.validation import ValidationReport
from schemas.canonical import canonical_json
from schemas.signing import decode_key, encode_key, public_key, sign, verify

SCRUB_REPORT_NAME = "scrub.json"
SCRUB_REPORT = "scrub"
"""The `report` of a scrub report. A receipt has none, so that neither is taken for the other."""


def signed(signing_key: bytes, body: Mapping[str, Any]) -> dict[str, Any]:
    """A body with the pool's public key and its signature over both."""
    whole = {**body, "pool_key": encode_key(public_key(signing_key))}
    return {**whole, "signature": sign(signing_key, canonical_json(whole))}


def make_receipt(
    signing_key: bytes,
    decision: str,
    company: str,
    digest: str,
    report: ValidationReport,
    at: datetime,
    kinds: Mapping[str, int] = MappingProxyType({}),
) -> dict[str, Any]:
    """A receipt over counts and codes, signed by the pool. `company` is a registered id or empty.

    `kinds` tells how many of the accepted rows are of which kind (as `RowFacts` has it).
    """
    body = {
        "decision": decision,
        "company": company,
        "submission_id": report.read.manifest.submission_id if report.read and company else "",
        "digest": digest,
        "quarter": str(report.quarter or ""),
        "records": report.records,
        "accepted": report.accepted if decision == "accepted" else 0,
        "corrections": kinds.get("correction", 0),
        "withdrawals": sum(kinds.get(scope, 0) for scope in ("record", "user", "submission")),
        "quarantined": report.quarantined,
        "findings": dict(sorted(report.counts.items())),
        "received_at": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return signed(signing_key, body)


def receipt_is_genuine(receipt: Mapping[str, Any], pool_key: str) -> bool:
    """Whether a receipt, or a scrub report, was signed by the pool's key (base64)."""
    body = {name: value for name, value in receipt.items() if name != "signature"}
    return verify(decode_key(pool_key), canonical_json(body), str(receipt.get("signature", "")))
