"""What the suites of intake work on: a small simulated company, submissions of any bytes under its signature, and a pool's door."""

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import create_engine

from intake.acceptance import PoolDoor, RecordReader
from intake.catalogue import Catalogue
from intake.limits import DEFAULT_LIMITS, Limits
from intake.manifest_checks import parse_manifest
from intake.reading import CheckedRows, UnreadableFileError, check_rows
from intake.record_checks import RecordContext
from intake.registry import Registry, load_registry
from intake.sandbox.reader import read_confined
from intake.validation import record_context
from sample_data.packing import data_file, pack, signed_manifest
from sample_data.parameters import SimulationParameters
from sample_data.simulate import simulate
from schemas.arrow import record_schema
from schemas.periods import Quarter
from schemas.signing import decode_key

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
FORMATS = ("jsonl", "jsonl.gz", "jsonl.zst", "parquet")
COMPANY = "alder"
NOW = datetime(2026, 11, 1, tzinfo=UTC)
_TEXT = "I had a long day and would rather talk about something else for a while, if that is all right. "


def read_in_process(path: Path, file_format: str, number: int, context: RecordContext, limits: Limits) -> Iterator[CheckedRows]:
    """The reader of the company's own machine, with the interface of the confined one."""
    import pyarrow as pa

    with path.open("rb") as stream:
        for checked, sound in check_rows(stream, path.stat().st_size, file_format, number, context, limits):
            checked.table = pa.RecordBatch.from_pylist(sound, record_schema())
            yield checked


READERS: dict[str, RecordReader] = {"in process": read_in_process, "confined": read_confined}


@dataclass(frozen=True)
class Verdict:
    """What a reader said of one file: rows seen, sound rows, findings by code, and the code that refused the file."""

    rows: int
    sound: int
    codes: Counter[str]
    refused: str


def verdict(
    path: Path, file_format: str, reader: RecordReader, context: RecordContext, limits: Limits = DEFAULT_LIMITS
) -> Verdict:
    """Reads a file to its end."""
    rows, sound, codes, refused = 0, 0, Counter[str](), ""
    try:
        for checked in reader(path, file_format, 0, context, limits):
            rows, sound = max(rows, checked.rows), sound + len(checked.sound)
            codes.update(code for _, code, _ in checked.problems)
    except UnreadableFileError as error:
        refused = error.code
    return Verdict(rows, sound, codes, refused)


class Material:
    """One simulated company below a folder, made where it is not there yet."""

    def __init__(self, folder: Path, seed: int = 22) -> None:
        self.folder = folder
        self.made = folder / "made"
        plain = dict.fromkeys(("malformed_share", "duplicate_share", "correction_share", "record_withdrawal_share"), 0.0)
        parameters = SimulationParameters(
            seed=seed, users=90, quarters=1, formats=("jsonl",), files_per_submission=1, text_share=0.3,
            user_withdrawal_share=0.0, **plain,
        )  # fmt: skip
        if not self.made.exists():
            simulate(self.made, parameters)
        self.manifest: dict[str, Any] = orjson.loads((self._first / "manifest.json").read_bytes())
        self.key = decode_key((self.made / "keys" / f"{COMPANY}.key").read_text())

    @property
    def _first(self) -> Path:
        return sorted((self.made / COMPANY).iterdir())[0]

    @cached_property
    def registry(self) -> Registry:
        """The registry that knows the company."""
        return load_registry(self.made / "companies.toml")

    @cached_property
    def context(self) -> RecordContext:
        """What its records are checked against at the pool."""
        read, _ = parse_manifest(orjson.dumps(self.manifest), DEFAULT_LIMITS)
        assert read is not None
        return record_context(read.manifest, True, NOW)

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """Its sound records, as they are sent."""
        return [orjson.loads(line) for line in (self._first / "part-1.jsonl").read_bytes().splitlines()]

    def large_records(self, least: int) -> list[dict[str, Any]]:
        """Its records with text, so that each is of at least so many bytes as a line."""
        large = []
        for record in self.records:
            if record["person"]["age_band"] != "under_13":
                count = max(1, min(10, record["n_turns"]))
                missing = max(0, least - len(orjson.dumps({**record, "turns": []})))
                text = _TEXT * (missing // count // len(_TEXT) + 1)
                roles = ("user", "assistant")
                turns = [{"index": i + 1, "role": roles[i % 2], "text": text} for i in range(count)]
                large.append({**record, "turns": turns})
        return large

    def rows(self, records: list[dict[str, Any]], size: int) -> list[dict[str, Any]]:
        """So many rows, each under an id of its own, that they are of about so many bytes as lines."""
        rows, total = list[dict[str, Any]](), 0
        while total < size:
            row = {**records[len(rows) % len(records)], "record_id": f"b{len(rows)}"}
            total += len(orjson.dumps(row)) + 1
            rows.append(row)
        return rows

    def submission(self, folder: Path, content: bytes, file_format: str, records: int, name: str = "made") -> Path:
        """A signed submission of one file of any bytes."""
        folder.mkdir(parents=True, exist_ok=True)
        path = f"part-1.{file_format}"
        (folder / path).write_bytes(content)
        (folder / "manifest.json").write_bytes(self.signed(name, [data_file(path, file_format, content, records)]))
        return folder

    def signed(self, name: str, files: list[dict[str, Any]]) -> bytes:
        """The bytes of a signed manifest over these files."""
        m = self.manifest
        return signed_manifest(COMPANY, name, m["period"], m["key_id"], m["pseudonym_key_id"], files, self.key)

    def packed(self, rows: list[dict[str, Any]], file_format: str) -> bytes:
        """Rows as a data file."""
        return pack(rows, file_format)

    def door(self, root: Path, reader: RecordReader = read_confined) -> PoolDoor:
        """A pool of its own below a folder, empty."""
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        return PoolDoor(
            accepted=root / "accepted",
            staging=root / "staging",
            answers=root / "answers",
            registry=self.registry,
            catalogue=Catalogue(create_engine(f"sqlite:///{root / 'state.db'}")),
            signing_key=b"k" * 32,
            key_at_rest=_key_at_rest,
            reader=reader,
        )


def _key_at_rest(quarter: Quarter, company: str) -> bytes:
    return hashlib.sha256(f"{quarter}/{company}".encode()).digest()
