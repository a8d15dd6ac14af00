"""What every test needs: the modules beside a test are importable, and the state of no other pool is touched."""

import sys
from pathlib import Path

import pytest

for folder in ("aggregate", "intake"):
    sys.path.append(str(Path(__file__).parent / folder))


@pytest.fixture(autouse=True)
def _no_pool_of_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COMMONS_ROOT", "COMMONS_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
