"""Names in another script inside a Latin-script message. Runs on the raw text, before look-alikes are folded."""

import re

from anonymize.recognizers.base import PatternLayer

# Letters of any script but Latin: blocks from Greek on, without the Latin supplements, letter-like symbols and emoji.
_FOREIGN = "\u0370-\u03ff\u0400-\u1d2b\u1f00-\u1fff\u2c00-\u2c5f\u2c80-\ua71f\ua800-\uab2f\uab70-\ud7ff\uf900-\ufaff\ufb13-\ufdff\ufe70-\ufefe\uff66-\uffdc\U00010000-\U0001bfff\U00020000-\U0003ffff"
_A_SENTENCE = 20
_RUN = re.compile(rf"\w*[{_FOREIGN}][\w'’·-]*(?:[ ]\w*[{_FOREIGN}][\w'’·-]*){{0,5}}")


class ChatNonLatinRecognizer(PatternLayer):
    """A word with any letter of another script, and the words like it beside it; a single Greek letter is left."""

    ENTITY = "PERSON"
    GATE = re.compile(rf"[{_FOREIGN}]")
    RULES = ()

    def matches(self, text: str) -> list[tuple[int, int, float]]:
        """Give the runs of foreign-script words."""
        if not self.GATE.search(text):
            return []
        return [(*match.span(), 0.8) for match in _RUN.finditer(text) if len(match.group()) > 1]


def foreign_share(text: str) -> float:
    """Give the share of letters that belong to another script than Latin; 0 where they are too few for a sentence."""
    foreign = sum(len(run) for run in re.findall(rf"[{_FOREIGN}]+", text))
    if foreign < _A_SENTENCE:
        return 0.0
    return foreign / max(1, sum(character.isalpha() for character in text))
