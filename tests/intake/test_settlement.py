"""Settlement of many rows: linear in time, flat in memory, and the cases that its docstrings name."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from intake.settlement import RowFacts, SettledProblem, Settlement
from schemas.periods import Quarter

QUARTER = Quarter(2026, 1)
SHORT, LONG = 25_000, 100_000


class Nothing:
    def of_quarter(self, quarter: Quarter, units: object) -> Iterator[tuple[str, str, str]]:
        return iter(())

    def submission_quarter(self, submission_id: str) -> None:
        return None


def chain(length: int, grounded: bool) -> list[RowFacts]:
    """Corrections of one user, each of the one that comes after it; the last of a new record, or of nothing."""
    rows = [
        RowFacts(0, n + 1, "correction", str(QUARTER), "u", f"r{n}", f"{n}", f"r{n + 1}") for n in range(length)
    ]  # fmt: skip
    return [*rows, RowFacts(0, length + 1, "new", str(QUARTER), "u", f"r{length}", "x", "")] if grounded else rows


def settle(rows: list[RowFacts]) -> tuple[float, list[SettledProblem]]:
    start = time.process_time()
    with Settlement("alder", QUARTER, Nothing()) as settlement:
        settlement.add(rows)
        settlement.settle()
        problems = list(settlement.problems())
    return time.process_time() - start, problems


@pytest.mark.parametrize("grounded", [True, False])
def test_a_long_chain_of_corrections_settles_in_linear_time(grounded: bool) -> None:
    short, long = min(settle(chain(SHORT, grounded))[0] for _ in range(2)), settle(chain(LONG, grounded))
    assert len(long[1]) == (0 if grounded else LONG)
    assert {problem.code for problem in long[1]} <= {"E218"}
    assert long[0] < 2.5 * (LONG / SHORT) * short


def test_a_chain_ends_where_a_link_is_missing() -> None:
    rows = chain(10, grounded=True)
    _, problems = settle([each for each in rows if each.record_id != "r5"])
    assert [problem.row for problem in problems] == [1, 2, 3, 4, 5]


def test_a_ring_of_corrections_stands_on_nothing() -> None:
    ring = [RowFacts(0, n + 1, "correction", str(QUARTER), "u", f"r{n}", f"{n}", f"r{(n + 1) % 5}") for n in range(5)]
    assert [problem.code for problem in settle(ring)[1]] == ["E218"] * 5
    _, problems = settle([*ring, RowFacts(0, 6, "correction", str(QUARTER), "v", "r9", "x", "r0")])
    assert len(problems) == 6


MEMORY = """
import resource, sys
from intake.settlement import RowFacts, Settlement
from schemas.periods import Quarter
count, quarter = int(sys.argv[1]), Quarter(2026, 1)
class Nothing:
    def of_quarter(self, quarter, units): return iter(())
    def submission_quarter(self, name): return None
with Settlement("alder", quarter, Nothing(), sys.argv[2] or None) as settlement:
    for start in range(0, count, 256):
        settlement.add([RowFacts(0, n + 1, "new", "2026Q1", f"u{n % 1000}", f"r{n}", f"{n:064d}", "") for n in range(start, start + 256)])
    settlement.settle()
    left = sum(1 for _ in settlement.left_out()) + sum(1 for _ in settlement.problems())
    assert left == 0
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(count: int, path: Path) -> int:
    command = [sys.executable, "-c", MEMORY, str(count), str(path)]
    return int(subprocess.run(command, capture_output=True, check=True, cwd=Path(__file__).parents[2]).stdout)


@pytest.mark.long
def test_memory_is_flat_in_the_number_of_rows(tmp_path: Path) -> None:
    few, many = peak(200_192, tmp_path / "few.db"), peak(1_600_000, tmp_path / "many.db")
    assert many < 1.5 * few
