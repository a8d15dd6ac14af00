"""The peers on the benchmark's data. Each is tuned in its favour: what it shows is its best over several configurations."""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.measure_data import Events, by_cell, first_truth, kept_truth, raw_truth
from benchmarks.measure_process import ROOT, SystemFailedError, watched
from benchmarks.measure_scores import scores

PEERS = ("pipelinedp", "tumult", "smartnoise", "opendp")
CONFIGURATIONS = (("laplace", 1), ("laplace", 2), ("laplace", 4), ("laplace", 8), ("gaussian", 16), ("gaussian", 96))
"""Noise and the most cells of a user that are kept. On these data the best of each measure lies among them: rates want few
cells, people counted want many (1 in 100 users has events in more than 57)."""


@dataclass(frozen=True)
class Skipped:
    """A peer that gave no answer, and why."""

    reason: str


def measure_peer(name: str, data: Events, flat: Path, rho: float, folder: Path) -> dict[str, float] | Skipped:
    """The best of each figure over all configurations of a peer, or why there is none."""
    python = ROOT / "build" / "peers" / name / "bin" / "python"
    if not python.exists():
        return Skipped("it has no environment here (make setup-peers)")
    raw, found = raw_truth(data), []
    for noise, cells in CONFIGURATIONS:
        answer = folder / f"{name}-{noise}-{cells}.json"
        command = [str(python), "-m", f"benchmarks.peers.{name}", str(flat), str(answer), str(cells), noise, repr(rho)]
        try:
            given, cost = watched(command, answer, answer.with_suffix(".log"))
        except SystemFailedError as error:
            return Skipped(str(error))
        own = first_truth(data, cells) if name == "opendp" else kept_truth(data, cells)
        errors = scores(by_cell(np.array(given["counts"])), own, raw)
        found.append(errors | vars(cost))
        sys.stderr.write(f"{name} {noise} {cells}: {cost.seconds:.1f} s, rates raw p95 {errors['rate_abs_err_p95_raw']:.3f}\n")
    return {metric: min(one[metric] for one in found) for metric in found[0]}
