"""Making and altering small submissions: for tests of the door."""

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from sqlalchemy import create_engine

from intake.acceptance import PoolDoor
from intake.catalogue import Catalogue
from intake.registry import load_registry
from schemas.at_rest import decryption
from schemas.manifest import signed_bytes
from schemas.periods import Quarter
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


def key_at_rest(quarter: Quarter, company: str) -> bytes:
    return hashlib.sha256(f"{quarter}/{company}".encode()).digest()


def accepted_rows(root: Path, key: Callable[[Quarter, str], bytes] = key_at_rest, room: str = "accepted") -> list[dict[str, Any]]:
    """All rows below `accepted/` (or `scrubbed/`), each part read with the key of its quarter and company."""
    rows: list[dict[str, Any]] = []
    for part in sorted((root / room).rglob("*.parquet")):
        quarter, company = part.relative_to(root / room).parts[:2]
        readable = decryption(key(Quarter.parse(quarter), company))
        rows += pq.ParquetFile(part, decryption_properties=readable).read().to_pylist()
    return rows


def door(root: Path, made: Path) -> PoolDoor:
    root.mkdir(parents=True, exist_ok=True)
    return PoolDoor(
        accepted=root / "accepted",
        staging=root / "staging",
        answers=root / "answers",
        registry=load_registry(made / "companies.toml"),
        catalogue=Catalogue(create_engine(f"sqlite:///{root / 'state.db'}")),
        signing_key=b"k" * 32,
        key_at_rest=key_at_rest,
    )
