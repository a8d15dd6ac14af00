"""kill -9 on the whole way, from the drops to a published release: see benchmarks/scale_kills.py."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]


def rounds(number: int, *more: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.scale_kills", str(number), "3", "--json", *more]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=Path(__file__).parents[2])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def clean(found: dict[str, Any]) -> dict[str, Any]:
    """Without the draws that were lost between charge and answer: their budget stays spent, which the ledger's own rounds test."""
    return {what: times for what, times in found["broken"].items() if what != "lost draw"}


def test_a_few_kills_are_resumed_to_the_same_bytes_with_one_spend() -> None:
    found = rounds(3)
    assert (found["rounds"], found["identical"], found["double_spends"], clean(found)) == (3, 3, 0, {})


def test_kills_on_real_prefect_are_resumed_to_the_same_bytes_with_one_spend() -> None:
    found = rounds(14, "--prefect")
    assert (found["rounds"], found["identical"], found["double_spends"], clean(found)) == (14, 14, 0, {})


@pytest.mark.parametrize("plant", ["part", "answer", "folder"])
def test_the_rounds_see_what_is_not_whole_or_not_charged(plant: str) -> None:
    assert clean(rounds(3, "--plant", plant))
