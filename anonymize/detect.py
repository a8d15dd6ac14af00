"""The layers in order: raw-text rules, patterns on the view, then the models on those sentences that hold something unexplained."""

import re
from collections import OrderedDict
from collections.abc import Sequence

from anonymize.engine import EntityOnlyEngine
from anonymize.helplines import Helplines
from anonymize.normalise import View, spelled_digit_runs, view_of
from anonymize.recognizers import pattern_recognizers
from anonymize.recognizers.non_latin import ChatNonLatinRecognizer
from anonymize.recognizers.spacy_entities import SCORE as SPACY_SCORE
from anonymize.recognizers.token_classifier import TokenClassifierRecognizer
from anonymize.refine import by_line, complete, join, naming_test
from anonymize.segments import segments_of
from anonymize.settings import ScrubSettings
from anonymize.spans import Cover, Span, cover_of, merge, subtract, trim
from anonymize.vocabulary import unexplained

_PLACES = frozenset(("ADDRESS", "POSTCODE"))
_SHORT_CODES = 12
# What decides a model's answer: language, the text read, and which of its words nothing has explained yet.
_Piece = tuple[str, str, tuple[tuple[int, int], ...]]


class Detector:
    """All layers of one process. Each answer is a function of one text and the settings, never of the other texts."""

    def __init__(self, settings: ScrubSettings) -> None:
        self._settings = settings
        self._helplines = Helplines(settings.helplines)
        self._raw = ChatNonLatinRecognizer()
        self._patterns = {language: pattern_recognizers(language) for language in settings.languages}
        layers = {layer for chosen in settings.languages.values() for layer in chosen}
        self._engine = EntityOnlyEngine() if "spacy" in layers else None
        if self._engine:
            self._engine.load()
        self._classifier = TokenClassifierRecognizer(settings.scores.classifier) if "classifier" in layers else None
        self._cache: OrderedDict[_Piece, tuple[Span, ...]] = OrderedDict()

    @property
    def helplines(self) -> Helplines:
        """The reviewed services that stay."""
        return self._helplines

    def detect(self, texts: Sequence[str], language: str) -> list[list[Span]]:
        """Give disjoint spans over each text, helplines cut out."""
        views = [view_of(text) for text in texts]
        found = [self._by_pattern(view, language) for view in views]
        for number, spans in enumerate(self._by_model(views, found, language)):
            found[number].extend(spans)
        results: list[list[Span]] = []
        for text, view, spans in zip(texts, views, found, strict=True):
            result = self._settle(view, spans, language)
            if view.origin is not None:
                result = [Span(*view.to_original(span.start, span.end), span.entity, span.score) for span in result]
                result.extend(Span(*item[:2], "PERSON", item[2]) for item in self._raw.matches(text))
                result = merge(result)
            results.append(result)
        return results

    def patterns(self, text: str, language: str) -> list[Span]:
        """Give what the pattern recognizers alone find in a text that is its own view."""
        return merge(self._by_pattern(View(text, None), language))

    def _by_pattern(self, view: View, language: str) -> list[Span]:
        text = view.text
        found = [
            Span(start, end, recognizer.ENTITY, score)
            for recognizer in self._patterns[language]
            for start, end, score in recognizer.matches(text)
        ]
        for start, end, digits in spelled_digit_runs(text):
            if len(digits) >= 6 and not self._helplines.is_number(digits):
                found.append(Span(start, end, "PHONE_NUMBER", 0.7))
        found.extend(Span(start, end, "URL", 0.9) for start, end in self._helplines.beside(text))
        return found

    def _by_model(self, views: Sequence[View], found: Sequence[Sequence[Span]], language: str) -> list[list[Span]]:
        """Read the segments in which a word is left that neither the vocabulary nor a pattern explains."""
        limits = self._settings.limits
        wanted: dict[_Piece, list[tuple[int, int]]] = {}
        for number, view in enumerate(views):
            cover, addresses = cover_of(found[number]), [span.start for span in found[number] if span.entity in _PLACES]
            for start, end in segments_of(view.text, limits.max_segment_characters, limits.segment_overlap):
                segment = view.text[start:end]
                open_words = _left_open(unexplained(segment), cover, start) if language == "en" else ()
                # An address in sight has parts that are ordinary words: the models read it in any case.
                if any(start <= place < end for place in addresses):
                    open_words = (*open_words, (end - start, end - start + 1))
                if language != "en" or open_words:
                    wanted.setdefault((language, segment, open_words), []).append((number, start))
        answers = self._read(list(wanted), language)
        result: list[list[Span]] = [[] for _ in views]
        for piece, places in wanted.items():
            for number, offset in places:
                result[number].extend(
                    Span(span.start + offset, span.end + offset, span.entity, span.score) for span in answers[piece]
                )
        return result

    def _read(self, pieces: list[_Piece], language: str) -> dict[_Piece, tuple[Span, ...]]:
        answers: dict[_Piece, tuple[Span, ...]] = {}
        unread: list[_Piece] = []
        for piece in pieces:
            known = self._cache.get(piece)
            if known is None:
                unread.append(piece)
            else:
                self._cache.move_to_end(piece)
                answers[piece] = known
        texts = [segment for _, segment, _ in unread]
        layers = self._settings.languages[language]
        found: list[list[Span]] = [[] for _ in unread]
        if "spacy" in layers and self._engine:
            for spans, entities in zip(found, self._engine.entities(texts, language), strict=True):
                spans.extend(Span(start, end, entity, SPACY_SCORE) for start, end, entity in entities)
        if "classifier" in layers and self._classifier:
            # Only where a word is still unexplained: most names are, by now, and this is the dear layer.
            asked = [
                number
                for number, (_, _, open_words) in enumerate(unread)
                if language != "en" or _left_open(open_words, cover_of(found[number]), 0)
            ]
            for number, items in zip(asked, self._classifier.analyze_batch([texts[n] for n in asked]), strict=True):
                found[number].extend(Span(*item) for item in items)
        for piece, spans in zip(unread, found, strict=True):
            answers[piece] = answer = tuple(spans)
            self._remember(piece, answer)
        return answers

    def _remember(self, piece: _Piece, answer: tuple[Span, ...]) -> None:
        self._cache[piece] = answer
        if len(self._cache) > self._settings.limits.cached_segments:
            self._cache.popitem(last=False)

    def _settle(self, view: View, spans: list[Span], language: str) -> list[Span]:
        text = view.text
        minimum = self._settings.scores.minimum
        kept = [span for span in spans if span.score >= minimum]
        if language == "en":
            names_something = naming_test(text)
            kept = complete(text, [span for span in by_line(text, kept) if names_something(span)])
        if not kept:
            return []
        return self.without_helplines(text, join(text, merge(trim(text, kept))))

    def without_helplines(self, text: str, spans: Sequence[Span]) -> list[Span]:
        """Cut the reviewed services out of the spans; of a cut span only a part that still tells something is left."""
        spans = [span for span in spans if not self._is_short_code(text[span.start : span.end])]
        ranges = self._helplines.kept(text) if spans else ()
        if not ranges:
            return spans
        whole = set(spans)
        return [span for span in trim(text, subtract(spans, ranges)) if span in whole or _tells(text[span.start : span.end])]

    def _is_short_code(self, value: str) -> bool:
        # "988", and "988/911" as well.
        if len(value) > _SHORT_CODES or any(character.isalpha() for character in value):
            return False
        codes = re.findall(r"\d+", value)
        return bool(codes) and all(self._helplines.is_number(code) for code in codes)


def _left_open(words: Sequence[tuple[int, int]], cover: Cover, offset: int) -> tuple[tuple[int, int], ...]:
    """Give the words (ranges in a segment that begins at `offset`) that no finding covers whole."""
    return tuple(word for word in words if not cover.holds(word[0] + offset, word[1] + offset))


def _tells(piece: str) -> bool:
    return "@" in piece or any(character.isdigit() for character in piece) or bool(unexplained(piece))
