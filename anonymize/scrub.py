"""The scrubber: texts or conversations in, spans or scrubbed turns out. Closed when anything fails."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from anonymize.canaries import canaries
from anonymize.settings import ScrubSettings
from anonymize.spans import WITHHELD_ENTITY, Span, merge
from schemas.errors import InternalError, ScrubStoppedError

if TYPE_CHECKING:
    pass

__all__ = ["WITHHELD", "Conversation", "ScrubbedConversation", "Scrubber", "Span", "shared_scrubber"]

WITHHELD = "<WITHHELD>"
_CHARACTERS_AT_ONCE = 200_000
# Reasons for which a turn is withheld after it was read: its helplines can be told.
_READ = frozenset(("language", "script", "residual", "too_many_findings"))
_MISSED = (
    "The scrub misses what it must not. Undo what changed since it last held (scrub.toml, helplines.toml, installed packages), "
    "then run the same command again."
)


@dataclass(frozen=True, slots=True, repr=False)
class Conversation:
    """The turns of one conversation, in order, and the language its record declares."""

    language: str
    turns: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Conversation({len(self.turns)} turns)"


@dataclass(frozen=True, slots=True)
class ScrubbedConversation:
    """Scrubbed turns, one for each that came in.

    A withheld turn is `<WITHHELD>`, and after it the reviewed helplines that it named, as `helplines.toml` writes them: the
    intervention is kept where its words are not. One that could not be read at all (`too_long`, `undecodable`, `layer_failed`) is
    `<WITHHELD>` alone.
    """

    turns: tuple[str, ...] = field(repr=False)
    counts: Mapping[str, int]
    withheld: int
    withheld_by_reason: Mapping[str, int]


class Scrubber:
    """All layers, loaded once. Build one per process: it takes seconds and some hundred megabytes.

    The answer for one conversation (or text) is a function of it and the settings: neighbours in a batch change no byte.
    """

    def __init__(self, settings: ScrubSettings) -> None:
        from anonymize.detect import Detector
        from anonymize.operators import Masker

        # Presidio and tldextract log what they read at levels that a user may switch on.
        for name in ("presidio-analyzer", "presidio-anonymizer", "tldextract", "spacy"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        failed = False
        try:
            self._settings = settings
            self._detector: Detector = Detector(settings)
            self._masker = Masker(settings.dates.as_of_year)
        except Exception:  # whatever a library raises may quote its input
            failed = True
        if failed:
            raise InternalError("the scrub's models could not be loaded", "install the pinned requirements again")

    @property
    def settings(self) -> ScrubSettings:
        """What this scrubber was built from."""
        return self._settings

    def find(self, texts: Sequence[str], language: str = "en") -> list[list[Span]]:
        """Give the private spans of single texts, disjoint and in order, over each text as it came in.

        A text that is withheld (language, length, another script, undecodable, a failing layer, the residual gate) is one span over
        all of it, with the entity `WITHHELD`.
        """
        reasons = [self._refusal(text, language) for text in texts]
        readable = [number for number, reason in enumerate(reasons) if not reason and texts[number]]
        results: list[list[Span]] = [[] for _ in texts]
        for batch in _batches(readable, texts):
            for number, spans in zip(batch, self._detect([texts[number] for number in batch], language), strict=True):
                if spans is None or self._trips(texts[number], spans, language):
                    reasons[number] = "layer_failed"
                else:
                    results[number] = spans
        for number, reason in enumerate(reasons):
            if reason:
                results[number] = [Span(0, len(texts[number]), WITHHELD_ENTITY, 1.0)]
        return results

    def scrub_conversations(self, conversations: Sequence[Conversation]) -> list[ScrubbedConversation]:
        """Scrub whole conversations: what is caught anywhere in one is masked everywhere in it."""
        results: list[ScrubbedConversation | None] = [None] * len(conversations)
        by_language: dict[str, list[int]] = {}
        for number, conversation in enumerate(conversations):
            by_language.setdefault(conversation.language, []).append(number)
        for language, numbers in by_language.items():
            for number, result in zip(numbers, self._of_language([conversations[n] for n in numbers], language), strict=True):
                results[number] = result
        return [result for result in results if result is not None]

    def scrub_with_canaries(self, conversations: Sequence[Conversation], seed: str) -> list[ScrubbedConversation]:
        """Scrub conversations together with planted synthetic values: `settings.canaries.per_batch`, made from `seed`.

        Raises:
            ScrubStoppedError: at least one of those was not masked; nothing of the batch is given. One that had to be withheld
                counts too: it is not out, but the layers missed it, and would withhold what they should read.
        """
        planted = canaries(self._settings.canaries.per_batch, seed)
        results = self.scrub_conversations([*conversations, *(Conversation("en", (canary.turn,)) for canary in planted)])
        results, scrubbed = results[: len(conversations)], results[len(conversations) :]
        survivors = sum(
            bool(result.withheld) or canary.value in result.turns[0] for canary, result in zip(planted, scrubbed, strict=True)
        )
        if survivors:
            raise ScrubStoppedError(f"{survivors} of {len(planted)} canaries survived the scrub.", _MISSED)
        return results

    def _of_language(self, conversations: Sequence[Conversation], language: str) -> list[ScrubbedConversation]:
        reasons = [[self._refusal(turn, language) for turn in conversation.turns] for conversation in conversations]
        flat = [
            (number, place)
            for number, conversation in enumerate(conversations)
            for place, turn in enumerate(conversation.turns)
            if turn and not reasons[number][place]
        ]
        texts = [conversations[number].turns[place] for number, place in flat]
        found: list[list[list[Span]]] = [[[] for _ in conversation.turns] for conversation in conversations]
        for batch in _batches(range(len(texts)), texts):
            for index, spans in zip(batch, self._detect([texts[index] for index in batch], language), strict=True):
                number, place = flat[index]
                if spans is None:
                    reasons[number][place] = "layer_failed"
                else:
                    found[number][place] = spans
        return [
            self._mask(conversation, language, found[number], reasons[number])
            for number, conversation in enumerate(conversations)
        ]

    def _mask(
        self, conversation: Conversation, language: str, found: list[list[Span]], reasons: list[str]
    ) -> ScrubbedConversation:
        from anonymize.conversation import across_turns, propagate, without_helplines
        from anonymize.operators import Placeholders
        from anonymize.residual import trips

        turns = [turn if not reason else "" for turn, reason in zip(conversation.turns, reasons, strict=True)]
        numbering = Placeholders()
        counts: Counter[str] = Counter()
        scrubbed: list[str] = []
        try:
            if any(turns):
                found = across_turns(turns, found, self._detector, language)
                found = propagate(turns, found)
                found = without_helplines(turns, found, self._detector)
            for number, turn in enumerate(turns):
                masked = self._masker.mask(turn, found[number], numbering)
                if not reasons[number] and len(found[number]) > self._settings.limits.max_spans_per_turn:
                    reasons[number] = "too_many_findings"
                if not reasons[number] and trips(masked, self._detector.helplines, language):
                    reasons[number] = "residual"
                scrubbed.append(masked)
        except Exception:  # fail closed: a conversation that a layer could not finish leaves nothing behind
            reasons[:] = ["layer_failed" if turn else reason for turn, reason in zip(turns, reasons, strict=True)]
            scrubbed = list(turns)
        for number, reason in enumerate(reasons):
            if reason:
                scrubbed[number] = self._withheld(conversation.turns[number], reason)
            else:
                counts.update(span.entity for span in found[number])
        by_reason = Counter(reason for reason in reasons if reason)
        return ScrubbedConversation(
            tuple(scrubbed), dict(sorted(counts.items())), sum(by_reason.values()), dict(sorted(by_reason.items()))
        )

    def _withheld(self, text: str, reason: str) -> str:
        told: list[str] = []
        if reason in _READ:
            with suppress(Exception):  # closed: without helplines rather than with anything else
                told = self._detector.helplines.told(text)
        return f"{WITHHELD} {', '.join(told)}" if told else WITHHELD

    def _refusal(self, text: str, language: str) -> str:
        """Say why a text is withheld before any layer reads it; empty if it is not."""
        if not text:
            return ""
        if language not in self._settings.languages:
            return "language"
        if len(text) > self._settings.limits.max_turn_characters:
            return "too_long"
        if text.isascii():
            return ""
        try:
            text.encode()
        except UnicodeEncodeError:
            return "undecodable"
        from anonymize.recognizers.non_latin import foreign_share

        return "script" if foreign_share(text) > self._settings.residual.max_foreign_letters else ""

    def _detect(self, texts: list[str], language: str) -> Sequence[list[Span] | None]:
        """Detect in a batch; where the batch fails, text by text, so that only the one that fails is withheld."""
        with suppress(Exception):  # the exception may quote the text: it ends here
            return self._detector.detect(texts, language)
        results: list[list[Span] | None] = []
        for text in texts:
            try:
                results.append(self._detector.detect([text], language)[0])
            except Exception:
                results.append(None)
        return results

    def _trips(self, text: str, spans: list[Span], language: str) -> bool:
        from anonymize.residual import trips

        pieces: list[str] = []
        last = 0
        for span in merge(spans):
            pieces.append(text[last : span.start])
            last = span.end
        return trips(" \n ".join([*pieces, text[last:]]), self._detector.helplines, language)


def _batches(numbers: Sequence[int], texts: Sequence[str]) -> list[list[int]]:
    """Group by characters, so that memory is bounded; what is grouped with what changes no answer."""
    batches: list[list[int]] = []
    size = _CHARACTERS_AT_ONCE
    for number in numbers:
        if size + len(texts[number]) > _CHARACTERS_AT_ONCE:
            batches.append([])
            size = 0
        batches[-1].append(number)
        size += len(texts[number])
    return batches


_SHARED: dict[str, Scrubber] = {}


def shared_scrubber(settings: ScrubSettings) -> Scrubber:
    """Give this process's scrubber for these settings, building it the first time."""
    version = settings.ruleset_version
    if version not in _SHARED:
        _SHARED[version] = Scrubber(settings)
    return _SHARED[version]
