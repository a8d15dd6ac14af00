"""The checks that need statistics: totals that agree within the noise, and intervals that cover in simulation."""

from __future__ import annotations

from itertools import combinations
from math import hypot
from statistics import NormalDist
from typing import TYPE_CHECKING

from publish.cells import Cell, Reading
from schemas.codes import OPEN_OUTCOMES

if TYPE_CHECKING:
    from publish.checks import Inspection

FALSE_ALARM = 1e-6  # of the totals check over a whole release: it stops releases, so it must not cry wolf
COVERAGE_SLACK = 0.02  # simulated coverage may fall this far below the stated confidence
SIMULATIONS = 200  # draws for each cell
RELIABLE_DENOMINATOR = 8.0  # rates are simulated where the denominator is this many standard deviations from 0
_SEED = 20260101


def check_totals(inspection: Inspection) -> tuple[bool, str]:
    """Every two marginals of a measure give the same total, within their noise.

    Each cell's noise is independent of the others', so a total's deviation is the root of the sum of squares; for
    estimates made consistent by least squares the totals agree exactly and pass as well. Marginals with a withheld
    cell have no total and are left out. The threshold is Bonferroni's over all comparisons.
    """
    totals: dict[str, list[tuple[float, float]]] = {}
    left_out = 0
    for measure, _, cells in inspection.cells.marginals:
        readings = [inspection.cells.read(cell) for cell in cells]
        if all(r.estimate is not None and r.noise_stddev is not None for r in readings):
            total = sum(r.estimate or 0.0 for r in readings)
            totals.setdefault(measure.name, []).append((total, hypot(*(r.noise_stddev or 0.0 for r in readings))))
        else:
            left_out += 1
    pairs = [pair for found in totals.values() for pair in combinations(found, 2)]
    if not pairs:
        return True, f"No two marginals to compare; {left_out} have a withheld cell."
    threshold = NormalDist().inv_cdf(1 - FALSE_ALARM / 2 / len(pairs))
    largest = max(abs(a - b) / hypot(s, t) for (a, s), (b, t) in pairs)
    return largest <= threshold, (
        f"{len(pairs)} pairs of totals compared: the largest difference is {largest:.1f} standard deviations "
        f"(at most {threshold:.1f}); {left_out} marginals have a withheld cell."
    )


def _published(readings: list[Reading]) -> list[Reading]:
    return [r for r in readings if None not in (r.estimate, r.noise_stddev, r.ci_low, r.ci_high)]


def _estimate_coverage(readings: list[Reading]) -> tuple[int, int]:
    """Draws that the intervals cover, and all draws: truth is the noisy size, sampling Poisson, noise as stated."""
    import numpy as np

    random = np.random.default_rng(_SEED)
    shown = _published(readings)
    if not shown:
        return 0, 0
    values = np.array([[r.estimate, r.noise_stddev, r.ci_low, r.ci_high] for r in shown], dtype=float)
    estimate, stddev, low, high = values.T
    truth = np.maximum(estimate, 0.0)
    drawn = random.poisson(truth, (SIMULATIONS, len(shown))) + random.normal(0.0, stddev, (SIMULATIONS, len(shown)))
    covered = (drawn - (estimate - low) <= truth) & (truth <= drawn + (high - estimate))
    return int(covered.sum()), covered.size


def _rate_groups(inspection: Inspection) -> list[list[Reading]]:
    groups: dict[Cell, list[Reading]] = {}
    for _, _, cells in inspection.cells.marginals:
        for cell in cells:
            if cell.code("outcome") != "all" and cell.code("outcome") not in OPEN_OUTCOMES:
                groups.setdefault(cell.without("outcome"), []).append(inspection.cells.read(cell))
    return [group for group in groups.values() if len(_published(group)) == len(group)]


def _rate_coverage(groups: list[list[Reading]]) -> tuple[int, int]:
    """The same for rates: all known outcomes of a group are drawn anew, and each rate's interval moves with its rate."""
    import numpy as np

    random = np.random.default_rng(_SEED)
    covered = drawn = 0
    for group in groups:
        truth = np.maximum(np.array([r.estimate for r in group], dtype=float), 0.0)
        stddev = np.array([r.noise_stddev for r in group], dtype=float)
        if truth.sum() < RELIABLE_DENOMINATOR * hypot(*stddev.tolist()):
            continue
        counts = random.poisson(truth, (SIMULATIONS, len(group))) + random.normal(0.0, stddev, (SIMULATIONS, len(group)))
        rates, true_rates = counts / counts.sum(axis=1, keepdims=True), truth / truth.sum()
        for place, reading in enumerate(group):
            if reading.rate is None or reading.rate_ci_low is None or reading.rate_ci_high is None:
                continue
            # An end at 0 or 1 was cut there: the interval goes on as far as rates go.
            low = rates[:, place] - (reading.rate - reading.rate_ci_low) if reading.rate_ci_low > 0 else 0.0
            high = rates[:, place] + (reading.rate_ci_high - reading.rate) if reading.rate_ci_high < 1 else 1.0
            covered += int(((low <= true_rates[place]) & (true_rates[place] <= high)).sum())
            drawn += SIMULATIONS
    return covered, drawn


def check_coverage(inspection: Inspection) -> tuple[bool, str]:
    """Intervals of the published widths cover in simulated data of the published (noisy) size.

    Parametric and seeded: no data are read again. Catches intervals that forget the sampling or the noise.
    """
    confidence = inspection.privacy.confidence
    parts, passed = [], True
    for table in inspection.tables:
        covered, drawn = _estimate_coverage([reading for _, reading in table.readings()])
        if drawn:
            passed &= covered / drawn >= confidence - COVERAGE_SLACK
            parts.append(f"{table.name} {covered / drawn:.3f}")
    covered, drawn = _rate_coverage(_rate_groups(inspection))
    if drawn:
        passed &= covered / drawn >= confidence - COVERAGE_SLACK
        parts.append(f"rates {covered / drawn:.3f}")
    return passed, f"Simulated coverage of the {confidence:.0%} intervals: {', '.join(parts) or 'nothing to simulate'}."
