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
class NoisyPanel:
    """Sums of one marginal over the companies that contributed in the quarter before too, one value a public cell, in integer steps."""

    measure: str
    marginal: tuple[str, ...]
    values: tuple[int, ...]
    scale: float


@dataclass(frozen=True)
class NoisyRound:
    """One round of a search for terms: what was over its threshold, in integer steps. `words` is of one term each, in order."""

    search: str
    number: int
    words: tuple[str, ...]
    values: tuple[int, ...]
    scale: float
    threshold: int
    delta: float


@dataclass(frozen=True)
class NoisyTracked:
    """Counts of terms that were found earlier, with what decides the company rules, in integer steps; a value each a term."""

    search: str
    words: tuple[str, ...]
    values: tuple[int, ...]
    scale: float
    outside: tuple[int, ...]
    outside_scale: float
    dominance: tuple[int, ...]
    dominance_scale: float


@dataclass(frozen=True)
class Answer:
    """All that was drawn for a release."""

    residuals: tuple[NoisyResidual, ...]
    marginals: tuple[NoisyMarginal, ...]
    panels: tuple[NoisyPanel, ...] = ()
    rounds: tuple[NoisyRound, ...] = ()
    tracked: tuple[NoisyTracked, ...] = ()

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
            tuple(NoisyPanel(**_tuples(row)) for row in read["panels"]),
            tuple(NoisyRound(**_tuples(row)) for row in read["rounds"]),
            tuple(NoisyTracked(**_tuples(row)) for row in read["tracked"]),
        )


def _tuples(row: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
