"""All marginals of a measure as one workload: what is asked for once is measured once, and marginals agree with each other.

A marginal is the sum of *residuals*, one for each subset of its keys: what the subset's sums tell beyond those of smaller
subsets. Residuals of different subsets are orthogonal, so each is measured once, on an orthonormal basis, with independent
Gaussian noise; every marginal is then an exact linear function of them, which is the least-squares estimate (Xiao et al.,
ResidualPlanner, NeurIPS 2023). Noise is spread so that the mean variance of a cell, added over the marginals, is least.

A key in which a user may weigh fully in each value (a *stratum*) is kept as it is and belongs to every residual.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import chain, combinations

import numpy as np
import numpy.typing as npt

from aggregate.intervals import LineNoise
from schemas.keys import KEYS, Scope
from schemas.plan import Measure, Names

Floats = npt.NDArray[np.float64]

UNIT = 2**20
"""Integer steps of 1 in a basis: its entries are rounded to these."""

_SHARES = 2**40


@cache
def basis(codes: int) -> tuple[tuple[int, ...], ...]:
    """Helmert's basis of what `codes` numbers tell beyond their sum: codes - 1 rows in steps of 1 / UNIT.

    Rows are exactly orthogonal to each other and to a constant, and of norm 1 but for the rounding of one factor a row.
    """
    rows = []
    for k in range(1, codes):
        factor = round(UNIT / math.sqrt(k * (k + 1)))
        rows.append((*[factor] * k, -k * factor, *[0] * (codes - k - 1)))
    return tuple(rows)


@cache
def _inverse(codes: int) -> Floats:
    """Shape (codes, codes - 1): from the residual back to the numbers, less their mean."""
    rows = np.array(basis(codes), dtype=float).reshape(codes - 1, codes)
    return np.asarray((rows / (rows**2).sum(axis=1, keepdims=True)).T * UNIT)


@dataclass(frozen=True)
class Residual:
    """What the sums over `keys` tell beyond those over fewer keys.

    `codes` counts the codes of each key; `stratum` is the place of the stratum among them, or -1. `share` is its part of the
    rho of the measure's estimates.
    """

    keys: Names
    codes: tuple[int, ...]
    stratum: int
    share: Fraction

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers of the residual, by key."""
        return tuple(n if place == self.stratum else n - 1 for place, n in enumerate(self.codes))

    def of(self, sums: npt.NDArray[np.int64]) -> list[int]:
        """The residual of exact sums of shape `codes`, in their own integer steps, rounded once at the end."""
        exact, scale = np.asarray(sums, dtype=object), 1
        for place, codes in enumerate(self.codes):
            if place != self.stratum:
                turned = np.tensordot(np.array(basis(codes), dtype=object), exact, axes=(1, place))
                exact, scale = np.moveaxis(turned, 0, place), scale * UNIT
        return [(2 * int(value) + scale) // (2 * scale) for value in np.ravel(exact)]

    def l2(self, mass: int, strata: int) -> tuple[Fraction, int]:
        """How far one user moves it in L2, in integer steps, as (square of the linear part, number of roundings).

        A user's sums are not negative and add up to at most `mass` in each of `strata` strata, so the linear part moves by at
        most √strata · mass · the largest norm of a column of the basis, and rounding n numbers by at most √n more.
        """
        column = Fraction(1)
        for place, codes in enumerate(self.codes):
            if place != self.stratum:
                largest = max(sum(entry * entry for entry in entries) for entries in zip(*basis(codes), strict=True))
                column *= Fraction(largest, UNIT**2)
        return strata * mass**2 * column, math.prod(self.shape)


@dataclass(frozen=True)
class Workload:
    """The marginals of one measure and the residuals that they are made of."""

    codes: Mapping[str, int]
    stratum: str
    residuals: tuple[Residual, ...]

    @classmethod
    def of(cls, measure: Measure, scope: Scope) -> "Workload":
        """The workload of a measure: every subset of keys that one of its marginals has, the total included."""
        codes = {key: len(KEYS[key].domain(scope)) for marginal in measure.marginals for key in marginal}
        stratum = measure.stratum
        found = {subset for marginal in measure.marginals for subset in _subsets(marginal, codes, stratum)}
        subsets = sorted(found, key=lambda keys: (len(keys), [list(KEYS).index(key) for key in keys]))
        shares = _shares(subsets, measure.marginals, codes, stratum)
        residuals = tuple(
            Residual(keys, tuple(codes[key] for key in keys), keys.index(stratum) if stratum else -1, share)
            for keys, share in zip(subsets, shares, strict=True)
        )
        return cls(codes, stratum, residuals)

    def parts_of(self, marginal: Sequence[str]) -> Iterable[Residual]:
        """The residuals that a marginal is made of."""
        return (residual for residual in self.residuals if set(residual.keys) <= set(marginal))

    def marginal(self, marginal: Names, values: Mapping[Names, Sequence[int]]) -> Floats:
        """A marginal from (noisy) residuals, flat, in the order of its public cells. Unbiased, in the residuals' unit."""
        total = np.zeros([self.codes[key] for key in marginal])
        for residual in self.parts_of(marginal):
            part = np.array(values[residual.keys], dtype=float).reshape(residual.shape)
            for place, codes in enumerate(residual.codes):
                if place != residual.stratum:
                    part = np.moveaxis(np.tensordot(_inverse(codes), part, axes=(1, place)), 0, place)
            order = sorted(range(len(residual.keys)), key=lambda place: marginal.index(residual.keys[place]))
            here = np.transpose(part, order).reshape([self.codes[key] if key in residual.keys else 1 for key in marginal])
            total += here / math.prod(self.codes[key] for key in marginal if key not in residual.keys)
        return np.ravel(total)

    def line_noise(self, marginal: Names, key: str, scales: Mapping[Names, float]) -> LineNoise:
        """Noise of the cells of a marginal that differ in `key` only, from the scales of the residuals, in their unit."""
        own, shared, codes = 0.0, 0.0, self.codes[key]
        for residual in self.parts_of(marginal):
            spread = scales[residual.keys] ** 2 * _variance(residual.keys, set(marginal) - {key}, self.codes, self.stratum)
            if key == self.stratum:
                own += spread
            elif key in residual.keys:
                own += spread
                shared -= spread / codes
            else:
                shared += spread / codes**2
        return LineNoise(own, shared)

    def covariance(self, marginal: Names, over: Names, scales: Mapping[Names, float]) -> Floats:
        """Covariance of the noise of the cells of a marginal that differ in the keys `over` only, in their order, flat.

        Shape (cells, cells), in the unit of the scales, squared: `line_noise` for more keys than one.
        """
        cells = math.prod(self.codes[key] for key in over)
        total = np.zeros((cells, cells))
        for residual in self.parts_of(marginal):
            part: Floats = np.ones((1, 1))
            for key in over:
                part = np.asarray(np.kron(part, self._kernel(key, residual)))
            spread = _variance(residual.keys, set(marginal) - set(over), self.codes, self.stratum)
            total += scales[residual.keys] ** 2 * spread * part
        return total

    def _kernel(self, key: str, residual: Residual) -> Floats:
        """What a residual adds to the covariance of two cells by their codes of a key, for each unit of its variance."""
        codes = self.codes[key]
        if key == self.stratum:
            return np.eye(codes)
        return np.eye(codes) - 1 / codes if key in residual.keys else np.full((codes, codes), 1 / codes**2)

    def deviation(self, marginal: Names, scales: Mapping[Names, float]) -> float:
        """Standard deviation of the noise of each cell of a marginal, in the unit of the scales: it is the same in all."""
        spread = sum(
            scales[residual.keys] ** 2 * _variance(residual.keys, set(marginal), self.codes, self.stratum)
            for residual in self.parts_of(marginal)
        )
        return math.sqrt(spread)


def _subsets(marginal: Names, codes: Mapping[str, int], stratum: str) -> Iterable[Names]:
    # A key of one code tells nothing beyond the sum.
    free = sorted((key for key in marginal if key != stratum and codes[key] > 1), key=list(KEYS).index)
    fixed = (stratum,) if stratum else ()
    every = chain.from_iterable(combinations(free, size) for size in range(len(free) + 1))
    return ((*fixed, *keys) for keys in every)


def _variance(keys: Names, marginal: set[str], codes: Mapping[str, int], stratum: str) -> float:
    """Variance of a cell of a marginal for each unit of variance of a residual; keys outside the marginal are left aside."""
    inside = math.prod(1 - 1 / codes[key] for key in keys if key != stratum and key in marginal)
    return inside / math.prod(codes[key] ** 2 for key in marginal if key not in keys)


def _shares(subsets: Sequence[Names], marginals: Sequence[Names], codes: Mapping[str, int], stratum: str) -> list[Fraction]:
    """Shares of rho under which the cells' mean variance, added over the marginals, is least (Lagrange): √(p · v) each.

    p is the squared norm that a user moves a residual by, v what a unit of its variance costs.
    """
    roots = []
    for keys in subsets:
        moved = math.prod(1 - 1 / codes[key] for key in keys if key != stratum)
        costs = sum(_variance(keys, set(marginal), codes, stratum) for marginal in marginals if set(keys) <= set(marginal))
        roots.append(math.sqrt(moved * costs))
    whole = math.fsum(roots)
    return [Fraction(math.floor(_SHARES * root / whole), _SHARES) for root in roots]
