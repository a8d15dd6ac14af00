"""What all pattern recognizers share: one entity, cheap gate, patterns that cannot run away."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from presidio_analyzer import EntityRecognizer, RecognizerResult


@dataclass(frozen=True, slots=True)
class Rule:
    """One pattern. `group` is the part that is private; `accepts` may refuse a match that only looks like one."""

    pattern: re.Pattern[str]
    score: float
    group: int | str = 0
    accepts: Callable[[re.Match[str]], bool] | None = None


class PatternLayer(EntityRecognizer):
    """A Presidio recognizer over bounded patterns.

    Presidio's own pattern recognizer skips a pattern that runs out of time: it fails open. Here each pattern has bounded
    repetitions and no nested ones, so its cost is linear in the text by construction, and there is no clock to run out.
    The names begin with Chat: Presidio finds recognizers by class name, and must not take ours for its own.
    """

    ENTITY: ClassVar[str]
    GATE: ClassVar[re.Pattern[str]]
    RULES: ClassVar[Sequence[Rule]]

    def __init__(self, supported_language: str = "en") -> None:
        super().__init__(supported_entities=[self.ENTITY], supported_language=supported_language, name=type(self).__name__)

    def load(self) -> None:
        """Nothing to load."""

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[RecognizerResult]:
        """Give every match in `text`; nothing at all where the gate finds no reason to look."""
        return [RecognizerResult(self.ENTITY, start, end, score) for start, end, score in self.matches(text)]

    def matches(self, text: str) -> list[tuple[int, int, float]]:
        """Give `(start, end, score)` of every match."""
        if not self.GATE.search(text):
            return []
        return [
            (*match.span(rule.group), rule.score)
            for rule in self.RULES
            for match in rule.pattern.finditer(text)
            if match.start(rule.group) >= 0 and (rule.accepts is None or rule.accepts(match))
        ]


def digits_of(text: str) -> str:
    """Keep only the digits."""
    return "".join(character for character in text if character.isdigit())


def luhn_holds(digits: str) -> bool:
    """Check the Luhn checksum (ISO/IEC 7812-1)."""
    total = 0
    for place, character in enumerate(reversed(digits)):
        value = int(character)
        if place % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0
