"""The checks that need statistics: marginals that agree, and intervals that cover in simulation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from math import prod
from statistics import NormalDist
from typing import TYPE_CHECKING

from publish.cells import Cell, Reading
from schemas.keys import ALL, KEYS
from schemas.tables import TABLES

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from publish.checks import Inspection
    from schemas.plan import Measure

    Floats = npt.NDArray[np.float64]

COVERAGE_SLACK = 0.02  # simulated coverage may fall this far below the stated confidence
SIMULATIONS = 200  # draws for each cell
LEAST_DRAWS = 20_000  # draws in all, so that a table of few cells is not judged by chance
TOLERANCE = 1e-6  # relative, of sums and of the width of an interval
NEAR = 1e-3  # relative, of what follows from `noise_covariance`, whose directions are of length 1 but for rounding
_SEED = 20260101


_Pair = tuple["_Lines", "_Lines"]
_Lines = dict[tuple[str, ...], list[Reading]]


def _pairs(inspection: Inspection) -> Iterator[_Pair]:
    """Every two marginals of a measure, each in lines: its cells by the codes of the keys that both have."""
    marginals: dict[str, list[tuple[tuple[str, ...], tuple[Cell, ...]]]] = {}
    for measure, marginal, cells in inspection.cells.marginals:
        marginals.setdefault(measure.name, []).append((marginal, cells))
    for found in marginals.values():
        for (one, one_cells), (other, other_cells) in permutations(found, 2):
            shared = tuple(key for key in one if key in other)
            yield _lines(inspection, one_cells, shared), _lines(inspection, other_cells, shared)


def _lines(inspection: Inspection, cells: tuple[Cell, ...], keys: tuple[str, ...]) -> _Lines:
    found: _Lines = {}
    for cell in cells:
        found.setdefault(tuple(cell.code(key) for key in keys), []).append(inspection.cells.read(cell))
    return found


def check_totals(inspection: Inspection) -> tuple[bool, str]:
    """Every two marginals of a measure agree on the sums over the keys that they share, the total included.

    They are linear functions of the same noisy numbers, so they agree but for rounding. Sums with a withheld cell are left out.
    """
    compared = differing = left_out = 0
    for one, other in _pairs(inspection):
        for codes in one:
            a, b = _sum(one[codes]), _sum(other[codes])
            if a is None or b is None:
                left_out += 1
                continue
            compared += 1
            differing += abs(a - b) > TOLERANCE * max(1.0, abs(a), abs(b))
    return differing == 0, f"{compared} sums compared between marginals: {differing} differ; {left_out} hold a withheld cell."


def _sum(line: list[Reading]) -> float | None:
    """Sum of the estimates of a line; None where a cell is withheld."""
    estimates = [reading.estimate for reading in line]
    return None if None in estimates else sum(estimate or 0.0 for estimate in estimates)


@dataclass(frozen=True)
class _Line:
    """Cells of a line of a marginal, with the covariance of their noise, shape (cells, cells)."""

    readings: list[Reading]
    covariance: Floats


def _domain(inspection: Inspection, measure: Measure, key: str) -> tuple[str, ...]:
    return KEYS[key].domain(measure.scope(inspection.measured.quarter, inspection.questions))


def _covariance(inspection: Inspection, measure: Measure, marginal: tuple[str, ...], over: tuple[str, ...]) -> Floats:
    """Covariance of the cells that differ in the keys `over` only, from the published table and its documented formula."""
    import numpy as np

    codes = {key: len(_domain(inspection, measure, key)) for key in marginal}
    total = np.zeros(2 * (prod(codes[key] for key in over),))
    for row in inspection.cells.covariance:
        own = (row["of_table"], row["outcome_kind"], row["window"])
        keys = [] if row["keys"] == ALL else row["keys"].split(",")
        if own == (measure.table, measure.outcome_kind or ALL, measure.window or ALL) and set(keys) <= set(marginal):
            held = prod(1 - 1 / codes[key] for key in keys if key not in (*over, measure.stratum))
            summed = prod(codes[key] ** 2 for key in marginal if key not in keys)
            terms: Floats = np.ones((1, 1))
            for key in over:
                same, less = np.eye(codes[key]), 0 if key == measure.stratum else 1 / codes[key]
                terms = np.asarray(np.kron(terms, same - less if key in keys else np.ones_like(same)))
            total += row["variance"] * held / summed * terms
    return np.asarray(total)


def _published(readings: list[Reading]) -> list[Reading]:
    return [r for r in readings if None not in (r.estimate, r.noise_stddev, r.sampling_factor, r.ci_low, r.ci_high)]


def _columns(readings: list[Reading], *names: str) -> list[Floats]:
    import numpy as np

    return [np.array([getattr(reading, name) for reading in readings], dtype=float) for name in names]


def _count_deviation(mean: Floats, stddev: Floats, sampling: Floats) -> Floats:
    """Deviation of a noisy sum of user weights around its mean: noise, and sampling in proportion to the mean."""
    import numpy as np

    return np.asarray(np.sqrt(stddev**2 + sampling * np.maximum(mean, 0.0)))


def _rate_deviation(rate: Floats, place: int, line: _Line, denominator: Floats) -> Floats:
    """Deviation of `cell - rate * denominator`, where the cell is one of those that the denominator adds up (Fieller)."""
    import numpy as np

    weights = (np.arange(len(line.readings)) == place) - np.asarray(rate)[..., None]
    noise = np.einsum("...i,ij,...j->...", weights, line.covariance, weights)
    sampling = line.readings[place].sampling_factor or 0.0
    return np.asarray(np.sqrt(noise + sampling * rate * (1 - rate) * np.maximum(denominator, 0.0)))


def _narrow_counts(readings: list[Reading], z: float) -> int:
    """Intervals with an end that lies nearer to the estimate than z deviations at that end."""
    estimate, stddev, sampling, low, high = _columns(readings, "estimate", "noise_stddev", "sampling_factor", "ci_low", "ci_high")
    below = (estimate - low) < z * _count_deviation(low, stddev, sampling) * (1 - TOLERANCE)
    above = (high - estimate) < z * _count_deviation(high, stddev, sampling) * (1 - TOLERANCE)
    cut = low == 0.0  # there is no sampling below a mean of 0, so an interval may end just there
    return int(((below & ~cut) | above).sum())


def _covered_counts(readings: list[Reading], z: float, draws: int) -> tuple[int, int]:
    """Draws of the published sizes whose deviation from their mean is within z, and all draws."""
    import numpy as np

    random = np.random.default_rng(_SEED)
    estimate, stddev, sampling = _columns(readings, "estimate", "noise_stddev", "sampling_factor")
    mean = np.maximum(estimate, 0.0)
    drawn = random.poisson(mean / sampling, (draws, len(mean))) * sampling + random.normal(0.0, stddev, (draws, len(mean)))
    covered = np.abs(drawn - mean) <= z * _count_deviation(mean, stddev, sampling)
    return int(covered.sum()), covered.size


def _rate_lines(inspection: Inspection) -> list[_Line]:
    """Known codes of each line of cells whose rates are published and whose denominator can be added up again."""
    lines = []
    for measure, marginal, cells in inspection.cells.marginals:
        key = TABLES[measure.table].rate_key(marginal)
        if not key:
            continue
        codes = _domain(inspection, measure, key)
        known = [place for place, code in enumerate(codes) if code not in KEYS[key].open_codes]
        covariance = _covariance(inspection, measure, marginal, (key,))[known][:, known]
        groups: dict[Cell, list[Reading]] = {}
        for cell in cells:
            if cell.code(key) not in KEYS[key].open_codes:
                groups.setdefault(cell.without(key), []).append(inspection.cells.read(cell))
        whole = (group for group in groups.values() if all(r.published and r.rate is not None for r in group))
        lines += [_Line(group, covariance) for group in whole]
    return lines


def _narrow_rates(line: _Line, z: float) -> int:
    """Ends of rate intervals (not cut at 0 or 1) that lie nearer than z deviations at that end."""
    estimate, low, high = _columns(line.readings, "estimate", "rate_ci_low", "rate_ci_high")
    denominator, narrow = estimate.sum(), 0
    for place, ends in enumerate(zip(low, high, strict=True)):
        for end in ends:
            away = abs(estimate[place] - end * denominator)
            needed = z * float(_rate_deviation(end, place, line, denominator))
            narrow += 0.0 < end < 1.0 and away < needed * (1 - NEAR)
    return narrow


def _other_noise(line: _Line) -> int:
    """Cells whose `noise_stddev` is not what `noise_covariance` says."""
    return sum(abs((r.noise_stddev or 0.0) ** 2 / line.covariance[0, 0] - 1) > NEAR for r in line.readings)


def _covered_rates(lines: list[_Line], z: float, draws: int) -> tuple[int, int]:
    """Draws of whole lines in which `cell - true rate * denominator` is within z of its deviation, and all draws."""
    import numpy as np

    random = np.random.default_rng(_SEED)
    covered = tried = 0
    for line in lines:
        estimate, sampling = _columns(line.readings, "estimate", "sampling_factor")
        mean = np.maximum(estimate, 0.0)
        sampled = random.poisson(mean / sampling, (draws, len(mean))) * sampling
        drawn = sampled + random.multivariate_normal(np.zeros(len(mean)), line.covariance, draws, method="eigh")
        denominator, rates = drawn.sum(axis=1), mean / mean.sum()
        for place, rate in enumerate(rates):
            deviation = _rate_deviation(np.full(draws, rate), place, line, denominator)
            covered += int((np.abs(drawn[:, place] - rate * denominator) <= z * deviation).sum())
            tried += draws
    return covered, tried


def _curve_lines(inspection: Inspection) -> list[_Line]:
    """Survival curves all of whose cells are published: the cells that ended first, each part by depth."""
    lines, over = [], ("ending", "depth_band")
    for measure, marginal, cells in inspection.cells.marginals:
        if not TABLES[measure.table].has_curve:
            continue
        covariance = _covariance(inspection, measure, marginal, over)
        places = {code: place for key in over for place, code in enumerate(_domain(inspection, measure, key))}
        groups: dict[Cell, list[Cell]] = {}
        for cell in cells:
            groups.setdefault(cell.without(*over), []).append(cell)
        for group in groups.values():
            group.sort(key=lambda cell: [places[cell.code(key)] for key in over])
            readings = [inspection.cells.read(cell) for cell in group]
            if all(reading.published for reading in readings):
                lines.append(_Line(readings, covariance))
    return lines


def _covered_curve(line: _Line, draws: int) -> tuple[int, int]:
    """Draws at the published sizes whose curve, worked out here anew, is as near as the published intervals are wide."""
    import numpy as np

    random, depths = np.random.default_rng(_SEED), len(line.readings) // 2
    estimate, sampling = _columns(line.readings, "estimate", "sampling_factor")
    mean = np.maximum(estimate, 0.0)
    sampled = random.poisson(mean / sampling, (draws, len(mean))) * sampling
    drawn = sampled + random.multivariate_normal(np.zeros(len(mean)), line.covariance, draws, method="eigh")
    covered = tried = 0
    for depth, reading in enumerate(line.readings[:depths]):
        value, low, high = reading.share("surviving")
        if value is None or low is None or high is None:
            continue
        surviving = [_surviving(cells, depth, depths) for cells in (drawn, mean[None])]
        away = surviving[0] - surviving[1]
        # An end that was cut at 0 or 1 is as far as it can be.
        covered += int((((away >= low - value) | (low == 0)) & ((away <= high - value) | (high == 1))).sum())
        tried += draws
    return covered, tried


def _surviving(cells: Floats, depth: int, depths: int) -> Floats:
    """Kaplan and Meier's estimate up to a depth; shape of cells (draws, 2 · depths), those that ended first."""
    import numpy as np

    share = np.ones(len(cells))
    for at in range(depth + 1):
        at_risk = cells[:, at:depths].sum(axis=1) + cells[:, depths + at :].sum(axis=1)
        share = share * (1 - cells[:, at] / np.maximum(at_risk, 1e-9))
    return share


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
    lines = _rate_lines(inspection)
    for name, readings in simulated.items():
        if readings:
            narrow += _narrow_counts(readings, z)
            covered, tried = _covered_counts(readings, z, max(SIMULATIONS, LEAST_DRAWS // len(readings)))
            passed &= covered / tried >= confidence - COVERAGE_SLACK
            parts.append(f"{name} {covered / tried:.3f}")
    if lines:
        narrow += sum(_narrow_rates(line, z) + _other_noise(line) for line in lines)
        covered, tried = _covered_rates(lines, z, max(SIMULATIONS, LEAST_DRAWS // len(lines)))
        passed &= covered / tried >= confidence - COVERAGE_SLACK
        parts.append(f"rates {covered / tried:.3f}")
    for line in _curve_lines(inspection):
        covered, tried = _covered_curve(line, LEAST_DRAWS)
        if tried:
            passed &= covered / tried >= confidence - COVERAGE_SLACK
            parts.append(f"survival {covered / tried:.3f}")
    told = f"Simulated coverage of the {confidence:.0%} intervals: {', '.join(parts) or 'nothing to simulate'}; {narrow} ends too near."
    return passed and narrow == 0, told
