"""Writing a release: an immutable folder, whole or not at all, and the same bytes each time."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Any

from publish.brief import render_brief
from publish.card import data_card
from publish.catalog import earlier_releases, json_bytes, swap_synced, write_catalog
from publish.content import digest_of, release_rows, signed_terms
from publish.croissant import croissant
from publish.datapackage import data_package
from publish.explorer import render_explorer
from publish.folder import PUBLIC_KEY, only_writer, origin, signed_files, written_once
from publish.minisign import public_key_text
from publish.parquet import parquet_bytes
from publish.pdf import render_pdf
from publish.signoff import People, SignedContent, verify_signoffs
from publish.staff_text import StaffText
from publish.store import require_checks
from publish.verify import STAFF_TEXT
from publish.views import data_path, views_sql
from schemas.canonical import sha256_bytes
from schemas.derived_tables import TERMS
from schemas.signing import public_key
from schemas.stages import CheckResult, MeasuredRelease, Release, SignOff

Helpline = Mapping[str, str]
"""One help line: `region`, `name`, `contact`."""

# What makes a release this one and no other. Code and schema version, rendered pages and what the year has spent are not in it: a
# published release stays as it was written, also when newer code, or a later quarter, asks for it again.
_IDENTITY = ("release", "synthetic", "plan_hash", "tables_digest", "terms_digest", "signoffs")


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
    measured, spend = draft.measured, draft.measured.spend
    rows = release_rows(measured)
    return {
        **origin(measured, draft.signoffs, draft.people, draft.signing_key, draft.code_version),
        "licence": "CC-BY-4.0",
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
        **({"terms_digest": signed_terms(measured), "members_digest": measured.members_digest} if TERMS in rows else {}),
        "checks": [{"name": c.name, "passed": c.passed, "stops": c.stops, "detail": c.detail} for c in draft.checks],
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
    return signed_files(files, {**facts, "skipped": skipped}, draft.signing_key)


def _descriptions(draft: _Draft, data: Mapping[str, bytes]) -> dict[str, bytes]:
    """The tables as other people's tools describe them."""
    created = max(signoff.signed_at for signoff in draft.signoffs).astimezone(UTC).isoformat(timespec="seconds")
    hashes, sizes = {p: sha256_bytes(d) for p, d in data.items()}, {p: len(d) for p, d in data.items()}
    return {
        "datapackage.json": json_bytes(data_package(draft.measured, hashes, created)),
        "croissant.json": json_bytes(croissant(draft.measured, hashes, sizes, created)),
    }


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
    with only_writer(folder_root):
        manifest = written_once(folder, lambda: release_files(draft, facts), facts, _IDENTITY)
        swap_synced(folder_root / PUBLIC_KEY, public_key_text(public_key(signing_key)).encode())
        write_catalog(folder_root)
    return Release(measured.quarter, measured.version, folder, manifest)
