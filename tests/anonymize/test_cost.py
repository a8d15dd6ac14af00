"""The worst input costs at most ten times prose of the same length; no pattern runs away."""

import time

import pytest

from anonymize.normalise import view_of
from anonymize.recognizers import pattern_recognizers
from anonymize.scrub import Scrubber
from anonymize.segments import segments_of

PROSE = "I have been thinking about it for a long time and I do not know what to say to anyone at work or at home. "
SIZE = 12_000
WORST = {
    "hosts": "a." * (SIZE // 2),
    "digits": "1 " * (SIZE // 2),
    "one digit run": "7" * SIZE,
    "dashes": "1-" * (SIZE // 2),
    "at": "a@" * (SIZE // 2),
    "colons": "a:" * (SIZE // 2),
    "brackets": "((((" * (SIZE // 4),
    "names": "Mr Zq " * (SIZE // 6),
    "one word": "a" * SIZE,
    "capitals": "Zq " * (SIZE // 3),
    "underscores": "a_" * (SIZE // 2),
    "at and dot": "x at y dot " * (SIZE // 11),
    "entities": "&#65;" * (SIZE // 5),
    "spelled": "one two " * (SIZE // 8),
    "streets": "1 road " * (SIZE // 7),
    "letters": "a b " * (SIZE // 4),
    "newlines": "\n" * SIZE,
    "full stops": "." * SIZE,
    "full stops and quotes": "." * (SIZE // 2) + "'" * (SIZE // 2),
}


def seconds(text: str) -> float:
    recognizers = pattern_recognizers("en")
    best = 1e9
    for _ in range(2):
        started = time.process_time()
        view = view_of(text).text
        for recognizer in recognizers:
            recognizer.matches(view)
        best = min(best, time.process_time() - started)
    return best


@pytest.mark.parametrize("kind", sorted(WORST))
def test_patterns_on_the_worst_input(kind: str) -> None:
    prose = seconds(PROSE * (SIZE // len(PROSE)))
    # The whole of prose costs several times its patterns: ten times its patterns is far inside ten times prose.
    assert seconds(WORST[kind]) < max(10 * prose, 0.25)


@pytest.mark.long
@pytest.mark.parametrize("kind", sorted(WORST))
def test_all_layers_on_the_worst_input(scrubber: Scrubber, kind: str) -> None:
    # Prose in which a word is unexplained in every sentence, so that the models read it too.
    prose = (PROSE + "Then Zorvane came by. ") * (SIZE // (len(PROSE) + 22))
    times = []
    for text in (prose, WORST[kind]):
        scrubber._detector._cache.clear()
        started = time.process_time()
        scrubber.find([text])
        times.append(time.process_time() - started)
    assert times[1] < 10 * times[0]


@pytest.mark.parametrize("kind", sorted(WORST))
def test_cutting_into_sentences_is_linear(kind: str) -> None:
    started = time.process_time()
    segments_of(WORST[kind] * 5, 400, 60)
    assert time.process_time() - started < 2
