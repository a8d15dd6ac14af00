"""Network card addresses and universally unique identifiers."""

import re

from anonymize.recognizers.base import PatternLayer, Rule


class ChatHardwareRecognizer(PatternLayer):
    """MAC addresses in three notations; UUIDs; long hexadecimal device identifiers."""

    ENTITY = "DEVICE_ID"
    GATE = re.compile(
        r"[0-9a-fA-F]{2}[:-][0-9a-fA-F]{2}[:-]|[0-9a-fA-F]{4}\.[0-9a-fA-F]{4}|[0-9a-fA-F]{8}-|[0-9a-fA-F]{24}|\d{15}"
    )
    RULES = (
        Rule(re.compile(r"(?<![\w:-])[0-9a-fA-F]{2}(?:[:-][0-9a-fA-F]{2}){5}(?![\w:-])"), 0.9),
        Rule(re.compile(r"(?<!\w)[0-9a-fA-F]{4}\.[0-9a-fA-F]{4}\.[0-9a-fA-F]{4}(?!\w)"), 0.8),
        Rule(re.compile(r"(?<!\w)[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?!\w)"), 0.95),
        Rule(re.compile(r"(?<!\w)[0-9a-fA-F]{24,64}(?!\w)"), 0.7),
        Rule(re.compile(r"(?i:\bimei\b\D{0,10})(?P<number>\d{14,16})(?!\d)"), 0.9, "number"),
    )
