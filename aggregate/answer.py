"""The answer of a release: noisy integers and their scales. It is stored once and answered the same for ever."""

from dataclasses import asdict, dataclass
from typing import Any

import orjson


@dataclass(frozen=True)
class NoisyResidual:
    """One residual of a measure's workload (`aggregate.workload`), flat, in integer steps of 1/G."""

    measure: str
    keys: tuple[str, ...]
    values: tuple[int, ...]
    scale: float


@dataclass(frozen=True)
class NoisyMarginal:
    """What decides and qualifies the cells of one marginal: two noisy vectors, one value a public cell, in integer steps.

    `squares` is the sum over users and cells of squared weights, which the variance of sampling is told from.
    """

    measure: str
    marginal: tuple[str, ...]
    outside: tuple[int, ...]
    outside_scale: float
    dominance: tuple[int, ...]
    dominance_scale: float
    squares: int
    squares_scale: float


@dataclass(frozen=True)
class Answer:
    """All that was drawn for a release."""

    residuals: tuple[NoisyResidual, ...]
    marginals: tuple[NoisyMarginal, ...]

    def to_bytes(self) -> bytes:
        """The stored form; the same answer gives the same bytes."""
        return orjson.dumps(asdict(self), option=orjson.OPT_SORT_KEYS)

    @classmethod
    def from_bytes(cls, stored: bytes) -> "Answer":
        """Reads the stored form."""
        read = orjson.loads(stored)
        return cls(
            tuple(NoisyResidual(**_tuples(row)) for row in read["residuals"]),
            tuple(NoisyMarginal(**_tuples(row)) for row in read["marginals"]),
        )


def _tuples(row: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
