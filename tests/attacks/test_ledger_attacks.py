"""Four processes race for the last of a budget; kill -9 at every line of the ledger: nothing is overspent, drawn twice or lost."""

import postgres_server
import pytest
from ledger_rounds import OVERSPENT, Found, ledger_rounds

KINDS = ("sqlite", "postgresql")


def rounds(kind: str, races: int, kills: int, seed: int, plant: str = "") -> Found:
    if kind == "postgresql" and postgres_server.binaries() is None:
        pytest.skip("no PostgreSQL server is installed: `make setup-system`")
    return ledger_rounds(kind, races, kills, seed, plant)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_overspent_or_drawn_twice_in_a_few_rounds(kind: str) -> None:
    found = rounds(kind, races=3, kills=5, seed=1)
    assert (found.race_broken, found.kill_broken) == ({}, {})


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_overspent_or_drawn_twice_in_many_rounds(kind: str) -> None:
    found = rounds(kind, races=100, kills=500, seed=2)
    assert (found.races, found.kills) == (100, 500)
    assert (found.race_broken, found.kill_broken) == ({}, {})


def test_the_rounds_see_it_where_nothing_keeps_processes_apart() -> None:
    assert rounds("sqlite", races=6, kills=0, seed=3, plant="lock").race_broken.get(OVERSPENT, 0) > 0


def test_the_rounds_see_it_where_noise_is_drawn_before_its_budget_is_reserved() -> None:
    assert rounds("sqlite", races=0, kills=2, seed=4, plant="draw").kill_broken.get("noise was drawn twice for one plan", 0) > 0


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("plant", "races", "kills", "alarm"),
    [
        ("lock", 20, 0, OVERSPENT),
        ("store", 0, 20, "an answer is stored that nothing was reserved for"),
        ("draw", 0, 40, "noise was drawn without a reserve"),
    ],
)
def test_the_rounds_see_every_planted_break(kind: str, plant: str, races: int, kills: int, alarm: str) -> None:
    found = rounds(kind, races, kills, seed=5, plant=plant)
    assert {**found.race_broken, **found.kill_broken}.get(alarm, 0) > 0
