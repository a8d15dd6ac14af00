"""`make bench-audit`: each planted break and the share of its runs in which it is caught, and the false alarms of the right pipeline."""

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from aggregate.mechanisms.threshold import threshold_delta
from benchmarks.audit_breaks import BREAKS, RIGHT, Alarms, measured_under, refused, run
from benchmarks.audit_canaries import CANARIES, CONFIDENCE, audit, coins, plan_of
from benchmarks.audit_detectors import THRESHOLDS, threshold_costs_more
from benchmarks.audit_whole_way import measured_whole_way
from benchmarks.report import report
from flows.pool import packaged_config
from schemas.parameters import load_privacy_parameters

RIGHT_RUNS, BROKEN_RUNS, WHOLE_WAYS = 50, 10, 3
WHOLE_WAY_SEED, PACKAGED_SEED, BROKEN_SEED = 7_000, 8_000, 9_000


def main() -> None:
    """Prints and writes shares between 0 and 1 by break, and by break and detector; `false_alarms` counts runs."""
    found: dict[str, float] = {"canaries": CANARIES, "confidence": CONFIDENCE}
    right = [_told(RIGHT.name, n, run(RIGHT, n)) for n in range(RIGHT_RUNS)]
    thresholds = sum(threshold_costs_more(threshold_delta, *case) for case in THRESHOLDS)
    found |= _whole_way()
    found["runs_right"] = RIGHT_RUNS + WHOLE_WAYS + len(THRESHOLDS)
    found["false_alarms"] = sum(each.any for each in right) + found.pop("whole_way_right_alarms") + thresholds
    found["mu_charged"] = right[0].verdict.mu_charged
    found["mu_seen_mean"] = float(np.mean([each.verdict.mu_seen for each in right]))
    found["mu_lower_largest"] = max(each.verdict.mu_lower for each in right)
    found |= _at_packaged_rho()
    for fault in BREAKS:
        runs = [_told(fault.name, BROKEN_SEED + n, run(fault, BROKEN_SEED + n)) for n in range(BROKEN_RUNS)]
        found[fault.name] = _share(each.any for each in runs)
        found |= {f"{fault.name}_by_{name}": _share(each.by[name] for each in runs) for name in runs[0].by}
        found[f"{fault.name}_refused"] = _share(refused(fault, BROKEN_SEED + n) for n in range(BROKEN_RUNS))
    found["threshold_off_by_one"] = _share(threshold_costs_more(_at_the_threshold, *case) for case in THRESHOLDS)
    report("audit", found)


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
        "whole_way_right_alarms": sum(alarms[:-1]),
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


if __name__ == "__main__":
    main()
