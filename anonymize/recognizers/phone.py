"""Telephone numbers of any country, by shape; helplines are kept later, in one place."""

import re
from itertools import pairwise

from anonymize.recognizers.base import PatternLayer, Rule, digits_of

_RUN = r"(?:\+|\(|00)?\(?\d(?:[\s().\-/]{0,3}\d){5,16}"


def _looks_dialled(match: re.Match[str]) -> bool:
    text = match.group()
    digits = digits_of(text)
    if not 7 <= len(digits) <= 15:
        return False
    if re.fullmatch(r"(?:19|20)\d\d\W?[01]\d\W?[0-3]\d|[0-3]\d\W[01]\d\W(?:19|20)\d\d", text):
        return False  # a date
    return not _counts_up_or_down(text)


def _counts_up_or_down(text: str) -> bool:
    """Breathing and grounding exercises count: "1 2 3 4 5 6 7", "5-4-3-2-1"."""
    groups = [int(group) for group in re.findall(r"\d+", text)[:20] if len(group) <= 3]
    if len(groups) < 4:
        return False
    steps = {after - before for before, after in pairwise(groups)}
    return len(steps) == 1 and steps <= {1, -1, 2, -2, 5, -5, 10, -10}


class ChatPhoneRecognizer(PatternLayer):
    """Seven to fifteen digits with the separators people use, or six and more after a word that says it is a number to call."""

    ENTITY = "PHONE_NUMBER"
    GATE = re.compile(r"\d(?:\D{0,4}\d){5}")
    RULES = (
        Rule(
            re.compile(rf"(?<![\w.,@/#-]){_RUN}(?!\w|[.,-]\d)(?:\s?(?i:x|ext\.?|extension)\s?\d{{1,6}})?"),
            0.7,
            accepts=_looks_dialled,
        ),
        Rule(
            re.compile(
                rf"(?i:\b(?:call|text|phone|cell|mobile|number|tel|telephone|whatsapp|fax|reach|ring|dial)\b[^\d\n+(]{{0,25}})(?P<number>{_RUN})(?!\d)"
            ),
            0.75,
            "number",
            accepts=lambda match: len(digits_of(match.group("number"))) <= 15,
        ),
    )
