"""The Big List of Naughty Strings as text, id, code, field name and company name: answered, and never told."""

import json
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from benchmarks.intake_attacks import check_line, check_manifest
from benchmarks.intake_material import SHARED, Material, data_file

PATH = SHARED / "hostile" / "naughty_strings" / "blns.json"
pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not PATH.exists(), reason="../shared/data/hostile/naughty_strings is not here"),
]
Place = Callable[[dict[str, Any], str], None]


def as_text(raw: dict[str, Any], text: str) -> None:
    raw["turns"] = [{"index": 1, "role": "user", "text": text}]


def as_code(raw: dict[str, Any], text: str) -> None:
    raw["risk"]["ideation"] = text


def as_status(raw: dict[str, Any], text: str) -> None:
    raw["record_status"] = text


def as_field(raw: dict[str, Any], text: str) -> None:
    raw[f"{text}."] = 1


def as_nested_field(raw: dict[str, Any], text: str) -> None:
    raw["person"][f"{text}."] = text


PLACES: dict[str, Place] = {
    "text": as_text,
    "code": as_code,
    "status": as_status,
    "field": as_field,
    "nested field": as_nested_field,
    **{name: (lambda n: lambda raw, text: raw.update({n: text}))(name) for name in ("record_id", "user_pseudonym", "started_at", "selection_stratum")},
}  # fmt: skip


def strings() -> list[str]:
    found = json.loads(PATH.read_text(encoding="utf-8"))
    return [text for text in found if text]


def tells(said: Any, text: str) -> bool:
    """Whether a string of some length that is not one of our own words stands in what is told."""
    return len(text) > 3 and text not in ("true", "null") and (text in str(said) or ascii(text)[1:-1] in str(said))


@pytest.mark.parametrize("place", PLACES)
def test_in_a_record(place: str, material: Material) -> None:
    sound = 0
    for text in strings():
        raw = orjson.loads(orjson.dumps({**material.records[0], "turns": []}))
        PLACES[place](raw, text)
        is_sound, said = check_line(json.dumps(raw).encode(), material.context)
        sound += is_sound
        assert not tells(said, text)
        assert all(code.startswith(("E2", "W3")) for code, _ in said) if isinstance(said, list) else said.startswith("E2")
    assert (sound > 100) == (place in ("text", "record_id", "user_pseudonym")), sound


@pytest.mark.parametrize(
    "field", ["company", "agreement_id", "submission_id", "period", "tier", "key_id", "signature", "unknown?"]
)
def test_in_a_manifest(field: str, material: Material) -> None:
    manifest = orjson.loads(material.signed("naughty", [data_file("part-1.jsonl", "jsonl", b"", 0)]))
    taken = 0
    for text in strings():
        is_sound, said = check_manifest(json.dumps({**manifest, field: text}).encode(), material.context)
        taken += is_sound
        assert not tells([{**finding, "hint": ""} for finding in said], text)
        assert is_sound or said
    assert taken < 100
