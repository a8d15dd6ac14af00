"""A submission cut off at any byte is refused as a whole, and nothing of it enters."""

from pathlib import Path

import pytest

from benchmarks.intake_attacks import cut_off, cut_off_and_signed
from benchmarks.intake_material import FORMATS, Material, read_in_process
from intake import validation
from intake.acceptance import take_in
from intake.delivery import FolderDelivery

STEP = 251


@pytest.mark.parametrize("file_format", FORMATS)
def test_some_bytes(file_format: str, material: Material, tmp_path: Path) -> None:
    assert cut_off(material, file_format, tmp_path, STEP).let_in == ()
    assert cut_off_and_signed(material, file_format, tmp_path, STEP).let_in == ()


@pytest.mark.long
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("file_format", FORMATS)
def test_every_byte(file_format: str, material: Material, tmp_path: Path) -> None:
    cut, signed = cut_off(material, file_format, tmp_path), cut_off_and_signed(material, file_format, tmp_path)
    assert cut.tried > 5_000
    assert (cut.let_in, signed.let_in) == ((), ())


def test_nothing_is_ingested(material: Material, tmp_path: Path) -> None:
    rows = material.rows(material.records, 10_000)
    content = material.packed(rows, "jsonl")
    for number, length in enumerate((0, 1, len(content) // 2, len(content) - 1)):
        folder = material.submission(tmp_path / f"sent-{number}", content, "jsonl", len(rows))
        (folder / "part-1.jsonl").write_bytes(content[:length])
        pool = material.door(tmp_path / "pool", read_in_process)
        assert take_in(FolderDelivery(folder), pool).decision == "refused"
        assert pool.catalogue.accepted() == []
        assert not list((tmp_path / "pool").rglob("*.parquet"))


def test_a_door_that_does_not_compare_is_noticed(material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "file_findings", lambda *_: [])
    assert cut_off(material, "jsonl", tmp_path, 1_000).let_in == ()  # rows are counted too
    monkeypatch.setattr(validation.ValidationReport, "refused", False)
    assert cut_off(material, "jsonl", tmp_path, 1_000).let_in != ()
