"""Reconstruction from published files only: nobody rebuilds the pool from its marginals and totals.

Two attacks. One rebuilds users: from all two-way marginals of three keys, by linear programming, how many users are in each
combination of all three (Dinur and Nissim 2003; the Census Bureau's own attack on its 2010 tables). One rebuilds withheld and
published cells of a real release folder by least squares. Both succeed where a release is exact.
"""

from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow.parquet as pq
import pytest
from pooled import QUARTER, SECRET, as_scrubbed, pooled_table, registered
from scipy.optimize import linprog
from scipy.stats import norm
from small_releases import KEYS, NOISELESS, company_rules_off, joint_cells, mu_of, plan_of, population, prepared_from, published
from sqlalchemy import create_engine

from aggregate.bounding import MeasurementSettings, bounded_tables
from aggregate.counts import exact_counts, public_cells
from aggregate.ledger import Ledger
from aggregate.measurement import measure
from aggregate.mechanisms.conversion import epsilon_of
from benchmarks.audit_canaries import privacy_of
from publish.checks import run_checks
from publish.release import write_release
from publish.signoff import load_people, sign_off
from sample_data.generate import generate
from sample_data.parameters import SimulationParameters
from schemas.plan import Names, RegisteredPlan
from schemas.signing import encode_key, new_private_key, public_key
from schemas.stages import MeasuredRelease

USERS, POOLS = 40, 5
PAIRS: tuple[Names, ...] = tuple(combinations(KEYS, 2))


def rebuilt(rows: list[dict[str, Any]], cells: list[tuple[str, ...]], users: int) -> np.ndarray:
    """Users in each joint cell: the counts whose marginals are nearest to what is published, each off by its own noise."""
    told = [(row, marginal) for row in rows for marginal in PAIRS if _is_of(row, marginal) and row["estimate"] is not None]
    design = np.array(
        [
            [float(all(dict(zip(KEYS, cell, strict=True))[k] == row[k] for k in marginal)) for cell in cells]
            for row, marginal in told
        ]
    )
    weights = 1 / np.array([max(row["noise_stddev"], 1e-3) for row, _ in told])
    values = np.array([row["estimate"] for row, _ in told])
    # least sum of |misses|, in deviations: misses = above - below, all of them >= 0, and all counts too
    n, m = len(cells), len(told)
    rng = np.random.default_rng(3)
    cost = np.concatenate([1e-6 * rng.random(n), weights, weights])
    equal = np.hstack([design, np.eye(m), -np.eye(m)])
    solved = linprog(cost, A_eq=equal, b_eq=values, bounds=(0, None))
    return placed(solved.x[:n], users)


def _is_of(row: dict[str, Any], marginal: Names) -> bool:
    return all((row[key] != "all") == (key in marginal) for key in KEYS)


def placed(mass: np.ndarray, users: int) -> np.ndarray:
    """Whole users, one after the other where most mass is left."""
    left, counts = mass.astype(float).copy(), np.zeros(len(mass), dtype=int)
    for _ in range(users):
        place = int(np.argmax(left))
        counts[place] += 1
        left[place] -= 1
    return counts


def share_right(plan: RegisteredPlan, folder: Path) -> tuple[float, float]:
    """Share of users that are put in the right joint cell: from the release, and by who knows the plan only."""
    cells, attack, blind = joint_cells(plan), [], []
    for pool in range(POOLS):
        rows, exact = population(USERS, 80 + pool, cells)
        with prepared_from(rows, plan, folder / str(pool)) as prepared, company_rules_off():
            attack.append(np.minimum(rebuilt(published(prepared, plan), cells, USERS), exact).sum() / USERS)
        guess = np.random.default_rng(pool).permutation(len(cells))[:USERS]
        blind.append(np.minimum(np.bincount(guess, minlength=len(cells)), exact).sum() / USERS)
    return float(np.mean(attack)), float(np.mean(blind))


def test_users_are_not_rebuilt_from_marginals(tmp_path: Path) -> None:
    """Being right about one user can rise by no more than two Gaussians µ apart can be told apart."""
    plan = plan_of(PAIRS)
    attack, blind = share_right(plan, tmp_path)
    allowed = 2 * norm.cdf(mu_of(plan) / 2) - 1
    sampling = 4 * (0.25 / (USERS * POOLS)) ** 0.5
    assert attack <= blind + allowed + sampling


def test_users_are_rebuilt_where_a_release_is_exact(tmp_path: Path) -> None:
    """The break: the same marginals without noise, and the company rules off."""
    attack, blind = share_right(plan_of(PAIRS, NOISELESS), tmp_path)
    assert attack > 0.7
    assert blind < 0.25


PEOPLE = {"olu": "operator", "carmen": "clinical", "piet": "privacy"}


def written(measured: MeasuredRelease, root: Path) -> Path:
    """The folder of a release, checked and signed; its pages, which are drawn from the same tables, are left out."""
    keys = {person: new_private_key() for person in PEOPLE}
    root.mkdir()
    people = root.with_name("people.toml")
    people.write_text(
        "".join(
            f'[[person]]\nid = "{person}"\nrole = "{role}"\npublic_key = "{encode_key(public_key(keys[person]))}"\n'
            for person, role in PEOPLE.items()
        )
    )
    known = load_people(people)
    signed = tuple(sign_off(measured, known, person, keys[person], datetime.now(UTC)) for person in ("carmen", "piet"))
    with mock.patch("publish.release._pages", lambda _: ({"README.md": b"SYNTHETIC"}, {})):
        release = write_release(
            measured, run_checks(measured), signed, known, root, signing_key=new_private_key(), code_version="0"
        )
    return release.folder


def release_folder(rho: str, folder: Path) -> tuple[Path, RegisteredPlan, dict[Names, np.ndarray]]:
    """A release of simulated records under the packaged questions (no terms), and the exact table of its first measure."""
    packaged = registered(planner="olu")
    parameters = privacy_of(rho).model_dump(mode="json") | {"split": packaged.parameters["split"]}
    questions = {**packaged.plan, "terms": [], "patterns": None}  # of users, and of what is published of them
    plan = packaged.model_copy(update={"rho": rho, "parameters": parameters, "plan": questions})
    simulated = generate(SimulationParameters(seed=91, users=3_000, quarters=1)).quarters[0]
    records = as_scrubbed(pooled_table(simulated), folder / "records")
    to_epsilon = epsilon_of if rho != NOISELESS else (lambda rho, delta: 0.5)  # no ε can be told of an exact release
    ledger = Ledger(create_engine(f"sqlite:///{folder / 'state.db'}"), plan.privacy.budget, to_epsilon)
    ledger.register(plan)
    measured = measure(plan, records, ledger, SECRET, folder / "scratch")
    out = written(measured, folder / "releases")
    with bounded_tables(records, plan, SECRET, folder / "exact", MeasurementSettings()) as tables:
        own = tables[0]
        scope = own.measure.scope(QUARTER, plan.release_plan)
        exact = {m: exact_counts(own, m, scope, records.companies).total() / 2**20 for m in own.measure.marginals}
    return out, plan, exact


def cells_right(folder: Path, plan: RegisteredPlan, exact: dict[Names, np.ndarray]) -> tuple[float, float]:
    """Share of the table's cells of at least five users that are told exactly, withheld ones by what is left of sums; by the plan only."""
    measure = plan.release_plan.measures[0]
    scope = measure.scope(QUARTER, plan.release_plan)
    rows = pq.read_table(folder / "data" / measure.table / f"{measure.table}.parquet").to_pylist()
    keys = list(dict.fromkeys(key for marginal in measure.marginals for key in marginal))
    told = {}
    for row in rows:
        marginal = next(m for m in measure.marginals if all((row[key] != "all") == (key in m) for key in keys))
        told[marginal, tuple(row[key] for key in marginal)] = row["estimate"]
    total = _total(measure.marginals, told)
    right, blind = [], []
    for marginal in measure.marginals:
        cells = public_cells(marginal, scope)
        left = total - sum(told[marginal, cell] or 0.0 for cell in cells)
        withheld = sum(told[marginal, cell] is None for cell in cells)
        for cell, count in zip(cells, exact[marginal], strict=True):
            if count >= 5:
                estimate = told[marginal, cell]
                guess = left / withheld if estimate is None else estimate
                right.append(round(guess) == round(count))
                blind.append(round(total / len(cells)) == round(count))
    return float(np.mean(right)), float(np.mean(blind))


def _total(marginals: tuple[Names, ...], told: dict[Any, Any]) -> float:
    """All users: from the marginal of which most is published."""
    sums = {m: [value for (of, _), value in told.items() if of == m and value is not None] for m in marginals}
    return max(sum(values) for values in sums.values() if values)


@pytest.mark.long
def test_cells_are_not_rebuilt_from_a_release(tmp_path: Path) -> None:
    right, blind = cells_right(*release_folder("1001/62500", tmp_path))
    assert right < blind + 0.15


@pytest.mark.long
def test_cells_are_rebuilt_where_a_release_is_exact(tmp_path: Path) -> None:
    right, blind = cells_right(*release_folder(NOISELESS, tmp_path))
    assert right > 0.6  # the others are withheld by the company rules, in twos and more
    assert blind < 0.15
