"""Seeded draws. Every plant draws from a stream of its own, so that a further plant leaves all others as they were."""

import hashlib
import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def _number(seed: int, path: tuple[object, ...]) -> int:
    text = "\x1f".join(str(part) for part in (seed, *path))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")


def stream(seed: int, *path: object) -> np.random.Generator:
    """The random stream of one plant, named by its path."""
    return np.random.default_rng(_number(seed, path))


def text_stream(seed: int, *path: object) -> random.Random:
    """The same for single choices, as text needs them."""
    return random.Random(_number(seed, path))


def name_of(seed: int, *path: object) -> str:
    """A 20-digit hex name that belongs to a path: for pseudonyms and record ids."""
    return f"{_number(seed, path):032x}"[:20]


def pick(rng: np.random.Generator, codes: Sequence[str], weights: Mapping[str, float], n: int) -> Ints:
    """`n` indices into `codes`, drawn by weight; a code without weight is never drawn."""
    shares = np.array([weights.get(code, 0.0) for code in codes])
    return pick_by(rng.random(n), shares)


def pick_by(uniform: Floats, shares: npt.NDArray[Any]) -> Ints:
    """Indices by inverse cumulative shares: one vector of shares for all, or one row of shares each."""
    total: Floats = np.cumsum(shares, axis=-1)
    cumulative: Floats = total / total[..., -1:]
    if shares.ndim == 1:
        return np.minimum(np.searchsorted(cumulative, uniform, side="right"), len(shares) - 1)
    passed: Ints = (uniform[:, None] >= cumulative).sum(axis=1)
    limit: Ints = np.minimum(passed, shares.shape[1] - 1)
    return limit
