"""The throw-away process: reads one hostile file from descriptor 0 and writes checked rows as an Arrow stream to 1.

It is started by `intake.sandbox.reader`, loads all it needs, gives everything up, and only then looks into the file. What
comes out of it is as hostile as what went in: the reader believes none of it. Its exit code is a finding's number.
"""

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from typing import IO, Any

import orjson
import pyarrow as pa
from pydantic import TypeAdapter

from intake.limits import Limits
from intake.reading import PIECES, CheckedRows, UnreadableFileError, check_rows
from intake.record_checks import RecordContext
from intake.sandbox.confinement import Allowance, confine
from intake.sandbox.stream import EXIT_OF_CODE, META_PROBLEMS, META_ROWS, Job, stream_schema
from schemas.arrow import record_schema


def main() -> int:
    """Does the job that the first argument describes; returns the exit code."""
    job = TypeAdapter(Job).validate_json(sys.argv[1])
    pa.set_cpu_count(1)
    pa.set_memory_pool(pa.system_memory_pool())
    _warm_up(job.context, job.limits)
    enforced = confine(Allowance(job.limits.memory_bytes, job.limits.seconds(job.size)))
    with os.fdopen(0, "rb") as source, os.fdopen(1, "wb", buffering=1 << 20) as sink:
        sink.write(orjson.dumps(enforced) + b"\n")
        sink.flush()  # the reader tells a process that dies of its file from one that never began
        try:
            _check(source, sink, job)
        except UnreadableFileError as error:
            return EXIT_OF_CODE.get(error.code, EXIT_OF_CODE["E107"])
        except MemoryError:
            return EXIT_OF_CODE["E112"]
    return 0


def _check(source: IO[bytes], sink: IO[bytes], job: Job) -> None:
    with pa.ipc.new_stream(pa.PythonFile(sink, "w"), stream_schema()) as stream:  # type: ignore[arg-type]
        checking = check_rows(source, job.size, job.file_format, job.number, job.context, job.limits)
        for checked, sound in checking if job.file_format == "parquet" else _together(checking):
            stream.write_batch(_table(checked, sound), custom_metadata=_metadata(checked))
            sink.flush()  # so that the reader can stop a hopeless file


def _together(
    pieces: Iterator[tuple[CheckedRows, list[dict[str, Any]]]],
) -> Iterator[tuple[CheckedRows, list[dict[str, Any]]]]:
    """Batches of lines, several as one; what was read before a file fails is told as well."""
    whole, records, count, failed = CheckedRows(), list[dict[str, Any]](), 0, None
    try:
        for checked, sound in pieces:
            if any(not row for row, _, _ in checked.problems):  # what is said of the file as a whole travels alone
                if count:
                    yield whole, records
                whole, records, count = CheckedRows(), [], 0
                yield checked, sound
                continue
            whole.rows = max(whole.rows, checked.rows)
            whole.sound += checked.sound
            whole.problems += checked.problems
            records += sound
            count += 1
            if count == PIECES:
                yield whole, records
                whole, records, count = CheckedRows(), [], 0
    except UnreadableFileError as error:
        failed = error
    if count:
        yield whole, records
    if failed is not None:
        raise failed


def _table(checked: CheckedRows, sound: list[dict[str, Any]]) -> pa.RecordBatch:
    columns = pa.RecordBatch.from_pylist(sound, record_schema())
    rows = pa.array([facts.row for facts in checked.sound], pa.int64())
    contents = pa.array([facts.content for facts in checked.sound], pa.string())
    return pa.RecordBatch.from_arrays([rows, contents, *columns.columns], schema=stream_schema())


def _metadata(checked: CheckedRows) -> dict[bytes, bytes]:
    return {META_ROWS: b"%d" % checked.rows, META_PROBLEMS: orjson.dumps(checked.problems)}


def _warm_up(context: RecordContext, limits: Limits) -> None:
    """Goes through every format once, so that nothing has to be loaded when no file can be opened any more."""
    for file_format, data in _small_files():
        for checked, sound in check_rows(BytesIO(data), len(data), file_format, 0, context, limits):
            _table(checked, sound)
            _metadata(checked)


def _small_files() -> Iterator[tuple[str, bytes]]:
    import gzip

    import pyarrow.parquet as pq

    line = b'{"record_status":"new","started_at":"2026-01-01T00:00:00Z"}\n{"record_status":"withdrawal","scope":"user"}\n[\n'
    yield "jsonl", line
    yield "jsonl.gz", gzip.compress(line)
    yield "jsonl.zst", pa.Codec("zstd").compress(line, asbytes=True)
    table = BytesIO()
    pq.write_table(pa.Table.from_pylist([{"started_at": datetime.now(UTC)}], record_schema()), table, compression="zstd")
    yield "parquet", table.getvalue()


if __name__ == "__main__":
    os._exit(main())  # nothing is cleaned up: the process ends here
