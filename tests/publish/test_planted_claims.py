"""What `make bench-claims` plants is refused, each for a reason of its own; were a rule switched off, its plant would pass."""

import pytest

from benchmarks.claims import planted
from publish import claims
from publish.brief import SECTIONS
from publish.cells import ReleaseCells
from publish.staff_text import StaffText
from publish.wording import HouseRules

PLANTED = list(planted())
HOUSE = HouseRules(companies=("alder", "blue-birch"), withheld=("zzword",))


def test_there_are_forty_and_they_differ() -> None:
    assert len(PLANTED) >= 40 and len({name for name, _, _ in PLANTED}) == len(PLANTED)


@pytest.mark.parametrize(("name", "source", "cells"), PLANTED, ids=[name for name, _, _ in PLANTED])
def test_it_is_refused(name: str, source: str, cells: ReleaseCells) -> None:
    assert StaffText(source, HOUSE, SECTIONS).objections(cells)


@pytest.mark.parametrize(
    ("rule", "broken", "name"),
    [
        ("is_causal", lambda text: False, "causal: prevents"),
        ("holds_number", lambda text: False, "number in words"),
        ("family_z", lambda confidence, comparisons: 1.96, "too many comparisons"),
    ],
)
def test_without_its_rule_it_would_pass(monkeypatch: pytest.MonkeyPatch, rule: str, broken: object, name: str) -> None:
    source, cells = next((source, cells) for given, source, cells in PLANTED if given == name)
    monkeypatch.setattr(claims, rule, broken)
    assert StaffText(source, HOUSE, SECTIONS).objections(cells) == []
