"""A small simulation, made once; tests work on copies."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sample_data.parameters import SimulationParameters
from sample_data.simulate import simulate


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated") / "made"
    simulate(out, SimulationParameters(seed=21, users=1500, quarters=1, text_share=0.05))
    return out


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One company's submissions as JSON Lines, without malformed records, duplicates or corrections."""
    out = tmp_path_factory.mktemp("clean") / "made"
    parameters = SimulationParameters(
        seed=22, users=60, quarters=1, formats=("jsonl",), files_per_submission=1, malformed_share=0, duplicate_share=0,
        correction_share=0, record_withdrawal_share=0, user_withdrawal_share=0, text_share=0.3,
    )  # fmt: skip
    simulate(out, parameters)
    return out


@pytest.fixture
def submission(clean: Path, tmp_path: Path) -> Callable[[], Path]:
    """A fresh copy of one clean submission each time."""
    number = 0

    def copy() -> Path:
        nonlocal number
        number += 1
        folder = tmp_path / f"copy-{number}"
        shutil.copytree(sorted((clean / "alder").iterdir())[0], folder)
        return folder

    return copy
