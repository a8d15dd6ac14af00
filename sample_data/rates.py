"""Rates of codes by company and quarter: what varies by chance from quarter to quarter, and what grows."""

from collections.abc import Mapping

import numpy as np

from sample_data.draws import Floats, Ints, stream
from sample_data.emerging_plants import GROWING_KEYS
from sample_data.parameters import SimulationParameters
from schemas.codes import code_lists
from schemas.periods import Quarter

SECOND_CODE = 0.2
"""Share of records with one code of a list that have a second."""


def chance_factors(p: SimulationParameters, quarter: Quarter, key: str) -> Floats:
    """What chance multiplies the rate of each code of a key by in a quarter: gamma-distributed, 1 on average."""
    n = len(code_lists()[key])
    if not p.overdispersion:
        return np.ones(n)
    shape = 1 / p.overdispersion**2
    return stream(p.seed, quarter, "overdispersion", key).gamma(shape, 1 / shape, n)


def growth_factors(p: SimulationParameters, quarter: Quarter, key: str) -> Floats:
    """What plants multiply the rates of a key by in a quarter: (companies, codes)."""
    names = tuple(code_lists()[key])
    factors = np.ones((p.companies, len(names)))
    for plant in p.growing:
        if plant.key == key and Quarter.parse(plant.begins) <= quarter:
            factors[p.companies_of(plant), names.index(plant.code)] *= plant.factor
    return factors


def varies(p: SimulationParameters, quarter: Quarter, key: str) -> bool:
    """Whether any rate of a key differs from its parameter in a quarter."""
    grows = any(plant.key == key and Quarter.parse(plant.begins) <= quarter for plant in p.growing)
    return key in GROWING_KEYS and (bool(p.overdispersion) or grows)


def shares_of(p: SimulationParameters, quarter: Quarter, key: str, weights: Mapping[str, float]) -> Floats:
    """Share of each code in a quarter, (companies, codes): codes that grow have their share times their factor, others the rest."""
    raw = np.array([weights.get(code, 0.0) for code in code_lists()[key]]) * chance_factors(p, quarter, key)
    usual = raw / raw.sum()
    factors = growth_factors(p, quarter, key)
    grown = np.where(factors != 1, usual * factors, 0.0)
    rest = np.where(factors != 1, 0.0, usual)
    left = np.maximum(1 - grown.sum(axis=1, keepdims=True), 0.0)
    whole = rest.sum(axis=1, keepdims=True)
    shares: Floats = grown + rest * np.divide(left, whole, out=np.zeros_like(whole), where=whole > 0)
    return shares


def vary_pairs(p: SimulationParameters, quarter: Quarter, key: str, share: float, pairs: Ints, company: Ints) -> Ints:
    """Multiplies the rates of codes in `pairs`, (n, 2) with -1 for none, of records of which a `share` has a first code.

    A code that recedes is taken out of some records; one that grows is added to some that had none, so that all other codes
    keep their rates.
    """
    if not varies(p, quarter, key):
        return pairs
    factors = growth_factors(p, quarter, key) * chance_factors(p, quarter, key)
    rng, n = stream(p.seed, quarter, "varied", key), len(pairs)
    kept = np.minimum(factors, 1.0)[company]
    stays = (pairs >= 0) & (rng.random((n, 2)) < np.take_along_axis(kept, np.maximum(pairs, 0), axis=1))
    usual = share * (1 + SECOND_CODE) / factors.shape[1]
    added = np.cumsum(usual * np.maximum(factors - 1, 0.0) / (1 - share), axis=1)[company]
    new = (rng.random(n)[:, None] >= added).sum(axis=1)
    first = np.where(stays[:, 0], pairs[:, 0], np.where(stays[:, 1], pairs[:, 1], -1))
    first = np.where((pairs[:, 0] < 0) & (new < factors.shape[1]), new, first)
    second = np.where(stays.all(axis=1), pairs[:, 1], -1)
    return np.stack([first, second], axis=1)
