"""The manifest of a submission, and what its signature covers."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from schemas.canonical import canonical_json
from schemas.codes import Coded
from schemas.fields import FIRST_FAULT_ONLY, Contract, Sha256, Slug

CONTRACT_VERSION = "1.0.0"
MANIFEST_NAME = "manifest.json"

FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class Selection(Contract):
    """How the conversations of one stratum came to be in the export: without it no rate has a denominator."""

    stratum: Slug = Field(description="name that records refer to")
    reason: Annotated[str, Coded("selection_reason")] = Field(description="why they were selected")
    rule: ShortText = Field(description="the rule, in words that may be public")
    classifier_version: Slug = Field(description="version of the classifier or rule")
    sampling_rate: float = Field(gt=0, le=1, strict=False, description="share of the selected that was sent")


class DataFile(Contract):
    """One data file of the submission."""

    path: FileName = Field(description="a plain file name")
    sha256: Sha256 = Field(description="SHA-256 of the file's bytes")
    bytes: int = Field(ge=0, description="size of the file")
    records: int = Field(ge=0, description="records in it")
    format: Annotated[str, Coded("file_format")] = Field(description="encoding of the file")


class Attestations(Contract):
    """What the company attests; a submission with a false one is refused."""

    redacted_by_company: bool = Field(description="text was redacted before export")
    opt_outs_removed: bool = Field(description="users who opted out are not in it")
    restricted_records_excluded: bool = Field(description="records under legal restriction are not in it")
    redaction_tool: ShortText = Field(description="what redacted it, free text")


class Manifest(Contract):
    """The manifest of a submission."""

    contract_version: Annotated[str, StringConstraints(pattern=r"^\d{1,4}\.\d{1,4}\.\d{1,4}$")] = Field(
        description="semantic version of this contract"
    )
    company: Slug = Field(description="id under which the company is registered")
    agreement_id: Slug = Field(description="the sharing agreement that covers the submission")
    submission_id: Slug = Field(description="chosen by the company; sent again, it is answered with the first receipt")
    period: Annotated[str, StringConstraints(max_length=10)] = Field(
        description="quarter `2026Q3`, month `2026-07`, ISO week `2026-W31` or day `2026-07-30`, UTC"
    )
    pseudonym_key_id: Slug = Field(description="the key behind `user_pseudonym`, one a quarter")
    pseudonym_unit: Annotated[str, Coded("pseudonym_unit")] = Field(description="what a pseudonym names")
    selection: Annotated[list[Selection], Field(min_length=1, max_length=1_000), FIRST_FAULT_ONLY] = Field(
        description="how conversations were selected"
    )
    files: Annotated[list[DataFile], Field(min_length=1, max_length=10_000), FIRST_FAULT_ONLY] = Field(
        description="the data files"
    )
    attestations: Attestations = Field(description="what the company attests")
    tier: Annotated[str, Coded("tier")] = Field(description="`records`; `aggregates` is refused until that tier exists")
    key_id: Slug = Field(description="the signing key, as registered")
    signature: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{86}==$")] = Field(
        description="Ed25519 over the RFC 8785 canonical manifest without `signature`, base64"
    )


def signed_bytes(manifest: dict[str, Any]) -> bytes:
    """What the signature covers: the canonical manifest without `signature`. Raises ValueError where it has no such form."""
    return canonical_json({key: value for key, value in manifest.items() if key != "signature"})


SUPPORTED_MAJOR: Literal[1] = 1
