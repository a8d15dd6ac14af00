"""Growth: which cells hold a larger or a smaller share than in earlier quarters, told from published noisy counts alone.

Post-processing: no budget is spent. Without any change a cell is expected at its pooled share of the present volume. How far it
strays from that has three parts: sampling, in proportion to the mean; usual unrest (dispersion), in proportion to its square, told
from the earlier quarters of all cells; and the noise, which is known. A score test with the third moment of all three gives each
cell two one-sided p-values; Benjamini and Hochberg (1995) hold the false discovery rate over both directions of all cells.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from aggregate.intervals import Interval, z_value

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_ROUNDS = 20
_STRAYS = 2.0  # deviations from which on a cell has no say in the volume
_SAFE = 1.0  # standard errors by which the dispersion is taken too large
_POWER_Z = 0.8416212335729143  # of the smallest detectable change: it is seen four times in five


@dataclass(frozen=True)
class NoisyHistory:
    """Counts of the same cells of one marginal in earlier quarters and now, in users-equivalent; two quarters, two cells at least.

    `earlier` has shape (quarters, cells), `now` (cells,). Of each of these quarters, the present one last: `noise`, the standard
    deviation of a cell's noise, and `sampling`, its sampling variance over its mean, at most 1.
    """

    earlier: Floats
    now: Floats
    noise: Floats
    sampling: Floats


@dataclass(frozen=True)
class CellGrowth:
    """What is told of one cell. `ratio` is its present share over its pooled earlier one, with an interval of its own.

    `q_value` is the least false discovery rate at which it stands out, `direction` +1 or -1. `detectable` is the smallest ratio
    above 1 that would have stood out four times in five. Ratios are None where the earlier share cannot be told from 0.
    """

    share_before: float
    share_now: float
    ratio: float | None
    interval: Interval | None
    q_value: float
    direction: int
    detectable: float | None


def growth(histories: Sequence[NoisyHistory], rate: float, confidence: float) -> list[list[CellGrowth]]:
    """Tests every cell of every marginal for a change of its share, both ways, as one family.

    Args:
        histories: one for each marginal.
        rate: false discovery rate at which cells are called changed; registered before the data are read.
        confidence: of the intervals.

    Returns:
        For each marginal an entry a cell.
    """
    models = [_Model(h, unrest) for h, unrest in zip(histories, dispersions(histories), strict=True)]
    tails = [model.p_values() for model in models]
    p_values = np.concatenate([side for tail in tails for side in tail]) if tails else np.empty(0)
    q_values = adjusted(p_values)
    edge = rate * max(int((q_values <= rate).sum()), 1) / max(len(q_values), 1)
    z, z_edge = z_value(confidence), z_value(1 - 2 * edge)
    found, start = [], 0
    for model in models:
        cells = len(model.history.now)
        up, down = q_values[start : start + cells], q_values[start + cells : start + 2 * cells]
        found.append(list(model.told(up, down, z, z_edge)))
        start += 2 * cells
    return found


def adjusted(p_values: Floats) -> Floats:
    """Benjamini and Hochberg's adjusted p-values: the least rate of false discoveries at which each is one."""
    order = np.argsort(p_values)
    scaled = p_values[order] * len(p_values) / np.arange(1, len(p_values) + 1)
    found = np.empty_like(p_values)
    found[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return found


def dispersions(histories: Sequence[NoisyHistory]) -> list[float]:
    """Squared coefficient of variation beyond sampling of each marginal's cells, from its earlier quarters, on the safe side.

    Marginals differ, and most tell little: each one's own estimate is drawn to that of all (DerSimonian and Laird 1986).
    """
    told = [_own_dispersion(history) for history in histories]
    known = np.array([weight for _, weight in told])
    own = np.array([value for value, _ in told])
    if known.sum() <= 0:
        return [0.0] * len(histories)
    whole = float((known * own).sum() / known.sum())
    excess = float((known * (own - whole) ** 2).sum()) - (len(own) - 1)
    scale = float(known.sum() - (known**2).sum() / known.sum())
    between = max(excess / scale, 0.0) if scale > 0 else 0.0
    # The middle's own error is that of the mean of marginals that differ by `between`.
    spread = np.divide(1.0, known, out=np.full_like(known, np.inf), where=known > 0)
    middle_weights = 1 / (spread + between) if between > 0 else known
    middle = float((middle_weights * own).sum() / middle_weights.sum())
    pulled = (
        np.divide(between, spread + between, out=np.zeros_like(known), where=np.isfinite(spread)) if between > 0 else 0 * known
    )
    value = pulled * own + (1 - pulled) * middle
    error = np.where(pulled > 0, pulled * np.where(known > 0, spread, 0.0), 0.0) + (1 - pulled) ** 2 / middle_weights.sum()
    return [float(v) for v in np.maximum(value, 0.0) + _SAFE * np.sqrt(error)]


def _own_dispersion(history: NoisyHistory) -> tuple[float, float]:
    """What one marginal's earlier quarters tell of its dispersion, unbiased, and how well it is known (1 / variance)."""
    earlier, noise, sampling = history.earlier, history.noise[:-1, None] ** 2, history.sampling[:-1, None]
    volumes = earlier.sum(axis=1)
    if not (volumes > 0).all():
        return 0.0, 0.0
    found, known = 0.0, 0.0
    shares = np.asarray(earlier.sum(axis=0) / volumes.sum())
    for _ in range(_ROUNDS):
        mean = np.maximum(np.outer(volumes, shares), 0.0)
        variance = sampling * mean + max(found, 0.0) * mean**2 + noise
        say = shares**2 / variance
        leverage = (1 - volumes / volumes.sum())[:, None] * np.maximum(1 - say / say.sum(axis=1, keepdims=True), 1e-9)
        volumes = (shares * earlier / variance).sum(axis=1) / say.sum(axis=1)
        residuals = earlier - np.outer(volumes, shares)
        weights = leverage * mean**4 / (2 * variance**2 + _fourth(mean, max(found, 0.0)))
        excess = residuals**2 / leverage - noise - sampling * mean
        scaled = np.divide(excess, mean**2, out=np.zeros_like(excess), where=mean > 0)
        known = float(weights.sum())
        if known <= 0:
            return 0.0, 0.0
        found = float((weights * scaled).sum()) / known
    return found, known


def _fourth(mean: Floats, dispersion: float) -> Floats:
    """Fourth cumulant of a Poisson count whose mean is gamma distributed."""
    b = dispersion
    return np.asarray(mean + 7 * b * mean**2 + 12 * b**2 * mean**3 + 6 * b**3 * mean**4)


@dataclass(frozen=True)
class _Model:
    """What is expected of one marginal without a change."""

    history: NoisyHistory
    dispersion: float

    @cached_property
    def before(self) -> float:
        """All earlier volumes together."""
        return float(self.history.earlier.sum())

    @cached_property
    def volumes(self) -> Floats:
        """Totals of the earlier quarters."""
        return np.asarray(self.history.earlier.sum(axis=1))

    @cached_property
    def shares(self) -> Floats:
        """Pooled over the earlier quarters."""
        return np.asarray(self.history.earlier.sum(axis=0) / self.before)

    @cached_property
    def _voted(self) -> tuple[float, Flags]:
        """The present volume, told by those cells that keep to it, and which do: a few that grow do not make the others shrink."""
        now, shares = self.history.now, self.shares
        volume, keeping = float(now.sum()), np.ones(len(now), dtype=bool)
        asked = shares > 0
        for turn in range(_ROUNDS):
            variance = self._spread(np.maximum(shares * volume, 0.0), volume)
            say = np.where(asked, shares**2 / variance, 0.0)
            if turn == 0:  # from where half of the say is on each side
                ratios = np.divide(now, shares, out=np.zeros_like(now), where=asked)
                order = np.argsort(ratios)
                volume = float(ratios[order][np.searchsorted(np.cumsum(say[order]), say.sum() / 2)])
                continue
            keeping = asked & (np.abs(now - shares * volume) <= _STRAYS * np.sqrt(variance))
            if not keeping.any():
                break
            told = float((say * np.divide(now, shares, out=np.zeros_like(now), where=asked))[keeping].sum() / say[keeping].sum())
            if abs(told - volume) <= 1e-9 * abs(volume):
                break
            volume = told
        return max(volume, 1e-9), keeping

    @property
    def volume(self) -> float:
        """The present volume."""
        return self._voted[0]

    def _variance(self, mean: Floats, sampling: Floats | float) -> Floats:
        """Of a count without noise."""
        return np.asarray(sampling * mean + self.dispersion * mean**2)

    def _third(self, mean: Floats, sampling: Floats | float) -> Floats:
        """Third central moment of a count whose mean is gamma distributed; weights that users share make it smaller."""
        return np.asarray(sampling * mean + 3 * self.dispersion * mean**2 + 2 * self.dispersion**2 * mean**3)

    def _earlier_means(self, shares: Floats) -> Floats:
        return np.asarray(np.maximum(np.outer(self.volumes, shares), 0.0))

    def _spread(self, mean: Floats, volume: float) -> Floats:
        """Variance of a present count less what earlier quarters tell to expect, each cell by itself."""
        noise, sampling = self.history.noise**2, self.history.sampling
        earlier = self._variance(self._earlier_means(mean / volume), sampling[:-1, None]) + noise[:-1, None]
        return np.asarray(self._variance(mean, sampling[-1]) + noise[-1] + (volume / self.before) ** 2 * earlier.sum(axis=0))

    def p_values(self) -> tuple[Floats, Floats]:
        """One-sided, of growth and of shrinking."""
        volume, keeping = self._voted
        weight = volume / self.before
        pooled = np.maximum((self.history.earlier.sum(axis=0) + self.history.now) / (self.before + volume), 0.0)
        mean, sampling = pooled * volume, self.history.sampling
        own = self._spread(mean, volume)
        say = pooled**2 / own
        of_volume = pooled**2 / max(float(say[keeping].sum()), 1e-300)
        variance = np.where(keeping, np.maximum(own - of_volume, 1e-9 * own), own + of_volume)
        third = self._third(mean, sampling[-1])
        third = third - weight**3 * self._third(self._earlier_means(pooled), sampling[:-1, None]).sum(axis=0)
        score = (self.history.now - self.shares * volume) / np.sqrt(variance)
        return tails(score, third / variance**1.5)

    def told(self, up: Floats, down: Floats, z: float, z_edge: float) -> Iterator[CellGrowth]:
        """What is told of each cell, given its q-values."""
        noise, sampling = self.history.noise**2, self.history.sampling
        weight = self.volume / self.before
        earlier = self._variance(self._earlier_means(self.shares), sampling[:-1, None]) + noise[:-1, None]
        spread = weight**2 * earlier.sum(axis=0)
        for cell, now in enumerate(self.history.now.tolist()):
            before, q_value = float(self.shares[cell]), float(min(up[cell], down[cell]))
            direction = 1 if now > before * self.volume else -1
            own = _Ratio(before * self.volume, float(spread[cell]), float(noise[-1]), float(sampling[-1]), self.dispersion)
            told: tuple[float | None, Interval | None, float | None] = (None, None, None)
            if own.expected > z * math.sqrt(own.spread):
                told = max(now / own.expected, 0.0), own.interval(now, z), own.detectable(z_edge)
            yield CellGrowth(before, now / self.volume, *told[:2], q_value, direction, told[2])


@dataclass(frozen=True)
class _Ratio:
    """A present count over an expected one: its variance at each true ratio."""

    expected: float
    spread: float
    noise: float
    sampling: float
    dispersion: float

    def variance(self, ratio: float) -> float:
        """Of `now - ratio · expected`."""
        mean = max(ratio * self.expected, 0.0)
        return self.sampling * mean + self.dispersion * mean**2 + self.noise + ratio**2 * self.spread

    def interval(self, now: float, z: float) -> Interval:
        """Every ratio from 0 on at which `now` is within z deviations (Fieller 1954), by halving on each side of the estimate."""

        def within(ratio: float) -> bool:
            return abs(now - ratio * self.expected) <= z * math.sqrt(self.variance(ratio))

        middle = max(now / self.expected, 0.0)
        return Interval(0.0 if within(0.0) else _edge(within, middle, 0.0), _edge(within, middle, 1e3 * (1 + middle)))

    def detectable(self, z_edge: float) -> float | None:
        """The smallest ratio above 1 that is seen four times in five where `z_edge` deviations stand out."""
        alone = z_edge * math.sqrt(self.variance(1.0))

        def missed(ratio: float) -> bool:
            return (ratio - 1) * self.expected < alone + _POWER_Z * math.sqrt(self.variance(ratio))

        return None if missed(1e3) else _edge(missed, 1.0, 1e3)


def _edge(holds: Callable[[float], bool], inside: float, outside: float) -> float:
    """Where something stops holding, by halving."""
    for _ in range(60):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if holds(middle) else (inside, middle)
    return inside


_erfc = np.vectorize(math.erfc, otypes=[float])


def tails(score: Floats, skewness: Floats) -> tuple[Floats, Floats]:
    """Upper and lower tail of a standardised score with a skewness: Pearson's type III by Lugannani and Rice (1980)."""
    shape = 4 / np.maximum(np.abs(skewness), 1e-3) ** 2
    sign = np.where(skewness < 0, -1.0, 1.0)
    x = sign * score / np.sqrt(shape)  # a gamma variable over its mean, less 1
    inside = np.maximum(x, -1 + 1e-12)
    u = np.sqrt(shape) * inside
    root = np.sign(inside) * np.sqrt(np.maximum(2 * shape * (inside - np.log1p(inside)), 0.0))
    flat = np.abs(u) < 1e-3
    lift = np.where(flat, -1 / (3 * np.sqrt(shape)), 1 / np.where(flat, 1.0, u) - 1 / np.where(flat, 1.0, root))
    density = np.exp(-(root**2) / 2) / math.sqrt(2 * math.pi)
    upper = np.clip(_erfc(root / math.sqrt(2)) / 2 + density * lift, 0.0, 1.0)
    lower = np.clip(_erfc(-root / math.sqrt(2)) / 2 - density * lift, 0.0, 1.0)
    upper, lower = np.where(x <= -1, 1.0, upper), np.where(x <= -1, 0.0, lower)
    return np.where(sign > 0, upper, lower), np.where(sign > 0, lower, upper)
