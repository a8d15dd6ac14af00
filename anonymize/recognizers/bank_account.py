"""Bank accounts, sort codes and routing numbers named as such."""

import re

from anonymize.recognizers.base import PatternLayer, Rule


class ChatBankAccountRecognizer(PatternLayer):
    """A number right after a word that says it is an account."""

    ENTITY = "BANK_ACCOUNT"
    GATE = re.compile(r"\d\D?\d")
    RULES = (
        Rule(
            re.compile(
                r"(?i:\b(?:account|acct|a/c|routing|sort[ -]?code|bsb|aba|konto|cuenta|compte)\b\D{0,20})"
                r"(?P<number>\d(?:[ -]?\d){4,17})(?!\w)"
            ),
            0.75,
            "number",
        ),
    )
