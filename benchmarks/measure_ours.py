"""The pool's own measurement on the benchmark's records: encrypted parts in, noisy counts out, as a process of its own.

    python -m benchmarks.measure_ours REQUEST

`REQUEST` is a JSON file with the fields of `Request`.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from aggregate import resolving
from aggregate.bounding import MeasurementSettings, bounded_tables
from aggregate.counts import public_cells
from aggregate.measurement import commitment
from aggregate.mechanisms.conversion import epsilon_of
from aggregate.mechanisms.draw import prepare
from aggregate.workload import Workload
from benchmarks.measure_data import OUTCOME_KIND, SHAPE, WINDOW, Floats, cell_codes, company_names
from benchmarks.measure_process import Cost, watched
from flows.pool import packaged_config
from schemas.parameters import PrivacyParameters, load_privacy_parameters
from schemas.periods import Quarter
from schemas.plan import RegisteredPlan, load_release_plan
from schemas.stages import EncryptedFiles, ScrubbedRecords

QUARTER, KEY, SECRET = Quarter(2026, 3), b"k" * 32, b"s" * 32
KEYS = ("ideation_before", "intervention", "depth_band", "outcome")
EPSILON, DELTA = 1.0, Fraction(1, 10**7)
ESTIMATES_ONLY = {"estimates": "9997/10000", "sampling": "1/10000", "outside": "1/10000", "dominance": "1/10000"}
"""Shares of rho where, as with the peers, nothing is asked but the counts; a plan has no share of nothing."""


@dataclass(frozen=True)
class Request:
    """What one run measures. Empty `shares`: those of `config/privacy.toml`."""

    parts: str
    scratch: str
    answer: str
    rho: str
    shares: dict[str, str]
    draws: int
    memory_limit: str


@dataclass(frozen=True)
class Measured:
    """Noisy users-equivalent, of SHAPE for each draw; seconds up to the end of each stage; cost up to the (first) draw.

    Stages: `loaded` (read, decrypted, in a table), `bounded` (resolved, unnested, weighted), `counted` (checked and summed).
    """

    counts: list[Floats]
    stages: dict[str, float]
    cost: Cost


def whole_rho() -> Fraction:
    """The most rho that costs no more than ε = 1 at δ = 1e-7 by OpenDP's conversion, in steps of 10^-7."""
    low, high = 0, 10**7
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if epsilon_of(Fraction(middle, 10**7), DELTA) <= EPSILON else (low, middle)
    return Fraction(low, 10**7)


def parameters(shares: dict[str, str]) -> PrivacyParameters:
    """`config/privacy.toml` with one measure, and perhaps with other shares."""
    packaged = load_privacy_parameters(packaged_config("privacy.toml")).model_dump(mode="json")
    return PrivacyParameters.model_validate({**packaged, "split": {"measure": "1"}, "shares": shares or packaged["shares"]})


def plan_of(rho: str, shares: dict[str, str]) -> RegisteredPlan:
    """A plan of one measure: one marginal of all four keys."""
    measure = {
        "name": "measure",
        "table": "intervention_outcomes",
        "event": "intervention_outcome",
        "estimand": "share_of_user",
        "outcome_kind": OUTCOME_KIND,
        "window": WINDOW,
        "marginals": [KEYS],
    }
    return RegisteredPlan(
        quarter=str(QUARTER),
        version=1,
        synthetic=False,
        reason="first release",
        planner="benchmark",
        contributors=len(company_names()),
        not_collected=(),
        rho=rho,
        threshold_delta="0",
        secret_commitment=commitment(SECRET, QUARTER),
        parameters=parameters(shares).model_dump(mode="json"),
        plan={"domain": "suicide_self_harm", "languages": ["en"], "regions": ["US"], "measure": [measure]},
    )


def default_rho(measure: str) -> Fraction:
    """What a measure of the packaged plan has of a first release's rho."""
    privacy = load_privacy_parameters(packaged_config("privacy.toml"))
    load_release_plan(packaged_config("release_plan.toml"), privacy)
    return Fraction(privacy.budget.first_release_rho * privacy.split[measure])


def measured(request: Request, folder: Path, name: str) -> Measured:
    """Runs a request in a process of its own."""
    written, answer = folder / f"{name}.request.json", Path(request.answer)
    written.write_text(json.dumps(asdict(request)), encoding="utf-8")
    found, cost = watched([sys.executable, "-m", "benchmarks.measure_ours", str(written)], answer, folder / f"{name}.log")
    stages = {name: found[name] for name in ("loaded", "bounded", "counted")}
    return Measured([np.array(counts).reshape(SHAPE) for counts in found["counts"]], stages, cost)


def _run(request: Request) -> None:
    plan = plan_of(request.rho, request.shares)
    files = tuple(sorted(Path(request.parts).glob("*.parquet")))
    records = ScrubbedRecords(QUARTER, (EncryptedFiles(files, KEY),), company_names())
    settings = MeasurementSettings(memory_limit=request.memory_limit)
    (measure,) = plan.measured()
    scope = measure.scope(QUARTER, plan.release_plan)
    places = {cell: place for place, cell in enumerate(public_cells(KEYS, scope))}
    ours = [places[codes] for codes in cell_codes()]
    start = time.perf_counter()
    stages: dict[str, float] = {}
    load = resolving._load

    def loaded(*arguments: Any, **options: Any) -> None:
        load(*arguments, **options)
        stages["loaded"] = time.perf_counter() - start

    with (
        mock.patch.object(resolving, "_load", loaded),
        bounded_tables(records, plan, SECRET, Path(request.scratch), settings) as tables,
    ):
        stages["bounded"] = time.perf_counter() - start
        prepared = prepare(tables, plan, records.companies)
        stages["counted"] = time.perf_counter() - start
        counts = []
        for _ in range(request.draws):
            answer = prepared.draw()
            values = {residual.keys: residual.values for residual in answer.residuals}
            noisy = Workload.of(measure, scope).marginal(KEYS, values) / plan.privacy.unit.weight_scale
            counts.append([float(noisy[place]) for place in ours])
            stages.setdefault("seconds", time.perf_counter() - start)
    Path(request.answer).write_text(json.dumps({"counts": counts, **stages}), encoding="ascii")


if __name__ == "__main__":
    _run(Request(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
