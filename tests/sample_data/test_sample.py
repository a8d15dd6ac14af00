"""The committed sample is what its command makes."""

from pathlib import Path

from sample_data.make_sample import SAMPLE_FOLDER, SAMPLE_PARAMETERS
from sample_data.simulate import simulate

LARGEST_SAMPLE = 1_500_000


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_command_makes_the_same_bytes(tmp_path: Path) -> None:
    simulate(tmp_path / "sample", SAMPLE_PARAMETERS)
    made, committed = _contents(tmp_path / "sample"), _contents(SAMPLE_FOLDER)
    assert sorted(made) == sorted(committed)
    assert [name for name in made if made[name] != committed[name]] == []


def test_the_sample_is_small() -> None:
    assert sum(len(content) for content in _contents(SAMPLE_FOLDER).values()) < LARGEST_SAMPLE
