"""The scheduled release takes each quarter as far as it can go, and one that is stuck keeps no other back."""

import json
from pathlib import Path
from typing import Any

import pytest

from flows import quarterly as module
from flows.quarterly import quarterly
from schemas.errors import BudgetRefusedError
from schemas.periods import Quarter

STUCK, READY = Quarter(2026, 1), Quarter(2026, 2)


def logged(root: Path) -> list[str]:
    return [json.loads(line)["event"] for line in (root / "logs" / "commons.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("waiting", [(STUCK, READY), (READY,)])
def test_a_quarter_that_is_stuck_keeps_no_other_back_and_the_run_fails(
    waiting: tuple[Quarter, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[tuple[str, str]] = []

    def release(root: str, quarter: str, until: str) -> dict[str, Any]:
        taken.append((quarter, until))
        if quarter == str(STUCK):
            raise BudgetRefusedError("The answer of a draw is lost.", "A person has to look.")
        return {}

    monkeypatch.setattr(module, "release", release)
    monkeypatch.setattr(module, "waiting_quarters", lambda pool: list(waiting))
    monkeypatch.setattr(module, "is_approved", lambda pool, quarter: quarter == READY)
    if STUCK in waiting:
        with pytest.raises(BudgetRefusedError):
            quarterly.fn(str(tmp_path))
        assert taken == [(str(STUCK), "check"), (str(READY), "publish")]
        assert not (tmp_path / "logs" / "commons.jsonl").exists() or "release_ended" not in logged(tmp_path)
    else:
        assert quarterly.fn(str(tmp_path))["releases"] == {str(READY): {}}
        assert "release_ended" in logged(tmp_path)
