"""The derived tables as the measurement makes them pass the checks, and the brief and the explorer take them."""

from dataclasses import replace

import pytest
from release_fixtures import build_measured

from aggregate.effects import change_effects
from aggregate.patterns import emerging_patterns
from publish.brief import render_brief
from publish.cells import ReleaseCells
from publish.checks import CHECKS, Inspection
from publish.explorer import render_explorer
from publish.news import news
from schemas.derived_tables import EFFECTS, PATTERNS, TERMS
from schemas.periods import Quarter
from schemas.stages import MeasuredRelease

EARLIER = (Quarter(2026, 2), Quarter(2026, 1), Quarter(2025, 4))


@pytest.fixture(scope="module")
def made() -> MeasuredRelease:
    """A quarter in which conversations of one language doubled, after three like each other; terms are those of the fixture."""
    panel = {"panel": "0" * 64}
    built = build_measured(seed=9, quarters=4)
    now = replace(built, plan=built.plan.model_copy(update=panel))
    before = []
    for seed, quarter in enumerate(EARLIER):
        one = build_measured(seed=seed, quarter=quarter, even="language")
        before.append((one.plan.model_copy(update=panel), one.tables))
    own = {PATTERNS: emerging_patterns(now.plan, now.tables, before), EFFECTS: change_effects(now.tables, now.plan)}
    return replace(now, tables=tuple(own.get(table.name, table) for table in now.tables))


def test_they_pass_and_are_told(made: MeasuredRelease) -> None:
    inspection = Inspection(made)
    derived = [check for check in CHECKS if check.name.startswith("derived") or check.name in ("columns", "newcomers")]
    assert len(derived) == 6 and [check.run(inspection) for check in derived if not check.run(inspection)[0]] == []
    cells = ReleaseCells(made)
    told = {table: news(cells, table) for table in (PATTERNS, TERMS, EFFECTS)}
    assert told[PATTERNS] and told[PATTERNS].called > 0 and told[PATTERNS].seen and told[EFFECTS] and told[EFFECTS].compared > 0
    html = render_brief(made, (), ("2026Q2/v1",)).html
    new = html[html.index("<h2>What is new") : html.index("<h2>What was seen after")]
    assert "primary language “" in new and ("grew" in new or "fell" in new) and new.count("<svg") == 1
    assert "“What grows and what recedes”" not in html and PATTERNS in render_explorer(made, ())
