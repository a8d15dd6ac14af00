"""The last digits of a card, a phone or an identity: enough to pick one person from a list."""

import re

from anonymize.recognizers.base import PatternLayer, Rule


class ChatLastDigitsRecognizer(PatternLayer):
    """ "ending in 1234", "last four 1234", and masked numbers that show their end."""

    ENTITY = "LAST_DIGITS"
    GATE = re.compile(r"\d{3}")
    RULES = (
        Rule(
            re.compile(
                r"(?i:\b(?:ending|ends|end)(?:\s(?:in|with|on))?|\blast (?:4|four|3|three|five|5)(?: digits)?(?: of [\w' ]{1,25})?)"
                r"(?:\s(?:is|are|was|were)|[\s:=-]){0,3}\s?(?P<number>\d{3,5})(?!\d)"
            ),
            0.8,
            "number",
        ),
        Rule(re.compile(r"(?<!\w)(?:[xX*•#]{2,4}[ -]?){1,4}(?P<number>\d{3,5})(?!\w)"), 0.8, "number"),
    )
