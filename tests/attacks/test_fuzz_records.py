"""Mutated manifests and records: every input is answered with findings, no exception gets out, and no value is told."""

import logging
from typing import Any

import orjson
import pytest

from benchmarks.intake_attacks import CANARY, FuzzCounts, Mutator, check_line, check_manifest, fuzz
from benchmarks.intake_material import Material, data_file
from intake.record_checks import RecordContext


def _manifest(material: Material) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(material.signed("fuzzed", [data_file("part-1.jsonl", "jsonl", b"", 0)]))
    return found


def run(material: Material, inputs: int, seed: int) -> tuple[FuzzCounts, FuzzCounts]:
    records = fuzz(Mutator(material.records, seed).inputs(inputs), material.context)
    manifests = fuzz(Mutator([_manifest(material)], seed).inputs(inputs), material.context, check_manifest)
    return records, manifests


def test_some(material: Material) -> None:
    for counts in run(material, 1_000, 1):
        assert (counts.inputs, counts.uncaught, counts.told) == (1_000, 0, 0)
        assert counts.sound < 100


@pytest.mark.long
def test_a_hundred_thousand(material: Material) -> None:
    for counts in run(material, 50_000, 2):
        assert (counts.inputs, counts.uncaught, counts.told) == (50_000, 0, 0)


def test_a_check_that_tells_is_noticed(material: Material) -> None:
    def telling(line: bytes, context: RecordContext) -> tuple[bool, Any]:
        return False, check_line(line, context)[1] or line

    assert fuzz(Mutator(material.records, 3).inputs(200), material.context, telling).told > 0


def test_a_check_that_logs_or_raises_is_noticed(material: Material) -> None:
    def logging_one(line: bytes, context: RecordContext) -> tuple[bool, Any]:
        logging.getLogger("some.library").warning("bad line %r", line)
        return check_line(line, context)

    def raising(line: bytes, context: RecordContext) -> tuple[bool, Any]:
        raise KeyError(CANARY)

    assert fuzz(Mutator(material.records, 4).inputs(50), material.context, logging_one).told == 50
    counts = fuzz(Mutator(material.records, 4).inputs(50), material.context, raising)
    assert (counts.uncaught, counts.told) == (50, 50)
