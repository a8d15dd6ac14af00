"""Presidio anonymizer operators: typed placeholders that mean something inside one conversation and nothing outside it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from presidio_anonymizer import AnonymizerEngine
from presidio_anonymizer.entities import OperatorConfig, RecognizerResult
from presidio_anonymizer.operators import Operator, OperatorType

from anonymize.spans import Span

WITHHELD = "<WITHHELD>"
PLACEHOLDER = re.compile(r"<(?:[A-Z_]+_\d{1,4}|DATE:\d{4}|DATE|AGE:90\+|AGE|WITHHELD)>")
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_OLDEST_TOLD = 89


class Placeholders:
    """The numbering of one conversation: the same value gets the same placeholder, a part of a known name its name's."""

    def __init__(self) -> None:
        self._numbers: dict[str, dict[str, int]] = {}

    def of(self, entity: str, value: str) -> str:
        """Give the placeholder of a value."""
        known = self._numbers.setdefault(entity, {})
        key = " ".join(re.findall(r"\w+", value.casefold())) or value
        if key not in known:
            words = set(key.split())
            same = next((number for other, number in known.items() if entity == "PERSON" and _is_part(words, other)), None)
            known[key] = same if same is not None else len(set(known.values())) + 1
        return f"<{entity}_{known[key]}>"


def _is_part(words: set[str], other: str) -> bool:
    others = set(other.split())
    return words < others or others < words


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
