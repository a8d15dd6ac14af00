"""Killed at any point, one or three at once: what is accepted is whole and counts once, what was told stays told."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from killing import HERE, kill_rounds
from submissions import accepted_rows, door, rewrite

from intake.acceptance import take_in
from intake.catalogue import Catalogue
from intake.delivery import FolderDelivery

FEW, MANY = 3, 500


def test_no_promise_is_broken_in_a_few_rounds() -> None:
    assert kill_rounds(FEW, seed=1) == (FEW, 0)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_no_promise_is_broken_in_many_rounds() -> None:
    assert kill_rounds(MANY, seed=2) == (MANY, 0)


@pytest.mark.long
@pytest.mark.parametrize("plant", ["order", "turns"])
def test_the_rounds_see_it_where_a_promise_is_broken(plant: str) -> None:
    """The catalogue before the rename; and submissions of one company that do not take turns."""
    _, violations = kill_rounds(25, seed=3, plant=plant)
    assert violations > 0


def both_at_once(monkeypatch: pytest.MonkeyPatch, other: Callable[[], Any]) -> None:
    """Lets another machine, which knows nothing of our turns, accept a submission just before our catalogue does."""
    add, waiting = Catalogue.add, [other]

    def late(self: Catalogue, *arguments: Any) -> None:
        if waiting:
            waiting.pop()()
        add(self, *arguments)

    monkeypatch.setattr(Catalogue, "add", late)


def elsewhere(monkeypatch: pytest.MonkeyPatch, folder: Path, root: Path, clean: Path, told: list[Any]) -> None:
    from contextlib import nullcontext

    from intake import acceptance

    monkeypatch.setattr(acceptance, "_one_at_a_time", lambda *_: nullcontext())
    both_at_once(monkeypatch, lambda: told.append(take_in(FolderDelivery(folder), door(root, clean))))


def test_accepted_by_two_at_once_it_counts_once_and_has_one_receipt(
    clean: Path, submission: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    elsewhere(monkeypatch, submission(), tmp_path / "pool", clean, told)
    result = take_in(FolderDelivery(submission()), door(tmp_path / "pool", clean))
    assert (told[0].decision, result.decision) == ("accepted", "replayed")
    assert result.receipt == told[0].receipt
    assert len(accepted_rows(tmp_path / "pool")) == result.receipt["accepted"]
    assert json.loads(result.answer["receipt.json"]) == result.receipt


def test_of_two_with_one_id_at_once_the_second_is_refused(
    clean: Path, submission: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    another = submission()
    rewrite(another, clean / "keys" / "alder.key", lambda m: m["selection"][0].update(rule="another rule"))
    elsewhere(monkeypatch, another, tmp_path / "pool", clean, told)
    result = take_in(FolderDelivery(submission()), door(tmp_path / "pool", clean))
    assert (told[0].decision, result.decision) == ("accepted", "refused")
    assert set(result.report.counts) == {"E114"}
    pool = door(tmp_path / "pool", clean)
    assert [row.digest for row in pool.catalogue.accepted()] == [told[0].receipt["digest"]]


def test_many_that_begin_in_a_new_pool_at_once_make_one_set_of_tables(tmp_path: Path) -> None:
    program = "import sys; from pathlib import Path; from flows.pool import Pool; Pool(Path(sys.argv[1])).catalogue.accepted()"
    command = [sys.executable, "-c", program, str(tmp_path / "pool")]
    started = [subprocess.Popen(command, cwd=HERE.parents[2], stderr=subprocess.DEVNULL) for _ in range(6)]
    assert [each.wait() for each in started] == [0] * 6
