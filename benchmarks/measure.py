"""`make bench-measure`: the pool's measurement beside its peers on the same data, and at scale.

    python -m benchmarks.measure [STEP ...]

Steps: `ours`, each peer by name, `workload`, `coverage`, `rows_1e6`, `rows_1e7`, and `rows_1e8`, which is long and runs only
where it is named. Figures of steps that are not run stay as they were; ratios are of what stands.
"""

import sys
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np

from benchmarks import measure_coverage, measure_workload
from benchmarks.measure_data import Events, events, raw_truth, shared_truth, write_flat
from benchmarks.measure_ours import ESTIMATES_ONLY, Measured, Request, default_rho, measured, whole_rho
from benchmarks.measure_peers import PEERS, Skipped, measure_peer
from benchmarks.measure_scale import measure_scale, write_blocks
from benchmarks.measure_scores import scores
from benchmarks.report import OUT, report, reported

FOLDER = OUT / "measure"
SCALES = {"rows_1e6": 6, "rows_1e7": 7, "rows_1e8": 8}
LONG = {"rows_1e8"}
ALONE = {"workload": measure_workload.figures, "coverage": measure_coverage.figures}
STEPS = ("ours", *PEERS, *ALONE, *SCALES)
DRAWS, RUNS = 5, 2
MEASURE_OF_DEFAULT_PLAN = "resource_opened_24h"


def main(asked: list[str]) -> None:
    """Runs the steps that were asked for, or all but the long ones."""
    if unknown := set(asked) - set(STEPS):
        sys.exit(f"no such step: {', '.join(sorted(unknown))}; there are {', '.join(STEPS)}")
    steps = asked or [step for step in STEPS if step not in LONG]
    FOLDER.mkdir(parents=True, exist_ok=True)
    found, data = dict[str, float](), events()
    try:
        for step in steps:
            sys.stderr.write(f"{step} ...\n")
            found |= _measured(step, data)
    finally:
        metrics = {
            name: value for name, value in reported("measure").items() if not name.startswith(tuple(f"{s}_" for s in steps))
        } | found
        report("measure", metrics | _compared(metrics))


def _measured(step: str, data: Events) -> dict[str, float]:
    if step == "ours":
        return _ours(data)
    if step in ALONE:
        return ALONE[step]()
    return _peer(step, data) if step in PEERS else measure_scale(SCALES[step], FOLDER)


def _ours(data: Events) -> dict[str, float]:
    """All of the budget on the counts, as the peers have it; then with the company rules; then with the default plan's rho."""
    parts = FOLDER / "parts"
    write_blocks(1, parts)
    whole = whole_rho()
    alone = [_run(parts, f"alone-{run}", whole, ESTIMATES_ONLY, 1) for run in range(RUNS)]
    accurate = _run(parts, "accurate", whole, ESTIMATES_ONLY, DRAWS)
    rules = _run(parts, "rules", whole, {}, DRAWS)
    default = _run(parts, "default", default_rho(MEASURE_OF_DEFAULT_PLAN), {}, DRAWS)
    costs = {name: min(vars(run.cost)[name] for run in alone) for name in vars(alone[0].cost)}
    return {
        **{f"ours_{name}": value for name, value in costs.items()},
        **{f"ours_{stage}_seconds": min(run.stages[stage] for run in alone) for stage in alone[0].stages},
        "ours_seconds_from_table": min(run.cost.seconds - run.stages["loaded"] for run in alone),
        **_named("ours", data, accurate),
        **_named("ours_with_company_rules", data, rules),
        **_named("ours_default_plan", data, default),
    }


def _run(parts: Path, name: str, rho: Fraction, shares: dict[str, str], draws: int) -> Measured:
    request = Request(str(parts), str(FOLDER / "scratch"), str(FOLDER / f"{name}.json"), str(rho), shares, draws, "4GB")
    return measured(request, FOLDER, name)


def _named(system: str, data: Events, run: Measured) -> dict[str, float]:
    """The median over the draws of each error."""
    each = [scores(counts, shared_truth(data), raw_truth(data)) for counts in run.counts]
    return {f"{system}_{name}": float(np.median([one[name] for one in each])) for name in each[0]}


def _peer(name: str, data: Events) -> dict[str, float]:
    flat = FOLDER / "events.parquet"
    write_flat(data, flat)
    found = measure_peer(name, data, flat, float(whole_rho()), FOLDER)
    if isinstance(found, Skipped):
        sys.stderr.write(f"{name} skipped: {found.reason}\n")
        return {f"{name}_ran": 0.0}
    return {f"{name}_ran": 1.0, **{f"{name}_{metric}": value for metric, value in found.items()}}


def _compared(metrics: Mapping[str, float]) -> dict[str, float]:
    """Ours under the names of the goals, and beside the peers: each the best in that measure, whichever peer it is."""
    own = {name: metrics[f"ours_{name}"] for name in _GOALS if f"ours_{name}" in metrics}
    for name in ("seconds", "processor_seconds", "peak_mb", "rate_abs_err_p95_raw", "count_rel_err_p95_raw"):
        peers = [metrics[f"{peer}_{name}"] for peer in PEERS if f"{peer}_{name}" in metrics]
        if peers and f"ours_{name}" in metrics:
            own |= {f"best_peer_{name}": min(peers), f"{name}_vs_best_peer": metrics[f"ours_{name}"] / min(peers)}
    if "best_peer_seconds" in own and "ours_seconds_from_table" in metrics:
        own["wall_from_table_vs_best_peer"] = metrics["ours_seconds_from_table"] / own["best_peer_seconds"]
    for goal, name in _RENAMED.items():
        if name in own:
            own[goal] = own[name]
    return own


_GOALS = ("count_rel_err_median_own", "count_rel_err_p95_own", "rate_abs_err_p95_own", "rate_abs_err_p95_raw")
_RENAMED = {
    "wall_vs_best_peer": "seconds_vs_best_peer",
    "memory_vs_best_peer": "peak_mb_vs_best_peer",
    "rate_abs_err_p95_best_peer": "best_peer_rate_abs_err_p95_raw",
}


if __name__ == "__main__":
    main(sys.argv[1:])
