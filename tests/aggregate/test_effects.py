"""Effects of changes from published cells: exact where nothing is noisy, silent where a cell is, wide enough where all is."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pooled import QUARTER, registered

from aggregate.answer import Answer, NoisyMarginal, NoisyResidual
from aggregate.counts import public_cells
from aggregate.effects import change_effects
from aggregate.intervals import z_value
from aggregate.tabulation import tabulate
from aggregate.workload import Workload
from benchmarks.emerging_changes import EFFECT, Scene, told
from schemas.derived_tables import BEFORE_AFTER, DESIGNS, DIFFERENCE, RANDOMISED, READINGS
from schemas.keys import CHANGE_GROUPS
from schemas.plan import CHANGE_KEYS, Event, RegisteredPlan
from schemas.tables import Status

SCALE, KIND = 2**20, "classifier"
COUNTS: Mapping[str, tuple[int, int, int, int]] = {  # engaged, rejected, silent, unknown
    "changed_before": (600, 200, 200, 50),
    "changed_after": (450, 300, 250, 50),
    "others_before": (500, 300, 200, 10),
    "others_after": (480, 320, 200, 90),
    "arm_with": (300, 400, 300, 0),
    "arm_without": (400, 350, 250, 0),
}
ALL_GROUPS = tuple(f"{KIND}:{group}" for group in CHANGE_GROUPS)


def plan_of(compared: tuple[str, ...] = ALL_GROUPS) -> RegisteredPlan:
    plan = registered(6, compared=compared)
    own = [measure for measure in plan.plan["measure"] if measure["event"] == Event.CHANGE_OUTCOME]
    return plan.model_copy(update={"plan": {**plan.plan, "measure": own, "terms": [], "patterns": None}})


def answer_of(plan: RegisteredPlan, noise: float = 1e-9, random: np.random.Generator | None = None) -> Answer:
    """COUNTS as drawn: `noise` in users-equivalent along each direction of the residuals."""
    measure = plan.release_plan.measures[0]
    scope = measure.scope(QUARTER, plan.release_plan)
    load, cells = Workload.of(measure, scope), public_cells(CHANGE_KEYS, scope)
    values = [dict(zip(("engaged", "rejected", "silent", "unknown"), COUNTS[g], strict=True)) for g in CHANGE_GROUPS]
    by_group = dict(zip(CHANGE_GROUPS, values, strict=True))
    exact = np.array([SCALE * by_group[group].get(code, 0) if kind == KIND else 0 for kind, group, code in cells])
    shape, residuals = [load.codes[key] for key in CHANGE_KEYS], []
    for residual in load.residuals:
        kept = [key for key in CHANGE_KEYS if key in residual.keys]
        summed = exact.reshape(shape).sum(axis=tuple(n for n, key in enumerate(CHANGE_KEYS) if key not in residual.keys))
        drawn = np.array(residual.of(np.transpose(summed, [kept.index(key) for key in residual.keys])), dtype=float)
        if random is not None:
            drawn += random.normal(0, noise * SCALE, len(drawn))
        residuals.append(NoisyResidual(measure.name, residual.keys, tuple(map(round, drawn)), noise * SCALE))
    far = tuple(10**15 for _ in cells)
    below = tuple(-value for value in far)
    return Answer(tuple(residuals), (NoisyMarginal(measure.name, CHANGE_KEYS, far, 1.0, below, 1.0, int(exact.sum()), 1.0),))


def effects(answer: Answer, plan: RegisteredPlan) -> dict[tuple[str, str], dict[str, Any]]:
    rows = change_effects(tabulate(answer, plan), plan).rows.to_pylist()
    assert len(rows) == len(plan.release_plan.change_classes) * len(DESIGNS) * 3
    return {(row["design"], row["outcome"]): row for row in rows if row["change_class"] == KIND}


def test_without_noise_effects_are_the_exact_differences() -> None:
    plan = plan_of()
    found = effects(answer_of(plan), plan)
    for design, effect in ((BEFORE_AFTER, 0.45 - 0.6), (DIFFERENCE, 0.45 - 0.6 - (0.48 - 0.5)), (RANDOMISED, 0.3 - 0.4)):
        row = found[design, "engaged"]
        assert row["effect"] == pytest.approx(effect) and row["reading"] == READINGS[design]
        assert row["ci_low"] < effect < row["ci_high"] and row["detectable"] == pytest.approx(2.8016 * half(row), rel=1e-3)
        assert sum(found[design, outcome]["effect"] for outcome in ("engaged", "rejected", "silent")) == pytest.approx(0)
    row = found[DIFFERENCE, "engaged"]
    rates = [row[name] for name in ("rate_before", "rate_after", "others_before", "others_after")]
    assert rates == pytest.approx([0.6, 0.45, 0.5, 0.48])
    sampling = sum(rate * (1 - rate) / 1000 for rate in rates)
    assert half(row) == pytest.approx(math.sqrt(sampling + (0.1 * 0.02) ** 2), rel=5e-4)
    assert found[BEFORE_AFTER, "engaged"]["others_before"] is None


def half(row: dict[str, Any]) -> float:
    """One deviation, from the interval."""
    return float(row["ci_high"] - row["ci_low"]) / 2 / z_value(0.95)


def test_the_noise_of_effects_is_what_their_intervals_say() -> None:
    """Noise alone, drawn again and again around the same sums: the cells of a measure hang together, and so do its rates."""
    plan, random = plan_of(), np.random.default_rng(8)
    drawn = [effects(answer_of(plan, 40.0, random), plan) for _ in range(80)]
    exact = effects(answer_of(plan), plan)
    for design in DESIGNS:
        rows, sampling = [one[design, "engaged"] for one in drawn], half(exact[design, "engaged"]) ** 2
        stated = math.sqrt(float(np.mean([half(row) ** 2 for row in rows])) - sampling)
        assert stated**2 > sampling / 2
        assert np.std([row["effect"] for row in rows]) == pytest.approx(stated, rel=0.25)


@pytest.mark.parametrize("outcome", ["engaged", "silent"])
def test_a_withheld_cell_leaves_no_effect_that_would_give_it_away(outcome: str) -> None:
    plan = plan_of()
    answer = answer_of(plan)
    cells = public_cells(CHANGE_KEYS, plan.release_plan.measures[0].scope(QUARTER, plan.release_plan))
    place = cells.index((KIND, "others_after", outcome))
    (drawn,) = answer.marginals
    outside = tuple(0 if n == place else value for n, value in enumerate(drawn.outside))
    found = effects(replace(answer, marginals=(replace(drawn, outside=outside),)), plan)
    for code in ("engaged", "rejected", "silent"):
        row = found[DIFFERENCE, code]
        assert row["status"] == Status.TOO_FEW_COMPANIES
        assert all(row[name] is None for name in ("rate_before", "others_after", "effect", "ci_low", "detectable"))
        assert found[BEFORE_AFTER, code]["status"] == found[RANDOMISED, code]["status"] == Status.OK


def test_statuses_say_why_there_is_no_effect() -> None:
    around = plan_of(tuple(name for name in ALL_GROUPS if ":changed" in name))
    found = effects(answer_of(around), around)
    assert {design: row["status"] for (design, _), row in found.items()} == {
        BEFORE_AFTER: Status.OK, DIFFERENCE: Status.NOT_COMPARABLE, RANDOMISED: Status.NOT_COMPARABLE,
    }  # fmt: skip
    nothing = plan_of(())
    assert nothing.measured() == ()  # so no budget is spent on it
    assert {row["status"] for row in effects(Answer((), ()), nothing).values()} == {Status.NOT_COLLECTED}
    few = plan_of().model_copy(update={"contributors": 2})
    assert tabulate(Answer((), ()), few) == ()


def test_a_group_that_cannot_be_told_from_nothing_has_no_rate() -> None:
    plan = plan_of()
    assert {row["status"] for row in effects(answer_of(plan, 5000.0), plan).values()} == {Status.NOT_COMPARABLE}


def test_a_shock_that_moves_everyone_moves_before_and_after_and_not_the_difference() -> None:
    """The break: a season and no effect. What it does to before and after is why that is called no effect of the change."""
    share: dict[str, float] = {}
    for design in (BEFORE_AFTER, DIFFERENCE):
        drawn = told(Scene(design, 0.0, abs(EFFECT)), 24_000, range(12))
        share[design] = float(np.mean([not one.low <= 0 <= one.high for one in drawn]))
    assert share[BEFORE_AFTER] > 0.9 and share[DIFFERENCE] < 0.35


def test_a_planted_effect_is_told_by_every_design() -> None:
    for design in DESIGNS:
        drawn = told(Scene(design, EFFECT, 0.0 if design == BEFORE_AFTER else abs(EFFECT)), 32_000, range(8))
        assert len(drawn) >= 6 and np.mean([one.effect for one in drawn]) == pytest.approx(EFFECT, abs=0.02)
        assert sum(one.low <= EFFECT <= one.high for one in drawn) >= len(drawn) - 2
        assert all(one.high < 0 for one in drawn)
