"""The small simulations of the tests of intake, here too, and one company for attacks on what it sends."""

import importlib.util
from pathlib import Path

import pytest

from benchmarks.intake_material import Material

_spec = importlib.util.spec_from_file_location("intake_fixtures", Path(__file__).parents[1] / "intake" / "conftest.py")
assert _spec is not None and _spec.loader is not None
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)
made, clean, submission = _fixtures.made, _fixtures.clean, _fixtures.submission


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return Material(tmp_path_factory.mktemp("material"))
