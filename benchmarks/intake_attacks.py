"""Attacks on what a company sends, made from sound submissions: cut off, altered, and mutated by the hundred thousand."""

import copy
import json
import logging
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from benchmarks.intake_material import NOW, Material, read_in_process, verdict
from intake.json_lines import read_line
from intake.limits import DEFAULT_LIMITS
from intake.manifest_checks import identity_findings, parse_manifest
from intake.record_checks import RecordContext, check_record, parse_record
from intake.validation import validate_submission

CANARY = "canary-7f3a"
ALL_BITS = tuple(1 << bit for bit in range(8))


@dataclass(frozen=True)
class Refusals:
    """Altered inputs tried, and the places of those that were not refused."""

    tried: int
    let_in: tuple[int, ...]


def cut_off(material: Material, file_format: str, folder: Path, step: int = 1) -> Refusals:
    """A file of about 10 KB, cut off after every `step`-th byte under its manifest: the whole submission must be refused."""
    rows = material.rows(material.records, _plain_size(file_format))
    content = material.packed(rows, file_format)
    material.submission(folder, content, file_format, len(rows))
    path = folder / f"part-1.{file_format}"
    let_in = []
    for length in range(0, len(content), step):
        path.write_bytes(content[:length])
        if not validate_submission(folder, now=NOW).refused:
            let_in.append(length)
    return Refusals(len(range(0, len(content), step)), tuple(let_in))


def cut_off_and_signed(material: Material, file_format: str, folder: Path, step: int = 1) -> Refusals:
    """The same, under a manifest that was made for the cut file and claims all records: the reader itself must see it.

    Of plain JSON Lines every whole line stays sound, so that the count tells; a file cut within its last line alone, or
    before its last line feed, is a file with one bad record, or with none.
    """
    rows = material.rows(material.records, _plain_size(file_format))
    content = material.packed(rows, file_format)
    last = content[:-1].rindex(b"\n") + 1 if file_format == "jsonl" else len(content)
    path, let_in = folder / f"cut.{file_format}", []
    for length in range(0, last, step):
        path.write_bytes(content[:length])
        found = verdict(path, file_format, read_in_process, material.context)
        if not found.refused and found.rows == len(rows):
            let_in.append(length)
    return Refusals(len(range(0, last, step)), tuple(let_in))


def _plain_size(file_format: str) -> int:
    return 10_000 if file_format == "jsonl" else 30_000 if file_format == "parquet" else 60_000


def flip_manifest(material: Material, folder: Path, step: int = 1, bits: Sequence[int] = ALL_BITS) -> Refusals:
    """One bit of the manifest, and so of its signature, flipped at a time: none may be taken for the company's own."""
    rows = material.rows(material.records, 10_000)
    material.submission(folder, material.packed(rows, "jsonl"), "jsonl", len(rows))
    data, let_in, tried = (folder / "manifest.json").read_bytes(), [], 0
    for place in range(0, len(data), step):
        for bit in bits:
            tried += 1
            if _is_taken(material, data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :]):
                let_in.append(place)
    return Refusals(tried, tuple(let_in))


def _is_taken(material: Material, manifest: bytes) -> bool:
    read, findings = parse_manifest(manifest, DEFAULT_LIMITS)
    return read is not None and not findings and not identity_findings(read, material.registry, NOW)


def flip_data(material: Material, folder: Path, file_format: str, step: int = 1) -> Refusals:
    """One byte of the data altered at a time, under the manifest as signed."""
    rows = material.rows(material.records, _plain_size(file_format))
    content = material.packed(rows, file_format)
    material.submission(folder, content, file_format, len(rows))
    path, let_in = folder / f"part-1.{file_format}", []
    for place in range(0, len(content), step):
        path.write_bytes(content[:place] + bytes([content[place] ^ (1 << place % 8)]) + content[place + 1 :])
        if not validate_submission(folder, now=NOW).refused:
            let_in.append(place)
    return Refusals(len(range(0, len(content), step)), tuple(let_in))


@dataclass(frozen=True)
class FuzzCounts:
    """Inputs tried, exceptions that were not caught, messages that told a canary, and inputs that were found sound."""

    inputs: int
    uncaught: int
    told: int
    sound: int


class _Heard(logging.Handler):
    """Every log line of any library, as text."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.getMessage()} {record.exc_text} {record.args}")


def check_line(line: bytes, context: RecordContext) -> tuple[bool, Any]:
    """Whether a line is a sound record, and all that would be told of it."""
    raw = read_line(line)
    if isinstance(raw, str):
        return False, raw
    record, problems = parse_record(raw)
    if record is not None:
        problems = check_record(record, context)
    return record is not None and not problems, problems


def check_manifest(data: bytes, _: RecordContext) -> tuple[bool, Any]:
    """Whether a manifest keeps its form, and all that would be told of it."""
    read, findings = parse_manifest(data, DEFAULT_LIMITS)
    return read is not None and not findings, [finding.as_dict() for finding in findings]


def fuzz(
    inputs: Iterator[bytes], context: RecordContext, check: Callable[[bytes, RecordContext], tuple[bool, Any]] = check_line
) -> FuzzCounts:
    """Checks every input. Each that is mutated holds canaries; none may stand in what is told, raised or logged."""
    heard = _Heard()
    logging.getLogger().addHandler(heard)
    tried = uncaught = told = sound = 0
    try:
        for data in inputs:
            tried += 1
            said = ""
            try:
                is_sound, answer = check(data, context)
                sound, said = sound + is_sound, str(answer)
            except Exception as error:
                uncaught, said = uncaught + 1, f"{error!r} {error.__context__!r}"
            told += CANARY in said or any(CANARY in line for line in heard.lines)
            heard.lines.clear()
    finally:
        logging.getLogger().removeHandler(heard)
    return FuzzCounts(tried, uncaught, told, sound)


_ODD_NUMBERS = (0, -1, 1, 2**31, 2**63, 2**64 - 1, 10**30, 0.5, -0.0, 1e308, 12.0)
_ODD_TEXTS = (
    "",
    " ",
    "None",
    "NULL",
    "\x00",
    "\u202e",
    "\ud83d\ude00",
    "e\u0301",
    "\uff4e",
    "9" * 400,
    "a" * 40_000,
    "2026-13-01T00:00:00Z",
)
_ODD_BYTES = (b"", b"\x00", b"\xff", b"\xed\xa0\x80", b"\\ud800", b"1e999", b"NaN", b"-Infinity", b'"', b"{", b"[" * 2_000, b"]", b",", b":", b"\\", b"\xef\xbb\xbf")  # fmt: skip


class Mutator:
    """Broken versions of sound JSON objects, the same for the same seed: half by their structure, half by their bytes."""

    def __init__(self, sound: Sequence[dict[str, Any]], seed: int) -> None:
        self._sound, self._random = sound, random.Random(seed)

    def inputs(self, count: int) -> Iterator[bytes]:
        """So many inputs."""
        for _ in range(count):
            kind = self._random.random()
            if kind < 0.55:
                yield self._of_structure()
            elif kind < 0.95:
                yield self._of_bytes(self._of_structure() if kind < 0.75 else orjson.dumps(self._marked()))
            else:
                yield CANARY.encode() + self._random.randbytes(self._random.randrange(400))

    def _marked(self) -> dict[str, Any]:
        """A sound object whose free texts hold canaries."""
        raw = copy.deepcopy(self._random.choice(self._sound))
        for name in ("record_id", "user_pseudonym", "supersedes"):
            if name in raw:
                raw[name] = CANARY
        for turn in raw.get("turns", ()):
            turn["text"] = CANARY + turn["text"][:200]
        return raw

    def _of_structure(self) -> bytes:
        raw = self._marked()
        for _ in range(self._random.choice((1, 1, 1, 2, 5))):
            self._break(raw)
        return json.dumps(raw, ensure_ascii=self._random.random() < 0.5).encode("utf-8", "surrogatepass")

    def _break(self, raw: Any) -> None:
        holder: Any = raw
        while True:
            places = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            if not places:
                break
            place = self._random.choice(places)
            if not isinstance(holder[place], dict | list) or self._random.random() < 0.3:
                break
            holder = holder[place]
        self._break_at(holder, place if places else None)

    def _break_at(self, holder: Any, place: Any) -> None:
        how = self._random.randrange(5)
        if place is None or how == 0:
            if isinstance(holder, dict):
                holder[self._random.choice((CANARY, f"{CANARY}\u200b", "record_id ", ""))] = self._value()
            else:
                holder.append(self._value())
        elif how == 1:
            del holder[place]
        elif how == 2 and isinstance(holder, dict):
            holder[f"{place}{CANARY}"] = holder.pop(place)
        elif how == 3 and isinstance(holder[place], str):
            holder[place] = self._respelt(holder[place])
        else:
            holder[place] = self._value()

    def _respelt(self, text: str) -> str:
        ways = (
            text.upper(),
            text.title(),
            f" {text}",
            f"{text}\u200b",
            text.replace("e", "\u0435"),
            text + CANARY,
            text[:-1],
            f"\x01{text}",
        )
        return self._random.choice(ways)

    def _value(self, depth: int = 0) -> Any:
        kind = self._random.randrange(7 if depth < 4 else 5)
        if kind == 0:
            return self._random.choice((None, True, False))
        if kind == 1:
            return self._random.choice(_ODD_NUMBERS)
        if kind == 2:
            return self._random.choice(_ODD_TEXTS)
        if kind in (3, 4):
            return CANARY
        items = [self._value(depth + 1) for _ in range(self._random.randrange(4))]
        return items if kind == 5 else {f"{CANARY}{i}": item for i, item in enumerate(items)}

    def _of_bytes(self, data: bytes) -> bytes:
        for _ in range(self._random.choice((1, 1, 2, 8))):
            place = self._random.randrange(len(data) + 1)
            how = self._random.randrange(4)
            if how == 0 and place < len(data):
                data = data[:place] + bytes([data[place] ^ (1 << self._random.randrange(8))]) + data[place + 1 :]
            elif how == 1:
                data = data[:place] + self._random.choice(_ODD_BYTES) + data[place:]
            elif how == 2:
                data = data[:place] + data[place + self._random.randrange(40) :]
            else:
                other = self._random.randrange(len(data) + 1)
                data = data[:place] + data[other : other + self._random.randrange(200)] + data[place:]
        return data
