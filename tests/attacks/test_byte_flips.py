"""One bit flipped anywhere in manifest, signature or data: refused."""

from pathlib import Path

import pytest

from benchmarks import intake_attacks
from benchmarks.intake_attacks import flip_data, flip_manifest
from benchmarks.intake_material import FORMATS, Material


def test_some_bits_of_the_manifest(material: Material, tmp_path: Path) -> None:
    assert flip_manifest(material, tmp_path, 1, (1,)).let_in == ()


@pytest.mark.long
def test_every_bit_of_the_manifest(material: Material, tmp_path: Path) -> None:
    found = flip_manifest(material, tmp_path)
    assert found.tried > 8_000 and found.let_in == ()


@pytest.mark.parametrize("file_format", FORMATS)
def test_some_bytes_of_the_data(file_format: str, material: Material, tmp_path: Path) -> None:
    assert flip_data(material, tmp_path, file_format, 251).let_in == ()


@pytest.mark.long
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("file_format", FORMATS)
def test_every_byte_of_the_data(file_format: str, material: Material, tmp_path: Path) -> None:
    assert flip_data(material, tmp_path, file_format).let_in == ()


def test_a_door_that_does_not_verify_is_noticed(material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_attacks, "identity_findings", lambda *_: [])
    assert len(flip_manifest(material, tmp_path, 7, (1,)).let_in) > 10
