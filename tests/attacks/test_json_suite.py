"""JSONTestSuite: what must be refused is refused, what must be parsed is parsed, alone and through the file reader."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.intake_corpus import JSON_SUITE, JsonCounts, json_suite
from benchmarks.intake_material import Material, read_in_process, verdict

pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not JSON_SUITE.exists(), reason="../shared/data/hostile/json_test_suite is not here"),
]


def test_all_188_are_refused_and_all_95_parsed() -> None:
    assert json_suite() == JsonCounts(188, 188, 95, 95)


def test_a_laxer_parser_is_noticed() -> None:
    def standard_library(document: bytes) -> Any:
        try:
            found = json.loads(document)
        except (ValueError, RecursionError):
            return "E201"
        return found if isinstance(found, dict) else "E201"

    counts = json_suite(parse=standard_library)
    assert counts.refused < counts.must_refuse


def test_no_document_makes_a_record_or_breaks_the_reader(material: Material, tmp_path: Path) -> None:
    for number, path in enumerate(sorted(JSON_SUITE.glob("*.json"))):
        file = tmp_path / f"{number}.jsonl"
        file.write_bytes(path.read_bytes())
        found = verdict(file, "jsonl", read_in_process, material.context)
        assert found.sound == 0
        assert found.refused or found.codes or not found.rows, path.name
