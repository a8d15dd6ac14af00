"""Verifying a release folder: hashes, nothing unlisted, manifest, tables and sign-offs. Needs the folder alone."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from publish.content import digest_of, members_digest, public_terms, terms_digest
from publish.minisign import trusted_comment
from publish.signoff import People, Person, SignedContent, verify_signoffs
from schemas.canonical import digest, sha256_bytes
from schemas.derived_tables import MEMBERS, TERMS
from schemas.errors import CheckFailedError, CommonsError, UsageError
from schemas.signing import decode_key
from schemas.stages import CheckResult, SignOff

MANIFEST = "MANIFEST.json"
SUMS = "SHA256SUMS"
SIGNATURE = "SHA256SUMS.minisig"
STAFF_TEXT = "brief.md"  # staff's own paragraphs of the brief, as they were signed; where there are any
_SUM_LINE = re.compile(r"([0-9a-f]{64})  ([^\n]+)", re.ASCII)


def manifest_of(folder: Path) -> dict[str, Any]:
    """The manifest of a release folder. Raises CheckFailedError where it is missing or no JSON object."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        manifest = None
    if not isinstance(manifest, dict):
        raise CheckFailedError("The release has no readable manifest.", "Fetch the folder again.")
    return manifest


def _files(folder: Path) -> set[str]:
    # A symbolic link counts as itself: it could point at a file that no hash covers.
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_symlink() or not p.is_dir()}


def _sums(folder: Path) -> dict[str, str]:
    text = (folder / SUMS).read_text(encoding="utf-8")
    lines = [_SUM_LINE.fullmatch(line) for line in text.splitlines() if not line.startswith("#")]
    if not all(lines):
        raise ValueError
    return {match[2]: match[1] for match in lines if match}


def _hashes(folder: Path) -> tuple[bool, str]:
    sums, files = _sums(folder), _files(folder) - {SUMS, SIGNATURE}
    if unlisted := files - sums.keys():
        return False, f"{len(unlisted)} files are not listed in {SUMS}."
    if missing := sums.keys() - files:
        return False, f"{len(missing)} listed files are missing."
    links = sum((folder / path).is_symlink() for path in files)
    changed = [path for path, wanted in sums.items() if sha256_bytes((folder / path).read_bytes()) != wanted]
    if changed or links:
        return False, f"{len(changed)} files have another content than {SUMS} says; {links} are links."
    return True, f"{len(sums)} files have the listed SHA-256, none is unlisted."


def _manifest(folder: Path) -> tuple[bool, str]:
    manifest = manifest_of(folder)
    listed = {entry["path"]: entry["sha256"] for entry in manifest["files"]}
    sums = {path: value for path, value in _sums(folder).items() if path != MANIFEST}
    if listed != sums:
        return False, f"Manifest and {SUMS} do not list the same files and hashes."
    plan = manifest["plan"]
    if digest(plan) != manifest["plan_hash"]:
        return False, "The plan is not the one that the plan hash names."
    if any(manifest[name] != plan[name] for name in ("quarter", "version", "synthetic", "contributors")):
        return False, "Manifest and plan contradict each other."
    return True, "The manifest lists every file; the plan has its hash."


def _tables(folder: Path) -> dict[str, pa.Table]:
    return {
        name: pq.read_table(folder / entry["path"], partitioning=None) for name, entry in manifest_of(folder)["tables"].items()
    }


def _same_tables(folder: Path) -> tuple[bool, str]:
    manifest, tables = manifest_of(folder), _tables(folder)
    content = signed_content(manifest, tables, None)
    if (content.tables_digest, content.terms_digest) != (manifest["tables_digest"], manifest.get("terms_digest", "")):
        return False, "The tables are not those that the manifest names."
    named = {b"release": manifest["release"].encode(), b"synthetic": str(manifest["synthetic"]).lower().encode()}
    if any((table.schema.metadata or {}).get(key) != value for table in tables.values() for key, value in named.items()):
        return False, "A table says that it belongs to another release."
    return True, f"{len(tables)} tables are those that were signed."


def signed_content(manifest: Mapping[str, Any], tables: Mapping[str, pa.Table], text: bytes | None) -> SignedContent:
    """What the sign-offs of a release must cover, with the digests of the tables and of staff's text as they lie there.

    What members alone are told lies apart from the release that it was signed with: of it the digests of tables and text are
    as its manifest has them, and those of terms are made from the table, of which the public part is a part.
    """
    terms, release = tables.get(TERMS), (manifest["quarter"], manifest["version"], manifest["plan_hash"])
    if manifest.get("audience") == MEMBERS:
        told = terms_digest(public_terms(tables[TERMS]), members_digest(tables[TERMS], manifest["salt"]))
        return SignedContent(*release, manifest["tables_digest"], manifest["text_digest"], told)
    text_digest = sha256_bytes(text) if text else ""
    told = "" if terms is None else terms_digest(terms, manifest["members_digest"])
    return SignedContent(*release, digest_of(dict(tables)), text_digest, told)


def signed_name(manifest: Mapping[str, Any]) -> str:
    """What the signature over a folder's hashes is said to be of: one for members passes for no release."""
    audience = " for members" if manifest.get("audience") == MEMBERS else ""
    return f"Incident Commons {manifest['release']}{audience}{' (synthetic)' if manifest['synthetic'] else ''}"


def _signoffs(folder: Path) -> tuple[bool, str]:
    manifest = manifest_of(folder)
    entries, planner = manifest["signoffs"], manifest["planner"]
    people = {planner["person"]: Person(planner["person"], "operator", decode_key(planner["public_key"]))}
    for entry in entries:
        if entry["person"] == planner["person"]:
            return False, "The planner signed."
        people[entry["person"]] = Person(entry["person"], entry["role"], decode_key(entry["public_key"]))
    given = [SignOff(e["person"], e["role"], datetime.fromisoformat(e["signed_at"]), e["signature"]) for e in entries]
    if planner["person"] != manifest["plan"]["planner"]:
        return False, "The planner is not the one of the plan."
    try:
        text = (folder / STAFF_TEXT).read_bytes() if (folder / STAFF_TEXT).exists() else None
        verify_signoffs(signed_content(manifest, _tables(folder), text), People(people), planner["person"], given)
    except CommonsError as error:
        return False, error.message
    return True, f"{len(given)} signatures hold, by different people, none of whom made the plan."


def _signature(folder: Path) -> tuple[bool, str]:
    manifest = manifest_of(folder)
    signed = (folder / SIGNATURE).read_bytes().decode()  # as it is: no newline of another kind counts as one
    comment = trusted_comment(decode_key(manifest["release_key"]), (folder / SUMS).read_bytes(), signed)
    if comment != signed_name(manifest):
        return False, f"The signature of {SUMS} does not hold for this release and the key in its manifest."
    return True, f"{SUMS} is signed with the key that the manifest names; minisign says the same."


_VERIFICATIONS: tuple[tuple[str, Callable[[Path], tuple[bool, str]]], ...] = (
    ("hashes", _hashes),
    ("signature", _signature),
    ("manifest", _manifest),
    ("tables", _same_tables),
    ("signoffs", _signoffs),
)


def verify_release(folder: Path, public_key: bytes | None = None) -> list[CheckResult]:
    """Verifies a release folder from what lies in it: nothing of ours need be installed where it was made.

    The keys are those in the manifest: that they belong to the people named is for the reader to compare.

    Args:
        folder: the release folder.
        public_key: 32 raw bytes from elsewhere (`minisign.pub`), under which it has to be signed. Without it, what somebody
            made anew as a whole, with keys of their own, is not told from the release.

    Raises:
        UsageError: there is no such folder.
    """
    if not folder.is_dir():
        raise UsageError("There is no release folder at this place.")
    results = []
    for name, run in _VERIFICATIONS:
        try:
            passed, detail = run(folder)
        except Exception:
            # Any malformed file ends here: the message is ours, the library's may quote what it read.
            passed, detail = False, "A file is missing or cannot be read."
        results.append(CheckResult(name, passed, True, detail))
    if public_key is not None:
        results.append(_of_this_key(folder, public_key))
    return results


def _of_this_key(folder: Path, public_key: bytes) -> CheckResult:
    try:
        same = decode_key(manifest_of(folder)["release_key"]) == public_key
    except (CommonsError, KeyError, AttributeError):
        same = False
    said = (
        "The release is signed with the key that was given." if same else "The release is not signed with the key that was given."
    )
    return CheckResult("key", same, True, said)
