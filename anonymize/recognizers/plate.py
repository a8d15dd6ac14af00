"""Vehicle registration plates, where a word says that it is one."""

import re

from anonymize.recognizers.base import PatternLayer, Rule


class ChatPlateRecognizer(PatternLayer):
    """A short code of letters and digits after plate, reg, licence plate, number plate; and the current British shape."""

    ENTITY = "PLATE"
    GATE = re.compile(r"\d")
    RULES = (
        Rule(
            re.compile(
                r"(?i:\b(?:plates?|registration|reg|rego|tags?|kennzeichen|matricula|matrícula|targa|immatriculation)\b"
                r"(?:\s(?:number|no|is|was|are|says|said|reads)\b|[\s:#=\"'-]){0,4})"
                r"(?P<code>(?=[A-Za-z0-9 -]{0,10}\d)(?=[A-Za-z0-9 -]{0,10}[A-Za-z])[A-Za-z0-9]{1,4}(?:[ -]?[A-Za-z0-9]{1,4}){1,2}(?<=\d|[A-Z]))(?!\w)"
            ),
            0.75,
            "code",
        ),
        Rule(re.compile(r"(?<!\w)[A-Z]{2}\d{2} ?[A-Z]{3}(?!\w)"), 0.8),
    )
