"""A folder that is written whole or not at all, once, with its manifest, its hashes and one signature over them."""

import fcntl
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from publish.catalog import json_bytes, sync_folder, write_synced
from publish.content import release_id
from publish.minisign import signature_text
from publish.parquet import SYNTHETIC_NOTICE
from publish.signoff import People, signoff_entry
from publish.verify import MANIFEST, SIGNATURE, SUMS, manifest_of, signed_name, verify_release
from schemas.canonical import sha256_bytes
from schemas.errors import InternalError
from schemas.signing import encode_key, public_key
from schemas.stages import MeasuredRelease, SignOff
from schemas.tables import SCHEMA_VERSION

PUBLIC_KEY = "minisign.pub"
"""Above the folders: the key under which they are signed, for minisign."""


def origin(
    measured: MeasuredRelease, signoffs: Iterable[SignOff], people: People, signing_key: bytes, code_version: str
) -> dict[str, Any]:
    """What each manifest says of where its numbers come from: release, plan, who planned it and who signed."""
    plan = measured.plan
    planner = people.get(plan.planner)
    return {
        "release": release_id(measured.quarter, measured.version),
        "quarter": str(measured.quarter),
        "version": measured.version,
        "reason": plan.reason,
        "schema_version": SCHEMA_VERSION,
        "synthetic": plan.synthetic,
        **({"notice": SYNTHETIC_NOTICE} if plan.synthetic else {}),
        "code_version": code_version,
        "contributors": plan.contributors,
        "plan_hash": plan.hash,
        "plan": plan.model_dump(mode="json"),
        "release_key": encode_key(public_key(signing_key)),
        "planner": {"person": planner.id, "public_key": encode_key(planner.public_key)},
        "signoffs": [signoff_entry(signoff, people) for signoff in sorted(signoffs, key=lambda s: s.role)],
    }


def signed_files(files: Mapping[str, bytes], facts: Mapping[str, Any], signing_key: bytes) -> dict[str, bytes]:
    """The files with a manifest of `facts` that lists them, `SHA256SUMS`, and a minisign signature over that."""
    whole = dict(files)
    listed = [{"path": path, "sha256": sha256_bytes(data), "bytes": len(data)} for path, data in sorted(files.items())]
    whole[MANIFEST] = json_bytes({**facts, "files": listed})
    sums = "".join(f"{sha256_bytes(data)}  {path}\n" for path, data in sorted(whole.items()))
    notice = f"# {SYNTHETIC_NOTICE}\n" if facts["synthetic"] else ""
    whole[SUMS] = (notice + sums).encode()
    whole[SIGNATURE] = signature_text(signing_key, public_key(signing_key), whole[SUMS], signed_name(facts)).encode()
    return whole


@contextmanager
def only_writer(root: Path) -> Iterator[None]:
    """One writer at a time; the lock goes with the process, however it ends."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def written_once(
    folder: Path, files: Callable[[], Mapping[str, bytes]], facts: Mapping[str, Any], identity: Iterable[str]
) -> Mapping[str, Any]:
    """Writes a folder whole, or finds it as it was written; returns its manifest. The caller is its only writer.

    Raises InternalError where another one lies there, by what `identity` names of its facts, or it is not as it was written.
    """
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        _write_whole(folder, files())
    manifest, wanted = manifest_of(folder), json.loads(json_bytes(facts))
    if any(manifest.get(name) != wanted.get(name) for name in identity):
        raise InternalError(
            "Another release lies in this place already.", "A published release is never edited: plan a new version."
        )
    if not all(result.passed for result in verify_release(folder)):
        raise InternalError("The folder of this release is not as it was written.", "Run `commons verify` on it and restore it.")
    return manifest


def _write_whole(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes all files beside their place, waits for the disk, and moves them there in one rename."""
    partial = folder.parent / f".{folder.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)  # left by a writer that was killed: we hold the lock
    try:
        for path, data in files.items():
            target = partial / path
            target.parent.mkdir(parents=True, exist_ok=True)
            write_synced(target, data)
        for inside in (partial, *(entry for entry in partial.rglob("*") if entry.is_dir())):
            sync_folder(inside)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # on a full disk it would keep it full
    sync_folder(folder.parent)
