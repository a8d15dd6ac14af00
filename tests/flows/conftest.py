"""Fixtures of this folder; what they are built from stands in `filled_pool.py`."""

import shutil
from pathlib import Path

import pytest
from filled_pool import fill

from flows.pool import Pool


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool with scrubbed records of one quarter and four registered people."""
    root = tmp_path_factory.mktemp("filled")
    fill(root)
    return root


@pytest.fixture
def pool(filled: Path, tmp_path: Path) -> Pool:
    """A copy of the filled pool for each test."""
    shutil.copytree(filled, tmp_path / "pool")
    return Pool(tmp_path / "pool")
