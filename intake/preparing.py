"""From a folder of data files and `manifest.toml` to a signed `manifest.json`: the last step at home before sending."""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import orjson

from intake.counting import FORMATS, measure
from intake.limits import DEFAULT_LIMITS
from intake.manifest_checks import parse_manifest
from intake.settings import CompanySettings, read_toml
from schemas.errors import OutOfSpaceError, UsageError
from schemas.findings import Finding
from schemas.manifest import CONTRACT_VERSION, MANIFEST_NAME, Manifest, signed_bytes
from schemas.periods import Quarter, period_bounds
from schemas.signing import sign

SOURCE_NAME = "manifest.toml"
OF_THE_COMPANY = frozenset({"period", "pseudonym_key_id", "pseudonym_unit", "tier", "selection", "attestations"})
"""What `manifest.toml` holds; every other field of a manifest is filled in here."""

_NO_SIGNATURE = "A" * 86 + "=="  # has the form of one: everything but the signature is checked before signing
_FILLED_IN = "This field is filled in by `commons prepare`: remove it from manifest.toml."
_ATTEST = "Set it to true in manifest.toml when it holds: nothing is signed before."
_NO_FILES = "There is no data file in the folder: export into it first."
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SUBMITTED = "The folder of an export holds data files only: .jsonl, .jsonl.gz, .jsonl.zst or .parquet, named [A-Za-z0-9._-]."


@dataclass(frozen=True)
class PreparedSubmission:
    """What was signed. `digest` names the submission wherever it goes; `records` counts rows over all files."""

    submission_id: str
    period: str
    digest: str
    files: int
    records: int


def find_manifest_source(folder: Path, settings_file: Path) -> Path:
    """The `manifest.toml` in the export's own folder, else the one beside `commons.toml`. Raises UsageError."""
    for place in (folder, settings_file.parent):
        if (place / SOURCE_NAME).is_file():
            return place / SOURCE_NAME
    raise UsageError("There is no manifest.toml.", "`commons init` writes one beside commons.toml; fill it in there.")


def prepare(
    folder: Path,
    settings: CompanySettings,
    source: Path,
    signing_key: bytes,
    *,
    period: str | None = None,
    submission_id: str | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[PreparedSubmission | None, list[Finding]]:
    """Writes `manifest.json` over the data files as they lie in `folder`, signed, in one step or not at all.

    `period` and `submission_id` go before those of `manifest.toml`; the default id follows from company, period and
    data, so that the same data keep their id. `progress` is told of bytes read. Nothing is signed while there is a
    finding (E102 to E112, E116): it names a field, never a value. Raises UsageError where `manifest.toml` is no TOML,
    OutOfSpaceError where there is no room.
    """
    wanted, findings = read_manifest_source(source, period)
    files, problems = _data_files(folder, progress)
    if findings or problems:
        return None, [*findings, *problems]
    return sign_manifest(folder, manifest_of(wanted, settings, files, submission_id), signing_key)


def read_manifest_source(source: Path, period: str | None = None) -> tuple[dict[str, Any], list[Finding]]:
    """What `manifest.toml` says, with `period` in place of its own, and findings for the keys that it may not hold.

    `{quarter}` in `pseudonym_key_id` becomes the quarter of the period (`2026q3`): one key a quarter without an edit.
    """
    wanted = read_toml(source)
    if period is not None:
        wanted["period"] = period
    if isinstance(wanted.get("period"), date):  # TOML has days of its own; a day is a period
        wanted["period"] = wanted["period"].isoformat()
    findings = [
        _finding("E102", key, _FILLED_IN) if key in Manifest.model_fields else _finding("E102", "?", "Remove the unknown key.")
        for key in sorted(set(wanted) - OF_THE_COMPANY)
    ]
    if "period" not in wanted:
        findings.append(_finding("E102", "period", "Give --period, or set `period` in manifest.toml."))
    bounds = period_bounds(wanted["period"]) if isinstance(wanted.get("period"), str) else None
    if bounds is None and "period" in wanted:
        findings.append(_finding("E110", "period"))
    if bounds is not None and isinstance(wanted.get("pseudonym_key_id"), str):
        quarter = str(Quarter.of(bounds[0])).lower()
        wanted["pseudonym_key_id"] = wanted["pseudonym_key_id"].replace("{quarter}", quarter)
    return wanted, findings


def manifest_of(
    wanted: Mapping[str, Any], settings: CompanySettings, files: list[dict[str, Any]], submission_id: str | None
) -> dict[str, Any]:
    """A manifest without its signature. The default id is `<company>-<period>-<8 hex of the digest of the files>`."""
    period = str(wanted.get("period", ""))
    data = "".join(f"{file['path']} {file['sha256']}\n" for file in sorted(files, key=lambda file: str(file["path"])))
    default = f"{settings.company[:40]}-{period.lower()}-{hashlib.sha256(data.encode()).hexdigest()[:8]}"
    return {
        "contract_version": CONTRACT_VERSION,
        "company": settings.company,
        "agreement_id": settings.agreement_id,
        "submission_id": submission_id or default,
        **{key: wanted[key] for key in sorted(OF_THE_COMPANY) if key in wanted},
        "files": files,
        "key_id": settings.key_id,
    }


def sign_manifest(folder: Path, manifest: dict[str, Any], signing_key: bytes) -> tuple[PreparedSubmission | None, list[Finding]]:
    """Checks a manifest as the pool will, signs it and puts it into `folder`; with findings nothing is signed or written."""
    try:
        manifest = orjson.loads(orjson.dumps(manifest))  # TOML has values that JSON has not: times, infinity, huge numbers
    except (TypeError, ValueError):
        return None, [_finding("E102")]
    read, findings = parse_manifest(orjson.dumps(manifest | {"signature": _NO_SIGNATURE}), DEFAULT_LIMITS)
    if read is None or findings:
        return None, [_finding(f.code, f.field, _ATTEST if f.code == "E109" else f.hint) for f in findings]
    _write(folder, manifest | {"signature": sign(signing_key, signed_bytes(manifest))})
    m = read.manifest
    records = sum(file.records for file in m.files)
    return PreparedSubmission(m.submission_id, m.period, read.digest, len(m.files), records), []


def data_file(path: Path, progress: Callable[[int], None] = lambda done: None) -> dict[str, Any] | None:
    """The manifest's entry of one data file: path, sha256, bytes, records, format. None where its name tells no format."""
    suffix = next((s for s in FORMATS if path.name.endswith(f".{s}")), None)
    if suffix is None or path.is_symlink() or not path.is_file():
        return None
    sha256, size, records = measure(path, suffix, progress)
    return {"path": path.name, "sha256": sha256, "bytes": size, "records": records, "format": suffix}


def _data_files(folder: Path, progress: Callable[[int], None]) -> tuple[list[dict[str, Any]], list[Finding]]:
    for stale in folder.glob(f".{MANIFEST_NAME}.*"):  # left by a run that was killed
        stale.unlink(missing_ok=True)
    files, findings = [], []
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.name in (MANIFEST_NAME, SOURCE_NAME):
            continue
        try:
            file = data_file(path, progress)
        except UsageError:
            file = {}
        if file:
            files.append(file)
        else:
            findings.append(_finding("E106", "files", _SUBMITTED) if file is None else _undecodable(path.name))
    return files, _once(findings if files or findings else [_finding("E102", "files", _NO_FILES)])


def _undecodable(name: str) -> Finding:
    return Finding("E107", name if _FILE_NAME.fullmatch(name) else SOURCE_NAME, 0, "files")


def _once(findings: Iterable[Finding]) -> list[Finding]:
    return list(dict.fromkeys(findings))


def _finding(code: str, field: str = "", hint: str = "") -> Finding:
    return Finding(code, SOURCE_NAME, 0, field, hint)


def _write(folder: Path, manifest: Mapping[str, Any]) -> None:
    temporary = folder / f".{MANIFEST_NAME}.{os.getpid()}"
    try:
        data = orjson.dumps(manifest, option=orjson.OPT_INDENT_2) + b"\n"
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(folder / MANIFEST_NAME)
    except (OSError, TypeError, ValueError):
        failed = True
    else:
        failed = False
    if failed:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise OutOfSpaceError("manifest.json could not be written.", "Check space and rights of the folder, then prepare again.")
