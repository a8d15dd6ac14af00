"""The form of a manifest, by a table of broken ones: a code and a field of ours each, never a value, never much memory."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from intake.limits import DEFAULT_LIMITS
from intake.manifest_checks import parse_manifest

CANARY = "canary-5e81d2"


@pytest.fixture(scope="module")
def manifest(clean: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((sorted((clean / "alder").iterdir())[0] / "manifest.json").read_bytes())
    return found


def told(data: bytes) -> list[tuple[str, str]]:
    read, findings = parse_manifest(data, DEFAULT_LIMITS)
    assert (read is None) or not findings or {f.code for f in findings} <= {"E109", "E110", "E111", "E112", "E116"}
    assert CANARY not in str(findings)
    return [(finding.code, finding.field) for finding in findings]


def put(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(raw: dict[str, Any]) -> None:
        *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        at: Any = raw
        for step in steps:
            at = at[step]
        at[last] = value

    return change


EXAMPLES: list[tuple[Callable[[dict[str, Any]], None], str, str]] = [
    (put("contract_version", "2.0.0"), "E103", "contract_version"),
    (put("contract_version", CANARY), "E103", "contract_version"),
    (put("company", CANARY.upper()), "E102", "company"),
    (put("company", "ald\u0435r"), "E102", "company"),
    (put("company", "alder\u200b"), "E102", "company"),
    (put("submission_id", None), "E102", "submission_id"),
    (put("selection", []), "E102", "selection"),
    (put("selection", None), "E102", "selection"),
    (put("selection.0.sampling_rate", 0), "E102", "selection[0].sampling_rate"),
    (put("selection.0.sampling_rate", 1.5), "E102", "selection[0].sampling_rate"),
    (put("selection.0.reason", "Flagged"), "E102", "selection[0].reason"),
    (put("files.0.bytes", -1), "E102", "files[0].bytes"),
    (put("files.0.bytes", "12"), "E102", "files[0].bytes"),
    (put("files.0.records", True), "E102", "files[0].records"),
    (put("files.0.records", 10**30), "E102", "files[0].records"),
    (put("files.0.path", f"../{CANARY}"), "E102", "files[0].path"),
    (put("files.0.path", f"a/{CANARY}"), "E102", "files[0].path"),
    (put("files.0.path", f".{CANARY}"), "E102", "files[0].path"),
    (put("files.0.path", f"{CANARY}\x00"), "E102", "files[0].path"),
    (put("files.0.path", "part-\u202e1"), "E102", "files[0].path"),
    (put("files.0.format", "csv"), "E102", "files[0].format"),
    (put("files.0.bytes", 2**50), "E112", "files"),
    (put("files.0.path", "manifest.json"), "E116", "files"),
    (put(CANARY, 1), "E102", "?"),
    (put(f"attestations.{CANARY}", 1), "E102", "attestations.?"),
    (put("attestations.opt_outs_removed", False), "E109", "attestations.opt_outs_removed"),
    (put("attestations.opt_outs_removed", "true"), "E102", "attestations.opt_outs_removed"),
    (put("period", "2026-13"), "E110", "period"),
    (put("tier", "aggregates"), "E111", "tier"),
    (put("signature", CANARY), "E102", "signature"),
]


@pytest.mark.parametrize(("change", "code", "field"), EXAMPLES, ids=[f"{i}-{e[1]}-{e[2]}" for i, e in enumerate(EXAMPLES)])
def test_one_broken_rule_one_finding(
    change: Callable[[dict[str, Any]], None], code: str, field: str, manifest: dict[str, Any]
) -> None:
    broken = json.loads(json.dumps(manifest))
    change(broken)
    assert told(json.dumps(broken).encode()) == [(code, field)]


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b"\xef\xbb\xbf{}", b"[" * 100_000, b'{"a":NaN}'])
def test_what_is_no_json_object_is_no_manifest(data: bytes) -> None:
    assert told(data) == [("E101", "")]


def test_a_sound_manifest_is_sound(manifest: dict[str, Any]) -> None:
    assert told(json.dumps(manifest).encode()) == []


def test_a_key_twice_is_refused(manifest: dict[str, Any]) -> None:
    data = json.dumps(manifest)
    assert told((data[:-1] + f', "company": "{CANARY}"}}').encode()) == [("E102", "")]
    assert told(data.replace('"tier"', '"tier": "records", "ti\\u0065r"').encode()) == [("E102", "")]


def test_no_manifest_costs_much_memory(manifest: dict[str, Any]) -> None:
    many = [
        {**manifest, "files": [{}] * 200_000},
        {**manifest, "selection": [0] * 300_000},
        {**manifest, **{f"{i}": 0 for i in range(60_000)}},
        {**manifest, "attestations": {f"{i}": 0 for i in range(60_000)}},
    ]
    for broken in many:
        data = json.dumps(broken).encode()
        tracemalloc.start()
        assert len(told(data)) <= 20
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 100 << 20
