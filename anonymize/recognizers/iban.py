"""International bank account numbers (ISO 13616)."""

import re

from anonymize.recognizers.base import PatternLayer, Rule


class ChatIbanRecognizer(PatternLayer):
    """Country code, check digits and 11 to 30 characters, in one run or in groups of four."""

    ENTITY = "IBAN_CODE"
    GATE = re.compile(r"[A-Za-z]{2}\d\d")
    RULES = (
        Rule(
            re.compile(r"(?<!\w)[A-Za-z]{2}\d{2}[ -]?(?:[A-Za-z0-9]{4}[ -]?){2,7}[A-Za-z0-9]{1,4}(?!\w)"),
            0.7,
            accepts=lambda m: sum(c.isdigit() for c in m.group()) >= 8,
        ),
    )
