"""Ages that single a person out: 90 and over, and an age given together with a place."""

import re

from anonymize.recognizers.base import PatternLayer, Rule

_HIGH = r"(?:9\d|1[01]\d)"


class ChatAgeRecognizer(PatternLayer):
    """Most ages stay: they are told in the record as a band. Under 90 they count only beside a place."""

    ENTITY = "AGE"
    GATE = re.compile(r"\d\d")
    RULES = (
        Rule(re.compile(rf"(?<![\w.,-])(?P<age>{_HIGH})(?=[ -]?(?:years?[ -]old|yrs?[ -]old|y/?o\b|yo\b))", re.IGNORECASE), 0.85, "age"),
        Rule(re.compile(rf"\b(?:aged?|turned|turning|turns)(?: of)? (?P<age>{_HIGH})(?![\w%.,:/-]|\s?(?:%|mg|lbs|kg|days|percent))", re.IGNORECASE), 0.8, "age"),
        Rule(re.compile(rf"\b(?:i'm|i’m|im|i am|he's|she's|shes|hes|he is|she is|who is|is) (?P<age>{_HIGH})(?=\s?(?:[.,!]|$|and\b|now\b|years\b))", re.IGNORECASE), 0.7, "age"),
        Rule(re.compile(r"(?<![\w.])(?P<age>[1-9]\d) ?(?:/ ?)?(?:m|f|nb|male|female|man|woman|guy|girl|yo|y/o|years old)? ?(?:/|,| from| in| living in) ?(?=[A-Z][a-z])", 0), 0.5, "age"),
        Rule(re.compile(r"(?<![\w./])(?P<age>[1-9]\d) ?/ ?(?:m|f|nb) ?/", re.IGNORECASE), 0.7, "age"),
    )  # fmt: skip
