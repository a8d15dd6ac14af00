"""Sending a submission: from a company's folder, sealed to the pool, into the company's own drop."""

import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from intake.drop import INCOMING, TEMPORARY, Drop, as_digest
from intake.limits import DEFAULT_LIMITS
from intake.manifest_checks import ReadManifest, read_manifest
from intake.own_submissions import read_receipt
from intake.sealing import MANIFEST_PART, part_name, parts_of, seal, sealed_sizes
from intake.validation import ValidationReport, validate_submission
from schemas.errors import TransportError, UsageError
from schemas.manifest import MANIFEST_NAME

LEFTOVERS_AFTER_SECONDS = 24 * 3_600.0
"""Age at which a half-written file of a run that was killed is removed: no sending of one part takes so long."""

_OTHERS = 200

Told = Callable[[str, float], None]
"""Told the stage and the share done, 0 to 1."""


class Outcome(StrEnum):
    """What became of a sending."""

    SENT = "sent"
    WOULD_BE_SENT = "would be sent"
    WAITING = "there already"
    ANSWERED = "answered already"
    REFUSED = "not sent: it would be refused"
    STRICT = "not sent: records would be quarantined"


@dataclass(frozen=True)
class Sending:
    """What was sent, or would be. `parts` and `bytes` are of the data files, in plain; `parts_there` were not sent again."""

    outcome: Outcome
    digest: str
    report: ValidationReport = field(repr=False)
    files: int = 0
    parts: int = 0
    bytes: int = 0
    parts_there: int = 0
    receipt: Mapping[str, Any] | None = field(default=None, repr=False)


def submit(
    folder: Path,
    drop: Drop,
    recipient: str,
    *,
    pool_key: str = "",
    dry_run: bool = False,
    strict: bool = False,
    again: bool = False,
    told: Told = lambda stage, share: None,
) -> Sending:
    """Checks a submission folder as the pool will, and sends it where it would be accepted.

    Idempotent by digest: what waits or was answered (with the key `pool_key`, where it is known) is not sent; `again` sends
    anew what was refused before. What was cut off goes on where it stopped. Two at once end as one. `strict` sends nothing
    while a record would be quarantined. Raises TransportError by kind, UsageError where the recipient is none or a file
    changed while it was sent.
    """
    seal(b"", recipient)  # a wrong recipient is found out before the long check
    report = _checked(folder, told)
    if report.read is None or report.refused:
        return Sending(Outcome.REFUSED, "", report)
    if strict and report.quarantined:
        return Sending(Outcome.STRICT, report.read.digest, report)
    with _one_at_a_time(folder):
        return _Sender(folder, report, report.read, drop, recipient, told).run(pool_key, dry_run, again)


def _checked(folder: Path, told: Told) -> ValidationReport:
    # Data are read twice: for their hashes, and for their records.
    done, whole = 0, 2 * max(1, sum(entry.stat(follow_symlinks=False).st_size for entry in os.scandir(folder)))

    def progress(read: int) -> None:
        nonlocal done
        done += read
        told("check", min(1.0, done / whole))

    report = validate_submission(folder, progress=progress)
    told("check", 1.0)
    return report


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Two sendings of one folder on one machine take turns; elsewhere each file is put whole, and either's is as good."""
    descriptor = os.open(folder / MANIFEST_NAME, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class _Sender:
    def __init__(
        self, folder: Path, report: ValidationReport, read: ReadManifest, drop: Drop, recipient: str, told: Told
    ) -> None:
        self._folder, self._report, self._read = folder, report, read
        self._drop, self._recipient, self._told = drop, recipient, told
        self._place = f"{INCOMING}/{read.digest}"
        files = read.manifest.files
        self._sizes = {part_name(n, p): size for n, f in enumerate(files) for p, size in enumerate(parts_of(f.bytes))}

    def run(self, pool_key: str, dry_run: bool, again: bool) -> Sending:
        receipt = read_receipt(self._drop, self._read.digest, pool_key)
        if receipt is not None and not (again and receipt.get("decision") == "refused"):
            return self._sending(Outcome.ANSWERED, len(self._sizes), receipt)
        there = self._there()
        if MANIFEST_PART in there:
            return self._sending(Outcome.WAITING, len(self._sizes))
        whole = self._whole(there)
        if dry_run:
            return self._sending(Outcome.WOULD_BE_SENT, len(whole))
        self._remove_leftovers()
        self._send_parts(whole)
        if self._whole(self._there()) != set(self._sizes):
            raise TransportError(
                "Parts that were sent are not there any more.", "Another run may have sent the same: see `commons status`."
            )
        self._wait_for_the_clock()
        self._drop.write(f"{self._place}/{MANIFEST_PART}", seal(self._manifest(), self._recipient))
        return self._sending(Outcome.SENT, len(whole))

    def _there(self) -> dict[str, int]:
        return {entry.name: entry.size for entry in self._drop.entries(self._place, len(self._sizes) + 10_000) if entry.is_file}

    def _whole(self, there: Mapping[str, int]) -> set[str]:
        return {name for name, size in self._sizes.items() if there.get(name, 0) in sealed_sizes(size)}

    def _send_parts(self, whole: set[str]) -> None:
        done = 0
        for number, file in enumerate(self._read.manifest.files):
            hasher = hashlib.sha256()
            with (self._folder / file.path).open("rb") as stream:
                for part, size in enumerate(parts_of(file.bytes)):
                    data, name = stream.read(size), part_name(number, part)
                    hasher.update(data)
                    if name not in whole:
                        self._drop.write(f"{self._place}/{name}", seal(data, self._recipient))
                    done += 1
                    self._told("send", done / len(self._sizes))
            if hasher.hexdigest() != file.sha256:
                _changed()

    def _manifest(self) -> bytes:
        data = (self._folder / MANIFEST_NAME).read_bytes()  # the one that was checked, or nothing is handed over
        read, _ = read_manifest(self._folder, DEFAULT_LIMITS)
        if read is None or read.digest != self._read.digest:
            _changed()
        return data

    def _wait_for_the_clock(self) -> None:
        """The pool takes in by the time of the manifest: where the store counts in seconds, no two may come in the same one."""
        waiting = [e.name for e in self._drop.entries(INCOMING, _OTHERS) if e.is_folder and e.name != self._read.digest]
        if not self._drop.tick or not waiting:
            return
        manifests = [self._drop.look(f"{INCOMING}/{name}/{MANIFEST_PART}") for name in waiting if as_digest(name)]
        newest = max((manifest.modified for manifest in manifests if manifest), default=0.0)
        probe = f"{TEMPORARY}{secrets.token_hex(8)}"
        self._drop.write(f"{INCOMING}/{probe}", b"")
        now = self._drop.look(f"{INCOMING}/{probe}")
        self._drop.remove(INCOMING, [probe])
        if now is not None and 0 <= newest + self._drop.tick - now.modified <= self._drop.tick:
            time.sleep(newest + self._drop.tick - now.modified)

    def _remove_leftovers(self) -> None:
        old = time.time() - LEFTOVERS_AFTER_SECONDS
        names = [e.name for e in self._drop.entries(INCOMING, 10_000) if e.name.startswith(TEMPORARY) and e.modified < old]
        if names:
            self._drop.remove(INCOMING, names)

    def _sending(self, outcome: Outcome, parts_there: int, receipt: Mapping[str, Any] | None = None) -> Sending:
        files = self._read.manifest.files
        size = sum(file.bytes for file in files)
        return Sending(outcome, self._read.digest, self._report, len(files), len(self._sizes), size, parts_there, receipt)


def _changed() -> None:
    raise UsageError(
        "The submission changed while it was being sent.", "Prepare it again, then send it: nothing was handed over."
    )
