"""Addresses of crypto-currency wallets."""

import re

from anonymize.recognizers.base import PatternLayer, Rule


class ChatCryptoRecognizer(PatternLayer):
    """Bitcoin in both encodings, and hexadecimal accounts."""

    ENTITY = "CRYPTO"
    GATE = re.compile(r"[A-Za-z0-9]{25}")
    RULES = (
        Rule(re.compile(r"(?<!\w)(?:bc1|tb1)[a-z0-9]{20,80}(?!\w)", re.IGNORECASE), 0.9),
        Rule(re.compile(r"(?<!\w)[13][a-km-zA-HJ-NP-Z1-9]{25,34}(?!\w)"), 0.8),
        Rule(re.compile(r"(?<!\w)0x[0-9a-fA-F]{40}(?!\w)"), 0.9),
    )
