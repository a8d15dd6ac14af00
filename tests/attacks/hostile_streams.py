"""Streams as a worker might send them that a hostile file has taken over, and the codes in which each must end."""

import copy
import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa

from intake.reading import CheckedRows, UnreadableFileError
from intake.sandbox.stream import stream_schema

CANARY = "canary-7c20e9"
SAMPLE = Path(__file__).parents[2] / "sample_data" / "sample"
PLAIN = """
import os, sys
os.write(1, b"{}\\n")
sys.stdout.buffer.write(open(sys.argv[1], "rb").read())
"""
MALFORMED, TOO_MUCH, BOTH = frozenset({"E107"}), frozenset({"E112"}), frozenset({"E107", "E112"})


@dataclass(frozen=True)
class Stream:
    """What is sent, the program that sends it (argument: a file with it), the codes, and how many rows may pass before."""

    data: bytes
    codes: frozenset[str] = MALFORMED
    sound_rows: int = 0
    program: str = PLAIN


def record() -> dict[str, Any]:
    """One sound record, of the stratum `flagged` and the first quarter of 2026."""
    line = next(iter(sorted(SAMPLE.glob("alder/*/part-1.jsonl")))).read_text().splitlines()[0]
    found: dict[str, Any] = json.loads(line)
    moment = datetime(2026, 2, 1, tzinfo=UTC)
    return {**found, "started_at": moment, "selection_stratum": "flagged", "record_status": "new"}


def batch(rows: list[dict[str, Any]], numbers: list[int] | None = None, content: str = "0" * 64) -> pa.RecordBatch:
    numbers = list(range(1, len(rows) + 1)) if numbers is None else numbers
    made = [{**row, "row": number, "content": content} for row, number in zip(rows, numbers, strict=True)]
    return pa.RecordBatch.from_pylist(made, stream_schema())


def stream(*batches: tuple[pa.RecordBatch, dict[str, Any]], options: Any = None, schema: pa.Schema | None = None) -> bytes:
    sink = BytesIO()
    with pa.ipc.new_stream(sink, schema or stream_schema(), options=options) as out:
        for each, notes in batches:
            out.write_batch(each, custom_metadata={name: str(value).encode() for name, value in notes.items()})
    return sink.getvalue()


def notes(rows: Any, problems: Any = ()) -> dict[str, Any]:
    return {"rows": rows, "problems": json.dumps(problems)}


def honest() -> Stream:
    first = (batch([record()] * 2, [1, 3]), notes(3, [(2, "E205", "risk.ideation"), (3, "W305", "turns[0].text")]))
    of_file = (batch([]), notes(3, [(0, "W306", "started_at")]))
    return Stream(stream(first, of_file), frozenset({""}), sound_rows=2)


def one(row: dict[str, Any], **named: Any) -> Stream:
    return Stream(stream((batch([row], **named), notes(1))))


def changed(path: str, value: Any) -> Callable[[], Stream]:
    def make() -> Stream:
        row = copy.deepcopy(record())
        *above, last = path.split(".")
        place = row
        for step in above:
            place = place[int(step)] if step.isdigit() else place[step]
        place[last] = value
        return one(row)

    return make


def told(rows: Any, problems: Any = (), numbers: list[int] | None = None) -> Callable[[], Stream]:
    numbers = [1] if numbers is None else numbers
    return lambda: Stream(stream((batch([record()] * len(numbers), numbers), notes(rows, problems))))


def second(rows: int, numbers: list[int], problems: Any = ()) -> Callable[[], Stream]:
    """A sound first batch of two rows, then one that does not fit it."""
    return lambda: Stream(
        stream((batch([record()] * 2), notes(2)), (batch([record()] * len(numbers), numbers), notes(rows, problems))),
        sound_rows=2,
    )


def altered(find: bytes, put: bytes, codes: frozenset[str] = MALFORMED) -> Callable[[], Stream]:
    def make() -> Stream:
        data = honest().data
        assert find in data
        return Stream(data.replace(find, put), codes)

    return make


def cut(share: float) -> Callable[[], Stream]:
    return lambda: Stream(honest().data[: int(len(honest().data) * share)], frozenset({"E107", ""}), sound_rows=2)


def ending(how: str, codes: frozenset[str], data: Callable[[], bytes] = lambda: honest().data) -> Callable[[], Stream]:
    return lambda: Stream(data(), codes, 2, f"{PLAIN}\nsys.stdout.buffer.flush()\n{how}\n")


def compressed() -> Stream:
    row = record()
    row["turns"] = [{"index": 1, "role": "user", "text": "a" * 30_000}]
    row["n_turns"] = 100
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    return Stream(stream((batch([row] * 50), notes(50)), options=options))


def other_columns() -> Stream:
    schema = pa.schema([field for field in stream_schema() if field.name != "unit"][:-1])
    made = batch([record()]).select(schema.names)
    return Stream(stream((made, notes(1)), schema=schema))


def not_text() -> Stream:
    made = batch([record()])
    bad = pa.array([b"\xff\xfe"], pa.binary()).view(pa.string())
    at = made.schema.get_field_index("record_id")
    columns = [bad if i == at else made.column(i) for i in range(made.num_columns)]
    return Stream(stream((pa.RecordBatch.from_arrays(columns, schema=made.schema), notes(1))))


def under_13() -> Stream:
    row = copy.deepcopy(record())
    row["person"]["age_band"] = "under_13"
    row["turns"] = [{"index": 1, "role": "user", "text": CANARY}]
    return one(row)


def withdrawal(**fields: Any) -> Callable[[], Stream]:
    base = {"domain": "suicide_self_harm", "record_id": "w", "record_status": "withdrawal"}
    return lambda: one({**base, **fields})


LOOP = "\nwhile True:\n    try: sys.stdout.buffer.write({what})\n    except OSError: break\n"
STREAMS: dict[str, Callable[[], Stream]] = {
    "other columns": other_columns,
    "huge header length": lambda: Stream(b"\xff\xff\xff\xff\xff\xff\xff\x7f", TOO_MUCH),
    "negative header length": lambda: Stream(b"\xff\xff\xff\xff\xff\xff\xff\xff", BOTH),
    "old framing": lambda: Stream(b"\x10\x00\x00\x00" + bytes(64)),
    "garbage": lambda: Stream(bytes(range(256)) * 40),
    "garbage in the frame": lambda: Stream(b"\xff\xff\xff\xff\x00\x01\x00\x00" + bytes(range(256)) * 40),
    "compressed": compressed,
    "broken offsets": altered(
        struct.pack("<iii", 0, *(len(record()["record_id"]) * n for n in (1, 2))), struct.pack("<iii", 0, 1 << 30, 42)
    ),
    "not text": not_text,
    "forged code": changed("risk.ideation", CANARY),
    "forged status": changed("record_status", CANARY),
    "forged language": changed("person.language", CANARY),
    "forged experiment": changed("deployment.experiment", {"id": "A B", "arm": "a", "assigned": "randomised_user"}),
    "forged intervention": changed("interventions.0.type", CANARY),
    "forged outcome": changed("interventions.0.outcomes", [{"kind": CANARY, "value": "yes", "window": "24h", "basis": "observed"}]),
    "forged stratum": changed("selection_stratum", CANARY),
    "real in place of synthetic": changed("origin", "production"),
    "null code": changed("event_class", None),
    "null struct": changed("risk", None),
    "null list": changed("turns", None),
    "null id": changed("record_id", None),
    "empty id": changed("record_id", ""),
    "long id": changed("record_id", "r" * 65),
    "null pseudonym": changed("user_pseudonym", None),
    "pseudonym with a space": changed("user_pseudonym", "a b"),
    "no turns at all": changed("n_turns", 0),
    "long text": changed("turns", [{"index": 1, "role": "user", "text": "x" * 32_769}]),
    "null in a list": changed("failure_modes", [None]),
    "long list": changed("failure_modes", ["missed_risk"] * 65),
    "outside the period": changed("started_at", datetime(2026, 5, 1, tzinfo=UTC)),
    "no moment": changed("started_at", None),
    "new and superseding": changed("supersedes", "another"),
    "another quarter by supersedes": changed("supersedes_started_at", datetime(2025, 5, 1, tzinfo=UTC)),
    "scope of a new one": changed("scope", "submission"),
    "text of an under-13": under_13,
    "withdrawal with a text": withdrawal(scope="user", user_pseudonym="u", event_class="near_miss"),
    "withdrawal of nobody": withdrawal(scope="user", supersedes_started_at=datetime(2026, 2, 1, tzinfo=UTC)),
    "withdrawal of nothing": withdrawal(scope="record", user_pseudonym="u", supersedes_started_at=datetime(2026, 2, 1, tzinfo=UTC)),
    "withdrawal of another kind": withdrawal(scope=CANARY, user_pseudonym="u"),
    "submission of a user": withdrawal(scope="submission", submission_id="s", user_pseudonym="u"),
    "digest that is none": lambda: one(record(), content=CANARY),
    "moment beyond the calendar": altered(
        int(record()["started_at"].timestamp() * 1e6).to_bytes(8, "little"), (2**62).to_bytes(8, "little")
    ),
    "field holds a value": told(2, [(2, "E205", CANARY)]),
    "field is a path and more": told(2, [(2, "E205", f"risk.{CANARY}")]),
    "field holds letters of the contract": told(2, [(2, "E205", "risk.person.secret")]),
    "place holds a number": told(2, [(2, "E205", "turns[5551234567].text")]),
    "code unknown": told(2, [(2, "E999", "risk")]),
    "code holds a value": told(2, [(2, CANARY, "risk")]),
    "code of a submission on a row": told(2, [(2, "E105", "")]),
    "code of a row on the file": told(1, [(0, "E205", "risk")]),
    "a problem that is none": told(2, [(2, "E205")]),
    "problems that are no list": told(2, {"a": 1}),
    "no count": lambda: Stream(stream((batch([record()]), {"problems": "[]"}))),
    "no problems told": lambda: Stream(stream((batch([record()]), {"rows": 1}))),
    "count is a word": told(CANARY),
    "count beyond the batch": told(10),
    "count below the rows": told(0),
    "count below zero": told(-1),
    "rows without facts": lambda: Stream(stream((batch([]), notes(30)))),
    "more rows than a batch": lambda: Stream(stream((batch([record()] * 300), notes(300)))),
    "row told twice": told(2, numbers=[1, 1]),
    "rows out of order": told(2, numbers=[2, 1]),
    "row beyond the count": told(1, numbers=[2]),
    "row sound and faulty": told(1, [(1, "E205", "risk.ideation")]),
    "row neither": told(2),
    "warning alone is no fault": told(2, [(2, "W305", "turns[0].text")]),
    "many problems of one row": told(2, [(2, "E205", "risk.ideation")] * 100),
    "row again in the next batch": second(3, [2]),
    "count goes down": second(1, [1]),
    "count goes up falsely": second(9, [3]),
    "problem of an earlier row": second(3, [3], [(1, "E205", "risk.ideation")]),
    "file told twice": lambda: Stream(
        stream(*[(batch([record()]), notes(1))], *[(batch([]), notes(1, [(0, "W306", "started_at")]))] * 2), sound_rows=1
    ),
    "rows after the file was told": lambda: Stream(
        stream((batch([]), notes(0, [(0, "E108", "risk")])), (batch([record()]), notes(1))), sound_rows=0
    ),
    "nothing told": lambda: Stream(stream((batch([]), notes(0)))),
    "file problems without end": lambda: Stream(stream((batch([]), notes(0, [(0, "E108", "risk")] * 70)))),
    "exit 0 half way": lambda: Stream(stream((batch([record()]), notes(1)))[:-8], frozenset({""}), sound_rows=1),
    **{f"cut at {share:.0%}": cut(share) for share in (0.1, 0.3, 0.5, 0.7, 0.9, 0.99)},
    "ends with another code": ending("os._exit(42)", MALFORMED),
    "falls": ending("import ctypes; ctypes.string_at(0)", MALFORMED),
    "is killed": ending("os.kill(os.getpid(), 9)", TOO_MUCH),
    "says too large": ending("os._exit(112)", TOO_MUCH),
    "falls in the middle": ending("os.abort()", MALFORMED, lambda: honest().data[:2000]),
    "goes on for ever": ending(LOOP.format(what="b'x' * 65536"), BOTH),
    "sends the same for ever": ending(LOOP.format(what="open(sys.argv[1], 'rb').read()"), BOTH),
    "falls silent": ending("import time; time.sleep(600)", TOO_MUCH, lambda: honest().data[:2000]),
    "header without end": lambda: Stream(b"", BOTH, 0, "import os\nwhile True: os.write(1, b'x' * 4096)"),
}  # fmt: skip


def code_of_stream(read: Callable[[], Iterator[CheckedRows]]) -> tuple[str, int, str]:
    """How reading ended (empty: well), how many sound rows it gave, and all that it said of them but the rows themselves."""
    rows, shown = 0, []
    try:
        for checked in read():
            rows += len(checked.sound)
            shown.append(repr(checked.problems))
    except UnreadableFileError as error:
        shown += [repr(error), repr(error.__cause__), repr(error.__context__)]
        return error.code, rows, " ".join(shown)
    return "", rows, " ".join(shown)
