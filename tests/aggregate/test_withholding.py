"""Withholding: of all sums that follow from what is published, none is of withheld cells that do not keep the company rules."""

from collections.abc import Callable
from itertools import chain, combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregate import withholding
from aggregate.withholding import Cell, CompanyRules, withhold_what_gives_others_away
from schemas.plan import Names
from schemas.tables import Status

MADE = 300
Marginals = tuple[Names, ...]
STRUCTURES: tuple[tuple[Marginals, dict[str, int]], ...] = (
    ((("a", "k"), ("b", "k"), ("w",)), {"a": 2, "b": 2, "k": 3, "w": 2}),
    ((("a", "k"), ("b", "k"), ("c", "k"), ("w",)), {"a": 2, "b": 2, "c": 2, "k": 3, "w": 1}),
    ((("a", "k", "j"), ("b", "k", "j"), ("c", "k"), ("w",)), {"a": 2, "b": 2, "c": 2, "k": 2, "j": 2, "w": 1}),
    ((("k",), ("a", "k"), ("w",)), {"a": 2, "k": 4, "w": 2}),
    ((("a", "k"), ("b", "k")), {"a": 3, "b": 2, "k": 2}),
)


class Pool:
    """Numbers that add up: of each combination of all keys a count, and by how much it keeps the rules (less than 0: it does not)."""

    def __init__(self, structure: int, numbers: list[int], margins: list[int]) -> None:
        self.marginals, self.sizes = STRUCTURES[structure]
        self.joint = list(product(*(range(size) for size in self.sizes.values())))
        self.counts = np.resize(numbers, len(self.joint))
        self.margins = np.resize(margins, len(self.joint))

    def among(self, keys: dict[str, str]) -> np.ndarray:
        """Which combinations a cell sums up."""
        names = list(self.sizes)
        return np.array([all(str(codes[names.index(key)]) == code for key, code in keys.items()) for codes in self.joint], float)

    def cells(self) -> dict[Names, list[Cell]]:
        """Each marginal, where just those cells are withheld that do not keep the rules themselves."""
        return {marginal: [self._cell(marginal, codes) for codes in self._codes(marginal)] for marginal in self.marginals}

    def _codes(self, marginal: Names) -> list[tuple[int, ...]]:
        return list(product(*(range(self.sizes[key]) for key in marginal)))

    def _cell(self, marginal: Names, codes: tuple[int, ...]) -> Cell:
        keys = {key: str(code) for key, code in zip(marginal, codes, strict=True)}
        rules = CompanyRules(round(float(self.among(keys) @ self.margins)), 0.0, 0.0, 0, 0.0, 0.0)
        status = Status.OK if CompanyRules.hold([rules]) else Status.TOO_FEW_COMPANIES
        return Cell(keys, status, float(self.among(keys) @ self.counts), rules)

    def given_away(self, cells: dict[Names, list[Cell]]) -> int:
        """The attack: sums of withheld cells of a marginal that do not keep the rules, and follow from all published cells together."""
        published = [self.among(dict(cell.keys)) for own in cells.values() for cell in own if cell.published]
        if not published:
            return 0
        _, sizes, directions = np.linalg.svd(np.array(published))
        basis = directions[: int((sizes > 1e-9).sum())]
        found = 0
        for own in cells.values():
            withheld = [self.among(dict(cell.keys)) for cell in own if not cell.published]
            for some in chain.from_iterable(combinations(withheld, n) for n in range(1, len(withheld) + 1)):
                total = np.sum(some, axis=0)
                follows = np.abs(total - basis.T @ (basis @ total)).max() < 1e-9
                found += bool(follows and total @ self.margins < 0)
        return found


def settled(pool: Pool) -> dict[Names, list[Cell]]:
    cells = pool.cells()
    withhold_what_gives_others_away(cells, ())
    return cells


POOLS = st.builds(
    Pool,
    st.integers(0, len(STRUCTURES) - 1),
    st.lists(st.integers(0, 50), min_size=8, max_size=64),
    st.lists(st.integers(-9, 9), min_size=8, max_size=64),
)


@settings(max_examples=300, deadline=None)
@given(POOLS)
def test_no_sum_that_breaks_the_rules_follows(pool: Pool) -> None:
    assert pool.given_away(settled(pool)) == 0


def broken_pools(monkeypatch: pytest.MonkeyPatch, name: str, instead: Callable[..., object]) -> int:
    """Of many pools, those of which something is given away once a part of the rule is replaced."""
    monkeypatch.setattr(withholding, name, instead)
    draw = np.random.default_rng(7)
    pools = (Pool(n % len(STRUCTURES), draw.integers(0, 50, 64).tolist(), draw.integers(-9, 10, 64).tolist()) for n in range(300))
    return sum(pool.given_away(settled(pool)) > 0 for pool in pools)


def test_of_many_pools_none_gives_anything_away(monkeypatch: pytest.MonkeyPatch) -> None:
    assert broken_pools(monkeypatch, "_settle", withholding._settle) == 0


@pytest.mark.parametrize(
    ("part", "instead"),
    [
        ("_settle", lambda *_: False),  # no rule at all
        ("_told_by_others", lambda *_: set()),  # what others tell is not subtracted
        ("_keeps_elsewhere", lambda *_: True),  # a rest that is wholly withheld is let stand
    ],
)
def test_without_a_part_of_the_rule_something_is_given_away(
    part: str, instead: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = broken_pools(monkeypatch, part, instead)
    print(f"without {part}: {broken} of {MADE} pools give something away")  # noqa: T201
    assert broken


def test_a_cell_that_keeps_the_rules_is_not_withheld_for_nothing() -> None:
    pool = Pool(0, [5], [1])
    assert all(cell.published for own in settled(pool).values() for cell in own)
