"""Presidio anonymizer operators: typed placeholders that mean something inside one conversation and nothing outside it."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations, islice
from typing import Any

from presidio_anonymizer import AnonymizerEngine
from presidio_anonymizer.entities import OperatorConfig, RecognizerResult
from presidio_anonymizer.operators import Operator, OperatorType

from anonymize.spans import Span

WITHHELD = "<WITHHELD>"
PLACEHOLDER = re.compile(r"<(?:[A-Z_]+_\d{1,4}|DATE:\d{4}|DATE|AGE:90\+|AGE|WITHHELD)>")
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_OLDEST_TOLD = 89


_PARTS = 62
"""Parts of a name that are looked up: all of one of six words."""


class Placeholders:
    """The numbering of one conversation: the same value gets the same placeholder, a part of a known name its name's.

    A new name is looked up, by its words, among those that are known: to compare it with each would cost the square of
    their number.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, dict[str, int]] = {}
        self._last: Counter[str] = Counter()
        # Sets of words to the first name that is that set, and the first that has it as a part: how many were before, and its number.
        self._whole: dict[frozenset[str], tuple[int, int]] = {}
        self._part: dict[frozenset[str], tuple[int, int]] = {}

    def of(self, entity: str, value: str) -> str:
        """Give the placeholder of a value."""
        known = self._numbers.setdefault(entity, {})
        key = " ".join(re.findall(r"\w+", value.casefold())) or value
        if key not in known:
            known[key] = self._of_name(key) if entity == "PERSON" else self._new(entity)
        return f"<{entity}_{known[key]}>"

    def _of_name(self, key: str) -> int:
        words = frozenset(key.split())
        every = (frozenset(part) for size in range(1, len(words)) for part in combinations(sorted(words), size))
        parts = list(islice(every, _PARTS))
        found = [self._part.get(words), *(self._whole.get(part) for part in parts)]
        same = [each for each in found if each is not None]
        named = len(self._numbers["PERSON"]), min(same)[1] if same else self._new("PERSON")
        self._whole.setdefault(words, named)
        for part in parts:
            self._part.setdefault(part, named)
        return named[1]

    def _new(self, entity: str) -> int:
        self._last[entity] += 1
        return self._last[entity]


class PlaceholderOperator(Operator):
    """`Ewa` becomes `<PERSON_1>` wherever it stands in the conversation."""

    def operate(self, text: str, params: dict[str, Any] | None = None) -> str:
        """Give the placeholder of `text` from the conversation's numbering in `params`."""
        known = params or {}
        numbering: Placeholders = known["numbering"]
        return numbering.of(known["entity_type"], text)

    def validate(self, params: dict[str, Any] | None = None) -> None:
        """The numbering has to be there."""
        if not params or not isinstance(params.get("numbering"), Placeholders):
            raise ValueError("the placeholder operator needs a numbering")

    def operator_name(self) -> str:
        """Name under which Presidio knows the operator."""
        return "conversation_placeholder"

    def operator_type(self) -> OperatorType:
        """It anonymizes."""
        return OperatorType.Anonymize


class CoarsenDateOperator(PlaceholderOperator):
    """A date keeps its year, unless the year alone would tell an age over 89 in the year as of which the rules hold."""

    def operate(self, text: str, params: dict[str, Any] | None = None) -> str:
        """Give `<DATE:2012>`, or `<DATE>` where no four-digit year stands in it, or one so long ago."""
        year = _YEAR.search(text)
        oldest = (params or {})["as_of_year"] - _OLDEST_TOLD
        return f"<DATE:{year.group()}>" if year and int(year.group()) >= oldest else "<DATE>"

    def operator_name(self) -> str:
        """Name under which Presidio knows the operator."""
        return "coarsen_date"


class CoarsenAgeOperator(PlaceholderOperator):
    """An age over 89 becomes one class; a younger one beside a place is dropped."""

    def operate(self, text: str, params: dict[str, Any] | None = None) -> str:
        """Give `<AGE:90+>` or `<AGE>`."""
        return "<AGE:90+>" if text.strip().isdigit() and int(text) >= 90 else "<AGE>"

    def operator_name(self) -> str:
        """Name under which Presidio knows the operator."""
        return "coarsen_age"


class Masker:
    """Presidio's anonymizer with the operators above. `as_of_year` is the year in which an age over 89 is reckoned."""

    def __init__(self, as_of_year: int) -> None:
        self._as_of_year = as_of_year
        self._engine = AnonymizerEngine()  # type: ignore[no-untyped-call]
        for operator in (PlaceholderOperator, CoarsenDateOperator, CoarsenAgeOperator):
            self._engine.add_anonymizer(operator)

    def mask(self, text: str, spans: Sequence[Span], numbering: Placeholders) -> str:
        """Replace disjoint spans of one turn."""
        if not spans:
            return text
        params = {"numbering": numbering, "as_of_year": self._as_of_year}
        operators: Mapping[str, OperatorConfig] = {
            "DEFAULT": OperatorConfig("conversation_placeholder", params),
            "DATE": OperatorConfig("coarsen_date", params),
            "AGE": OperatorConfig("coarsen_age", params),
        }
        # Numbered in reading order first: the anonymizer itself works from the end of the text.
        for span in spans:
            if span.entity not in ("DATE", "AGE"):
                numbering.of(span.entity, text[span.start : span.end])
        results = [RecognizerResult(span.entity, span.start, span.end, span.score) for span in spans]
        masked: str = self._engine.anonymize(text, results, dict(operators), merge_entities_with_spaces=False).text
        return masked
