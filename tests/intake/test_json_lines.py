"""Lines of a file: an object or the code of why it is none; a key that stands twice is seen however it is written."""

import json
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from submissions import json_lines

from intake.json_lines import file_start_problem, read_line
from intake.record_checks import parse_record

BROKEN = [
    (b"", "E236"),
    (b" \t\r", "E236"),
    (b"[]", "E201"),
    (b"7", "E201"),
    (b'{"a":1', "E201"),
    (b'{"a":01}', "E201"),
    (b'{"a":"NaN"', "E201"),
    (b"{'a':1}", "E201"),
    (b'{"a":NaN}', "E232"),
    (b'{"a":-Infinity}', "E232"),
    (b'{"a":1e400}', "E232"),
    (b'{"a":-1e999}', "E232"),
    (b'{"a":"\\ud800"}', "E233"),
    (b'{"a":"\xed\xa0\x80"}', "E233"),
    (b'{"a":"\xff"}', "E233"),
    (b"[" * 5_000, "E234"),
    (b'{"a":' * 2_000, "E234"),
    (b'\xef\xbb\xbf{"a":1}', "E235"),
    (b'{"a":1,"a":1}', "E231"),
    (b'{"a" :1,"a"\t:2}', "E231"),
    (b'{"a":1,"\\u0061":2}', "E231"),
    (b'{"a":[{"b":1,"b":{}}]}', "E231"),
    (b'{"a":{' + b",".join(b'"%d":0' % n for n in range(20_000)) + b"}}", "E203"),
    (b'{"a":[' + b"{}," * 800_000 + b"{}]}", "E206"),
]


@pytest.mark.parametrize(("line", "code"), BROKEN, ids=range(len(BROKEN)))
def test_a_broken_line_has_its_code(line: bytes, code: str) -> None:
    assert read_line(line) == code


def test_a_carriage_return_at_the_end_is_white_space() -> None:
    assert read_line(b'{"a":1}\r') == {"a": 1}


STYLES: list[dict[str, Any]] = [{}, {"separators": (",", ":")}, {"separators": (" , ", " : ")}, {"ensure_ascii": False}]


@pytest.fixture(scope="module")
def clean_records(clean: Path) -> list[dict[str, Any]]:
    return json_lines(sorted((clean / "alder").iterdir())[0], "part-1.jsonl")


@pytest.mark.parametrize("style", STYLES, ids=range(len(STYLES)))
def test_every_writer_of_sound_records_is_read(style: dict[str, Any], clean_records: list[dict[str, Any]]) -> None:
    for record in clean_records[:50]:
        record = {**record, "turns": [{"index": 1, "role": "user", "text": 'a: "b": \\":\u00e9 \\u003a'}]}
        assert read_line(json.dumps(record, **style).encode()) == record


def places_of_objects(raw: Any) -> list[Any]:
    if isinstance(raw, list):
        return [place for item in raw for place in places_of_objects(item)]
    return [raw, *(p for v in raw.values() for p in places_of_objects(v))] if isinstance(raw, dict) else []


@given(
    pick=st.integers(0, 10_000),
    spelt=st.sampled_from([0, 1, 2]),
    text=st.text(alphabet=':"\\ u03aA{,', max_size=12),
    compact=st.booleans(),
)
def test_a_key_twice_in_any_object_of_a_sound_record_is_seen(
    pick: int, spelt: int, text: str, compact: bool, clean_records: list[dict[str, Any]]
) -> None:
    """No record gets in whose line has a key twice: colons in texts must not hide the one that a second key brings."""
    record = orjson.loads(orjson.dumps(clean_records[pick % len(clean_records)]))
    record["turns"] = [{"index": 1, "role": "user", "text": text}]
    objects = [found for found in places_of_objects(record) if found]
    chosen = objects[pick % len(objects)]
    key = list(chosen)[pick % len(chosen)]
    chosen[f"{key}#"] = "MARK"
    again = f'"{key}":' if spelt == 0 else f'"{key}" :' if spelt == 1 else f'"\\u{ord(key[0]):04x}{key[1:]}":'
    dumped = orjson.dumps(record).decode() if compact else json.dumps(record)
    marked = json.dumps({f"{key}#": "MARK"}, separators=(",", ":") if compact else None)[1:-1]
    assert marked in dumped
    found = read_line(dumped.replace(marked, f'{again}"x"').encode())
    assert found == "E231" or parse_record(found)[0] is None  # what is no record anyway gets another code


@pytest.mark.parametrize("depth", [250, 260, 900])
def test_a_line_deeper_than_is_written_is_read(depth: int) -> None:
    """orjson reads deeper than it writes: comparing a line with what it would write is then no answer, and no fault."""
    line = b'{"a":' + b"[" * depth + b"]" * depth + b"}"
    assert isinstance(read_line(line), dict)
    assert read_line(line[:-1] + b',"a":1}') == "E231"


def test_an_escaped_colon_hides_no_second_key(clean_records: list[dict[str, Any]]) -> None:
    record = {**clean_records[0], "turns": [{"index": 1, "role": "user", "text": "a:b"}]}
    line = orjson.dumps(record).replace(b"a:b", b"a\\u003ab")
    assert read_line(line) == record
    assert read_line(line[:-1] + b',"n_turns":1}') == "E231"


def test_the_start_of_a_file_tells_other_encodings() -> None:
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        assert file_start_problem('{"a":1}'.encode(encoding)[:4]) == "E119"
    assert file_start_problem(b'{"a"') == file_start_problem(b"") == file_start_problem("é".encode()) == ""


def test_a_line_of_quotes_that_do_not_end_is_refused_at_once() -> None:
    """It took time in the square of its length: 30 seconds for 60 KB, and a submission may hold a thousand such files."""
    start = time.process_time()
    assert read_line(b'x"' + b'\\"' * 200_000) == "E201"
    assert time.process_time() - start < 2
