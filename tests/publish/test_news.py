"""What the brief says is new: only what rows of the derived tables bear, in words that fit how it was compared."""

import re
from dataclasses import replace
from typing import Any

import pytest
from derived_fixtures import FLAT_TERM, GROWN_TERM, NEW_TERM
from release_fixtures import build_measured, change_rows

from publish.brief import render_brief
from publish.cells import Cell, ReleaseCells
from publish.claim_syntax import UnreadableClaim, read_claim, written
from publish.claims import Claim, ClaimChecker, Kind, Moved, Quantity
from publish.findings import family_size, find
from publish.news import news, news_candidates
from publish.staff_text import StaffText
from publish.wording import Direction
from schemas.derived_tables import BEFORE_AFTER, DIFFERENCE, EFFECTS, GROWING, NO_CHANGE_SEEN, PATTERNS, RANDOMISED, TERMS
from schemas.stages import MeasuredRelease
from schemas.tables import Status

Row = dict[str, Any]


@pytest.fixture(scope="module")
def compared() -> MeasuredRelease:
    return build_measured(quarters=4)


@pytest.fixture(scope="module")
def cells(compared: MeasuredRelease) -> ReleaseCells:
    return ReleaseCells(compared)


@pytest.fixture(scope="module")
def checker(cells: ReleaseCells) -> ClaimChecker:
    return ClaimChecker(cells, family_size(cells))


@pytest.fixture(scope="module")
def html(compared: MeasuredRelease) -> str:
    return render_brief(compared, (), ("2026Q2/v1",)).html


def _of(cells: ReleaseCells, topic: str) -> Claim:
    return next(claim for found, claim, _ in news_candidates(cells) if found == topic)


def test_it_leads_with_what_grows_and_what_is_new(html: str, cells: ReleaseCells) -> None:
    new = html[html.index("<h2>What is new") : html.index("<h2>What was seen after")]
    for said in ("times what it was over 4 earlier quarters (q = 0.02)", " grew, to 1.9 (1.5 to 2.4)", " fell, to 0.55"):
        assert said.replace("1.9 (1.5 to 2.4)", "1.9\u00a0(1.5\u00a0to\u00a02.4)") in new
    assert f"“{NEW_TERM}” is new in what users wrote" in new and "lower bound" in new
    assert f"“{GROWN_TERM}”, first found in 2025Q3" in new and FLAT_TERM not in html and "trelby" not in html
    told = news(cells, PATTERNS)
    assert (
        told
        and f"{told.compared:,} cells were set against" in new
        and told.compared > 100
        and "10&nbsp;% or less is expected to be chance" in new
    )
    assert new.count("<svg") == 1 and 'role="img"' in new


def test_what_followed_changes_is_labelled_and_only_chance_speaks_of_causes(html: str) -> None:
    part = html[html.index("<h2>What followed changes") : html.index("<h2>What we cannot yet tell")]
    assert "What follows a change is not what the change did." in part and part.count("<svg") == 1
    sentences = dict(re.findall(r'data-kind="(\w+)"[^>]*>(.*?)</span>', part))
    assert set(sentences) == {"randomised", "association"}
    assert " made “engaged” (reply of the user, next turn) more frequent" in sentences["randomised"]
    assert "set against companies without the change" in sentences["association"] and " made " not in sentences["association"]
    assert "Before and after alone:" not in part  # its interval holds no change
    assert "told from none four times in five" in html and "Only sentences marked randomised" in html


def test_directions_are_told_without_a_number(compared: MeasuredRelease) -> None:
    def alone(rows: list[Row]) -> None:
        for row in rows:
            if row["direction"] is not None:
                row.update(
                    {name: None for name, value in row.items() if isinstance(value, float)}, status=Status.TOO_FEW_COMPANIES
                )

    plan = compared.plan.model_copy(update={"newcomers": 1})
    html = render_brief(replace(change_rows(compared, PATTERNS, alone), plan=plan), (), (), charts=False).html
    assert "grew in the companies that were there before." in html and "company came new" in html

    def unknown(rows: list[Row]) -> None:
        row = next(row for row in rows if row["direction"] == GROWING)
        row.update(ratio=None, ratio_ci_low=None, ratio_ci_high=None, detectable_ratio=None, status=Status.TOO_NOISY)

    html = render_brief(change_rows(compared, PATTERNS, unknown), (), (), charts=False).html
    assert html.count("grew from a share that could not be told from none (q = 0.02).") >= 1


def test_nothing_to_compare_says_so() -> None:
    first = render_brief(build_measured(), (), (), charts=False).html
    assert "there is nothing to compare with yet" in first and "none that is new stands out" in first
    assert "Nothing can be compared: too few companies registered" in first and "Nothing here was randomised" in first
    none = news(ReleaseCells(build_measured()), PATTERNS)
    assert none and none.compared == 0 and none.not_comparable > 100 and none.seen == ()


@pytest.mark.parametrize(
    ("table", "topic", "broken", "said"),
    [
        (PATTERNS, GROWING, {"direction": NO_CHANGE_SEEN}, "not called that way"),
        (PATTERNS, GROWING, {"ratio_ci_low": 0.97}, "holds none, or lies the other way"),
        (PATTERNS, GROWING, {"status": Status.NOT_COMPARABLE}, "status not_comparable"),
        (PATTERNS, GROWING, {"ratio": None}, "no such number"),
        (TERMS, TERMS, {"first_seen": "2026Q1"}, "calls a term new"),
        (TERMS, TERMS, {"status": Status.TOO_NOISY}, "status too_noisy"),
        (TERMS, f"{TERMS}/growth", {"growth": 2.4, "growth_ci_low": 1.01}, "holds none, or lies the other way"),
        (EFFECTS, RANDOMISED, {"ci_low": -0.001}, "holds none, or lies the other way"),
        (EFFECTS, RANDOMISED, {"ci_low": 0.004}, "holds none, or lies the other way"),  # of one alone it would hold
        (EFFECTS, RANDOMISED, {"effect": -0.094, "ci_low": -0.12, "ci_high": -0.06}, "lies the other way"),
        (EFFECTS, DIFFERENCE, {"status": Status.NOT_COMPARABLE}, "status not_comparable"),
    ],
)
def test_a_sentence_falls_with_its_row(
    compared: MeasuredRelease, cells: ReleaseCells, table: str, topic: str, broken: Row, said: str
) -> None:
    claim = _of(cells, topic)
    (quantity,) = claim.quantities.values()

    def harm(rows: list[Row]) -> None:
        next(row for row in rows if all(row[key] == code for key, code in quantity.cell.keys)).update(broken)

    harmed = ReleaseCells(change_rows(compared, table, harm))
    checker = ClaimChecker(harmed, family_size(harmed))
    assert any(said in objection for objection in checker.objections(claim))
    assert claim not in [finding.claim for finding in find(harmed)]


def test_words_keep_to_how_it_was_compared(cells: ReleaseCells, checker: ClaimChecker) -> None:
    def said(text: str, kind: Kind, topic: str, column: Any = "effect", direction: Direction | None = Direction.LOWER) -> str:
        (quantity,) = _of(cells, topic).quantities.values()
        moved = (Moved("a", direction),) if direction else ()
        return "; ".join(checker.objections(Claim(kind, text, {"a": Quantity(quantity.cell, column)}, moved)))

    assert "causal wording" in said("“{a.change_class}” reduced “{a.outcome}”: {a}.", Kind.ASSOCIATION, DIFFERENCE)
    assert "called randomised" in said("“{a.change_class}” reduced “{a.outcome}”: {a}.", Kind.RANDOMISED, DIFFERENCE)
    assert "called randomised" in said("“{a.codes}” fell: {a}.", Kind.RANDOMISED, GROWING, "ratio")
    assert "speaks of causes" in said(
        "“{a.change_class}” prevents “{a.outcome}”: {a}.", Kind.RANDOMISED, RANDOMISED, "effect", None
    )
    assert "points a way" in said(
        "“{a.change_class}” reduced “{a.outcome}”: {a}.", Kind.RANDOMISED, RANDOMISED, "effect", Direction.HIGHER
    )
    assert not said("“{a.change_class}” increased “{a.outcome}”: {a}.", Kind.RANDOMISED, RANDOMISED, "effect", Direction.HIGHER)
    assert "does not name" in said("Fell: {a.rate_before}, {a}.", Kind.ASSOCIATION, DIFFERENCE)  # no number without its interval
    assert "called descriptive" in said("“{a.codes}” grew: {a}.", Kind.DESCRIPTIVE, GROWING, "ratio", Direction.HIGHER)
    assert "tells none" in said("“{a.term}” grew: {a}.", Kind.ASSOCIATION, TERMS, "estimate", Direction.HIGHER)


def test_staff_may_write_them_and_they_read_back(cells: ReleaseCells) -> None:
    for finding in find(cells):
        if finding.topic in (GROWING, TERMS, f"{TERMS}/growth", RANDOMISED, DIFFERENCE, BEFORE_AFTER):
            block = written(finding.claim)
            assert read_claim(block.removeprefix("{{claim").removesuffix("}}")) == finding.claim
            assert finding.sentence in StaffText(block).html(cells)[""].replace("&amp;", "&")
    assert any(f"'term={GROWN_TERM}'" in written(claim) for _, claim, _ in news_candidates(cells))
    assert isinstance(read_claim(" association\nIt grew: {a}.\na = emerging_terms 'term=open\n"), UnreadableClaim)


def test_a_term_is_text_and_never_markup(compared: MeasuredRelease) -> None:
    def plant(rows: list[Row]) -> None:
        next(row for row in rows if row["term"] == NEW_TERM)["term"] = "<i>x</i>"

    html = render_brief(change_rows(compared, TERMS, plant), (), (), charts=False).html
    assert "<i>x</i>" not in html and "&lt;i&gt;x&lt;/i&gt;" in html


def test_a_row_that_is_not_there_bears_nothing(checker: ClaimChecker) -> None:
    gone = Quantity(Cell.of(TERMS, {"speaker": "user", "term": "nowhere"}), "estimate")
    assert "not one that the plan publishes" in checker.objections(Claim(Kind.DESCRIPTIVE, "{a.term}: {a}", {"a": gone}))[0]
