"""Singling out: a description made from what is published fits exactly one user no more often than the bound allows.

Cohen and Nissim (2020). Users are spread evenly over 288 descriptions (`small_releases.KEYS`); one fits exactly one of 20 users
by chance in 6.5 of 100 cases. Whoever reads a release may be right about each user as often as `most_told` says.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_releases import (
    KEYS,
    NOISELESS,
    company_rules_off,
    joint_cells,
    most_told,
    plan_of,
    population,
    prepared_from,
    published,
)

from benchmarks.audit_canaries import CONFIDENCE, lower_bound
from schemas.plan import RegisteredPlan

USERS, POOLS, DRAWS, GUESSES = 20, 4, 8, 10
MARGINALS = (KEYS,)


def most_like_one(rows: list[dict[str, Any]], cells: list[tuple[str, ...]], rng: np.random.Generator) -> list[int]:
    """The attack: descriptions whose published number is most like one user, then such as were withheld, at random."""
    told = {tuple(row[key] for key in KEYS): row for row in rows}
    order = rng.permutation(len(cells))

    def rank(place: int) -> tuple[bool, float]:
        row = told[cells[place]]
        if row["estimate"] is None:
            return True, 0.0
        # With noise of several users, larger is more likely to be one user; without, one is one.
        return False, abs(row["estimate"] - 1) if row["noise_stddev"] < 0.5 else -row["estimate"]

    return sorted((int(place) for place in order), key=rank)[:GUESSES]


def at_random(rows: list[dict[str, Any]], cells: list[tuple[str, ...]], rng: np.random.Generator) -> list[int]:
    """Who knows the plan only."""
    return [int(place) for place in rng.choice(len(cells), GUESSES, replace=False)]


Attack = Callable[[list[dict[str, Any]], list[tuple[str, ...]], np.random.Generator], list[int]]


def outcomes(attack: Attack, plan: RegisteredPlan, folder: Path) -> Iterator[bool]:
    """Whether each description fits exactly one user."""
    cells, rng = joint_cells(plan), np.random.default_rng(9)
    for pool in range(POOLS):
        rows, exact = population(USERS, 70 + pool, cells)
        with prepared_from(rows, plan, folder / str(pool)) as prepared:
            for _ in range(DRAWS):
                yield from (bool(exact[place] == 1) for place in attack(published(prepared, plan), cells, rng))


def least(attack: Attack, plan: RegisteredPlan, folder: Path) -> float:
    """Lower bound, at the stated confidence, of how often the attack singles out."""
    found = list(outcomes(attack, plan, folder))
    return lower_bound(sum(found), len(found), CONFIDENCE)


def allowed(plan: RegisteredPlan) -> float:
    """Any of the users may be met, each as often as the bound for one says."""
    return USERS * most_told(1 / len(joint_cells(plan)), plan)


@pytest.mark.parametrize("rules", [nullcontext, company_rules_off], ids=["as published", "company rules off"])
def test_a_release_singles_out_no_more_than_the_bound_allows(rules: Callable[[], Any], tmp_path: Path) -> None:
    plan = plan_of(MARGINALS)
    assert allowed(plan) < 0.13
    with rules():
        assert least(most_like_one, plan, tmp_path) <= allowed(plan)


def test_who_knows_the_plan_only_is_within_the_bound_too(tmp_path: Path) -> None:
    plan = plan_of(MARGINALS)
    found = list(outcomes(at_random, plan, tmp_path))
    by_chance = USERS / 288 * (1 - 1 / 288) ** (USERS - 1)
    assert abs(np.mean(found) - by_chance) < 0.06
    assert by_chance < allowed(plan)


def test_the_attack_singles_out_where_a_release_is_exact(tmp_path: Path) -> None:
    """The break: no noise and no company rules. Nearly every description then fits exactly one."""
    with company_rules_off():
        assert least(most_like_one, plan_of(MARGINALS, NOISELESS), tmp_path) > 0.9


def test_company_rules_alone_keep_an_exact_release_from_singling_out(tmp_path: Path) -> None:
    """A number of one user is of one company, and is not published even where there is no noise at all."""
    plan = plan_of(MARGINALS, NOISELESS)
    cells = joint_cells(plan)
    rows, exact = population(USERS, 70, cells)
    with prepared_from(rows, plan, tmp_path) as prepared:
        told = {tuple(row[key] for key in KEYS): row["estimate"] for row in published(prepared, plan)}
    assert (exact == 1).sum() > 10
    assert all(told[cell] is None for cell, count in zip(cells, exact, strict=True) if count == 1)
