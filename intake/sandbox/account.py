"""The count that the stream of the throw-away process is held to: every row told once, every problem one that we know."""

import itertools
import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel

from intake.record_checks import MOST_PROBLEMS
from schemas.findings import FINDING_CODES
from schemas.record import RECORD_MODELS

_PLACE = re.compile(r"\[\d{0,6}\]", re.ASCII)
_OF_A_FILE = frozenset(("E108", "W306", "W307", "W308", "W311"))
_MOST_OF_A_FILE = 64

Problems = Sequence[tuple[int, str, str]]


class RowAccount:
    """Holds a stream to its own count: every row is told once, as sound or as faulty, in order."""

    def __init__(self, most_rows: int) -> None:
        self._most_rows, self._rows, self._over = most_rows, 0, False

    def holds(self, rows: int, sound: Sequence[int], problems: Problems) -> bool:
        """Whether the next batch, after which `rows` rows were read, fits what came before. Nothing follows a batch without rows."""
        first, self._rows = self._rows, max(rows, self._rows)
        added, faulty = rows - first, {row for row, code, _ in problems if row and code.startswith("E")}
        if self._over or not all(_is_problem(*problem) for problem in problems):
            return False
        if added <= 0:
            self._over = True
            return added == 0 and not sound and 0 < len(problems) <= _MOST_OF_A_FILE and not any(row for row, _, _ in problems)
        placed = all(first < row <= rows for row in (*sound, *(row for row, _, _ in problems)))
        ascending = all(a < b for a, b in itertools.pairwise(sound))
        counted = len(sound) + len(faulty) == added <= self._most_rows and faulty.isdisjoint(sound)
        return placed and ascending and counted and len(problems) <= added * MOST_PROBLEMS


def _is_problem(row: int, code: str, field: str) -> bool:
    of_its_kind = code in _OF_A_FILE if not row else code[:2] in ("E2", "W3")
    return code in FINDING_CODES and of_its_kind and _is_field(field)


def _is_field(field: str) -> bool:
    """Whether it is a path of the contract, places in lists aside; `?` stands for a name that the contract does not know."""
    path = _PLACE.sub("", field)
    return path in _paths() or (path.endswith(".?") and path[:-2] in _paths()) or path in ("", "?")


@cache
def _paths() -> frozenset[str]:
    return frozenset(path for model in RECORD_MODELS for path in _paths_of(model, ""))


def _paths_of(model: type[BaseModel], prefix: str) -> Iterable[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        for inner in _models_in(field.annotation):
            yield from _paths_of(inner, f"{prefix}{name}.")


def _models_in(annotation: Any) -> Iterable[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
