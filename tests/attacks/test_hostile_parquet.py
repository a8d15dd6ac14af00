"""149 malformed Parquet files and fuzzer finds: no reader dies of one, none takes long, and none is accepted."""

from pathlib import Path

import pytest

from benchmarks import intake_corpus
from benchmarks.intake_corpus import HostileCounts, hostile_parquet, read_hostile
from benchmarks.intake_material import SHARED, Material

FILES = hostile_parquet()
pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not (SHARED / "hostile").exists(), reason="../shared/data/hostile is not here"),
]


def test_in_process(material: Material) -> None:
    assert read_hostile(FILES, "in process", material.context) == HostileCounts(149, 0, 0, 0)


def test_some_of_them_confined(material: Material) -> None:
    assert read_hostile(FILES[::30], "confined", material.context) == HostileCounts(5, 0, 0, 0)


@pytest.mark.long
def test_all_of_them_confined(material: Material) -> None:
    assert read_hostile(FILES, "confined", material.context) == HostileCounts(149, 0, 0, 0)


def test_a_sound_file_and_a_slow_one_are_counted(material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = tmp_path / "sound.parquet"
    sound.write_bytes(material.packed(material.records, "parquet"))
    monkeypatch.setattr(intake_corpus, "SECONDS_A_FILE", 0)
    assert read_hostile([sound, sound], "in process", material.context) == HostileCounts(2, 0, 2, 2)


def test_a_reader_that_dies_is_counted_and_the_others_are_read(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadly = tmp_path / "sitecustomize.py"
    deadly.write_text("import os, sys\nif sys.argv[-1].endswith('deadly'): os.kill(os.getpid(), 11)\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path.cwd()}")
    counts = read_hostile([tmp_path / "deadly"], "in process", material.context)
    assert (counts.files, counts.signals, counts.accepted) == (1, 1, 0)
