"""Numbers that a state gave to one person."""

import re

from anonymize.recognizers.base import PatternLayer, Rule, digits_of

_NAMED = (
    r"(?i:\b(?:ssn|social security|sin|nino|national insurance|nhs|tax id|tin|itin|passport|driver'?s?'? licen[cs]e|licen[cs]e(?!\s?plate)"
    r"|aadhaar|aadhar|pan|cpf|dni|nie|nif|codice fiscale|steuer-?id|ausweis|medicare|ni number|id card|ihi|tfn)\b"
    r"(?:\s(?:number|no|num|card|is|was|nr|id)\b|[\s:#.=-]){0,5})"
)


def _nhs_holds(match: re.Match[str]) -> bool:
    digits = digits_of(match.group())
    remainder = 11 - sum(int(digit) * (10 - place) for place, digit in enumerate(digits[:9])) % 11
    return remainder % 11 == int(digits[9]) and remainder != 10


class ChatGovernmentIdRecognizer(PatternLayer):
    """Shapes that stand alone (United States, United Kingdom, Canada, Spain, Brazil) and any number named as an identity."""

    ENTITY = "GOVERNMENT_ID"
    GATE = re.compile(r"\d")
    RULES = (
        Rule(re.compile(r"(?<![\w-])(?!000|666)\d{3}[- .]\d{2}[- .]\d{4}(?![\w-])"), 0.9),
        Rule(re.compile(r"(?<!\w)[A-CEGHJ-PR-TW-Za-ceghj-pr-tw-z][A-Za-z] ?\d{2} ?\d{2} ?\d{2} ?[A-Da-d](?!\w)"), 0.85),
        Rule(re.compile(r"(?<![\w-])\d{3}[ -]\d{3}[ -]\d{4}(?![\w-])"), 0.6, accepts=_nhs_holds),
        Rule(re.compile(r"(?<!\w)\d{3}\.\d{3}\.\d{3}-\d{2}(?!\w)"), 0.9),
        Rule(re.compile(r"(?<!\w)(?:\d{8}|[XYZxyz]\d{7})-?[A-Za-z](?!\w)"), 0.7),
        Rule(
            re.compile(
                _NAMED + r"(?P<number>(?=[A-Za-z0-9 .-]{0,24}\d{2})[A-Za-z0-9](?:[ .-]?[A-Za-z0-9]){4,19}(?<=\d\w|\w\d))(?!\w)"
            ),
            0.8,
            "number",
        ),
    )
