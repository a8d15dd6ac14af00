"""One scrubber for the whole run: it takes seconds to build."""

from pathlib import Path

import pytest

from anonymize.scrub import Scrubber, shared_scrubber
from anonymize.settings import ScrubSettings, load_scrub_settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def settings() -> ScrubSettings:
    """The committed settings."""
    return load_scrub_settings(ROOT / "config/scrub.toml", ROOT / "config/helplines.toml")


@pytest.fixture(scope="session")
def scrubber(settings: ScrubSettings) -> Scrubber:
    """The scrubber that all tests share."""
    return shared_scrubber(settings)
