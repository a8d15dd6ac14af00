"""The worst input costs at most ten times prose of the same length; no pattern runs away."""

import time

import pytest
from worst import PROSE, PROSE_THAT_IS_READ, SIZE, WORST

from anonymize.normalise import view_of
from anonymize.recognizers import pattern_recognizers
from anonymize.scrub import Scrubber
from anonymize.segments import segments_of


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
    times = []
    for text in (PROSE_THAT_IS_READ, WORST[kind]):
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
