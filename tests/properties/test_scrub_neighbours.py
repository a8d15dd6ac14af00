"""A conversation comes out of the scrub byte for byte the same whatever is scrubbed beside it, before it, or how many at once."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from submissions import json_lines

from anonymize import scrub, shard
from anonymize.operators import Placeholders
from anonymize.scrub import shared_scrubber
from anonymize.settings import ScrubSettings, load_scrub_settings
from flows.pool import packaged_config
from sample_data.parameters import SimulationParameters
from sample_data.simulate import simulate

PARAMETERS = SimulationParameters(
    seed=83, users=45, quarters=1, formats=("jsonl",), files_per_submission=1, submissions_per_quarter=1, malformed_share=0,
    text_share=0.5,
)  # fmt: skip
SCHEMA = pa.schema(
    [
        ("record_id", pa.string()),
        ("person", pa.struct([("language", pa.string())])),
        ("turns", pa.list_(pa.struct([("index", pa.int64()), ("role", pa.string()), ("text", pa.string())]))),
    ]
)
ODD = (
    "",
    "ok",
    "a.b.c@d",
    "\u200bJo\u0301 \u2070 9 8 8",
    "Я Анна",
    "1 " * 3000,
    "Mr Zq " * 500,
    "my name is Oluwaseyi",
    "it is late \U0001f600",
)


@pytest.fixture(scope="module")
def settings() -> ScrubSettings:
    return load_scrub_settings(packaged_config("scrub.toml"), packaged_config("helplines.toml"))


@pytest.fixture(scope="module")
def companies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """Conversations with text of three companies, and some odd ones of a fourth."""
    made = tmp_path_factory.mktemp("made")
    simulate(made, PARAMETERS)
    found: dict[str, list[dict[str, Any]]] = {}
    for manifest in sorted(made.glob("*/*/manifest.json")):
        rows = [row for row in json_lines(manifest.parent, "part-1.jsonl") if row.get("turns")]
        found[manifest.parent.parent.name] = [
            {"record_id": row["record_id"], "person": {"language": row["person"]["language"]}, "turns": row["turns"]}
            for row in rows
        ]
    found["odd"] = [
        {"record_id": f"odd-{n}", "person": {"language": language}, "turns": [{"index": 1, "role": "user", "text": text}]}
        for n, (text, language) in enumerate((text, language) for text in ODD for language in ("en", "de", "xx"))
    ]
    return found


def scrubbed(rows: list[dict[str, Any]], folder: Path, settings: ScrubSettings) -> dict[str, list[str]]:
    """The scrubbed turns of each row, read by models that have not read any of it before."""
    shared_scrubber(settings)._detector._cache.clear()  # what is remembered would hide what neighbours do to a model's answer
    source, target = folder / "source.parquet", folder / "target.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), source)
    shard.scrub_shard(source, target, settings, None)
    return {row["record_id"]: [turn["text"] for turn in row["turns"]] for row in pq.read_table(target).to_pylist()}


def test_neighbours_order_and_sizes_of_batches_change_no_byte(
    companies: dict[str, list[dict[str, Any]]], settings: ScrubSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = {name: scrubbed(rows, tmp_path, settings) for name, rows in companies.items()}
    assert all(len(rows) > 4 for rows in alone.values())
    changed = [turn for rows in alone.values() for turns in rows.values() for turn in turns if "<" in turn]
    assert len(changed) > 20
    everything = {record: turns for rows in alone.values() for record, turns in rows.items()}
    together = [row for rows in companies.values() for row in rows]
    chance = random.Random(4)
    for rows_at_once, characters_at_once in ((512, 400_000), (7, 900)):
        monkeypatch.setattr(shard, "_ROWS_AT_ONCE", rows_at_once)
        monkeypatch.setattr(shard, "_CHARACTERS_AT_ONCE", characters_at_once)
        monkeypatch.setattr(scrub, "_CHARACTERS_AT_ONCE", characters_at_once // 2)
        chance.shuffle(together)
        some = together[: chance.randint(len(together) // 2, len(together))]
        found = scrubbed(some, tmp_path, settings)
        assert found == {record: everything[record] for record in found}
        assert len(found) == len(some)


def test_the_same_shard_gives_the_same_file(
    companies: dict[str, list[dict[str, Any]]], settings: ScrubSettings, tmp_path: Path
) -> None:
    files = []
    for _ in range(2):
        scrubbed(companies["birch"], tmp_path, settings)
        files.append((tmp_path / "target.parquet").read_bytes())
    assert files[0] == files[1]


def test_it_would_be_seen_if_a_neighbour_changed_a_byte(
    companies: dict[str, list[dict[str, Any]]], settings: ScrubSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Placeholders numbered through a batch, not through a conversation: the test above must fail."""
    rows = [row for row in companies["alder"] if row["person"]["language"] == "en"]
    alone = scrubbed(rows[len(rows) // 2 :], tmp_path, settings)
    shared = vars(Placeholders())
    monkeypatch.setattr(Placeholders, "__init__", lambda self: vars(self).update(shared))
    together = scrubbed(rows, tmp_path, settings)
    assert {record: together[record] for record in alone} != alone
