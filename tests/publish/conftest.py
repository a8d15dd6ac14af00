"""Fixtures of this folder; what they are built from stands in `release_fixtures.py`."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that the tests find it under any import mode

from release_fixtures import both_sign, build_measured, registry_text

from publish.signoff import People, load_people
from schemas.stages import MeasuredRelease, SignOff


@pytest.fixture(scope="session")
def measured() -> MeasuredRelease:
    return build_measured()


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    path = tmp_path_factory.mktemp("people") / "people.toml"
    path.write_text(registry_text())
    return load_people(path)


@pytest.fixture(scope="session")
def signoffs(measured: MeasuredRelease, people: People) -> tuple[SignOff, ...]:
    return both_sign(measured, people)
