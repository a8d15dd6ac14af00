"""Numbers that an institution gave to one person or case."""

import re

from anonymize.recognizers.base import PatternLayer, Rule

_NAMED = (
    r"(?i:\b(?:case|patient|mrn|record|file|ref|reference|claim|policy|member|membership|student|employee|staff|badge|inmate|booking|"
    r"order|ticket|invoice|customer|client|chart|hospital|medical|insurance|account|user|report|incident|matriculation|roll)\b"
    r"(?:\s(?:id|ids|no|nr|num|number|nbr|code|ref|reference|is|was)\b|[\s:#.=-]){0,5})"
)


class ChatRecordNumberRecognizer(PatternLayer):
    """An identifier with digits after a word that says what it is, or a prefixed code that can be nothing else."""

    ENTITY = "ID_NUMBER"
    GATE = re.compile(r"\d")
    RULES = (
        Rule(
            re.compile(_NAMED + r"(?P<number>(?=[A-Za-z0-9/-]{0,12}\d{3})[A-Za-z0-9](?:[/-]?[A-Za-z0-9]){3,19})(?!\w)"),
            0.75,
            "number",
        ),
        Rule(
            re.compile(r"(?i:\b(?:id|mrn|ref|no|number)\b[\s:#.]{1,3})(?P<number>#?[A-Za-z]{0,4}-?\d{5,14})(?!\w)"), 0.6, "number"
        ),
        Rule(re.compile(r"(?<![\w-])[A-Za-z]{1,4}[-#]\d{5,12}(?!\w)"), 0.7),
        Rule(re.compile(r"(?<![\w#&])#\d{5,12}(?!\w)"), 0.6),
    )
