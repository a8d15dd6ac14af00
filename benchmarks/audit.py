"""`make bench-audit`: each planted break and the share of its runs in which it is caught, and the false alarms of the right pipeline.

    python -m benchmarks.audit [STEP ...]

Steps: `right`, each break by name, `thresholds`, `whole_way`, `packaged`. Figures of steps that are not run stay as they were.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np

from aggregate.mechanisms.threshold import threshold_delta
from benchmarks.audit_breaks import BREAKS, RIGHT, SIGMA, Alarms, Break, measured_under, refused, run
from benchmarks.audit_canaries import CANARIES, CONFIDENCE, audit, coins, plan_of
from benchmarks.audit_detectors import THRESHOLDS, threshold_costs_more
from benchmarks.audit_whole_way import measured_whole_way
from benchmarks.report import OUT, report
from flows.pool import packaged_config
from schemas.parameters import load_privacy_parameters

RIGHT_RUNS, BROKEN_RUNS, WHOLE_WAYS = 50, 10, 3
WHOLE_WAY_SEED, PACKAGED_SEED, BROKEN_SEED = 7_000, 8_000, 9_000


def main(asked: list[str]) -> None:
    """Prints and writes shares between 0 and 1 by break, and by break and detector; `false_alarms` counts runs."""
    if unknown := set(asked) - set(STEPS):
        sys.exit(f"no such step: {', '.join(sorted(unknown))}; there are {', '.join(STEPS)}")
    for step in asked or STEPS:
        sys.stderr.write(f"{step} ...\n")
        found = STEPS[step]()
        place = OUT / "audit.json"
        metrics = (json.loads(place.read_text(encoding="utf-8")) if place.exists() else {}) | found
        metrics["false_alarms"] = sum(metrics.get(f"{name}_false_alarms", 0) for name in STEPS)
        report("audit", metrics)


def _right() -> dict[str, float]:
    """The right pipeline from scrubbed parts on, past every detector."""
    runs = [_told(RIGHT.name, n, run(RIGHT, n)) for n in range(RIGHT_RUNS)]
    return {
        "canaries": CANARIES,
        "confidence": CONFIDENCE,
        "right_runs": RIGHT_RUNS,
        "right_false_alarms": sum(each.any for each in runs),
        "mu_charged": runs[0].verdict.mu_charged,
        "mu_seen_mean": float(np.mean([each.verdict.mu_seen for each in runs])),
        "mu_lower_largest": max(each.verdict.mu_lower for each in runs),
    }


def _broken(fault: Break) -> dict[str, float]:
    """A planted break: caught by anyone, by whom, and refused by the pipeline itself."""
    seeds = range(BROKEN_SEED, BROKEN_SEED + BROKEN_RUNS)
    draws = 3 if fault is SIGMA else 0  # further draws of noise, where nothing else is wrong
    runs = [_told(fault.name, seed, run(fault, seed, draws)) for seed in seeds]
    return {
        "broken_runs": BROKEN_RUNS,
        fault.name: _share(each.any for each in runs),
        **{f"{fault.name}_by_{name}": _share(each.by[name] for each in runs) for name in runs[0].by},
        f"{fault.name}_refused": _share(refused(fault, seed) for seed in seeds),
    }


def _thresholds() -> dict[str, float]:
    """δ of thresholded mechanisms against the exact sum, at small scales."""
    return {
        "thresholds_false_alarms": sum(threshold_costs_more(threshold_delta, *case) for case in THRESHOLDS),
        "threshold_off_by_one": _share(threshold_costs_more(_at_the_threshold, *case) for case in THRESHOLDS),
    }


def _at_the_threshold(scale: float, threshold: int, keys: int, l2: float, mass: int) -> float:
    """The break: δ charged as OpenDP states it, at θ itself."""
    return threshold_delta(scale, threshold + 1, keys, l2, mass)


def _whole_way() -> dict[str, float]:
    """Audits from the companies' exports on; the last one with a user under two pseudonyms."""
    alarms, seen = [], []
    for number in range(WHOLE_WAYS + 1):
        included = coins(WHOLE_WAY_SEED + number)
        with tempfile.TemporaryDirectory() as name:
            answer, plan = measured_whole_way(Path(name), included, split=number == WHOLE_WAYS)
        verdict = audit([answer], plan, included)
        sys.stderr.write(f"whole way {number}: {verdict.mu_lower:.3f} of {verdict.mu_charged:.3f}\n")
        alarms.append(verdict.alarm)
        seen.append(verdict.mu_seen)
    return {
        "whole_way_runs": WHOLE_WAYS,
        "whole_way_false_alarms": sum(alarms[:-1]),
        "whole_way_mu_seen": float(np.mean(seen[:-1])),
        "whole_way_split_id": float(alarms[-1]),
        "whole_way_split_id_mu_seen": seen[-1],
    }


def _at_packaged_rho() -> dict[str, float]:
    """µ of the packaged first release as canaries see it: too small for one run's bound, told as a mean of some."""
    rho = str(load_privacy_parameters(packaged_config("privacy.toml")).budget.first_release_rho)
    plan, seen, charged = plan_of(rho), [], 0.0
    for number in range(BROKEN_RUNS):
        included = coins(PACKAGED_SEED + number)
        with measured_under(RIGHT, included, plan) as measured:
            verdict = audit(measured.answers, plan, included)
        seen.append(verdict.mu_seen)
        charged = verdict.mu_charged
    return {"packaged_mu_charged": charged, "packaged_mu_seen_mean": float(np.mean(seen))}


def _told(name: str, seed: int, alarms: Alarms) -> Alarms:
    raised = ", ".join(detector for detector, alarm in alarms.by.items() if alarm) or "nothing"
    sys.stderr.write(f"{name} {seed}: {raised}, µ at least {alarms.verdict.mu_lower:.3f} of {alarms.verdict.mu_charged:.3f}\n")
    return alarms


def _share(outcomes: Iterable[bool]) -> float:
    return float(np.mean([bool(each) for each in outcomes]))


STEPS: dict[str, Callable[[], dict[str, float]]] = {
    "right": _right,
    **{fault.name: partial(_broken, fault) for fault in BREAKS},
    "thresholds": _thresholds,
    "whole_way": _whole_way,
    "packaged": _at_packaged_rho,
}

if __name__ == "__main__":
    main(sys.argv[1:])
