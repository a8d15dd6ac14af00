"""`catalog.json` (the releases there are and the latest of each quarter) and `views.sql` over all of them.

Both are made anew from the manifests, and each is swapped at once.
"""

import json
import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from publish.views import catalog_views_sql
from schemas.canonical import sha256_bytes
from schemas.errors import InternalError
from schemas.periods import Quarter

CATALOG = "catalog.json"
VIEWS = "views.sql"


def write_synced(path: Path, data: bytes) -> None:
    """Writes a file and waits until it is on disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def swap_synced(path: Path, data: bytes) -> None:
    """Puts a file in the place of one that may be there, in one step: a reader sees the old one or the new one, whole."""
    temporary = path.with_name(f".{path.name}.partial")
    try:
        write_synced(temporary, data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Waits until the names in a folder are on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def json_bytes(value: Any) -> bytes:
    """JSON for people: sorted, indented, one newline at the end. The same value gives the same bytes."""
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _entry(manifest_path: Path, root: Path) -> dict[str, Any]:
    data = manifest_path.read_bytes()
    try:
        manifest = json.loads(data)
        if manifest.get("audience"):  # what members alone are told is in no catalogue, and so in no copy of one
            raise ValueError
        names = ("release", "quarter", "version", "schema_version", "synthetic", "reason")
        told = {name: manifest[name] for name in names}
        told["approved_at"] = max(signoff["signed_at"] for signoff in manifest["signoffs"])
        # What the views are made from, so that a catalogue alone tells them.
        told["tables"] = {name: pq.read_schema(manifest_path.parent / e["path"]).names for name, e in manifest["tables"].items()}
        told |= {name: manifest["plan"]["parameters"][name] for name in ("confidence", "too_noisy_ratio")}
    except (OSError, ValueError, KeyError, TypeError):
        told = {}
    if not told:
        raise InternalError("A release folder cannot be read.", "Run `commons verify` on it.")
    return {**told, "path": manifest_path.parent.relative_to(root).as_posix(), "manifest_sha256": sha256_bytes(data)}


def build_catalog(root: Path) -> dict[str, Any]:
    """The catalogue of a folder of releases, from the manifests that lie in it; unfinished folders have none."""
    entries = [_entry(path, root) for path in root.glob("*/v*/MANIFEST.json")]
    entries.sort(key=lambda entry: (entry["quarter"], entry["version"]))
    return {"releases": entries, "latest": {entry["quarter"]: entry["release"] for entry in entries}}


def earlier_releases(root: Path, quarter: Quarter) -> tuple[str, ...]:
    """Ids of the latest release of each earlier quarter, oldest first."""
    latest = build_catalog(root)["latest"]
    return tuple(latest[name] for name in sorted(latest) if Quarter.parse(name) < quarter)


def write_catalog(root: Path) -> None:
    """Makes the catalogue and the views anew and swaps each in one step: a reader sees the old one or the new one, whole.

    The views go first: they name folders that are there and never change, so that they are right beside either catalogue.
    """
    catalog = build_catalog(root)
    for name, data in ((VIEWS, catalog_views_sql(catalog).encode()), (CATALOG, json_bytes(catalog))):
        swap_synced(root / name, data)
    sync_folder(root)
