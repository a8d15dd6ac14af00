"""Making and altering small submissions: for tests of the door."""

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine

from intake.acceptance import PoolDoor
from intake.catalogue import Catalogue
from intake.registry import load_registry
from schemas.manifest import signed_bytes
from schemas.signing import decode_key, sign


def rewrite(folder: Path, key_file: Path, alter: Callable[[dict[str, Any]], None] = lambda manifest: None) -> None:
    """Writes the manifest anew, over the files as they are, and signs it."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for file in manifest["files"]:
        data = (folder / file["path"]).read_bytes()
        file.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        if file["format"] == "jsonl":
            file["records"] = len(data.splitlines())
    alter(manifest)
    manifest["signature"] = sign(decode_key(key_file.read_text()), signed_bytes(manifest))
    (folder / "manifest.json").write_text(json.dumps(manifest))


def json_lines(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def write_lines(folder: Path, name: str, records: Iterable[Any]) -> None:
    (folder / name).write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records))


def door(root: Path, made: Path) -> PoolDoor:
    root.mkdir(parents=True, exist_ok=True)
    return PoolDoor(
        accepted=root / "accepted",
        quarantine=root / "quarantine",
        receipts=root / "receipts",
        registry=load_registry(made / "companies.toml"),
        catalogue=Catalogue(create_engine(f"sqlite:///{root / 'state.db'}")),
        signing_key=b"k" * 32,
    )
