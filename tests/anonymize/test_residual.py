"""The residual gate sees what the layers let through, and lets ordinary turns and helplines pass."""

import pytest

from anonymize.helplines import Helplines
from anonymize.residual import trips
from anonymize.settings import ScrubSettings


@pytest.fixture(scope="module")
def helplines(settings: ScrubSettings) -> Helplines:
    return Helplines(settings.helplines)


@pytest.mark.parametrize(
    "left",
    ["it was 303 555 0142 i think", "see https://quill.example", "write q@lark", "ask @mothhour", "then I met Qorvanthe there"],
)
def test_what_is_left_trips(helplines: Helplines, left: str) -> None:
    assert trips(left, helplines)


@pytest.mark.parametrize(
    "turn",
    ["call 1-800-273-8255 or 988", "Samaritans: 116 123, jo@samaritans.org", "<PERSON_1> said it is 5 4 3 2 1", "I am so tired today",
     "see <URL_1>, or The Trevor Project", "breathe in 1 2 3 4 5 6 7 8"],
)  # fmt: skip
def test_what_may_stay_passes(helplines: Helplines, turn: str) -> None:
    assert not trips(turn, helplines)
