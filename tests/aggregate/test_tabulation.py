"""Public tables from an answer: every public cell, statuses that say why, intervals that cover both truths."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from pooled import QUARTER, SECRET, as_scrubbed, pool_rows, pooled_table, registered

from aggregate.answer import Answer, NoisyMarginal, NoisyResidual
from aggregate.bounding import MeasurementSettings, bounded_tables
from aggregate.counts import exact_counts, public_cells
from aggregate.mechanisms.draw import prepare
from aggregate.tabulation import tabulate
from aggregate.withholding import CompanyRules
from aggregate.workload import Residual, Workload
from sample_data.generate import SimulatedQuarter, generate
from sample_data.parameters import SimulationParameters
from schemas.codes import OPEN_OUTCOMES
from schemas.derived_tables import COVARIANCE
from schemas.keys import DEPTH_BANDS
from schemas.plan import Event, Measure, Names, RegisteredPlan
from schemas.tables import CHANGES, Status

SCALE = 2**20


def made_up(plan: RegisteredPlan, cells: Callable[[Measure, Names, int], dict[str, Any]], noise: float = 10.0) -> Answer:
    """An answer whose estimates and company vectors are given cell by cell, in users-equivalent, at a noise scale of `noise`."""
    residuals, marginals = [], []
    for measure in plan.measured():
        scope = measure.scope(QUARTER, plan.release_plan)
        load = Workload.of(measure, scope)
        whole = {m: cells(measure, m, len(public_cells(m, scope))) for m in measure.marginals}
        for residual in load.residuals:
            sums = sums_over(residual, {m: np.asarray(given["estimate"]) * SCALE for m, given in whole.items()}, load)
            residuals.append(NoisyResidual(measure.name, residual.keys, tuple(residual.of(sums)), noise * SCALE))
        for marginal, given in whole.items():
            vectors = {name: tuple(round(v * SCALE) for v in given[name]) for name in ("outside", "dominance")}
            scales = {"outside_scale": noise * SCALE, "dominance_scale": noise * SCALE, "squares_scale": noise * SCALE}
            squares = round(sum(given["estimate"]) * SCALE)
            marginals.append(NoisyMarginal(measure.name, marginal, **vectors, **scales, squares=squares))
    return Answer(tuple(residuals), tuple(marginals))


def sums_over(residual: Residual, whole: dict[Names, np.ndarray], load: Workload) -> np.ndarray:
    marginal = next(m for m in whole if set(residual.keys) <= set(m))
    cells = whole[marginal].reshape([load.codes[key] for key in marginal]).astype(np.int64)
    kept = [key for key in marginal if key in residual.keys]
    summed = cells.sum(axis=tuple(place for place, key in enumerate(marginal) if key not in residual.keys))
    return np.transpose(summed, [kept.index(key) for key in residual.keys])


def flat_answer(plan: RegisteredPlan, estimate: float, outside: float, dominance: float) -> Answer:
    """The same noisy values in every cell of the largest marginal of a measure; smaller ones have its sums."""

    def cells(measure: Measure, marginal: Names, size: int) -> dict[str, Any]:
        scope = measure.scope(QUARTER, plan.release_plan)
        largest = max(len(public_cells(m, scope)) for m in measure.marginals)
        return {"estimate": [estimate * largest / size] * size, "outside": [outside] * size, "dominance": [dominance] * size}

    return made_up(plan, cells)


def statuses(answer: Answer, plan: RegisteredPlan) -> set[str]:
    tables = [table for table in tabulate(answer, plan) if table.name not in (COVARIANCE, CHANGES)]  # no change is registered
    return {status for table in tables for status in table.rows.column("status").to_pylist()}


def test_statuses_say_why() -> None:
    plan = registered()
    assert statuses(flat_answer(plan, 500, 100, -100), plan) == {Status.OK}
    assert statuses(flat_answer(plan, 0.01, 100, -100), plan) == {Status.TOO_NOISY}
    assert statuses(flat_answer(plan, 500, 10, -100), plan) == {Status.TOO_FEW_COMPANIES}
    assert statuses(flat_answer(plan, 500, 100, 5), plan) == {Status.TOO_FEW_COMPANIES}


def test_a_withheld_cell_has_no_number_and_no_rate_gives_it_away() -> None:
    plan = registered()
    answer = flat_answer(plan, 500, 100, -100)
    replies = next(
        m for m in answer.marginals if m.marginal == ("intervention", "outcome") and m.measure == "user_reply_next_turn"
    )
    cells = public_cells(replies.marginal, plan.release_plan.measures[2].scope(QUARTER, plan.release_plan))
    withheld = [i for i, cell in enumerate(cells) if cell == ("coping_skill", "silent")]
    outside = tuple(0 if i in withheld else value for i, value in enumerate(replies.outside))
    broken = tuple(replace(m, outside=outside) if m is replies else m for m in answer.marginals)
    rows = next(
        t for t in tabulate(replace(answer, marginals=broken), plan) if t.name == "intervention_outcomes"
    ).rows.to_pylist()
    group = [r for r in rows if r["intervention"] == "coping_skill" and r["outcome_kind"] == "user_reply"]
    assert {r["outcome"]: r["estimate"] is None for r in group}["silent"]
    assert all(r["rate"] is None for r in group)
    other = [r for r in rows if r["intervention"] == "warm_handoff" and r["outcome_kind"] == "user_reply"]
    known = [r for r in other if r["outcome"] not in OPEN_OUTCOMES]
    assert sum(r["rate"] for r in known) == pytest.approx(1)


def derived(rows: list[dict[str, Any]], names: tuple[str, ...]) -> set[tuple[str, str]]:
    """The attack: cells of a marginal that follow from the published rest of their line and the same sum in another one."""
    one, other, shared = names
    found = set()
    for code in {row[shared] for row in rows}:
        line = [row for row in rows if row[shared] == code and row[one] != "all" and row[other] == "all"]
        sums = [row for row in rows if row[shared] == code and row[other] != "all" and row[one] == "all"]
        missing = [row for row in line if row["estimate"] is None]
        if len(missing) == 1 and all(row["estimate"] is not None for row in sums):
            found.add((missing[0][one], code))
    return found


def filled_by_rates(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The other half of the attack: a rate tells its denominator, and that the one withheld cell of its line."""
    lines: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        if row["outcome"] not in OPEN_OUTCOMES:
            lines.setdefault((row["intervention"], row["age_band"]), []).append(dict(row))
    for line in lines.values():
        rated = [row for row in line if row["rate"]]
        missing = [row for row in line if row["estimate"] is None]
        if rated and len(missing) == 1:
            missing[0]["estimate"] = rated[0]["estimate"] / rated[0]["rate"] - sum(r["estimate"] or 0.0 for r in line)
    return [row for line in lines.values() for row in line]


def test_no_withheld_cell_follows_from_a_sum_that_another_marginal_publishes(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = registered()
    answer = flat_answer(plan, 500, 100, -100)
    few = next(m for m in answer.marginals if m.measure == "user_reply_next_turn" and m.marginal == ("intervention", "outcome"))
    cells = public_cells(few.marginal, plan.release_plan.measures[2].scope(QUARTER, plan.release_plan))
    outside = tuple(0 if cell == ("coping_skill", "silent") else value for cell, value in zip(cells, few.outside, strict=True))
    broken = replace(answer, marginals=tuple(replace(m, outside=outside) if m is few else m for m in answer.marginals))

    def replies() -> list[dict[str, Any]]:
        rows = next(t for t in tabulate(broken, plan) if t.name == "intervention_outcomes").rows.to_pylist()
        return [row for row in rows if row["outcome_kind"] == "user_reply"]

    names = ("intervention", "age_band", "outcome")
    withheld = [row for row in replies() if row["status"] == Status.TOO_FEW_COMPANIES]
    assert not derived(replies(), names)
    assert len(withheld) == 2 and {row["outcome"] for row in withheld} == {"silent"}
    assert not derived(filled_by_rates(replies()), names)
    given = replies()  # with the rates beside the second withheld cell, which alone keeps the rules, the first would follow
    second = next(row["intervention"] for row in withheld if row["intervention"] != "coping_skill")
    beside = [row for row in given if row["intervention"] == second and row["outcome"] not in (*OPEN_OUTCOMES, "silent")]
    for row in beside:
        row["rate"] = row["estimate"] / sum(r["estimate"] for r in [*beside, beside[0]])
    assert derived(filled_by_rates(given), names) == {("coping_skill", "silent")}
    monkeypatch.setattr("aggregate.tabulation.withhold_what_gives_others_away", lambda cells, curve: None)
    assert derived(replies(), names) == {("coping_skill", "silent")}


def curve_with_few(few: int) -> list[dict[str, Any]]:
    """Rows of the survival table where one cell, the `few`-th, has too few companies."""
    plan = registered()
    answer = flat_answer(plan, 500, 100, -100)
    own = next(m for m in answer.marginals if m.marginal == ("depth_band", "ending"))
    outside = tuple(0 if place == few else value for place, value in enumerate(own.outside))
    broken = replace(answer, marginals=tuple(replace(m, outside=outside) if m is own else m for m in answer.marginals))
    return next(t for t in tabulate(broken, plan) if t.name == "depth_survival").rows.to_pylist()


def derived_from_curve(rows: list[dict[str, Any]]) -> int:
    """The attack: those at risk are `ended` over `hazard`, and what is missing follows where it is one cell of them."""
    depths = [band for band, _ in DEPTH_BANDS]
    at_risk = {r["depth_band"]: r["estimate"] / r["hazard"] for r in rows if r["hazard"]}
    found = 0
    for place, band in enumerate(depths):
        later = [r for r in rows if depths.index(r["depth_band"]) >= place]
        beyond = [r for r in later if r["depth_band"] in depths[place + 1 :]]
        here = [r for r in later if r not in beyond]
        known_beyond = place + 1 < len(depths) and depths[place + 1] in at_risk
        for group in ([later] if band in at_risk else []) + ([here] if band in at_risk and known_beyond else []):
            found += sum(r["estimate"] is None for r in group) == 1
    return found


@pytest.mark.parametrize("few", range(2 * len(DEPTH_BANDS)))  # cells go by depth, those that ended first
def test_no_withheld_cell_follows_from_a_curve(few: int) -> None:
    rows = curve_with_few(few)
    assert not derived_from_curve(rows)
    assert [row["depth_band"] for row in rows if row["status"] == Status.TOO_FEW_COMPANIES] == [DEPTH_BANDS[few // 2][0]] * 2
    shares = [row for row in rows if row["hazard"] is not None]
    assert all(
        row["ending"] == "ended" and row["surviving_ci_low"] <= row["surviving"] <= row["surviving_ci_high"] for row in shares
    )


def test_without_the_rule_a_curve_gives_a_withheld_cell_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aggregate.tabulation.withhold_what_gives_others_away", lambda cells, curve: None)
    monkeypatch.setattr("aggregate.tabulation._told", len)
    assert derived_from_curve(curve_with_few(2 * len(DEPTH_BANDS) - 1))


def test_what_is_not_collected_is_said_and_costs_nothing(tmp_path: Path) -> None:
    plan = registered(not_collected=("resource_opened",))
    assert "resource_opened_24h" not in {m.name for m in plan.measured()}
    rows = next(t for t in tabulate(flat_answer(plan, 500, 100, -100), registered()) if t.name == "intervention_outcomes").rows
    whole = flat_answer(plan, 500, 100, -100)
    answer = Answer(
        tuple(r for r in whole.residuals if r.measure != "resource_opened_24h"),
        tuple(m for m in whole.marginals if m.measure != "resource_opened_24h"),
    )
    told = next(t for t in tabulate(answer, plan) if t.name == "intervention_outcomes").rows
    assert told.num_rows == rows.num_rows
    missing = {r["status"] for r in told.to_pylist() if r["outcome_kind"] == "resource_opened"}
    assert missing == {Status.NOT_COLLECTED}


def factors(answer: Answer, plan: RegisteredPlan) -> set[float]:
    tables = [table for table in tabulate(answer, plan) if table.name == "risk_profile"]
    return {round(f, 3) for table in tables for f in table.rows.column("sampling_factor").to_pylist() if f is not None}


def test_sampling_is_told_from_squares_and_never_below_what_they_can_tell() -> None:
    """Half of the squares halve the sampling variance; squares that are noise, or nothing, leave it whole."""
    plan = registered()
    answer = flat_answer(plan, 50_000, 1000, -1000)
    for squares, least, most in ((0.5, 0.5, 0.51), (2.0, 1.0, 1.0), (1e-9, 1.0, 1.0), (0.0, 1.0, 1.0), (-0.5, 1.0, 1.0)):
        told = replace(answer, marginals=tuple(replace(m, squares=round(m.squares * squares)) for m in answer.marginals))
        assert all(least <= factor <= most for factor in factors(told, plan)), squares


def test_fewer_than_k_contributors_make_no_table() -> None:
    plan = registered(contributors=2)
    assert tabulate(Answer((), ()), plan) == ()


def test_without_noise_the_tables_are_the_exact_sums(tmp_path: Path) -> None:
    """Noise scale 0, in this harness only: estimates are the exact sums of the pool."""
    simulated = generate(SimulationParameters(seed=5, users=900, quarters=1)).quarters[0]
    plan = registered()
    records = as_scrubbed(pool_rows(simulated.records()), tmp_path)
    exact, counted = {}, {}
    with bounded_tables(records, plan, SECRET, tmp_path / "s", MeasurementSettings()) as tables:
        for table in tables:
            scope = table.measure.scope(QUARTER, plan.release_plan)
            for marginal in table.measure.marginals:
                counts = counted[table.measure.name, marginal] = exact_counts(table, marginal, scope, records.companies)
                exact[table.measure.name, marginal] = dict(zip(public_cells(marginal, scope), counts.total(), strict=True))

    def cells(measure: Measure, marginal: Names, _: int) -> dict[str, Any]:
        counts = counted[measure.name, marginal]
        found = {"estimate": counts.total(), "outside": counts.outside_largest(2), "dominance": counts.dominance(1, 2)}
        return {name: values / SCALE for name, values in found.items()}

    rows = next(t for t in tabulate(made_up(plan, cells, noise=1e-9), plan) if t.name == "risk_profile").rows.to_pylist()
    shown = 0
    for row in rows:
        if row["week"] != "all" and row["estimate"] is not None:
            assert row["estimate"] * SCALE == pytest.approx(exact["risk_profile", ("week",)][row["week"],], abs=2)
            shown += 1
    assert shown > 10


def expected_and_pooled(
    simulated: SimulatedQuarter, measure: Measure, marginal: tuple[str, ...], plan: RegisteredPlan
) -> dict[tuple[str, ...], float]:
    """The generator's own rate of each known outcome: Σ w·p over Σ w·p of known outcomes, by group, from its probabilities."""
    events = simulated.outcome_events(measure.outcome_kind, measure.window)
    labels = np.full(len(events.user), "", dtype=object)
    for name in (key for key in marginal if key != "outcome"):
        labels = labels + _listed(events.keys[name], name, plan).astype(object) + "|"
    within = events.user.astype(np.int64) * 10
    if "depth_band" in marginal:
        within = within + np.unique(events.keys["depth_band"], return_inverse=True)[1]
    _, place, count = np.unique(within, return_inverse=True, return_counts=True)
    weights = 1.0 / count[place]
    groups, at = np.unique(labels.astype(str), return_inverse=True)
    mass = np.zeros((len(groups), len(events.values)))
    np.add.at(mass, at, weights[:, None] * events.probabilities)
    known = [i for i, value in enumerate(events.values) if value not in OPEN_OUTCOMES]
    denominators = mass[:, known].sum(axis=1)
    return {
        (*group.split("|")[:-1], events.values[i]): mass[g, i] / denominators[g] for g, group in enumerate(groups) for i in known
    }


def _listed(values: np.ndarray, key: str, plan: RegisteredPlan) -> np.ndarray:
    shown = {"language": plan.release_plan.languages, "region": plan.release_plan.regions}.get(key)
    return values if shown is None else np.where(np.isin(values, [*shown, "unknown"]), values, "other")


def coverage(seeds: range, users: int, draws: int, folder: Path) -> dict[str, tuple[int, int]]:
    """Hits and tries of noise intervals against the pool's true sums, and of rate intervals against the generator's rates."""
    hits = {"noise": [0, 0], "rate": [0, 0]}
    plan = registered()
    for seed in seeds:
        simulated = generate(SimulationParameters(seed=seed, users=users, quarters=1)).quarters[0]
        records = as_scrubbed(pooled_table(simulated), folder / str(seed))
        with bounded_tables(records, plan, SECRET, folder / "scratch", MeasurementSettings()) as tables:
            prepared = prepare(tables, plan, records.companies)
            truth = {
                (t.measure.name, m): exact_counts(t, m, t.measure.scope(QUARTER, plan.release_plan), records.companies).total()
                for t in tables
                for m in t.measure.marginals
            }
            answers = [prepared.draw() for _ in range(draws)]
        expected = {
            (m.name, k): expected_and_pooled(simulated, m, k, plan)
            for m in plan.release_plan.measures
            for k in m.marginals
            if m.event is Event.INTERVENTION_OUTCOME
        }
        for answer in answers:
            for measure in plan.measured():
                load = Workload.of(measure, measure.scope(QUARTER, plan.release_plan))
                drawn = {r.keys: r for r in answer.residuals if r.measure == measure.name}
                for marginal in measure.marginals:
                    noisy = load.marginal(marginal, {keys: r.values for keys, r in drawn.items()})
                    deviation = load.deviation(marginal, {keys: r.scale for keys, r in drawn.items()})
                    inside = np.abs(noisy - truth[measure.name, marginal]) <= 1.96 * deviation
                    hits["noise"][0] += int(inside.sum())
                    hits["noise"][1] += len(inside)
            _count_rates(hits["rate"], answer, expected, plan)
    return {name: (found[0], found[1]) for name, found in hits.items()}


def _count_rates(
    found: list[int], answer: Answer, expected: dict[Any, dict[tuple[str, ...], float]], plan: RegisteredPlan
) -> None:
    with mock.patch.object(CompanyRules, "hold", lambda _: True):  # rates of small cells are looked at too
        tables = {t.name: t.rows.to_pylist() for t in tabulate(answer, plan)}
    measures = {m.name: m for m in plan.release_plan.measures}
    for (name, marginal), truths in expected.items():
        for row in _rows_of(tables[measures[name].table], measures[name], marginal):
            truth = truths.get(tuple(row[key] for key in marginal))
            if truth is not None and row["rate"] is not None:
                found[0] += row["rate_ci_low"] <= truth <= row["rate_ci_high"]
                found[1] += 1


def _rows_of(rows: list[dict[str, Any]], measure: Measure, marginal: tuple[str, ...]) -> list[dict[str, Any]]:
    keys = [k for k in rows[0] if k not in ("quarter", "denominator", "status") and isinstance(rows[0][k], str)]
    own = {"outcome_kind": measure.outcome_kind, "window": measure.window}
    return [
        row
        for row in rows
        if all(row[k] == v for k, v in own.items()) and all((row[k] != "all") == (k in marginal) for k in keys if k not in own)
    ]


def test_intervals_cover_both_truths(tmp_path: Path) -> None:
    found = coverage(range(100, 101), 8000, 6, tmp_path)
    for name, (hit, tried) in found.items():
        chance = 3 * math.sqrt(0.95 * 0.05 / tried)  # so few rates cannot tell more; the long test below can
        assert tried > 100, name
        assert 0.93 - chance <= hit / tried <= 0.97 + chance, (name, hit, tried)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_intervals_cover_both_truths_over_many_seeds(tmp_path: Path) -> None:
    for users in (8000, 24_000):
        found = coverage(range(200, 204), users, 8, tmp_path / str(users))
        for name, (hit, tried) in found.items():
            print(f"coverage {name} at {users} users: {hit / tried:.4f} of {tried}")  # noqa: T201
            assert 0.93 <= hit / tried <= 0.97, (name, users, hit, tried)
