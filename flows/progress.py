"""Progress of long work, told to whoever listens: the command line shows it, a worker does not."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Listener = Callable[[str, float], None]
"""Told the stage (fixed text and counts) and the share done, 0 to 1."""

_listener: Listener | None = None


def tell(stage: str, share: float) -> None:
    """Tells the listener, if there is one."""
    if _listener is not None:
        _listener(stage, share)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Sets the listener of this process for a while."""
    global _listener
    earlier, _listener = _listener, listener
    try:
        yield
    finally:
        _listener = earlier
