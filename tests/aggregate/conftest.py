"""Fixtures of this folder; what they are built from stands in `pooled.py`."""

from collections.abc import Iterator

import pytest
from pooled import privacy
from sqlalchemy import URL, Engine

from aggregate.ledger import Ledger
from aggregate.mechanisms.conversion import epsilon_of
from flows.state import open_state


@pytest.fixture
def engine(state: URL) -> Iterator[Engine]:
    """An empty state, on each database that there is."""
    opened = open_state(state)
    yield opened
    opened.dispose()


@pytest.fixture
def ledger(engine: Engine) -> Ledger:
    """An empty ledger."""
    return Ledger(engine, privacy().budget, epsilon_of)
