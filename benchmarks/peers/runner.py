"""What every runner is given and gives back. It runs in a peer's environment, so it needs nothing but the standard library."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

EPSILON, DELTA = 1.0, 1e-7
CELLS = 1280


@dataclass(frozen=True)
class Configuration:
    """How a peer is asked: its events, the most cells of a user that it keeps, its noise, and rho where it counts in rho."""

    events: Path
    cells: int
    noise: str  # `laplace` or `gaussian`
    rho: float


def run(count: Callable[[Configuration], Sequence[float]]) -> None:
    """Runs one configuration from the command line and writes its noisy counts, and the seconds from reading to noise."""
    events, answer, cells, noise, rho = sys.argv[1:]
    asked = Configuration(Path(events), int(cells), noise, float(rho))
    start = time.perf_counter()
    counts = [float(value) for value in count(asked)]
    seconds = time.perf_counter() - start
    if len(counts) != CELLS:
        sys.exit("a cell is missing")
    Path(answer).write_text(json.dumps({"counts": counts, "seconds": seconds}), encoding="ascii")
