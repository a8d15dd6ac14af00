"""Payment card numbers."""

import re

from anonymize.recognizers.base import PatternLayer, Rule, digits_of, luhn_holds


class ChatCreditCardRecognizer(PatternLayer):
    """Thirteen to nineteen digits whose checksum holds, or that stand next to the word card."""

    ENTITY = "CREDIT_CARD"
    GATE = re.compile(r"\d(?:[ -]?\d){11}")
    RULES = (
        Rule(
            re.compile(r"(?<![\w-])\d(?:[ -]{0,2}\d){11,18}(?![\w-])"),
            0.9,
            accepts=lambda match: luhn_holds(digits_of(match.group())),
        ),
        Rule(re.compile(r"(?i:card|visa|mastercard|amex)\D{0,30}(?P<number>\d(?:[ -]{0,2}\d){11,18})(?!\d)"), 0.8, "number"),
    )
