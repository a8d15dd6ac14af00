"""Scrubbing at home: only turn texts change, in every format; what leaves is scrubbed, signed anew, and the same each time."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from submissions import rewrite

from flows.pool import packaged_config
from flows.scrub_at_home import scrub_submission
from intake.validation import validate_submission
from sample_data.parameters import SimulationParameters
from sample_data.simulate import simulate
from schemas.errors import SubmissionRefusedError
from schemas.manifest import signed_bytes
from schemas.signing import decode_key, public_key, verify

PRIVATE = "Mail me at quill.lark@postbox.org, I am Anna Karlsson."
OUTSIDE = "canary-outside-the-contract"


def lines_of(path: Path) -> list[Any]:
    if path.name.endswith(".gz"):
        data = gzip.decompress(path.read_bytes())
    elif path.name.endswith(".zst"):
        data = pa.input_stream(str(path), compression="zstd").read()
    else:
        data = path.read_bytes()
    return [json.loads(line) for line in data.splitlines()]


def write(path: Path, lines: list[str]) -> None:
    data = "".join(line + "\n" for line in lines).encode()
    if path.name.endswith(".gz"):
        path.write_bytes(gzip.compress(data))
    elif path.name.endswith(".zst"):
        with pa.output_stream(str(path), compression="zstd") as out:
            out.write(data)
    else:
        path.write_bytes(data)


@pytest.fixture(scope="module", params=["jsonl", "jsonl.gz", "jsonl.zst"])
def export(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A submission with private values in its text, and one line with a field that the contract does not know; and its key."""
    out = tmp_path_factory.mktemp("scrub") / "made"
    parameters = SimulationParameters(
        seed=71, users=40, quarters=1, formats=(request.param,), files_per_submission=1, submissions_per_quarter=1,
        malformed_share=0, text_share=0.3,
    )  # fmt: skip
    simulate(out, parameters)
    folder = next((out / "alder").iterdir())
    path = next(folder.glob("part-*"))
    records = lines_of(path)
    with_text = next(r for r in records if r.get("turns") and any(turn["text"] for turn in r["turns"]))
    next(turn for turn in with_text["turns"] if turn["text"])["text"] = PRIVATE
    with_text["person"]["language"] = "en"
    lines = [json.dumps(record) for record in records]
    lines.insert(1, json.dumps(records[0] | {"note": OUTSIDE}))
    lines.insert(3, f'{{"{OUTSIDE}": ')
    write(path, lines)
    key = out / "keys" / "alder.key"

    def count(manifest: dict[str, Any]) -> None:
        manifest["files"][0]["records"] = len(lines)

    rewrite(folder, key, count)
    yield folder, key


def scrubbed(folder: Path, key: Path, name: str = "scrubbed") -> Path:
    target = folder.with_name(f"{folder.name}.{name}")
    scrub_submission(
        folder, target, decode_key(key.read_text()), packaged_config("scrub.toml"), packaged_config("helplines.toml")
    )
    return target


def test_only_turn_texts_change_and_nothing_unread_is_in_the_copy(export: tuple[Path, Path]) -> None:
    folder, key = export
    target = scrubbed(folder, key)
    name = next(folder.glob("part-*")).name
    after = lines_of(target / name)
    whole = json.dumps(after)
    assert "quill.lark" not in whole
    assert "Karlsson" not in whole
    assert OUTSIDE not in whole
    known = {r["record_id"] for r in after}
    assert len(after) == len(known)

    def without_text(record: dict[str, Any]) -> dict[str, Any]:
        return {**record, "turns": [{**turn, "text": bool(turn["text"])} for turn in record.get("turns") or []]}

    text = next(folder.glob("part-*"))
    plain = gzip.decompress(text.read_bytes()) if name.endswith(".gz") else b"" if name.endswith(".zst") else text.read_bytes()
    if plain:
        rows = []
        for line in plain.splitlines():
            try:
                rows.append(json.loads(line))
            except ValueError:
                continue
        before = [row for row in rows if "note" not in row]
        assert [without_text(row) for row in after] == [without_text(row) for row in before]


def test_the_copy_is_signed_noted_and_sound(export: tuple[Path, Path]) -> None:
    folder, key = export
    target = scrubbed(folder, key)
    manifest, before = json.loads((target / "manifest.json").read_text()), json.loads((folder / "manifest.json").read_text())
    public = public_key(decode_key(key.read_text()))
    assert verify(public, signed_bytes(manifest), manifest["signature"])
    assert "incident-commons scrub" in manifest["attestations"]["redaction_tool"]
    assert manifest["files"][0]["records"] == before["files"][0]["records"] - 2
    same = set(before) - {"files", "attestations", "signature"}
    assert {name: manifest[name] for name in same} == {name: before[name] for name in same}
    report = validate_submission(target)
    assert not report.refused
    assert report.quarantined == 0


def test_the_same_submission_gives_the_same_bytes(export: tuple[Path, Path]) -> None:
    folder, key = export
    one, other = scrubbed(folder, key), scrubbed(folder, key, "again")
    assert {p.name: p.read_bytes() for p in one.iterdir()} == {p.name: p.read_bytes() for p in other.iterdir()}
    assert not [p for p in folder.parent.iterdir() if p.name.startswith(".")]


def test_parquet_is_scrubbed_in_place_of_its_texts(tmp_path: Path) -> None:
    parameters = SimulationParameters(
        seed=72, users=40, quarters=1, formats=("parquet",), files_per_submission=1, submissions_per_quarter=1, malformed_share=0,
        text_share=0.5,
    )  # fmt: skip
    simulate(tmp_path / "made", parameters)
    folder, key = next((tmp_path / "made" / "alder").iterdir()), tmp_path / "made" / "keys" / "alder.key"
    target = scrubbed(folder, key)
    name = next(folder.glob("*.parquet")).name
    before, after = pq.read_table(folder / name), pq.read_table(target / name)
    assert before.schema.equals(after.schema)
    assert before.drop_columns(["turns"]).equals(after.drop_columns(["turns"]))
    assert before.column("turns") != after.column("turns")
    assert not validate_submission(target).refused


def test_a_broken_submission_leaves_nothing_behind(export: tuple[Path, Path], tmp_path: Path) -> None:
    folder, key = export
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "manifest.json").write_bytes((folder / "manifest.json").read_bytes())
    with pytest.raises(SubmissionRefusedError) as raised:
        scrubbed(broken, key)
    assert raised.value.__context__ is None
    assert [p.name for p in tmp_path.iterdir()] == ["broken"]
