"""Staff's own paragraphs: what the data support stands, everything else is refused by its line."""

import re
from dataclasses import replace

import pytest
from release_fixtures import build_measured, change_rows, withhold

from publish.brief import SECTIONS, render_brief
from publish.cells import ReleaseCells
from publish.claim_syntax import UnreadableClaim, read_claim, written
from publish.claims import Claim, ClaimChecker
from publish.findings import StaffChecker, family_size, find, open_family
from publish.staff_text import StaffText
from publish.wording import HouseRules
from schemas.errors import CheckFailedError
from schemas.stages import MeasuredRelease
from schemas.tables import Status

SUPPORTED = """\
{{claim association
After “{a.intervention}” replies were engaged more often
than after “{b.intervention}”: {a} against {b}, difference {d}.
a = intervention_outcomes outcome_kind=user_reply window=next_turn intervention=crisis_resource_referral outcome=engaged
b = a intervention=content_refusal
d = a higher than b
}}"""
TEXT = f"""\
We read this quarter's numbers with *care*.

## What was seen after which intervention

Before the claim. {SUPPORTED} After the claim.

## Limits

- Labels come from people who disagree at times.
- Silence is not calm.
"""


@pytest.fixture(scope="module")
def cells(measured: MeasuredRelease) -> ReleaseCells:
    return ReleaseCells(measured)


def text(source: str) -> StaffText:
    return StaffText(source, HouseRules(companies=("alder",)), SECTIONS)


def reasons(source: str, cells: ReleaseCells) -> list[tuple[int, str]]:
    return [(objection.line, objection.reason) for objection in text(source).objections(cells)]


def test_what_the_data_support_stands_in_its_section(measured: MeasuredRelease, cells: ReleaseCells) -> None:
    assert reasons(TEXT, cells) == []
    html = render_brief(measured, (), (), charts=False, text=text(TEXT)).html
    opening, seen, limits = (html.index(words) for words in ("<em>care</em>", "Before the claim.", "Silence is not calm."))
    assert opening < html.index("<h2>What is new") < html.index("<h2>What was seen") < seen < html.index("<h2>Where safeguards")
    assert html.index("<h2>Limits") < limits < html.index('id="help"')
    sentence = re.search(
        r'Before the claim\. <span class="claim" data-kind="association" data-cells="([^"]+)">(.*?)</span>', html
    )
    assert sentence and "crisis_resource_referral" in sentence[1]
    assert re.search(r"difference \+\d+\.\d\spoints", sentence[2])
    assert "chose what to compare (1 time)" in html and f"{open_family(cells):,}" in html
    assert html.count("(staff)") == 1  # the appendix lists it with its cells


def test_no_text_leaves_the_brief_as_it_is(measured: MeasuredRelease) -> None:
    plain = render_brief(measured, (), (), charts=False).html
    assert plain == render_brief(measured, (), (), charts=False, text=StaffText()).html
    assert 'class="staff"' not in plain and "Staff chose" not in plain and StaffText().digest == ""


@pytest.mark.parametrize(
    ("change", "line", "reason"),
    [
        (("more often", "less often"), 5, "points a way"),
        (("d = a higher than b", "d = a lower than b"), 5, "does not assert"),
        (("outcome=engaged", "outcome=unknown"), 5, "no such number"),
        (("outcome=engaged", "outcome=nonsense"), 5, "not one that the plan publishes"),
        (("intervention_outcomes", "no_such_table"), 5, "not one that the plan publishes"),
        (("intervention=content_refusal", "intervention=crisis_resource_referral"), 5, "more than one key, or in none"),
        (("b = a intervention=content_refusal", "b = a intervention=content_refusal outcome=silent"), 5, "more than one key"),
        (("{d}", "{e}"), 5, "does not name"),
        (("{a.intervention}", "{a.week}"), 5, "does not name"),
        (("d = a higher than b", "d = a higher than c"), 5, "does not name"),
        (("claim association", "claim descriptive"), 5, "called descriptive"),
        (("claim association", "claim randomised"), 5, "called randomised"),
        (("claim association", "claim certain"), 5, "cannot be read"),
        (("d = a higher than b", "d = a above b"), 5, "cannot be read"),
        (("b = a", "a = a"), 5, "cannot be read"),
        (("replies were", "at Alder replies were"), 5, "company"),
        (("Before the claim.", "Most replied."), 5, "comparison"),
        (("After the claim.", "It was 12."), 11, "number"),
        (("Silence is not calm.", "Asking prevents it."), 16, "causes"),
        (("## Limits", "## Conclusions"), 13, "heading"),
        (("## Limits", "Limits\n------"), 14, "headings begin"),
        (("## Limits", "## What was seen after which intervention"), 13, "stands twice"),
        (("}} After", "} After"), 5, "braces"),
        (("After the claim.", "{{claims}}"), 11, "braces"),
        (("*care*", "\ue000"), 1, "no meaning"),
    ],
)
def test_what_they_do_not_support_is_refused_by_line(
    cells: ReleaseCells, change: tuple[str, str], line: int, reason: str
) -> None:
    assert change[0] in TEXT
    found = reasons(TEXT.replace(*change, 1), cells)
    assert any(number == line and reason in told for number, told in found), found
    with pytest.raises(CheckFailedError, match=rf"line {line}: "):
        text(TEXT.replace(*change, 1)).html(cells)


def test_no_value_and_no_word_of_it_is_in_an_objection(cells: ReleaseCells) -> None:
    told = " ".join(reason for _, reason in reasons(TEXT.replace("Silence", "Alder says 77 canaryword"), cells))
    assert told and not any(word in told for word in ("Alder", "77", "canaryword"))


@pytest.mark.parametrize("status", [Status.TOO_FEW_COMPANIES, Status.TOO_NOISY])
def test_a_cell_without_standing_carries_nothing(measured: MeasuredRelease, status: Status) -> None:
    def lose(rows: list[dict[str, object]]) -> None:
        for row in rows:
            if row["intervention"] == "content_refusal" and row["outcome"] == "engaged":
                withhold(row, status) if status is not Status.TOO_NOISY else row.update(status=status)

    found = reasons(TEXT, ReleaseCells(change_rows(measured, "intervention_outcomes", lose)))
    assert [told for _, told in found] == [f"this claim is not supported: a cell has the status {status}"]


def test_staff_may_pick_anything_so_anything_counts(cells: ReleaseCells) -> None:
    assert open_family(cells) > 100 * family_size(cells)
    staff, brief = StaffChecker(cells), ClaimChecker(cells, family_size(cells))
    own = [finding.claim for finding in find(cells) if finding.claim.asserts]
    assert own and all(not staff.objections(claim) for claim in own)  # what the plan registered keeps its family
    picked = read_claim(SUPPORTED.removeprefix("{{claim").removesuffix("}}"))
    assert isinstance(picked, Claim)
    assert staff.family(list(picked.quantities.values())) == open_family(cells)
    close = replace(picked, quantities={name: replace(q, cell=_with(q.cell, name)) for name, q in picked.quantities.items()})
    assert brief.objections(close) == [] and staff.objections(close) != []


def _with(cell: object, name: str) -> object:
    from publish.cells import Cell

    assert isinstance(cell, Cell)
    intervention = {"a": "coping_skill", "b": "content_refusal"}[name]
    return Cell.of(cell.table, {**dict(cell.keys), "intervention": intervention})


def test_bands_of_a_trend_are_not_picked(cells: ReleaseCells) -> None:
    trend = next(f.claim for f in find(cells) if f.topic == "depth_user_reply_next_turn")
    block = written(trend)
    assert reasons(block, cells) == []
    fewer = re.sub(r"^band1 = .*\n", "", block, flags=re.M).replace("trend = band0 band1", "trend = band0")
    assert any("runs over every cell" in told for _, told in reasons(fewer, cells))
    turned = block.replace("trend = band0 band1", "trend = band1 band0")
    assert any("runs over every cell" in told for _, told in reasons(turned, cells))


def test_what_the_brief_found_can_be_taken_over(cells: ReleaseCells) -> None:
    for finding in find(cells):
        assert read_claim(written(finding.claim).removeprefix("{{claim").removesuffix("}}")) == finding.claim


@pytest.mark.parametrize(
    "body", ["", " association", " association\n\n", " association\nText.\na =", " association\nText.\na = t k=v\nmore"]
)
def test_what_is_no_claim_is_refused(body: str) -> None:
    found = read_claim(body)
    assert isinstance(found, UnreadableClaim) or not found.quantities


def test_markup_stays_text() -> None:
    """Even where the rules were switched off, nothing that staff type becomes an element."""
    from publish.staff_text import _paragraphs

    assert "<script" not in _paragraphs("<script>x</script> [a](http://x) ![b](c) &lt;b&gt;")


def test_the_digest_is_of_the_very_bytes() -> None:
    assert text(TEXT).digest != text(TEXT + " ").digest and len(text(TEXT).digest) == 64
    assert build_measured  # the release itself does not enter it
