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
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from aggregate.intervals import Interval, z_value

Floats = npt.NDArray[np.float64]

_ROUNDS = 20
_STRAYS = 4.0  # deviations from which on a cell has no voice in what the volume is
_SAFE = 1.5  # standard errors by which the dispersion is taken too large
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
    q_values = _q_values(models)
    edge = rate * max(int((q_values <= rate).sum()), 1) / max(len(q_values), 1)
    z, z_edge = z_value(confidence), z_value(1 - 2 * edge)
    found, start = [], 0
    for model in models:
        cells = len(model.history.now)
        up, down = q_values[start : start + cells], q_values[start + cells : start + 2 * cells]
        found.append(list(model.told(up, down, z, z_edge)))
        start += 2 * cells
    return found


def called(histories: Sequence[NoisyHistory], rate: float) -> list[npt.NDArray[np.int64]]:
    """Of each marginal, what is called of each cell at a rate of false discoveries: +1, -1, or 0 for nothing."""
    models = [_Model(h, unrest) for h, unrest in zip(histories, dispersions(histories), strict=True)]
    below, found = _q_values(models) <= rate, []
    for model in models:
        cells = len(model.history.now)
        up, down, below = below[:cells], below[cells : 2 * cells], below[2 * cells :]
        found.append(up.astype(np.int64) - down)
    return found


def _q_values(models: "Sequence[_Model]") -> Floats:
    """Of each marginal in turn: its cells' for growing, then for receding."""
    sides = [side for model in models for side in model.p_values()]
    return adjusted(np.concatenate(sides) if sides else np.empty(0))


def adjusted(p_values: Floats) -> Floats:
    """Benjamini and Hochberg's adjusted p-values: the least rate of false discoveries at which each is one."""
    order = np.argsort(p_values)
    scaled = p_values[order] * len(p_values) / np.arange(1, len(p_values) + 1)
    found = np.empty_like(p_values)
    found[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return found


def dispersions(histories: Sequence[NoisyHistory]) -> list[float]:
    """Squared coefficient of variation beyond sampling of each marginal's cells, from its earlier quarters, on the safe side.

    Marginals differ, and most tell little: each one's own estimate is drawn to that of all (DerSimonian and Laird 1986), as far
    as they differ by no more than chance. What an estimate weighs does not hang by itself: small ones would weigh most.
    """
    if not histories:
        return []
    whole = 0.0
    for _ in range(_ROUNDS):
        told = [_own_dispersion(history, whole) for history in histories]
        own, known = (np.array(each) for each in zip(*told, strict=True))
        if known.sum() <= 0:
            return [0.0] * len(histories)
        last, whole = whole, max(float((known * own).sum() / known.sum()), 0.0)
        if abs(whole - last) <= 1e-6 * whole:
            break
    excess = float((known * (own - whole) ** 2).sum()) - (len(own) - 1)
    scale = float(known.sum() - (known**2).sum() / known.sum())
    between = max(excess / scale, 0.0) if scale > 0 else 0.0
    weights = known / (1 + between * known)
    middle = float((weights * own).sum() / weights.sum())
    pulled = between * known / (1 + between * known)  # how far an estimate counts for itself
    error = np.where(known > 0, pulled**2 / np.maximum(known, 1e-300), 0.0) + (1 - pulled) ** 2 * (between + 1 / weights.sum())
    return [float(v) for v in np.maximum(pulled * own + (1 - pulled) * middle, 0.0) + _SAFE * np.sqrt(error)]


def _own_dispersion(history: NoisyHistory, assumed: float) -> tuple[float, float]:
    """What one marginal's earlier quarters tell of its dispersion, unbiased, and how well it is known (1 / variance)."""
    earlier, noise, sampling = history.earlier, history.noise[:-1, None] ** 2, history.sampling[:-1, None]
    volumes = earlier.sum(axis=1)
    parts = volumes / volumes.sum()
    shares = np.maximum(earlier.sum(axis=0) / volumes.sum(), 0.0)
    for _ in range(3):
        mean = np.outer(volumes, shares)
        variance = sampling * mean + assumed * mean**2 + noise
        say = shares**2 / variance
        volumes = (shares * earlier / variance).sum(axis=1) / say.sum(axis=1)
    leverage = (1 - parts)[:, None] * np.maximum(1 - say / say.sum(axis=1, keepdims=True), 0.0)
    residuals = earlier - np.outer(volumes, shares)
    # Residuals of one cell add up to 0 over the quarters: each tells less by that.
    precision = leverage * mean**4 / (2 * variance**2 + _fourth(mean, assumed))
    told = (leverage > 1e-9) & (mean > 0)
    known = float(precision[told].sum())
    if known <= 0:
        return 0.0, 0.0
    excess = (residuals[told] ** 2 / leverage[told] - (variance - assumed * mean**2)[told]) / mean[told] ** 2
    return float((precision[told] * excess).sum()) / known, known


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
    def _voted(self) -> tuple[float, Floats]:
        """The present volume as most cells tell it, and how much each one's voice counts: who strays far has none.

        So a few cells that grow do not make all others shrink. Votes are normal scores, so that skewed counts do not pull it.
        """
        now, shares = self.history.now, np.maximum(self.shares, 0.0)
        ratios = np.divide(now, shares, out=np.zeros_like(now), where=shares > 0)
        _, own, _ = self._without_change(max(float(now.sum()), 1.0))
        order = np.argsort(ratios)
        halves = np.cumsum((shares / np.sqrt(own))[order])  # by roots: one large cell that grows outvotes no other
        volume, voice = max(float(ratios[order][np.searchsorted(halves, halves[-1] / 2)]), 1e-9), np.ones(len(now))
        for _ in range(_ROUNDS):
            mean, own, third = self._without_change(volume)
            score = _normal(*tails((now - self.shares * volume) / np.sqrt(own), third / own**1.5))
            voice = np.maximum(1 - (score / _STRAYS) ** 2, 0.0) ** 2
            slope = mean / volume / np.sqrt(own)
            if (voice * slope**2).sum() <= 0:
                break
            step = float((voice * slope * score).sum() / (voice * slope**2).sum())
            volume = max(volume + step, volume / 2)
            if abs(step) <= 1e-6 * volume:
                break
        return volume, voice

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

    def _without_change(self, volume: float) -> tuple[Floats, Floats, Floats]:
        """Expectation from all quarters pooled, at which a score test looks, and the second and third moment of what strays from it."""
        weight, noise, sampling = volume / self.before, self.history.noise**2, self.history.sampling
        pooled = np.maximum((self.history.earlier.sum(axis=0) + self.history.now) / (self.before + volume), 0.0)
        mean, earlier = pooled * volume, self._earlier_means(pooled)
        variance = self._variance(mean, sampling[-1]) + noise[-1]
        variance = variance + weight**2 * (self._variance(earlier, sampling[:-1, None]) + noise[:-1, None]).sum(axis=0)
        third = self._third(mean, sampling[-1]) - weight**3 * self._third(earlier, sampling[:-1, None]).sum(axis=0)
        return mean, variance, third

    def p_values(self) -> tuple[Floats, Floats]:
        """One-sided, of growth and of shrinking."""
        volume, voice = self._voted
        mean, own, third = self._without_change(volume)
        of_volume = mean**2 * self._volume_error
        variance = np.maximum(own + (1 - 2 * voice) * of_volume, own / 100)
        return tails((self.history.now - self.shares * volume) / np.sqrt(variance), third / variance**1.5)

    @cached_property
    def _volume_error(self) -> float:
        """Relative variance of the present volume, as the voices tell it."""
        volume, voice = self._voted
        mean, own, _ = self._without_change(volume)
        return 1 / max(float((voice * mean**2 / own).sum()), 1e-300)

    def told(self, up: Floats, down: Floats, z: float, z_edge: float) -> Iterator[CellGrowth]:
        """What is told of each cell, given its q-values."""
        noise, sampling = self.history.noise**2, self.history.sampling
        weight = self.volume / self.before
        earlier = self._variance(self._earlier_means(self.shares), sampling[:-1, None]) + noise[:-1, None]
        spread = weight**2 * earlier.sum(axis=0)
        volume, voice = self._voted
        for cell, now in enumerate(self.history.now.tolist()):
            before, q_value = float(self.shares[cell]), float(min(up[cell], down[cell]))
            direction = 1 if now > before * self.volume else -1
            own = _Ratio(
                expected=before * volume,
                spread=float(spread[cell]),
                noise=float(noise[-1]),
                sampling=float(sampling[-1]),
                dispersion=self.dispersion,
                of_volume=(before * volume) ** 2 * self._volume_error,
                voice=float(voice[cell]),
            )
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
    of_volume: float  # variance of `expected` by that of the present volume, in which the count has a voice of its own
    voice: float

    def variance(self, ratio: float) -> float:
        """Of `now - ratio · expected`."""
        mean = max(ratio * self.expected, 0.0)
        own = self.sampling * mean + self.dispersion * mean**2 + self.noise + ratio**2 * self.spread
        return max(own + ratio * (ratio - 2 * self.voice) * self.of_volume, own / 100)

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


_quantile = np.vectorize(NormalDist().inv_cdf, otypes=[float])


def _normal(upper: Floats, lower: Floats) -> Floats:
    """The normal score that has these tails."""
    least = np.clip(np.minimum(upper, lower), 1e-300, 0.5)
    return np.asarray(np.where(upper < lower, -1.0, 1.0) * _quantile(least))
