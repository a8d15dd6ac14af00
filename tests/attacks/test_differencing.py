"""Differences of a user, of a company, of a quarter: who knows all else learns no more than the bound says."""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pooled import QUARTER, SECRET, as_scrubbed, pooled_table, registered
from scipy.stats import norm

from aggregate.answer import Answer
from aggregate.bounding import MeasurementSettings, bounded_tables
from aggregate.counts import exact_counts, public_cells
from aggregate.mechanisms.draw import PreparedDraw, prepare
from aggregate.tabulation import tabulate
from benchmarks.audit_canaries import CONFIDENCE, lower_bound, privacy_of
from benchmarks.audit_detectors import noises
from sample_data.generate import generate
from sample_data.parameters import SimulationParameters
from schemas.plan import RegisteredPlan

RHO = 1.0
"""Large, so that few trials tell; every scale is one function of rho."""
KIND = ("user_reply", "next_turn")
MARGINALS = (("age_band", "outcome"), ("depth_band", "outcome"))
TRIALS, MORE = 120, 400


def plan_of(rho: float = RHO, contributors: int = 3) -> RegisteredPlan:
    measure = {
        "name": "canaries",
        "table": "intervention_outcomes",
        "event": "intervention_outcome",
        "estimand": "share_of_user",
        "outcome_kind": KIND[0],
        "window": KIND[1],
        "marginals": MARGINALS,
    }
    parameters = privacy_of(str(rho)).model_dump(mode="json")
    plan = {**registered().plan, "measure": [measure], "terms": [], "patterns": None}
    return registered(contributors=contributors, rho=str(rho), parameters=parameters, plan=plan)


def rows_of(seed: int, companies: int = 3, users: int = 600) -> pa.Table:
    parameters = SimulationParameters(seed=seed, users=users, companies=companies, quarters=1)
    return pooled_table(generate(parameters).quarters[0])


@contextmanager
def prepared_from(rows: pa.Table, plan: RegisteredPlan, folder: Path) -> Iterator[PreparedDraw]:
    records = as_scrubbed(rows, folder)
    with bounded_tables(records, plan, SECRET, folder / "scratch", MeasurementSettings()) as tables:
        yield prepare(tables, plan, records.companies)


@pytest.fixture(scope="module")
def neighbours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PreparedDraw, PreparedDraw]]:
    """A pool without and with one user, of one outcome: so all of the user's weight is in one cell."""
    folder, rows, plan = tmp_path_factory.mktemp("differencing"), rows_of(51, users=150), plan_of()
    events = Counter[str]()
    for row in rows.to_pylist():
        events[row["unit"]] += _outcomes(row)
    user = next(unit for unit, seen in sorted(events.items()) if seen == 1)
    without = rows.filter(pa.compute.not_equal(rows.column("unit"), user))
    with prepared_from(without, plan, folder / "a") as before, prepared_from(rows, plan, folder / "b") as after:
        yield before, after


def _outcomes(row: dict[str, Any]) -> int:
    return sum((seen["kind"], seen["window"]) == KIND for each in row["interventions"] for seen in each["outcomes"])


def guessed(before: PreparedDraw, after: PreparedDraw, quarters: int, rng: np.random.Generator) -> bool:
    """One trial: is the user in? The likelihood ratio of all that was drawn, from a pool in so many quarters. True if right."""
    included = bool(rng.random() < 0.5)
    evidence = 0.0
    for _ in range(quarters):
        answer = (after if included else before).draw()
        for (values, scale), old, new in zip(noises(before, answer), before.queries, after.queries, strict=True):
            moved = np.array(new.exact, dtype=float) - np.array(old.exact, dtype=float)
            evidence += float((values * moved - moved**2 / 2).sum()) / scale**2
    return (evidence > 0) is included


def least_right(before: PreparedDraw, after: PreparedDraw, quarters: int = 1, trials: int = TRIALS) -> float:
    """Lower bound, at the stated confidence, of the share of right guesses."""
    rng = np.random.default_rng(6)
    return lower_bound(sum(guessed(before, after, quarters, rng) for _ in range(trials)), trials, CONFIDENCE)


def most_right(rho: float) -> float:
    """Share of right guesses that a rho allows at most: of the best test between two Gaussians µ = sqrt(2 rho) apart."""
    return float(norm.cdf(math.sqrt(2 * rho) / 2))


def test_who_knows_all_but_one_user_guesses_no_better_than_the_bound(neighbours: tuple[PreparedDraw, PreparedDraw]) -> None:
    assert least_right(*neighbours) <= most_right(RHO)


def test_the_same_guesses_are_too_good_where_noise_is_for_a_quarter_of_a_user(
    neighbours: tuple[PreparedDraw, PreparedDraw],
) -> None:
    """The break: scales a quarter of what they are, and OpenDP told of a quarter of the sensitivity."""
    before, after = (
        replace(each, queries=tuple(replace(q, scale=q.scale / 4, l2=q.l2 / 4) for q in each.queries)) for each in neighbours
    )
    assert least_right(before, after) > most_right(RHO)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_user_of_two_quarters_is_protected_by_the_sum_of_both(neighbours: tuple[PreparedDraw, PreparedDraw]) -> None:
    """What is not promised: that two quarters tell no more of a user than one does. The ledger charges both to the year."""
    assert 0.6 < least_right(*neighbours, trials=MORE) <= most_right(RHO)
    assert least_right(*neighbours, quarters=2, trials=MORE) <= most_right(2 * RHO)


Published = dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[float, float]]


def published(answer: Answer, plan: RegisteredPlan) -> Published:
    """Estimate and printed noise of each published cell, by marginal and cell."""
    (table,) = [table for table in tabulate(answer, plan) if table.name == "intervention_outcomes"]
    found = {}
    for row in table.rows.to_pylist():
        if row["estimate"] is not None:
            marginal = next(m for m in MARGINALS if all(row[key] != "all" for key in m))
            found[marginal, tuple(row[key] for key in marginal)] = row["estimate"], row["noise_stddev"]
    return found


def errors_over_noise(first: Published, second: Published, exact: dict[Any, float]) -> np.ndarray:
    """By how much the difference of two releases misses the exact one, in units of the noise that both print."""
    both = sorted(set(first) & set(second))
    return np.array([(first[c][0] - second[c][0] - exact[c]) / math.hypot(first[c][1], second[c][1]) for c in both])


def test_two_releases_with_and_without_a_company_tell_it_only_up_to_their_noise(tmp_path: Path) -> None:
    """A company withdraws, and a superseding version is measured without it."""
    rows, rho = rows_of(52, companies=4, users=6_000), 0.05
    company = "birch"
    fewer = rows.filter(pa.compute.not_equal(rows.column("company"), company))
    plan, later = plan_of(rho, 4), plan_of(rho, 3)
    exact = _exact_of(rows.filter(pa.compute.equal(rows.column("company"), company)), plan, tmp_path / "own")
    with prepared_from(rows, plan, tmp_path / "a") as before, prepared_from(fewer, later, tmp_path / "b") as after:
        off = np.concatenate(
            [errors_over_noise(published(before.draw(), plan), published(after.draw(), later), exact) for _ in range(6)],
        )
        assert len(off) > 60
        assert 0.8 < np.sqrt(np.mean(off**2)) < 1.2
        # The break: both versions with the very same noise, as from a seed. Then the difference is exact.
        first = before.draw()
        reused = _with_the_noise_of(before, first, after)
        same = errors_over_noise(published(first, plan), published(reused, later), exact)
        assert np.abs(same).max() < 0.01


def _with_the_noise_of(before: PreparedDraw, answer: Answer, after: PreparedDraw) -> Answer:
    drawn = [values for values, _ in noises(before, answer)]
    other = after.draw()
    by_query = dict(zip(((q.name, q.keys) for q in after.queries), zip(drawn, after.queries, strict=True), strict=True))

    def again(name: str, keys: Any) -> tuple[int, ...]:
        noise, query = by_query[name, keys]
        return tuple(int(e + n) for e, n in zip(query.exact, noise, strict=True))

    return replace(other, residuals=tuple(replace(r, values=again("estimates", r.keys)) for r in other.residuals))


def _exact_of(rows: pa.Table, plan: RegisteredPlan, folder: Path) -> dict[Any, float]:
    records = as_scrubbed(rows, folder)
    with bounded_tables(records, plan, SECRET, folder / "scratch", MeasurementSettings()) as (table,):
        scope = table.measure.scope(QUARTER, plan.release_plan)
        return {
            (marginal, cell): value / plan.privacy.unit.weight_scale
            for marginal in MARGINALS
            for cell, value in zip(
                public_cells(marginal, scope), exact_counts(table, marginal, scope, records.companies).total(), strict=True
            )
        }


def test_the_difference_of_two_quarters_tells_no_more_than_the_noise_of_both(tmp_path: Path) -> None:
    """The same users in two quarters but for what changed: the change is told up to the noise of both releases."""
    rows, rho = rows_of(53, users=6_000), 0.05
    changed = rows.slice(0, rows.num_rows - 200)  # the second quarter lacks some records
    plan = plan_of(rho)
    whole, fewer = _exact_of(rows, plan, tmp_path / "c"), _exact_of(changed, plan, tmp_path / "d")
    exact = {cell: whole[cell] - fewer[cell] for cell in whole}
    with prepared_from(rows, plan, tmp_path / "a") as before, prepared_from(changed, plan, tmp_path / "b") as after:
        off = np.concatenate(
            [errors_over_noise(published(before.draw(), plan), published(after.draw(), plan), exact) for _ in range(6)]
        )
    assert len(off) > 60
    assert 0.8 < np.sqrt(np.mean(off**2)) < 1.2
