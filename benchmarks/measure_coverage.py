"""`make bench-measure_coverage`: how often published intervals hold the truth, of the pool as it is and of the users it stands for.

The default plan over simulated users, through the shipped residuals and `tabulate`. Each round draws its users again (each
user is there Poisson(1) times, so the truth behind a round is the first draw's exact sums) and noise of the plan's own scales.
Company rules are left aside: every cell is looked at, small ones too.
"""

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aggregate.answer import Answer, NoisyMarginal, NoisyResidual
from aggregate.bounding import BoundedTable, MeasurementSettings, bounded_tables
from aggregate.counts import public_cells
from aggregate.intervals import z_value
from aggregate.measurement import commitment
from aggregate.mechanisms.draw import noise_scale, residual_sensitivity, squares_sensitivity
from aggregate.tabulation import tabulate
from aggregate.workload import Workload
from benchmarks.report import report
from flows.pool import packaged_config
from sample_data.columnar import pool_table
from sample_data.generate import generate
from sample_data.parameters import SimulationParameters
from schemas.arrow import pool_schema
from schemas.at_rest import encryption
from schemas.derived_tables import COVARIANCE
from schemas.keys import ENDED, KEYS
from schemas.parameters import load_privacy_parameters
from schemas.periods import Quarter
from schemas.plan import Measure, Names, RegisteredPlan, load_release_plan
from schemas.stages import EncryptedFiles, ScrubbedRecords
from schemas.tables import TABLES, shares_of

QUARTER, KEY, SECRET = Quarter(2026, 1), b"k" * 32, b"s" * 32
USERS, SEEDS, ROUNDS = 24_000, 2, 20
SMALL = 30.0  # a cell of fewer expected users-equivalent is small
CERTAIN = 10**12  # a company vector that passes any rule
Floats = npt.NDArray[np.float64]
Codes = tuple[str, ...]


def main() -> None:
    """Prints the figures and writes `build/bench/measure_coverage.json`."""
    report("measure_coverage", figures())


def figures(users: int = USERS, seeds: int = SEEDS, rounds: int = ROUNDS) -> dict[str, float]:
    """Shares of 95 % intervals that hold: `noise` the pool's sums, `full` the expectations, over counts, rates and survival.

    `..._small` are of cells (of rates: denominators) that expect fewer than 30 users-equivalent.
    """
    hits: dict[str, list[int]] = {}
    for seed in range(seeds):
        for measure, sums in _measures(seed, users):
            random = np.random.default_rng([seed, *measure.name.encode()])
            for _ in range(rounds):
                _look(measure, sums, random, hits)
    told = {f"coverage_{name}": held / tried for name, (held, tried) in sorted(hits.items())}
    return told | {f"coverage_{name}_tried": tried for name, (_, tried) in sorted(hits.items())}


@dataclass(frozen=True)
class _Sums:
    """What each user adds to each marginal: for it, the user's number, the cell's place and the weight, as columns."""

    plan: RegisteredPlan
    measure: Measure
    users: int
    columns: dict[Names, tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]]

    @cached_property
    def load(self) -> Workload:
        return Workload.of(self.measure, self.measure.scope(QUARTER, self.plan.release_plan))

    def over(self, marginal: Names, times: Floats) -> Floats:
        """Sums of a marginal, each user `times` times."""
        user, cell, weight = self.columns[marginal]
        size = math.prod(self.load.codes[key] for key in marginal)
        return np.bincount(cell, weight * times[user], size)

    def squares(self, marginal: Names, times: Floats) -> float:
        """Sum of squared weights."""
        user, _, weight = self.columns[marginal]
        return float((weight**2 * times[user]).sum())


def _measures(seed: int, users: int) -> Iterator[tuple[Measure, _Sums]]:
    privacy = load_privacy_parameters(packaged_config("privacy.toml"))
    questions = load_release_plan(packaged_config("release_plan.toml"), privacy)
    simulated = generate(SimulationParameters(seed=seed, users=users, quarters=1)).quarters[0]
    plan = RegisteredPlan(
        quarter=str(QUARTER),
        version=1,
        synthetic=True,
        reason="first release",
        planner="benchmark",
        contributors=3,
        not_collected=(),
        rho=str(privacy.budget.first_release_rho),
        threshold_delta="0",
        secret_commitment=commitment(SECRET, QUARTER),
        parameters=privacy.model_dump(mode="json"),
        plan=questions.model_dump(mode="json", by_alias=True),
    )
    with tempfile.TemporaryDirectory() as name:
        import pyarrow.parquet as pq

        path = Path(name) / "part.parquet"
        pq.write_table(pool_table(simulated).cast(pool_schema()), path, encryption_properties=encryption(KEY))
        records = ScrubbedRecords(QUARTER, (EncryptedFiles((path,), KEY),), ("alder", "birch", "cedar"))
        with bounded_tables(records, plan, SECRET, Path(name) / "scratch", MeasurementSettings()) as tables:
            for table in tables:
                yield table.measure, _sums_of(table, plan)


def _sums_of(table: BoundedTable, plan: RegisteredPlan) -> _Sums:
    scope, numbers, columns = table.measure.scope(QUARTER, plan.release_plan), dict[Any, int](), {}
    for marginal in table.measure.marginals:
        places = {cell: place for place, cell in enumerate(public_cells(marginal, scope))}
        keys = ", ".join(marginal)
        rows = table.connection.execute(f"select unit, sum(w), {keys} from {table.name} group by unit, {keys}").fetchall()
        user = np.array([numbers.setdefault(row[0], len(numbers)) for row in rows], dtype=np.int64)
        cell = np.array([places[tuple(row[2:])] for row in rows], dtype=np.int64)
        columns[marginal] = (user, cell, np.array([row[1] for row in rows], dtype=float) / plan.privacy.unit.weight_scale)
    return _Sums(plan, table.measure, len(numbers), columns)


def _look(measure: Measure, sums: _Sums, random: np.random.Generator, hits: dict[str, list[int]]) -> None:
    """One round: users drawn again, noise drawn, tables made, and every interval held against its truth."""
    times, ones = random.poisson(1.0, sums.users).astype(float), np.ones(sums.users)
    pool = {marginal: sums.over(marginal, times) for marginal in measure.marginals}
    expected = {marginal: sums.over(marginal, ones) for marginal in measure.marginals}
    rows = _published(measure, sums, pool, times, random)
    z = z_value(sums.plan.privacy.confidence)
    for marginal in measure.marginals:
        cells = public_cells(marginal, measure.scope(QUARTER, sums.plan.release_plan))
        truth = _shares(measure, marginal, cells, expected[marginal])
        for place, cell in enumerate(cells):
            row, mean = rows[marginal][cell], expected[marginal][place]
            small = "_small" if mean < SMALL else ""
            _count(hits, f"noise{small}", abs(row["estimate"] - pool[marginal][place]) <= z * row["noise_stddev"])
            _count(hits, f"full{small}", row["ci_low"] <= mean <= row["ci_high"])
            for name in shares_of(measure.table):
                true = truth.get((name, cell))
                if row[name] is not None and true is not None:
                    few = "_small" if true[1] < SMALL else ""
                    _count(hits, f"{name}{few}", row[f"{name}_ci_low"] <= true[0] <= row[f"{name}_ci_high"])


def _count(hits: dict[str, list[int]], name: str, held: bool) -> None:
    found = hits.setdefault(name, [0, 0])
    found[0] += bool(held)
    found[1] += 1


def _published(
    measure: Measure, sums: _Sums, pool: dict[Names, Floats], times: Floats, random: np.random.Generator
) -> dict[Names, dict[Codes, dict[str, Any]]]:
    """Rows of the measure's table by marginal and codes, from an answer with the plan's own scales and no withheld cell."""
    plan, load = sums.plan, sums.load
    step, bound, rho = plan.privacy.unit.weight_scale, measure.bound(plan.privacy.unit.weight_scale), plan.rho_of(measure)
    shares, residuals, marginals = plan.privacy.shares, [], []
    for residual in load.residuals:
        marginal = next(m for m in measure.marginals if set(residual.keys) <= set(m))
        whole = np.rint(pool[marginal] * step).astype(np.int64).reshape([load.codes[key] for key in marginal])
        left = [key for key in marginal if key in residual.keys]
        summed = whole.sum(axis=tuple(place for place, key in enumerate(marginal) if key not in residual.keys))
        exact = residual.of(np.transpose(summed, [left.index(key) for key in residual.keys]))
        scale = noise_scale(residual_sensitivity(bound, residual), rho * shares.estimates * residual.share)
        noisy = np.array(exact, dtype=float) + random.normal(0, scale, len(exact))
        residuals.append(NoisyResidual(measure.name, residual.keys, tuple(int(v) for v in np.rint(noisy)), scale))
    for marginal, counts in pool.items():
        scale = noise_scale(squares_sensitivity(bound), rho * shares.sampling / len(pool))
        squares = round(sums.squares(marginal, times) * step + random.normal(0, scale))
        enough, shared = (CERTAIN,) * len(counts), (-CERTAIN,) * len(counts)
        marginals.append(NoisyMarginal(measure.name, marginal, enough, 1.0, shared, 1.0, squares, scale))
    only = plan.model_copy(update={"plan": _only(plan, measure)})
    table = next(t for t in tabulate(Answer(tuple(residuals), tuple(marginals)), only) if t.name != COVARIANCE)
    return _by_marginal(measure, table.rows.to_pylist())


def _only(plan: RegisteredPlan, measure: Measure) -> dict[str, Any]:
    own = [m for m in plan.plan["measure"] if m["name"] == measure.name]
    return {**plan.plan, "measure": own, "terms": [], "patterns": None}


def _by_marginal(measure: Measure, rows: list[dict[str, Any]]) -> dict[Names, dict[Codes, dict[str, Any]]]:
    keys = {key for marginal in measure.marginals for key in marginal}
    found: dict[Names, dict[Codes, dict[str, Any]]] = {marginal: {} for marginal in measure.marginals}
    for row in rows:
        marginal = next(m for m in measure.marginals if all((row[key] != "all") == (key in m) for key in keys))
        found[marginal][tuple(row[key] for key in marginal)] = row
    return found


def _shares(
    measure: Measure, marginal: Names, cells: list[Codes], expected: Floats
) -> dict[tuple[str, Codes], tuple[float, float]]:
    """True shares by name and cell, each with the expectation that it is a share of."""
    spec, found = TABLES[measure.table], {}
    if key := spec.rate_key(marginal):
        place, unknown = marginal.index(key), KEYS[key].open_codes
        whole: dict[Codes, float] = {}
        for cell, mean in zip(cells, expected, strict=True):
            if cell[place] not in unknown:
                line = (*cell[:place], *cell[place + 1 :])
                whole[line] = whole.get(line, 0.0) + mean
        for cell, mean in zip(cells, expected, strict=True):
            of = whole.get((*cell[:place], *cell[place + 1 :]), 0.0)
            if cell[place] not in unknown and of > 0:
                found["rate", cell] = (float(mean / of), of)
    elif spec.has_curve and marginal == ("depth_band", "ending"):
        by_cell, surviving = dict(zip(cells, expected, strict=True)), 1.0
        depths = list(dict.fromkeys(depth for depth, _ in cells))
        for at, depth in enumerate(depths):
            of = sum(mean for (later, _), mean in by_cell.items() if later in depths[at:])
            hazard = by_cell[depth, ENDED] / of
            surviving *= 1 - hazard
            found["hazard", (depth, ENDED)], found["surviving", (depth, ENDED)] = (hazard, of), (surviving, of)
    return found


if __name__ == "__main__":
    main()
