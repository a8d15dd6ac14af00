"""Checks of a manifest: its form, its files, and, where the registry is at hand, who signed it."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from intake.delivery import DeliveryError, FolderDelivery
from intake.json_lines import has_wide_object, repeats_a_key
from intake.limits import Limits
from intake.record_checks import problems_of
from intake.registry import Registry
from schemas.canonical import sha256_bytes
from schemas.findings import Finding
from schemas.manifest import MANIFEST_NAME, SUPPORTED_MAJOR, Manifest, signed_bytes
from schemas.periods import period_bounds
from schemas.signing import decode_key, verify


@dataclass(frozen=True)
class ReadManifest:
    """A manifest that keeps its form, the bytes that its signature covers, and their digest: the submission's name."""

    manifest: Manifest
    signed: bytes
    digest: str


def read_manifest(folder: Path, limits: Limits) -> tuple[ReadManifest | None, list[Finding]]:
    """Reads `manifest.json` of a submission folder. Findings: as `parse_manifest`."""
    try:
        data = FolderDelivery(folder).manifest(limits.manifest_bytes)
    except DeliveryError:
        data = b""
    return parse_manifest(data, limits)


def parse_manifest(data: bytes, limits: Limits) -> tuple[ReadManifest | None, list[Finding]]:
    """Reads the bytes of a manifest. Findings: E101 to E103, E109 to E112, E116."""
    raw = _json_object(data)
    if raw is None:
        return None, [_finding("E101")]
    if repeats_a_key(data) or has_wide_object(raw):  # what it says would depend on who reads it; or has no end of faults
        return None, [_finding("E102")]
    version = raw.get("contract_version")
    if isinstance(version, str) and version.split(".")[0] != str(SUPPORTED_MAJOR):
        return None, [_finding("E103", "contract_version")]
    try:
        manifest = Manifest.model_validate(raw)
        signed = signed_bytes(raw)
    except ValidationError as error:
        problems = problems_of(error)
    except ValueError:
        problems = [("E102", "")]
    else:
        return ReadManifest(manifest, signed, sha256_bytes(signed)), _form_findings(manifest, limits)
    return None, [_finding("E102", field) for _, field in problems]


def _json_object(data: bytes) -> dict[str, Any] | None:
    try:
        raw = orjson.loads(data)
    except (ValueError, RecursionError):
        return None
    return raw if isinstance(raw, dict) else None


def _finding(code: str, field: str = "", file: str = MANIFEST_NAME) -> Finding:
    return Finding(code, file, 0, field)


def _form_findings(manifest: Manifest, limits: Limits) -> list[Finding]:
    attested = manifest.attestations
    false = [name for name in type(attested).model_fields if getattr(attested, name) is False]
    strata, paths = [s.stratum for s in manifest.selection], [f.path for f in manifest.files]
    return [
        *(_finding("E109", f"attestations.{name}") for name in false),
        *([_finding("E110", "period")] if period_bounds(manifest.period) is None else []),
        *([_finding("E111", "tier")] if manifest.tier == "aggregates" else []),
        *([_finding("E112", "files")] if _too_large(manifest, limits) else []),
        *([_finding("E116", "selection")] if len(set(strata)) < len(strata) else []),
        *([_finding("E116", "files")] if len(set(paths)) < len(paths) or MANIFEST_NAME in paths else []),
    ]


def _too_large(manifest: Manifest, limits: Limits) -> bool:
    sizes = [file.bytes for file in manifest.files]
    most = max(file.records for file in manifest.files)
    too_many = len(sizes) > limits.files or most > limits.file_records
    return too_many or max(sizes) > limits.file_bytes or sum(sizes) > limits.submission_bytes


def identity_findings(read: ReadManifest, registry: Registry, now: datetime) -> list[Finding]:
    """E104 and E105: the company, its agreement, and a registered, valid key that signed just this manifest."""
    manifest = read.manifest
    company = registry.find(manifest.company)
    if company is None or company.id != manifest.company or company.agreement_id != manifest.agreement_id:
        return [_finding("E104", "company" if company is None else "agreement_id")]
    key = company.key(manifest.key_id)
    if key is None or not key.valid_at(now):
        return [_finding("E105", "key_id")]
    if not verify(decode_key(key.public_key), read.signed, manifest.signature):
        return [_finding("E105", "signature")]
    return []


def file_findings(folder: Path, manifest: Manifest, progress: Callable[[int], None]) -> list[Finding]:
    """E106: every listed file is there as listed, and nothing else is. `progress` is told of bytes read.

    A file that is not listed is not named: its name is the sender's text.
    """
    try:
        return _file_findings(folder, manifest, progress)
    except OSError:
        return [_finding("E106", "files")]


def _file_findings(folder: Path, manifest: Manifest, progress: Callable[[int], None]) -> list[Finding]:
    listed = {file.path: file for file in manifest.files}
    found = {entry.name: entry for entry in os.scandir(folder)}
    unlisted = set(found) - set(listed) - {MANIFEST_NAME, "manifest.toml"}  # `prepare` reads the latter; it is never sent
    findings = [_finding("E106", "files")] if unlisted else []
    for name, file in listed.items():
        entry = found.get(name)
        if entry is None or not entry.is_file(follow_symlinks=False):
            findings.append(_finding("E106", "path", name))
        elif entry.stat(follow_symlinks=False).st_size != file.bytes:
            findings.append(_finding("E106", "bytes", name))
        elif _sha256(folder / name, progress) != file.sha256:
            findings.append(_finding("E106", "sha256", name))
    return findings


def _sha256(path: Path, progress: Callable[[int], None]) -> str:
    hasher = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 17):
            hasher.update(chunk)
            progress(len(chunk))
    return hasher.hexdigest()
