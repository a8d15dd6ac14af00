"""The checks that need statistics: totals that agree within the noise, and intervals that cover in simulation."""

from __future__ import annotations

from itertools import combinations
from math import hypot
from statistics import NormalDist
from typing import TYPE_CHECKING

from publish.cells import Cell, Reading
from schemas.codes import OPEN_OUTCOMES

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from publish.checks import Inspection

    Floats = npt.NDArray[np.float64]

FALSE_ALARM = 1e-6  # of the totals check over a whole release: it stops releases, so it must not cry wolf
COVERAGE_SLACK = 0.02  # simulated coverage may fall this far below the stated confidence
SIMULATIONS = 200  # draws for each cell
LEAST_DRAWS = 20_000  # draws in all, so that a table of few cells is not judged by chance
TOLERANCE = 1e-6  # of the width of an interval, relative
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


def _columns(readings: list[Reading], *names: str) -> list[Floats]:
    import numpy as np

    return [np.array([getattr(reading, name) for reading in readings], dtype=float) for name in names]


def _count_deviation(mean: Floats, stddev: Floats) -> Floats:
    """Deviation of a noisy sum of user weights around its mean: noise, and sampling of at most the mean (Poisson)."""
    import numpy as np

    return np.asarray(np.sqrt(stddev**2 + np.maximum(mean, 0.0)))


def _rate_deviation(rate: Floats, place: int, stddev: Floats, denominator: Floats) -> Floats:
    """Deviation of `cell - rate * denominator`, where the cell is one of those that the denominator adds up (Fieller)."""
    import numpy as np

    own = np.arange(len(stddev)) == place
    noise = ((own - np.asarray(rate)[..., None]) ** 2 * stddev**2).sum(axis=-1)
    return np.asarray(np.sqrt(noise + rate * (1 - rate) * np.maximum(denominator, 0.0)))


def _narrow_counts(readings: list[Reading], z: float) -> int:
    """Intervals with an end that lies nearer to the estimate than z deviations at that end."""
    estimate, stddev, low, high = _columns(readings, "estimate", "noise_stddev", "ci_low", "ci_high")
    below = (estimate - low) < z * _count_deviation(low, stddev) * (1 - TOLERANCE)
    above = (high - estimate) < z * _count_deviation(high, stddev) * (1 - TOLERANCE)
    cut = low == 0.0  # there is no sampling below a mean of 0, so an interval may end just there
    return int(((below & ~cut) | above).sum())


def _covered_counts(readings: list[Reading], z: float, draws: int) -> tuple[int, int]:
    """Draws of the published sizes whose deviation from their mean is within z, and all draws."""
    import numpy as np

    random = np.random.default_rng(_SEED)
    estimate, stddev = _columns(readings, "estimate", "noise_stddev")
    mean = np.maximum(estimate, 0.0)
    drawn = random.poisson(mean, (draws, len(mean))) + random.normal(0.0, stddev, (draws, len(mean)))
    covered = np.abs(drawn - mean) <= z * _count_deviation(mean, stddev)
    return int(covered.sum()), covered.size


def _rate_groups(inspection: Inspection) -> list[list[Reading]]:
    """Known outcomes of each group of cells whose rates are published and whose denominator can be added up again."""
    groups: dict[Cell, list[Reading]] = {}
    for _, _, cells in inspection.cells.marginals:
        for cell in cells:
            if cell.code("outcome") != "all" and cell.code("outcome") not in OPEN_OUTCOMES:
                groups.setdefault(cell.without("outcome"), []).append(inspection.cells.read(cell))
    return [group for group in groups.values() if all(r.published and r.rate is not None for r in group)]


def _narrow_rates(group: list[Reading], z: float) -> int:
    """Ends of rate intervals (not cut at 0 or 1) that lie nearer than z deviations at that end."""
    estimate, stddev, low, high = _columns(group, "estimate", "noise_stddev", "rate_ci_low", "rate_ci_high")
    denominator, narrow = estimate.sum(), 0
    for place, ends in enumerate(zip(low, high, strict=True)):
        for end in ends:
            away = abs(estimate[place] - end * denominator)
            needed = z * float(_rate_deviation(end, place, stddev, denominator))
            narrow += 0.0 < end < 1.0 and away < needed * (1 - TOLERANCE)
    return narrow


def _covered_rates(groups: list[list[Reading]], z: float, draws: int) -> tuple[int, int]:
    """Draws of whole groups in which `cell - true rate * denominator` is within z of its deviation, and all draws."""
    import numpy as np

    random = np.random.default_rng(_SEED)
    covered = tried = 0
    for group in groups:
        estimate, stddev = _columns(group, "estimate", "noise_stddev")
        mean = np.maximum(estimate, 0.0)
        drawn = random.poisson(mean, (draws, len(mean))) + random.normal(0.0, stddev, (draws, len(mean)))
        denominator, rates = drawn.sum(axis=1), mean / mean.sum()
        for place, rate in enumerate(rates):
            deviation = _rate_deviation(np.full(draws, rate), place, stddev, denominator)
            covered += int((np.abs(drawn[:, place] - rate * denominator) <= z * deviation).sum())
            tried += draws
    return covered, tried


def check_coverage(inspection: Inspection) -> tuple[bool, str]:
    """Published intervals are as wide as their stated confidence asks, and that width covers in simulated data of this size.

    Two halves, both from the published numbers alone. Each end of each interval must lie z deviations of noise and sampling
    away, by formulas written here anew; and data drawn at the published (noisy) sizes must fall within z deviations at the
    stated confidence. Seeded: the same release is answered the same.
    """
    confidence = inspection.privacy.confidence
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    parts, narrow, passed = [], 0, True
    simulated = {t.name: _published([reading for _, reading in t.readings()]) for t in inspection.tables}
    groups = _rate_groups(inspection)
    for name, readings in simulated.items():
        if readings:
            narrow += _narrow_counts(readings, z)
            covered, tried = _covered_counts(readings, z, max(SIMULATIONS, LEAST_DRAWS // len(readings)))
            passed &= covered / tried >= confidence - COVERAGE_SLACK
            parts.append(f"{name} {covered / tried:.3f}")
    if groups:
        narrow += sum(_narrow_rates(group, z) for group in groups)
        covered, tried = _covered_rates(groups, z, max(SIMULATIONS, LEAST_DRAWS // len(groups)))
        passed &= covered / tried >= confidence - COVERAGE_SLACK
        parts.append(f"rates {covered / tried:.3f}")
    told = f"Simulated coverage of the {confidence:.0%} intervals: {', '.join(parts) or 'nothing to simulate'}; {narrow} ends too near."
    return passed and narrow == 0, told
