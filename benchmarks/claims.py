"""`make bench-claims`: unsupported claims that are refused, supported ones that are not, equal interventions called different.

Claims are written as staff write them, and go the way that staff's text goes. Releases are made up, with the noise of the
packaged plan and the pool's own tabulation.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

from benchmarks.report import report
from publish.brief import SECTIONS
from publish.cells import Cell, ReleaseCells
from publish.claim_syntax import written
from publish.claims import Claim, ClaimChecker, Difference, Estimate, Kind, Moved, Quantity, Trend, estimate_of
from publish.findings import StaffChecker, find, intervention_cells, intervention_measures, open_family, outcome_cell
from publish.news import news_candidates
from publish.staff_text import StaffText
from publish.wording import Direction, HouseRules
from schemas.derived_tables import BEFORE_AFTER, DIFFERENCE, GROWING, NO_CHANGE_SEEN, PATTERNS, RANDOMISED, TERMS
from schemas.keys import KEYS, Scope
from schemas.periods import Quarter
from schemas.plan import Measure
from schemas.stages import MeasuredRelease
from schemas.tables import Status

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "publish"))

from release_fixtures import build_measured, change_rows, withhold

HOUSE = HouseRules(companies=("alder", "blue-birch"), withheld=("zzword",))
SUPPORTED, PAIRS, USERS_EACH = 200, 200, 1_000
FEW, MANY = "content_refusal", "crisis_resource_referral"


def refused(source: str, cells: ReleaseCells) -> bool:
    """Whether a text of staff is refused."""
    return bool(StaffText(source, HOUSE, SECTIONS).objections(cells))


def planted() -> Iterator[tuple[str, str, ReleaseCells]]:
    """What must be refused: a name, the text, and the release that it is said of. Each is wrong in the one way that it names."""
    measured = build_measured()
    cells, flat = ReleaseCells(measured), ReleaseCells(build_measured(flat=True))
    supported = comparison(MANY, FEW)
    text = supported.text
    block = written(supported)
    assert not refused(block, cells)

    def said(name: str, claim: Claim, on: ReleaseCells = cells) -> tuple[str, str, ReleaseCells]:
        return name, written(claim), on

    lower = (Difference("d", "a", "b", Direction.LOWER),)
    yield said("wrong direction", replace(supported, text=text.replace("more", "less"), asserts=lower))
    yield said("words against what is asserted", replace(supported, text=text.replace("more", "less")))
    yield said("asserts against its words", replace(supported, asserts=lower))
    yield said("both ways at once", replace(supported, text=text.replace("more", "more or less")))
    yield said("no comparison asserted", replace(supported, text="After {a.intervention} more were engaged: {a}.", asserts=()))
    yield said("superlative", replace(supported, text="After {a.intervention} replies were engaged most often: {a}.", asserts=()))
    yield said("no difference", replace(supported, text="After {a.intervention} there was no difference: {a}.", asserts=()))
    for word in ("helps", "leads to", "prevents", "is effective", "works", "due to"):
        yield said(f"causal: {word}", replace(supported, text=text.replace("replies", f"{word} replies")))
    yield said("called randomised", replace(supported, kind=Kind.RANDOMISED))
    yield said("called descriptive", replace(supported, kind=Kind.DESCRIPTIVE))
    yield said("number typed", replace(supported, text=text.replace("replies", "90 of 100 replies")))
    yield said("number in words", replace(supported, text=text.replace("replies", "nine of ten replies")))
    yield said("number of no cell", replace(supported, text=text.replace("{b}", "{c}")))
    yield said("company named", replace(supported, text=text.replace("replies", "at Alder replies")))
    yield said("company named in disguise", replace(supported, text=text.replace("replies", "at Blue Birch replies")))
    yield said("withheld word", replace(supported, text=text.replace("replies", "zzword replies")))
    yield said("harmful wording", replace(supported, text=text.replace("replies", "successful replies")))
    yield said("no such cell", replace(supported, quantities={**supported.quantities, "b": reply("no_such_code")}))
    yield said("unknown as a rate", replace(supported, quantities={**supported.quantities, "a": reply(MANY, "unknown")}))
    yield said(
        "rate against estimate", replace(supported, quantities={"a": replace(reply(MANY), column="estimate"), "b": reply(FEW)})
    )
    yield said("two keys apart", replace(supported, quantities={"a": reply(MANY), "b": reply(FEW, "silent")}))
    other = Quantity(Cell.of("depth_of_conversation", dict(reply(FEW).cell.keys) | {"intervention": "all", "depth_band": "1-5"}))
    yield said("other table", replace(supported, quantities={"a": reply(MANY), "b": other}))
    yield said("overlapping intervals", supported, flat)
    yield said("overlapping, the other way", replace(supported, text=text.replace("more", "less"), asserts=lower), flat)
    yield said("too many comparisons", close_pair(cells))
    for status in (Status.TOO_FEW_COMPANIES, Status.TOO_NOISY, Status.NOT_COLLECTED):
        yield said(f"cell is {status}", supported, lost(measured, status))
    trend = next(finding.claim for finding in find(cells) if finding.topic.startswith("depth"))
    (assertion,) = trend.asserts
    assert isinstance(assertion, Trend)
    rising = (Trend(assertion.names, Direction.HIGHER),)
    yield said("trend the other way", replace(trend, text=trend.text.replace("fell", "rose"), asserts=rising))
    yield said("bands picked", replace(trend, asserts=(Trend((*assertion.names[:2], assertion.names[-1]), Direction.LOWER),)))
    yield said("bands turned round", replace(trend, asserts=(Trend(assertion.names[::-1], Direction.LOWER),)))
    yield said("flat curve", trend, flat)
    yield from _planted_news()
    yield "outside a claim: number", "In 12 of them.", cells
    yield "outside a claim: comparison", "Replies were rarer.", cells
    yield "outside a claim: cause", "Asking reduces silence.", cells
    yield "outside a claim: address", "See https://example.org.", cells


def _planted_news() -> Iterator[tuple[str, str, ReleaseCells]]:
    """What must be refused of growth, terms and changes."""
    cells = ReleaseCells(build_measured(quarters=4))
    first = {topic: claim for topic, claim, _ in reversed(list(news_candidates(cells)))}
    grown, effect, observed = first[GROWING], first[RANDOMISED], first[DIFFERENCE]
    still = next(cell for cell, row in cells.rows(PATTERNS) if row["direction"] == NO_CHANGE_SEEN and row["ratio"])
    known = next(cell for cell, row in cells.rows(TERMS) if row["growth"] is not None)
    unsure = first[BEFORE_AFTER]
    for name, claim in (
        ("cell that is not called", replace(grown, quantities={"a": Quantity(still, "ratio")})),
        ("called the other way", replace(grown, text=grown.text.replace("grew", "fell"), asserts=(Moved("a", Direction.LOWER),))),
        ("growth without assertion", replace(grown, asserts=())),
        ("known term called new", replace(first[TERMS], quantities={"a": Quantity(known, "estimate")})),
        ("cause of what was observed", replace(observed, text="“{a.change_class}” reduced “{a.outcome}”: {a}.")),
        ("observed, called randomised", replace(observed, kind=Kind.RANDOMISED)),
        ("cause without assertion", replace(effect, text="“{a.change_class}” prevents “{a.outcome}”: {a}.", asserts=())),
        ("effect of unsure sign", unsure),
        ("rate without its interval", replace(observed, text=observed.text.replace("{a}.", "{a}, from {a.rate_before}."))),
    ):
        yield name, written(claim), cells


def reply(intervention: str, outcome: str = "engaged") -> Quantity:
    """The rate of a reply after an intervention."""
    keys = {"outcome_kind": "user_reply", "window": "next_turn", "intervention": intervention, "outcome": outcome}
    return Quantity(Cell.of("intervention_outcomes", keys))


def comparison(one: str, other: str) -> Claim:
    """One intervention above another, as staff would say it."""
    text = "After {a.intervention} replies were engaged more often than after {b.intervention}: {a} against {b}, difference {d}."
    quantities = {"a": reply(one), "b": reply(other)}
    return Claim(Kind.ASSOCIATION, text, quantities, (Difference("d", "a", "b", Direction.HIGHER),))


def close_pair(cells: ReleaseCells) -> Claim:
    """A comparison that would pass were it the only one that anybody looked at."""
    alone, staff = ClaimChecker(cells, 1), StaffChecker(cells)
    codes = [cell.code("intervention") for cell in intervention_cells(cells, _replies(cells))]
    claims = (comparison(a, b) for a in codes for b in codes if a != b)
    return next(claim for claim in claims if not alone.objections(claim) and staff.objections(claim))


def _replies(cells: ReleaseCells) -> Measure:
    return next(m for m in intervention_measures(cells.plan) if m.outcome_kind == "user_reply")


def lost(measured: MeasuredRelease, status: Status) -> ReleaseCells:
    """The release without standing for one of the two cells."""

    def change(rows: list[dict[str, object]]) -> None:
        for row in rows:
            if row["intervention"] == FEW and row["outcome"] == "engaged":
                row.update(status=status) if status is Status.TOO_NOISY else withhold(row, status)

    return ReleaseCells(change_rows(measured, "intervention_outcomes", change))


def supported() -> Iterator[tuple[str, ReleaseCells]]:
    """Claims that the rule supports, by arithmetic of their own on published numbers: 200 of them, of each form."""
    for seed in range(1, 100):
        cells = ReleaseCells(build_measured(seed=seed, users=120_000))
        z = NormalDist().inv_cdf(1 - 0.05 / 2 / open_family(cells)) / NormalDist().inv_cdf(0.975) * 1.5
        for measure in intervention_measures(cells.plan):
            listed = intervention_cells(cells, measure)
            for cell in listed:
                if (reading := cells.read(cell)).status == Status.OK and reading.rate is not None:
                    yield _described(cell), cells
            for place, cell in enumerate(listed):
                other = listed[(place * 7 + seed) % len(listed)]
                ends = [estimate_of(cells.read(each), "rate") for each in (cell, other)]
                if all(cells.read(each).status == Status.OK for each in (cell, other)) and _apart(ends, z):
                    yield _compared(cell, other), cells


def _described(cell: Cell) -> str:
    return written(Claim(Kind.DESCRIPTIVE, "After “{a.intervention}” it was seen in {a}.", {"a": Quantity(cell)}))


def _compared(cell: Cell, other: Cell) -> str:
    text = "It was seen more often after “{a.intervention}” than after “{b.intervention}”: {a} against {b}."
    asserts = (Difference("d", "a", "b", Direction.HIGHER),)
    return written(Claim(Kind.ASSOCIATION, text, {"a": Quantity(cell), "b": Quantity(other)}, asserts))


def _apart(ends: list[Estimate | None], z: float) -> bool:
    """Whether the first lies above the second, with both intervals stretched well beyond what any rule asks."""
    one, other = ends
    if one is None or other is None:
        return False
    return one.value - z * (one.value - one.low) > other.value + z * (other.high - other.value)


def equal_pairs() -> Iterator[tuple[Claim, Claim, ReleaseCells]]:
    """Pairs of interventions with the very same rate and 1,000 users each: either direction claimed, and the release."""
    interventions = len(KEYS["intervention"].domain(Scope(Quarter(2026, 3), (), ())))
    for seed in range(1, 100):
        cells = ReleaseCells(build_measured(seed=seed, users=USERS_EACH * interventions, flat=True, even="intervention"))
        for measure in intervention_measures(cells.plan):
            codes = [cell.code("intervention") for cell in intervention_cells(cells, measure)]
            for one, other in zip(codes[::2], codes[1::2], strict=False):
                quantities = {n: Quantity(outcome_cell(measure, intervention=c)) for n, c in (("a", one), ("b", other))}
                higher = replace(comparison(one, other), quantities=quantities)
                lower = (Difference("d", "a", "b", Direction.LOWER),)
                yield higher, replace(higher, text=higher.text.replace("more", "less"), asserts=lower), cells


def main() -> None:
    """Prints the figures, and stops where one breaks its promise."""
    found = figures()
    report("claims", found)
    refused_all = found["false_claims_refused"] == found["false_claims"]
    assert (
        refused_all and not found["true_claims_refused"] and found["equal_pairs_called_different"] <= 0.05 * found["equal_pairs"]
    )


def figures() -> dict[str, float]:
    """All three, as counts."""
    false = [(name, refused(source, cells)) for name, source, cells in planted()]
    for name, caught in false:
        if not caught:
            print(f"NOT REFUSED: {name}")
    true = [refused(source, cells) for (source, cells), _ in zip(supported(), range(SUPPORTED), strict=False)]
    called = {"alone": 0, "staff": 0}
    told = pairs = 0
    for higher, lower, cells in equal_pairs():
        checks = {"alone": ClaimChecker(cells, 1), "staff": StaffChecker(cells)}
        if any(cells.read(q.cell).rate is None for q in higher.quantities.values()):
            continue
        pairs += 1
        told += all(cells.read(q.cell).status == Status.OK for q in higher.quantities.values())
        for name, checker in checks.items():
            called[name] += not (checker.objections(higher) and checker.objections(lower))
        if pairs == PAIRS:
            break
    return {
        "false_claims": len(false),
        "false_claims_refused": sum(caught for _, caught in false),
        "true_claims": len(true),
        "true_claims_refused": sum(true),
        "equal_pairs": pairs,
        "equal_pairs_with_numbers": told,
        "equal_pairs_called_different": called["staff"],
        "equal_pairs_called_different_were_each_the_only_one": called["alone"],
        "comparisons_that_count_as_looked_at": open_family(ReleaseCells(build_measured())),
    }


if __name__ == "__main__":
    main()
