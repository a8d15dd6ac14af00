"""The pool's log: one JSON object a line, of fields on a list, each of a fixed form. Nothing else gets in, whoever logs it.

`<root>/logs/commons.jsonl`, readable by its owner and group, begun anew at LINES_BYTES with a few earlier ones kept beside
it. A field that is not on the list, or not of its form, is left out and counted in `dropped`; so is a whole record that is
no event of ours. A log that cannot be written stops nothing.
"""

import fcntl
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson

from flows.pool import Pool
from schemas.errors import CommonsError, ExitCode
from schemas.findings import FINDING_CODES

LINES_BYTES = 16 << 20
KEPT = 8
FILE = "commons.jsonl"
_INNER = "commons_event"


class Event(StrEnum):
    """Everything that is told. The value stands in the log."""

    INGEST_STARTED = "ingest_started"
    INGEST_ENDED = "ingest_ended"
    SUBMISSION_DECIDED = "submission_decided"
    SCRUB_BATCH = "scrub_batch"
    SCRUB_STOPPED = "scrub_stopped"
    PLAN_REGISTERED = "plan_registered"
    MEASURED = "measured"
    CHECKED = "checked"
    TERMS_REVIEWED = "terms_reviewed"
    APPROVED = "approved"
    PUBLISHED = "published"
    RELEASE_ENDED = "release_ended"
    RETENTION_ENDED = "retention_ended"
    PURGED = "purged"
    ERROR = "error"


_DIGEST, _QUARTER = re.compile(r"[0-9a-f]{64}"), re.compile(r"\d{4}Q[1-4]", re.ASCII)
_PLACE = re.compile(r"(a library|[a-z_]+(/[a-z_]+)*\.py:\d{1,5}( > [a-z_]+(/[a-z_]+)*\.py:\d{1,5}){0,40})", re.ASCII)
_DECISIONS = frozenset(("accepted", "refused", "replayed", "answered by another run"))


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 53


def _is_counts(value: Any) -> bool:
    return isinstance(value, Mapping) and all(code in FINDING_CODES and _is_count(n) for code, n in value.items())


def _fits(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


FIELDS: Mapping[str, Callable[[Any], bool]] = {
    "digest": _fits(_DIGEST),
    "quarter": _fits(_QUARTER),
    "decision": lambda value: value in _DECISIONS,
    "counts": _is_counts,
    "rows": _is_count,
    "bytes": _is_count,
    "seconds": lambda value: type(value) is float and 0 <= value < 1e9,
    "exit_code": lambda value: type(value) is int and value in set(ExitCode),
    "error": lambda value: value in {kind.__name__ for kind in _kinds(CommonsError)},
    "place": _fits(_PLACE),
}
"""What an event may carry besides `company`, which must be registered, by the form that it must have."""


def _kinds(kind: type[CommonsError]) -> set[type[CommonsError]]:
    return {kind}.union(*(_kinds(each) for each in kind.__subclasses__()))


class AllowList(logging.Formatter):
    """Makes a line of a log record: an event of ours with the fields that hold their form. Everything else is counted."""

    def __init__(self, companies: frozenset[str]) -> None:
        super().__init__()
        self._companies = companies
        self.dropped = 0

    def format(self, record: logging.LogRecord) -> str:
        """One line; empty where the record is no event of ours. No message, traceback or argument of a record is used."""
        event, given = record.msg, getattr(record, _INNER, None)
        if not isinstance(event, Event) or not isinstance(given, dict):
            self.dropped += 1
            return ""
        kept = {name: value for name, value in given.items() if self._may_stand(name, value)}
        dropped = len(given) - len(kept) + self.dropped
        self.dropped = 0
        at = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        line = {"at": at, "level": record.levelname.lower(), "event": str(event), **kept}
        return orjson.dumps(line | ({"dropped": dropped} if dropped else {})).decode()

    def _may_stand(self, name: str, value: Any) -> bool:
        try:
            return value in self._companies if name == "company" else name in FIELDS and FIELDS[name](value)
        except TypeError:  # a value that cannot be looked up
            return False


class LinesHandler(logging.Handler):
    """Adds lines to a file, each in one write, and begins it anew where it grows too long. Several processes may at once."""

    def __init__(self, folder: Path, companies: frozenset[str]) -> None:
        super().__init__()
        self._folder = folder
        self.setFormatter(AllowList(companies))

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record's line. A disk that is full or not ours stops nothing: what is done is in the audit and the ledger."""
        with suppress(OSError):
            line = self.format(record)
            if line:
                self._write(line.encode() + b"\n")

    def _write(self, line: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        with self._locked():
            path = self._folder / FILE
            with suppress(FileNotFoundError):
                if path.stat().st_size + len(line) > LINES_BYTES:
                    self._begin_anew(path)
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o640)
            try:
                os.write(descriptor, line)
            finally:
                os.close(descriptor)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    @staticmethod
    def _begin_anew(path: Path) -> None:
        for number in range(KEPT - 1, 0, -1):
            with suppress(FileNotFoundError):
                path.with_name(f"{FILE}.{number}").replace(path.with_name(f"{FILE}.{number + 1}"))
        path.replace(path.with_name(f"{FILE}.1"))


def log(pool: Pool, event: Event, level: int = logging.INFO, **fields: Any) -> None:
    """Tells an event of a pool. Fields are those of FIELDS and `company`."""
    _logger(pool).log(level, event, extra={_INNER: fields})


def log_error(pool: Pool, error: CommonsError) -> None:
    """Tells that something ended with an error: its kind, its exit code and, for a bug, where. Never its message."""
    place = error.message.partition(" at ")[2].rstrip(".") if error.exit_code is ExitCode.INTERNAL else ""
    fields: dict[str, Any] = {"error": type(error).__name__, "exit_code": int(error.exit_code)}
    log(pool, Event.ERROR, logging.ERROR, **fields, **({"place": place} if _PLACE.fullmatch(place) else {}))


@contextmanager
def errors_logged(pool: Pool) -> Iterator[None]:
    """Tells of the error with which what is done here ends: what a scheduler runs has nobody who sees it."""
    try:
        yield
    except CommonsError as error:
        log_error(pool, error)
        raise


def log_lines(pool: Pool) -> Iterator[dict[str, Any]]:
    """Every line that is kept, the oldest first. One that a full disk or a kill cut off is left out."""
    names = [*(f"{FILE}.{number}" for number in range(KEPT, 0, -1)), FILE]
    for name in names:
        with suppress(FileNotFoundError), (pool.root / "logs" / name).open("rb") as stream:
            for line in stream:
                with suppress(orjson.JSONDecodeError):
                    yield orjson.loads(line)


def _logger(pool: Pool) -> logging.Logger:
    logger = logging.Logger(f"commons {pool.root}")  # of our own: in no tree, so that no library's records come here
    companies = frozenset[str]()
    with suppress(CommonsError):
        companies = frozenset(pool.registry.companies)
    logger.addHandler(LinesHandler(pool.root / "logs", companies))
    return logger
