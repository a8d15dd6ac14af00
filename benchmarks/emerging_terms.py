"""Terms that nobody listed: how many are found, against the peers, under the company rules, and what reading text costs.

    python -m benchmarks.emerging_terms [selection] [peers] [decoy] [scale]

All selections are at (1, 1e-7) for a user: half of δ for thresholds, half for converting rho. Data: `benchmarks/terms_data.py`.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from statistics import mean

import pyarrow as pa
import pyarrow.parquet as pq

from aggregate.mechanisms.conversion import epsilon_of
from aggregate.mechanisms.draw import PreparedDraw
from aggregate.mechanisms.terms import prepare_rounds
from benchmarks.measure_process import ROOT, SystemFailedError, watched
from benchmarks.report import report, reported
from benchmarks.terms_data import DECOY, OF_TWO, Written, a_search, as_user_terms, planted, written
from schemas.emerging import TermRule

EPSILON, DELTA = 1, Fraction(1, 10**7)
SEEDS, DECOYS, KNOWN = 20, 100, 2000
POOLS = (3, 6, 12)
WAYS = {
    "pipelinedp": [
        ("gaussian_thresholding", 10),
        ("gaussian_thresholding", 30),
        ("laplace_thresholding", 3),
        ("truncated_geometric", 3),
    ],
    "smartnoise": [("dpsu", 10), ("dpsu", 30), ("threshold", 3)],
    "tumult": [("approx", 1), ("approx", 3), ("approx", 10)],
}
"""Ways of selecting, and the most terms of a user that are kept: each peer shows its best."""


def budget() -> tuple[Fraction, Fraction]:
    """Rho and the δ of thresholds that are (1, 1e-7) together."""
    low, high = Fraction(0), Fraction(1)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if epsilon_of(middle, DELTA / 2) <= EPSILON else (low, middle)
    return low, DELTA / 2


def found(
    data: Written, rule: TermRule | None, *, companies: int = 3, most: int = 40, rounds: int = 2, known: int = 0
) -> set[int]:
    """The terms that are found in one draw."""
    rho, delta = budget()
    with (
        tempfile.TemporaryDirectory() as folder,
        as_user_terms(data, companies, a_search(most, rounds), Path(folder), known) as terms,
    ):
        answer = PreparedDraw((), rho, delta, (prepare_rounds(terms, rule, rho, delta),)).draw()
    return {int(word[1:]) for told in answer.rounds for word in told.words}


def selection(seeds: int = SEEDS) -> dict[str, float]:
    """Means over seeds: without a rule, under each rule in pools of three sizes, and of what no public list has."""
    counts: dict[str, list[int]] = {}
    for seed in range(seeds):
        data = written(seed)
        one = {"terms_found": found(data, None), "terms_found_one_round": found(data, None, rounds=1)}
        for companies in POOLS:
            for rule in TermRule:
                one[f"terms_{rule}_{companies}"] = found(data, rule, companies=companies)
        one["novel_terms"] = found(data, None, rounds=1, known=KNOWN)
        one["novel_terms_plain"] = {term for term in one["terms_found_one_round"] if term >= KNOWN}
        for name, terms in one.items():
            counts.setdefault(name, []).append(len(terms))
        sys.stderr.write(f"seed {seed}: { ({name: values[-1] for name, values in counts.items()}) }\n")
    return {name: mean(values) for name, values in counts.items()} | {"terms_seeds": seeds}


def decoy(seeds: int = DECOYS) -> dict[str, float]:
    """One user's term, repeated, and a term of two companies with many users, planted in a small pool: neither is ever found."""
    decoys = few = 0
    for seed in range(seeds):
        terms = found(planted(seed), TermRule.STRICT, rounds=1)
        decoys, few = decoys + (DECOY in terms), few + len(terms & set(OF_TWO))
    return {"decoy_released": decoys, "below_k_terms_released": few, "decoy_seeds": seeds}


def peers() -> dict[str, float]:
    """The best of each peer on the data of one seed, and of ours beside it."""
    data, figures = written(0), {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        pairs = folder / "pairs.parquet"
        pq.write_table(pa.table({"user": data.users, "term": data.terms}), pairs)
        for name, ways in WAYS.items():
            python = ROOT / "build" / "peers" / name / "bin" / "python"
            told = []
            for way, most in ways if python.exists() else ():
                answer = folder / f"{name}-{way}-{most}.json"
                command = [str(python), "-m", f"benchmarks.peers.{name}_terms", str(pairs), str(answer), str(most), way]
                try:
                    given, cost = watched(command, answer, answer.with_suffix(".log"), timeout=900)
                except SystemFailedError as error:
                    sys.stderr.write(f"{name} {way} {most}: no answer ({error})\n")
                    continue
                sys.stderr.write(f"{name} {way} {most}: {given['terms']} terms, {cost.seconds:.0f} s\n")
                told.append(given["terms"])
            if told:
                figures[f"terms_{name}"] = max(told)
    ours = len(found(data, None))
    return {**figures, "terms_found_beside_peers": ours, "terms_vs_best_peer": ours / max(figures.values())} if figures else {}


def scale() -> dict[str, float]:
    """Text of 10^5 to 10^7 turns, collected, spelled and bounded: each in a process of its own."""
    figures: dict[str, float] = {}
    for power in (5, 6, 7):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "benchmarks.terms_scale", str(10**power), folder]
            told = json.loads(subprocess.run(command, check=True, capture_output=True, cwd=ROOT).stdout)
        sys.stderr.write(f"10^{power} turns: {told}\n")
        figures |= {f"terms_{name}_1e{power}_turns": value for name, value in told.items()}
    figures["peak_mb_1e7_turns"] = figures["terms_peak_mb_1e7_turns"]
    return figures


PARTS: dict[str, Callable[[], dict[str, float]]] = {"selection": selection, "peers": peers, "decoy": decoy, "scale": scale}


def figures() -> dict[str, float]:
    """All parts."""
    return {name: value for part in PARTS.values() for name, value in part().items()}


if __name__ == "__main__":
    for asked in sys.argv[1:] or PARTS:
        report("emerging", reported("emerging") | PARTS[asked]())
