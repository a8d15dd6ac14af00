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


@dataclass(frozen=True)
class Search:
    """How a peer is asked for terms: its pairs of user and term, the most terms of a user that it keeps, and its way of selecting."""

    pairs: Path
    most: int
    way: str


def run_search(find: Callable[[Search], int]) -> None:
    """Runs one search from the command line and writes how many terms it found."""
    pairs, answer, most, way = sys.argv[1:]
    asked = Search(Path(pairs), int(most), way)
    start = time.perf_counter()
    terms = find(asked)
    Path(answer).write_text(json.dumps({"terms": terms, "seconds": time.perf_counter() - start}), encoding="ascii")
