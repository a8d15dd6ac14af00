"""The comparison with peers is fair only if its truths are exact, its scores see an error, and its watch sees all memory."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.measure_data import (
    LABELS,
    SHAPE,
    Events,
    Truth,
    by_cell,
    events,
    first_truth,
    kept_truth,
    raw_truth,
    shared_truth,
    write_flat,
)
from benchmarks.measure_peers import Skipped, measure_peer
from benchmarks.measure_process import SystemFailedError, watched
from benchmarks.measure_scores import scores

CELLS = int(np.prod(SHAPE))


@pytest.fixture(scope="module")
def three_users() -> Events:
    """User 0 in cell 3 twice and in 5, 7, 9 once; user 1 in cell 3; user 2 in cell 9 three times."""
    user, cell = np.array([0, 0, 0, 0, 0, 1, 2, 2, 2]), np.array([3, 3, 5, 7, 9, 3, 9, 9, 9])
    return Events(0, user, np.zeros(3, dtype=np.int64), cell, np.arange(9))


def at(truth: Truth, *cells: int) -> list[float]:
    return [float(truth.counts.ravel()[cell]) for cell in cells]


def test_truths_are_what_they_say(three_users: Events) -> None:
    assert at(raw_truth(three_users), 3, 5, 7, 9, 0) == [2, 1, 1, 2, 0]
    assert at(kept_truth(three_users, 2), 3, 5, 7, 9) == [1.5, 0.5, 0.5, 1.5]
    assert at(shared_truth(three_users), 3, 5, 7, 9) == pytest.approx([1.4, 0.2, 0.2, 1.2])
    kept = sorted([3, 5, 7, 9], key=lambda cell: LABELS[cell])[:2]
    expected = [int(cell in kept) + (cell in (3, 9)) for cell in (3, 5, 7, 9)]
    assert at(first_truth(three_users, 2), 3, 5, 7, 9) == expected


def test_labels_lead_back_to_cells(three_users: Events, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    write_flat(three_users, tmp_path / "events.parquet")
    table = pq.read_table(tmp_path / "events.parquet").to_pydict()
    users = {(user, label) for user, label in zip(table["user"], table["cell"], strict=True)}
    counts = np.bincount([label for _, label in users], minlength=CELLS).astype(float)
    assert np.array_equal(by_cell(counts), raw_truth(three_users).counts)


def test_blocks_are_the_same_on_every_run_and_differ_from_each_other() -> None:
    first, again, other = events(0), events(0), events(1)
    assert np.array_equal(first.cell, again.cell)
    assert not np.array_equal(first.cell[:1000], other.cell[:1000])
    assert 0.95e6 < len(first.cell) < 1.05e6
    most = np.bincount(first.user).max()
    assert most > 50 * np.median(np.bincount(first.user))  # skewed


def test_scores_see_an_error_of_known_size() -> None:
    truth = Truth(np.full(SHAPE, 100.0))
    assert set(scores(truth.counts, truth, truth).values()) == {0.0}
    wrong = truth.counts.copy()
    wrong[..., 0] = 160.0  # three cells of four are right; shares are 160/460 and 100/460
    found = scores(wrong, truth, Truth(np.full(SHAPE, 200.0)))
    assert found["count_rel_err_p95_own"] == pytest.approx(0.6)
    assert found["count_rel_err_median_raw"] == pytest.approx(0.5)
    assert found["rate_abs_err_p95_own"] == pytest.approx(160 / 460 - 0.25)


def test_memory_of_a_child_process_counts(tmp_path: Path) -> None:
    answer = tmp_path / "answer.json"
    wait = "import time; held = bytearray(b'1') * (200 << 20); time.sleep(0.5)"
    program = (
        "import json, pathlib, subprocess, sys\n"
        "if sys.argv[1] == 'child': subprocess.run([sys.executable, '-c', sys.argv[3]], check=True)\n"
        "pathlib.Path(sys.argv[2]).write_text(json.dumps({'seconds': 1.5}))"
    )
    _, alone = watched([sys.executable, "-c", program, "no", str(answer), wait], answer, tmp_path / "log")
    _, both = watched([sys.executable, "-c", program, "child", str(answer), wait], answer, tmp_path / "log")
    assert both.peak_mb > alone.peak_mb + 190
    assert both.seconds == 1.5


def test_a_system_that_fails_or_is_not_there_is_skipped_with_a_reason(
    three_users: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "answer.json"
    old.write_text(json.dumps({"seconds": 0.0}), encoding="ascii")  # of an earlier run: never taken for an answer
    with pytest.raises(SystemFailedError, match="no Java"):
        watched([sys.executable, "-c", "raise SystemExit('no Java')"], old, tmp_path / "log")
    monkeypatch.setattr("benchmarks.measure_peers.ROOT", tmp_path)
    assert isinstance(measure_peer("tumult", three_users, tmp_path / "events.parquet", 0.02, tmp_path), Skipped)
