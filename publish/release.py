"""Writing a release: an immutable folder, whole or not at all, and the same bytes each time."""

import fcntl
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Any

from publish.brief import render_brief
from publish.card import data_card
from publish.catalog import earlier_releases, json_bytes, sync_folder, write_catalog, write_synced
from publish.content import digest_of, release_id, release_rows
from publish.croissant import croissant
from publish.datapackage import data_package
from publish.explorer import render_explorer
from publish.minisign import public_key_text, signature_text
from publish.parquet import SYNTHETIC_NOTICE, parquet_bytes
from publish.pdf import render_pdf
from publish.signoff import People, SignedContent, signoff_entry, verify_signoffs
from publish.staff_text import StaffText
from publish.store import require_checks
from publish.verify import MANIFEST, SIGNATURE, STAFF_TEXT, SUMS, manifest_of, verify_release
from publish.views import data_path, views_sql
from schemas.canonical import sha256_bytes
from schemas.errors import InternalError
from schemas.signing import encode_key, public_key
from schemas.stages import CheckResult, MeasuredRelease, Release, SignOff
from schemas.tables import SCHEMA_VERSION

Helpline = Mapping[str, str]
"""One help line: `region`, `name`, `contact`."""

PUBLIC_KEY = "minisign.pub"
"""Beside the catalogue: the key under which releases are signed, for minisign."""

# What makes a release this one and no other. Code and schema version and rendered pages are not in it: a published release stays as
# it was written, also when newer code asks for it again.
_IDENTITY = ("release", "synthetic", "plan_hash", "tables_digest", "spend", "signoffs")


@dataclass(frozen=True)
class _Draft:
    measured: MeasuredRelease
    checks: tuple[CheckResult, ...]
    signoffs: tuple[SignOff, ...]
    people: People
    signing_key: bytes = field(repr=False)
    code_version: str
    helplines: tuple[Helpline, ...]
    earlier: tuple[str, ...]
    canary_recall: Mapping[str, float] = field(default_factory=dict)
    text: StaffText = field(default_factory=StaffText)


def _facts(draft: _Draft) -> dict[str, Any]:
    """The manifest without the list of files."""
    measured, plan, spend = draft.measured, draft.measured.plan, draft.measured.spend
    rows = release_rows(measured)
    planner = draft.people.get(plan.planner)
    return {
        "release": release_id(measured.quarter, measured.version),
        "quarter": str(measured.quarter),
        "version": measured.version,
        "reason": plan.reason,
        "schema_version": SCHEMA_VERSION,
        "synthetic": plan.synthetic,
        **({"notice": SYNTHETIC_NOTICE} if plan.synthetic else {}),
        "licence": "CC-BY-4.0",
        "code_version": draft.code_version,
        "contributors": plan.contributors,
        "plan_hash": plan.hash,
        "plan": plan.model_dump(mode="json"),
        "release_key": encode_key(public_key(draft.signing_key)),
        "planner": {"person": planner.id, "public_key": encode_key(planner.public_key)},
        "spend": {
            "rho": spend.rho,
            "epsilon": spend.epsilon,
            "delta": spend.delta,
            "year": spend.year,
            "year_rho": spend.year_rho,
            "year_epsilon": spend.year_epsilon,
            "year_delta": spend.year_delta,
            "ledger_entries": list(spend.entries),
        },
        "tables": {name: {"rows": table.num_rows, "path": data_path(name)} for name, table in rows.items()},
        "tables_digest": digest_of(rows),
        "checks": [{"name": c.name, "passed": c.passed, "stops": c.stops, "detail": c.detail} for c in draft.checks],
        "signoffs": [signoff_entry(signoff, draft.people) for signoff in sorted(draft.signoffs, key=lambda s: s.role)],
        "earlier_releases": list(draft.earlier),
        "canary_recall": dict(draft.canary_recall),
    }


def _pages(draft: _Draft) -> tuple[dict[str, bytes], dict[str, str]]:
    """The files that people read, and what was skipped, with the reason."""
    approved = max(signoff.signed_at for signoff in draft.signoffs)
    brief = render_brief(draft.measured, helplines=draft.helplines, earlier=draft.earlier, text=draft.text)
    pdf = render_pdf(brief.html, approved)
    files = {
        "README.md": data_card(draft.measured, draft.code_version, draft.canary_recall).encode(),
        "views.sql": views_sql(draft.measured).encode(),
        "brief.html": brief.html.encode(),
        "explorer.html": render_explorer(draft.measured, draft.helplines).encode(),
    }
    if draft.text.source:
        files[STAFF_TEXT] = draft.text.source.encode()
    if pdf.data is None:
        return files, {"brief.pdf": pdf.skipped}
    return files | {"brief.pdf": pdf.data}, {}


def release_files(draft: _Draft, facts: Mapping[str, Any]) -> dict[str, bytes]:
    """Every file of a release by its path in the folder."""
    rows = release_rows(draft.measured)
    files = {data_path(name): parquet_bytes(name, table, draft.measured) for name, table in rows.items()}
    files |= _descriptions(draft, files)
    pages, skipped = _pages(draft)
    files |= pages
    listed = [{"path": path, "sha256": sha256_bytes(data), "bytes": len(data)} for path, data in sorted(files.items())]
    files[MANIFEST] = json_bytes({**facts, "skipped": skipped, "files": listed})
    sums = "".join(f"{sha256_bytes(data)}  {path}\n" for path, data in sorted(files.items()))
    notice = f"# {SYNTHETIC_NOTICE}\n" if draft.measured.plan.synthetic else ""
    files[SUMS] = (notice + sums).encode()
    release, key = release_id(draft.measured.quarter, draft.measured.version), draft.signing_key
    synthetic = " (synthetic)" if draft.measured.plan.synthetic else ""
    files[SIGNATURE] = signature_text(key, public_key(key), files[SUMS], f"Incident Commons {release}{synthetic}").encode()
    return files


def _descriptions(draft: _Draft, data: Mapping[str, bytes]) -> dict[str, bytes]:
    """The tables as other people's tools describe them."""
    created = max(signoff.signed_at for signoff in draft.signoffs).astimezone(UTC).isoformat(timespec="seconds")
    hashes, sizes = {p: sha256_bytes(d) for p, d in data.items()}, {p: len(d) for p, d in data.items()}
    return {
        "datapackage.json": json_bytes(data_package(draft.measured, hashes, created)),
        "croissant.json": json_bytes(croissant(draft.measured, hashes, sizes, created)),
    }


@contextmanager
def _only_writer(root: Path) -> Iterator[None]:
    """One writer at a time; the lock goes with the process, however it ends."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write_whole(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes all files beside their place, waits for the disk, and moves them there in one rename."""
    partial = folder.parent / f".{folder.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)  # left by a writer that was killed: we hold the lock
    for path, data in files.items():
        target = partial / path
        target.parent.mkdir(parents=True, exist_ok=True)
        write_synced(target, data)
    for inside in (partial, *(entry for entry in partial.rglob("*") if entry.is_dir())):
        sync_folder(inside)
    partial.rename(folder)
    sync_folder(folder.parent)


def _as_written(folder: Path, facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """The manifest of a folder that is there already, after checking that it is this very release, unharmed."""
    manifest = manifest_of(folder)
    wanted = json.loads(json_bytes(facts))
    if any(manifest.get(name) != wanted[name] for name in _IDENTITY):
        raise InternalError(
            "Another release lies in this place already.", "A published release is never edited: plan a new version."
        )
    if not all(result.passed for result in verify_release(folder)):
        raise InternalError("The folder of this release is not as it was written.", "Run `commons verify` on it and restore it.")
    return manifest


def write_release(
    measured: MeasuredRelease,
    checks: Iterable[CheckResult],
    signoffs: Iterable[SignOff],
    people: People,
    folder_root: Path,
    *,
    signing_key: bytes,
    code_version: str,
    helplines: Sequence[Helpline] = (),
    canary_recall: Mapping[str, float] | None = None,
    text: StaffText | None = None,
) -> Release:
    """Writes `<folder_root>/<quarter>/v<N>/` whole or not at all, then swaps `catalog.json`.

    The same release again is found as it is and returned; two builds of it are byte-identical. Every file says
    *synthetic* where the plan counts synthetic records.

    Args:
        measured: what the measurement handed over.
        checks: results of `publish.checks.run_checks`; no stop check may have failed.
        signoffs: both sign-offs; each is verified again here.
        people: the registry that the sign-offs are verified against; public keys of signers go into the manifest.
        folder_root: the folder `releases/`.
        signing_key: 32 raw bytes, under which `SHA256SUMS` is signed; its public key goes beside the catalogue, for minisign.
        code_version: of the code that writes.
        helplines: help lines for the brief, each with `region`, `name`, `contact`.
        canary_recall: share of planted canaries that the scrub caught, by kind.
        text: staff's own paragraphs of the brief, as both signed them.

    Returns:
        The release, with its manifest. `manifest["skipped"]` names outputs left out, with the reason.

    Raises:
        CheckFailedError: a stop check failed, or none was made, or staff's text is not supported.
        NotApprovedError: a sign-off is missing or does not hold.
        InternalError: a different or a damaged release lies there already.
    """
    draft = _Draft(
        measured,
        tuple(checks),
        tuple(signoffs),
        people,
        signing_key,
        code_version,
        tuple(helplines),
        earlier_releases(folder_root, measured.quarter),
        dict(canary_recall or {}),
        text or StaffText(),
    )
    require_checks(draft.checks)
    verify_signoffs(SignedContent.of(measured, draft.text.digest), people, measured.plan.planner, draft.signoffs)
    facts = _facts(draft)
    folder = folder_root / str(measured.quarter) / f"v{measured.version}"
    with _only_writer(folder_root):
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            _write_whole(folder, release_files(draft, facts))
        manifest = _as_written(folder, facts)
        write_synced(folder_root / PUBLIC_KEY, public_key_text(public_key(signing_key)).encode())
        write_catalog(folder_root)
    return Release(measured.quarter, measured.version, folder, manifest)
