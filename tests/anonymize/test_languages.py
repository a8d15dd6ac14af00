"""Each language that is read: names, towns and numbers in plain sentences are covered, and plain sentences are left alone."""

import pytest
from planting_languages import LANGUAGES, PLAIN, sentences

from anonymize.recognizers import pattern_recognizers
from anonymize.scrub import Scrubber
from anonymize.settings import ScrubSettings


def test_every_language_that_is_read_is_measured(settings: ScrubSettings) -> None:
    assert set(LANGUAGES) == set(settings.languages)


@pytest.mark.parametrize("language", LANGUAGES)
def test_most_values_are_covered(scrubber: Scrubber, language: str) -> None:
    pytest.importorskip("faker")
    of = [sentence for sentence in sentences(20, seed=3) if sentence.language == language]
    covered = [
        any(
            span.start <= s.text.index(s.value) and s.text.index(s.value) + len(s.value.rstrip(".")) <= span.end for span in spans
        )
        for s, spans in zip(of, scrubber.find([sentence.text for sentence in of], language), strict=True)
    ]
    # A floor, not a goal: `make bench-scrub` prints the figure by language and kind.
    assert sum(covered) / len(covered) > 0.9


@pytest.mark.parametrize("language", LANGUAGES)
def test_plain_sentences_are_mostly_left(scrubber: Scrubber, language: str) -> None:
    words = sum(len(text.split()) for text in PLAIN[language])
    assert sum(map(len, scrubber.find(PLAIN[language], language))) / words < 0.06


@pytest.mark.parametrize(
    ("language", "text", "private"),
    [
        ("fr", "Et puis Zélindre Okwu est partie.", "Zélindre Okwu"),
        ("es", "Estudio en el Instituto Tres Ríos de Almara.", "Instituto Tres Ríos de Almara"),
        ("pt", "Ontem Tamsina da Rocha veio cá.", "Tamsina da Rocha"),
        ("it", "Vado al liceo Sant'Orsola ogni giorno.", "liceo Sant'Orsola"),
        ("de", "Ich gehe aufs Orsola-Gymnasium in der Stadt.", "Orsola-Gymnasium"),
        ("de", "Es war Vjesna, die mich anrief.", "Vjesna"),
        ("fr", "Dieu merci, je suis sur Instagram.", ""),
        ("de", "Ich habe Panikattacken und Angst vor der Therapieplatzsuche.", ""),
    ],
)
def test_names_by_their_capital(language: str, text: str, private: str) -> None:
    found = [(start, end) for layer in pattern_recognizers(language) for start, end, _ in layer.matches(text)]
    assert (private == "" and found == []) or any(private in text[start:end] for start, end in found)
