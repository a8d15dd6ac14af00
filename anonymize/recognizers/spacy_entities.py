"""What spaCy's entity recogniser found, as a Presidio recognizer."""

from typing import Any

from presidio_analyzer import EntityRecognizer, RecognizerResult

SCORE = 0.85


class SpacyEntitiesRecognizer(EntityRecognizer):
    """Persons, places and organisations; spaCy's dates are left out (they tag "today"), date patterns stand in for them."""

    ENTITIES = ("PERSON", "LOCATION", "ORGANIZATION")

    def __init__(self, supported_language: str = "en") -> None:
        super().__init__(supported_entities=list(self.ENTITIES), supported_language=supported_language, name=type(self).__name__)

    def load(self) -> None:
        """Nothing to load: the NLP engine has read the text."""

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[RecognizerResult]:
        """Give the engine's entities of the kinds this recognizer answers for."""
        if nlp_artifacts is None:
            return []
        return [
            RecognizerResult(entity.label_, entity.start_char, entity.end_char, SCORE)
            for entity in nlp_artifacts.entities
            if entity.label_ in self.ENTITIES
        ]
