"""Schools, workplaces, hospitals and companies: by what they end in, or by what is done there."""

import re

from anonymize.recognizers.base import PatternLayer
from anonymize.recognizers.names import CUED, NAME_WORD, name_run
from anonymize.vocabulary import is_ordinary

_ENDING = (
    r"(?:(?:junior|senior|community|general|royal|memorial|regional|county|city|state|technical|catholic|district|university|children'?s|"
    r"mental health|medical|health|boys|girls|middle|high|primary|elementary|secondary|grammar|prep|preparatory|public|comprehensive) ){0,3}"
    r"(?:school|high|academy|college|university|uni|hospital|infirmary|clinic|memorial|medical cent(?:er|re)|health cent(?:er|re)|"
    r"cent(?:er|re)|church|parish|mosque|synagogue|temple|elementary|primary|grammar|middle|secondary|comprehensive|institute|polytechnic|"
    r"surgery|hospice|foundation|ltd|limited|inc|llc|gmbh|plc|corp|corporation|group|& sons|and sons|bros|associates|partners|"
    r"solicitors|consulting|logistics|industries|enterprises|prison|jail|barracks)"
)
_ENDS = re.compile(rf"(?<=\w) {_ENDING}\b\.?", re.IGNORECASE)
_OF = re.compile(
    r"\b(?:university|college|bank|church|diocese|institute|hospital|school|academy|city|county|borough|our lady) of (?:the )?(?=[^\W\d_])",
    re.IGNORECASE,
)
_CUE = re.compile(
    r"\b(?:work|works|worked|working|job|shift|shifts|intern|interned|internship|employed|hired|fired|boss|manager|colleagues?|"
    r"coworkers?|staff|student|enrolled|study|studying|studied|go|went|going|attend|attended|attending|teach|teaches|taught|teacher|"
    r"volunteer|volunteered|patient|admitted|treated|treatment|inpatient|program|choir|class|team|counsell?or|nurse|doctor|kept me|held me|position|career|"
    r"mates|friends|everyone|people|kids|guys|girls|principal|office|desk|warehouse|branch)"
    r" (?:over |back |again |here |there |up |down )?(?:at|for|with|to|by) (?:the |a )?(?=[^\W\d_])",
    re.IGNORECASE,
)
_EMPLOYER = re.compile(r"\b(?:work|works|worked|working|job) (?:at|for|with) (?:the )?(?=[A-Z])", re.IGNORECASE)
_AT = re.compile(r"\b(?:at) (?=[^\W\d_])", re.IGNORECASE)
_INITIALISM = re.compile(r"(?<= at )[A-Z]{2,6}(?!\w)")
_MOST_BEFORE = 4


class ChatOrganizationRecognizer(PatternLayer):
    """A named institution: never "the hospital" or "my school" alone."""

    ENTITY = "ORGANIZATION"
    GATE = re.compile(r"[^\W\d_]{2}")
    RULES = ()

    def matches(self, text: str) -> list[tuple[int, int, float]]:
        """Give institutions by their ending, by "of", and by what is done there."""
        found: list[tuple[int, int, float]] = []
        for ending in _ENDS.finditer(text):
            start = _name_before(text, ending.start())
            if start is not None:
                found.append((start, ending.end(), 0.65))
        for cue in _OF.finditer(text):
            run = name_run(text, cue.end(), most=3, capital_is_enough=True, typo_is_name=False)
            if run:
                found.append((cue.start(), run[1], 0.65))
        for cue in _EMPLOYER.finditer(text):
            if text[cue.end() : cue.end() + 1].isupper() and not text.isupper():
                run = name_run(text, cue.end(), most=4, capital_is_enough=True, typo_is_name=False)
                if run:
                    found.append((*run, CUED))
        for pattern in (_CUE, _AT):
            for cue in pattern.finditer(text):
                run = name_run(text, cue.end(), most=4, capital_is_enough=False, typo_is_name=False)
                if run:
                    found.append((*run, 0.6))
        return found


def _name_before(text: str, end: int) -> int | None:
    """Give where the name in front of an institution's ending starts, if at least one of its words names something."""
    start: int | None = None
    named = False
    mixed_case = not text.isupper()
    words = list(NAME_WORD.finditer(text, max(0, end - 60), end))
    for word in reversed(words[-_MOST_BEFORE:]):
        gap = text[word.end() : start if start is not None else end]
        if gap.strip(" &.-'") or len(gap) > 3:
            break
        ordinary = is_ordinary(word.group())
        capital = mixed_case and word.group()[0].isupper()
        if ordinary and not capital:
            break
        if ordinary and capital and word.group().lower() in ("the", "my", "at", "in", "our", "a", "i", "when", "after", "and"):
            break
        named = named or not ordinary or capital
        start = word.start()
    return start if named else None
