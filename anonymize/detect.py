"""The layers in order: raw-text rules, patterns on the view, then the models on those sentences that hold something unexplained."""

from collections import OrderedDict
from collections.abc import Sequence

from anonymize.engine import EntityOnlyEngine
from anonymize.helplines import Helplines
from anonymize.normalise import View, spelled_digit_runs, view_of
from anonymize.recognizers import pattern_recognizers
from anonymize.recognizers.non_latin import NonLatinRecognizer
from anonymize.recognizers.spacy_entities import SCORE as SPACY_SCORE
from anonymize.recognizers.token_classifier import TokenClassifierRecognizer
from anonymize.segments import segments_of
from anonymize.settings import ScrubSettings
from anonymize.spans import Span, merge, subtract, trim
from anonymize.vocabulary import WORD, is_ordinary, unexplained

_NAMING = frozenset(("PERSON", "LOCATION", "ORGANIZATION", "ADDRESS"))
_JOINED = frozenset(("ADDRESS", "LOCATION", "POSTCODE"))


class Detector:
    """All layers of one process. Each answer is a function of one text and the settings, never of the other texts."""

    def __init__(self, settings: ScrubSettings) -> None:
        self._settings = settings
        self._helplines = Helplines(settings.helplines)
        self._raw = NonLatinRecognizer()
        self._patterns = {language: pattern_recognizers(language) for language in settings.languages}
        layers = {layer for chosen in settings.languages.values() for layer in chosen}
        self._engine = EntityOnlyEngine() if "spacy" in layers else None
        if self._engine:
            self._engine.load()
        self._classifier = TokenClassifierRecognizer(settings.scores.classifier) if "classifier" in layers else None
        self._cache: OrderedDict[tuple[str, str], tuple[Span, ...]] = OrderedDict()

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
            result = self._settle(view, spans)
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
        return found

    def _by_model(self, views: Sequence[View], found: Sequence[Sequence[Span]], language: str) -> list[list[Span]]:
        """Read the segments in which a word is left that neither the vocabulary nor a pattern explains."""
        limits = self._settings.limits
        wanted: dict[str, list[tuple[int, int]]] = {}
        for number, view in enumerate(views):
            for start, end in segments_of(view.text, limits.max_segment_characters, limits.segment_overlap):
                segment = view.text[start:end]
                if language != "en" or _has_unexplained(segment, start, found[number]):
                    wanted.setdefault(segment, []).append((number, start))
        answers = self._read(list(wanted), language)
        result: list[list[Span]] = [[] for _ in views]
        for segment, places in wanted.items():
            for number, offset in places:
                result[number].extend(
                    Span(span.start + offset, span.end + offset, span.entity, span.score) for span in answers[segment]
                )
        return result

    def _read(self, segments: list[str], language: str) -> dict[str, tuple[Span, ...]]:
        answers: dict[str, tuple[Span, ...]] = {}
        unread: list[str] = []
        for segment in segments:
            known = self._cache.get((language, segment))
            if known is None:
                unread.append(segment)
            else:
                self._cache.move_to_end((language, segment))
                answers[segment] = known
        layers = self._settings.languages[language]
        found: list[list[Span]] = [[] for _ in unread]
        if "spacy" in layers and self._engine:
            for spans, entities in zip(found, self._engine.entities(unread, language), strict=True):
                spans.extend(Span(start, end, entity, SPACY_SCORE) for start, end, entity in entities)
        if "classifier" in layers and self._classifier:
            for spans, items in zip(found, self._classifier.analyze_batch(unread), strict=True):
                spans.extend(Span(*item) for item in items)
        for segment, spans in zip(unread, found, strict=True):
            answer = tuple(spans)
            answers[segment] = answer
            self._remember((language, segment), answer)
        return answers

    def _remember(self, key: tuple[str, str], answer: tuple[Span, ...]) -> None:
        self._cache[key] = answer
        if len(self._cache) > self._settings.limits.cached_segments:
            self._cache.popitem(last=False)

    def _settle(self, view: View, spans: list[Span]) -> list[Span]:
        if not spans:
            return []
        text = view.text
        minimum = self._settings.scores.minimum
        kept = [span for span in spans if span.score >= minimum and not _names_nothing(text, span)]
        result = _join(text, merge(trim(text, kept)))
        if result:
            result = self.without_helplines(text, result)
        return result

    def without_helplines(self, text: str, spans: Sequence[Span]) -> list[Span]:
        """Cut the reviewed services out of the spans; of a cut span only a part that still tells something is left."""
        ranges = self._helplines.kept(text)
        if not ranges:
            return list(spans)
        whole = set(spans)
        return [span for span in trim(text, subtract(spans, ranges)) if span in whole or _tells(text[span.start : span.end])]


def _has_unexplained(segment: str, offset: int, spans: Sequence[Span]) -> bool:
    for start, end in unexplained(segment):
        if not any(span.start <= start + offset and end + offset <= span.end for span in spans):
            return True
    return False


def _tells(piece: str) -> bool:
    return "@" in piece or any(character.isdigit() for character in piece) or bool(unexplained(piece))


def _names_nothing(text: str, span: Span) -> bool:
    """A model's name made only of ordinary, uncapitalised words is none."""
    if span.entity not in _NAMING or span.score == 0.75:
        return False
    words = WORD.findall(text, span.start, span.end)
    if any(character.isdigit() for character in text[span.start : span.end]):
        return False
    return all(is_ordinary(word) for word in words)


def _join(text: str, spans: list[Span]) -> list[Span]:
    """An address in pieces is one address: the commas between its parts would still show its shape."""
    joined: list[Span] = []
    for span in spans:
        if joined:
            last = joined[-1]
            gap = text[last.end : span.start]
            same = last.entity == span.entity or (last.entity in _JOINED and span.entity in _JOINED)
            if same and len(gap) <= 3 and not gap.strip(" ,.\n-'"):
                entity = last.entity if last.entity == span.entity else "ADDRESS"
                joined[-1] = Span(last.start, span.end, entity, max(last.score, span.score))
                continue
        joined.append(span)
    return joined
