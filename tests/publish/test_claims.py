"""A sentence is refused where its cells or its words do not bear it."""

import re
from dataclasses import replace

import numpy as np
import pytest
from release_fixtures import build_measured, change_rows, withhold

from publish.cells import Cell, ReleaseCells
from publish.claims import (
    Claim,
    ClaimChecker,
    Difference,
    Direction,
    Estimate,
    Kind,
    Quantity,
    Trend,
    difference,
    family_z,
    slope,
)
from publish.findings import family_size, find
from schemas.errors import CheckFailedError, InternalError
from schemas.keys import DEPTH_BANDS
from schemas.stages import MeasuredRelease
from schemas.tables import Status


def reply(intervention: str, outcome: str = "engaged") -> Quantity:
    keys = {"outcome_kind": "user_reply", "window": "next_turn", "outcome": outcome, "intervention": intervention}
    return Quantity(Cell.of("intervention_outcomes", keys))


def depth(band: str) -> Quantity:
    keys = {"outcome_kind": "user_reply", "window": "next_turn", "outcome": "engaged", "depth_band": band}
    return Quantity(Cell.of("depth_of_conversation", keys))


REFERRED, NOTHING, CHECKED_IN = reply("crisis_resource_referral"), reply("no_intervention"), reply("supportive_continuation")
MORE = Claim(
    Kind.ASSOCIATION,
    "After {a.intervention} replies were engaged more often than after {b.intervention}: {a} against {b}; difference {d}.",
    {"a": REFERRED, "b": NOTHING},
    (Difference("d", "a", "b", Direction.HIGHER),),
)
BANDS = tuple(f"band{n}" for n in range(len(DEPTH_BANDS)))
FADING = Claim(
    Kind.ASSOCIATION,
    "The share of engaged replies fell with depth, from {band0} to {band5}.",
    {f"band{n}": depth(band) for n, (band, _) in enumerate(DEPTH_BANDS)},
    (Trend(BANDS, Direction.LOWER),),
)
VALUE = Claim(Kind.DESCRIPTIVE, "After {a.intervention} {a} of replies were engaged.", {"a": REFERRED})


@pytest.fixture(scope="module")
def checker(measured: MeasuredRelease) -> ClaimChecker:
    cells = ReleaseCells(measured)
    return ClaimChecker(cells, family_size(cells))


@pytest.mark.parametrize("claim", [MORE, FADING, VALUE])
def test_supported_claims_are_rendered_with_their_intervals(checker: ClaimChecker, claim: Claim) -> None:
    assert checker.objections(claim) == []
    assert re.search(r"\d+\s% \(\d+ to \d+\)".replace(" ", r"\s"), checker.render(claim))


def test_labels_and_numbers_come_from_the_cells(checker: ClaimChecker, measured: MeasuredRelease) -> None:
    reading = checker.cells.read(REFERRED.cell)
    assert reading.rate is not None
    assert f"crisis resource shown {100 * reading.rate:.0f}\u00a0%" in checker.render(VALUE)


LESS = replace(
    MORE,
    text=MORE.text.replace("more", "less"),
    asserts=(Difference("d", "a", "b", Direction.LOWER),),
)
UNSUPPORTED = {
    "wrong direction": LESS,
    "words against what is asserted": replace(MORE, text=MORE.text.replace("more", "less")),
    "comparison that is not asserted": replace(VALUE, text="After {a.intervention} more replies were engaged: {a}."),
    "superlative": replace(VALUE, text="After {a.intervention} replies were engaged most often: {a}."),
    "causal word on an association": replace(MORE, text="{a.intervention} helps: engaged more often than {b.intervention}, {d}."),
    "causal verb": replace(MORE, text="{a.intervention} leads to more engaged replies than {b.intervention}: {d}."),
    "called randomised": replace(MORE, kind=Kind.RANDOMISED),
    "typed number": replace(VALUE, text="After {a.intervention} 90 of 100 replies were engaged, {a}."),
    "unnamed quantity": replace(VALUE, text="After {a.intervention} {b} of replies were engaged."),
    "no cell": replace(VALUE, text="Replies were engaged.", quantities={}),
    "rising where it falls": replace(FADING, text=FADING.text.replace("fell", "rose"), asserts=(Trend(BANDS, Direction.HIGHER),)),
    "trend over two cells": replace(FADING, asserts=(Trend(("band0", "band5"), Direction.LOWER),)),
    "rate against estimate": replace(MORE, quantities={"a": replace(REFERRED, column="estimate"), "b": NOTHING}),
    "a share of unknown": replace(VALUE, quantities={"a": reply("crisis_resource_referral", "unknown")}),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported_claims_are_refused(checker: ClaimChecker, name: str) -> None:
    with pytest.raises(CheckFailedError) as refused:
        checker.render(UNSUPPORTED[name])
    assert UNSUPPORTED[name].text in refused.value.message  # whoever wrote it is told which sentence


def test_equal_cells_are_not_called_different() -> None:
    cells = ReleaseCells(build_measured(flat=True))
    for direction, word in ((Direction.HIGHER, "more"), (Direction.LOWER, "less")):
        claim = replace(MORE, text=MORE.text.replace("more", word), asserts=(Difference("d", "a", "b", direction),))
        assert ClaimChecker(cells, 1).objections(claim)


@pytest.mark.parametrize("status", [Status.TOO_FEW_COMPANIES, Status.NOT_COLLECTED, Status.TOO_NOISY])
def test_cells_without_standing_carry_no_claim(measured: MeasuredRelease, status: Status) -> None:
    def lose(rows: list[dict[str, object]]) -> None:
        for row in rows:
            if row["intervention"] == "crisis_resource_referral" and row["outcome"] == "engaged":
                withhold(row, status) if status is not Status.TOO_NOISY else row.update(status=status)

    cells = ReleaseCells(change_rows(measured, "intervention_outcomes", lose))
    for claim in (MORE, VALUE):
        assert any(status in objection for objection in ClaimChecker(cells, 1).objections(claim))


def test_more_comparisons_need_more(measured: MeasuredRelease) -> None:
    cells = ReleaseCells(measured)
    few, many = ClaimChecker(cells, 1), ClaimChecker(cells, 10**6)
    close = replace(MORE, quantities={"a": CHECKED_IN, "b": NOTHING})
    assert few.objections(close) == [] and many.objections(close)
    assert family_z(0.95, 1) == pytest.approx(1.96, abs=0.001) and family_z(0.95, 41) > 3.2


def test_a_cell_that_the_plan_does_not_publish_carries_nothing(checker: ClaimChecker) -> None:
    nowhere = reply("nothing_of_the_kind")
    assert checker.objections(replace(VALUE, quantities={"a": nowhere})) == ["a cell is not one that the plan publishes"]
    with pytest.raises(InternalError):
        checker.cells.read(nowhere.cell)


def _noisy_rate(random: np.random.Generator, rate: float, size: int, noise: float) -> Estimate:
    """A published rate of `size` users: binomial sampling, noise on both cells, delta interval."""
    good = random.binomial(size, rate)
    a, b = good + random.normal(0, noise), size - good + random.normal(0, noise)
    value, va, vb = a / (a + b), noise**2 + a, noise**2 + b
    half = 1.96 * ((1 - value) ** 2 * va + value**2 * vb) ** 0.5 / (a + b)
    return Estimate(value, value - half, value + half)


def test_of_equal_pairs_at_most_one_in_twenty_passes_as_different() -> None:
    random = np.random.default_rng(7)
    pairs, called = 4000, 0
    for _ in range(pairs):
        found = difference(
            (REFERRED.cell, _noisy_rate(random, 0.45, 1000, 30)), (NOTHING.cell, _noisy_rate(random, 0.45, 1000, 30)), "rate", 1.0
        )
        called += not found.low <= 0 <= found.high
    assert 0.03 <= called / pairs <= 0.06


def test_of_flat_curves_at_most_one_in_twenty_has_a_trend() -> None:
    random = np.random.default_rng(8)
    curves, called = 2000, 0
    for _ in range(curves):
        found = slope([_noisy_rate(random, 0.45, size, 50) for size in (4000, 3000, 2000, 1500, 1000, 800)], "rate", 1.96, 1.0)
        called += not found.low <= 0 <= found.high
    assert 0.03 <= called / curves <= 0.065


def test_shares_of_one_denominator_are_compared_with_care() -> None:
    a, b = Estimate(0.5, 0.45, 0.55), Estimate(0.4, 0.35, 0.45)
    apart = difference((REFERRED.cell, a), (NOTHING.cell, b), "rate", 1.0)
    together = difference((REFERRED.cell, a), (reply("crisis_resource_referral", "silent").cell, b), "rate", 1.0)
    assert together.low == pytest.approx(0.0) and apart.low > 0.02


def test_a_cut_interval_is_widened_again() -> None:
    cut = difference((REFERRED.cell, Estimate(0.02, 0.0, 0.12)), (NOTHING.cell, Estimate(0.10, 0.09, 0.11)), "rate", 1.0)
    assert cut.low < -0.17


def test_flat_releases_seldom_claim_anything() -> None:
    releases = 8
    claiming = sum(
        any(finding.claim.asserts for finding in find(ReleaseCells(build_measured(seed=seed, flat=True))))
        for seed in range(releases)
    )
    assert claiming <= 2


def test_what_is_there_is_found(measured: MeasuredRelease) -> None:
    findings = find(ReleaseCells(measured))
    said = " ".join(finding.sentence for finding in findings)
    assert "After “crisis resource shown”, risk going down was seen more often" in said
    assert "the share of engaged replies fell with depth" in said
    assert all(finding.claim.kind is not Kind.RANDOMISED for finding in findings)
    assert "crisis_resource_referral | no_intervention" in " ".join(finding.cells for finding in findings)
