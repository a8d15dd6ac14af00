"""The answer of a release: noisy integers and their scales. It is stored once and answered the same for ever."""

from dataclasses import asdict, dataclass
from typing import Any

import orjson


@dataclass(frozen=True)
class NoisyMarginal:
    """The three noisy vectors of one marginal, one value a public cell, in integer steps of 1/G."""

    measure: str
    marginal: tuple[str, ...]
    estimate: tuple[int, ...]
    estimate_scale: float
    outside: tuple[int, ...]
    outside_scale: float
    dominance: tuple[int, ...]
    dominance_scale: float


@dataclass(frozen=True)
class Answer:
    """All noisy marginals of a release."""

    marginals: tuple[NoisyMarginal, ...]

    def to_bytes(self) -> bytes:
        """The stored form; the same answer gives the same bytes."""
        return orjson.dumps([asdict(marginal) for marginal in self.marginals], option=orjson.OPT_SORT_KEYS)

    @classmethod
    def from_bytes(cls, stored: bytes) -> "Answer":
        """Reads the stored form."""
        return cls(tuple(NoisyMarginal(**_tuples(row)) for row in orjson.loads(stored)))


def _tuples(row: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
