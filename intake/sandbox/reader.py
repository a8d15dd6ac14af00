"""Reading a hostile file through a throw-away process: what comes back is checked again, batch by batch."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile
from threading import Timer
from typing import IO, TYPE_CHECKING, Any

import orjson

from intake.limits import DEFAULT_LIMITS, Limits
from intake.reading import CheckedRows, UnreadableFileError
from intake.record_checks import RecordContext
from intake.sandbox.account import RowAccount
from intake.sandbox.messages import CheckedMessages
from intake.sandbox.recheck import keeps_contract
from intake.sandbox.stream import EXIT_OF_CODE, META_PROBLEMS, META_ROWS, Job, stream_schema
from intake.settlement import RowFacts
from schemas.errors import InternalError

if TYPE_CHECKING:
    import pyarrow as pa

_CODE_OF_EXIT = {number: code for code, number in EXIT_OF_CODE.items()}
_KINDS = frozenset(("new", "correction", "record", "user", "submission"))
_HEADER_BYTES = 4096
_START_SECONDS = 20
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}


def read_confined(path: Path, file_format: str, number: int, context: RecordContext, limits: Limits) -> Iterator[CheckedRows]:
    """Checked rows of a data file, in batches with their tables, read by a throw-away process.

    Raises UnreadableFileError: E107 undecodable, or the process died of it; E108 other columns; E112 over a limit of
    size, memory or time. InternalError where the process cannot be started.
    """
    size = path.stat().st_size
    with path.open("rb") as source:
        process = _start(source, Job(size, file_format, number, context, limits))
    late = Timer(limits.seconds(size) + _START_SECONDS, process.kill)
    late.daemon = True
    late.start()
    pipe = process.stdout
    started, code = False, ""
    try:
        started = pipe is not None and bool(pipe.readline(_HEADER_BYTES))
        if pipe is not None and started:
            yield from _batches(pipe, number, context, limits)
            code = _code_of(process.wait())
    except UnreadableFileError as error:
        code = _ended(process) or error.code  # its own word, where it died in the middle of a message
    finally:
        late.cancel()
        process.kill()
        if pipe is not None:
            pipe.close()
        process.wait()
    if not started:
        raise InternalError(
            "The process that reads files could not be started.", "Run `commons status` to see what this host lacks."
        )
    if code:
        raise UnreadableFileError(code)


def enforced_limits() -> dict[str, bool]:
    """What the host enforces on the process that reads files: the names are those of `confinement.confine`."""
    now = datetime.now(UTC)
    with TemporaryFile() as empty:
        process = _start(empty, Job(0, "jsonl", 0, RecordContext(frozenset(), now, now, None), DEFAULT_LIMITS))
        header, _ = process.communicate()
    try:
        found: dict[str, bool] = orjson.loads(header.partition(b"\n")[0])
    except ValueError:
        found = {"started": False}
    return found


def _start(source: IO[bytes], job: Job) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-I", "-m", "intake.sandbox.worker", orjson.dumps(job, default=list).decode()],
        stdin=source,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # a library may print what it has read
        env=_ENVIRONMENT,
        cwd="/",
        start_new_session=True,
    )


def _ended(process: "subprocess.Popen[bytes]") -> str:
    try:
        return _code_of(process.wait(timeout=5))
    except subprocess.TimeoutExpired:
        return ""


def _code_of(ended: int) -> str:
    """The finding code of how the process ended: by itself (0 or a code of ours), of a limit, or of the file."""
    if ended in (-signal.SIGKILL, -signal.SIGXCPU):
        return "E112"
    return "" if ended == 0 else _CODE_OF_EXIT.get(ended, "E107")


def _batches(pipe: IO[bytes], number: int, context: RecordContext, limits: Limits) -> Iterator[CheckedRows]:
    import pyarrow as pa

    failed, account = "", RowAccount(limits.batch_rows)
    try:
        with pa.ipc.open_stream(pa.PythonFile(CheckedMessages(pipe), "r")) as stream:  # type: ignore[arg-type]
            if not stream.schema.equals(stream_schema()):
                raise UnreadableFileError("E107")
            while (checked := _next(stream, number, context, account)) is not None:
                yield checked
    except UnreadableFileError as error:
        failed = error.code
    except Exception:  # what a library says of it may quote it
        failed = "E107"
    if failed:
        raise UnreadableFileError(failed)


def _next(stream: "pa.RecordBatchStreamReader", number: int, context: RecordContext, account: RowAccount) -> CheckedRows | None:
    try:
        batch, metadata = stream.read_next_batch_with_custom_metadata()
    except StopIteration:
        return None
    batch.validate(full=True)
    notes = dict(metadata or {})
    problems = [(int(row), str(code), str(name)) for row, code, name in orjson.loads(notes[META_PROBLEMS])]
    rows, facts = int(notes[META_ROWS]), _facts(batch, number)
    if not account.holds(rows, [each.row for each in facts], problems) or not keeps_contract(batch, context):
        raise UnreadableFileError("E107")
    return CheckedRows(rows, facts, problems, batch.drop_columns(["row", "content"]))


def _facts(batch: "pa.RecordBatch", number: int) -> list[RowFacts]:
    import pyarrow.compute as pc

    moments: Any = pc.coalesce(batch.column("supersedes_started_at"), batch.column("started_at"))
    columns = (
        batch.column("row"),
        batch.column("record_status"),
        batch.column("scope"),
        pc.year(moments),
        pc.quarter(moments),
        *(batch.column(name) for name in ("user_pseudonym", "record_id", "content", "supersedes", "submission_id")),
    )
    facts = []
    for row, status, scope, year, quarter, pseudonym, record_id, content, supersedes, submission in zip(
        *(column.to_pylist() for column in columns), strict=True
    ):
        kind = scope if status == "withdrawal" else status
        if kind not in _KINDS or not record_id or not content or (kind == "submission") != (not pseudonym):
            raise UnreadableFileError("E107")
        named = "" if kind == "submission" else f"{year:04d}Q{quarter}"
        facts.append(RowFacts(number, row, kind, named, pseudonym or "", record_id, content, supersedes or submission or ""))
    return facts
