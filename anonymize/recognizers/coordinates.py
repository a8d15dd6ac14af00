"""Places on the globe by latitude and longitude, plus codes and three-word addresses."""

import re

from anonymize.recognizers.base import PatternLayer, Rule


class ChatCoordinatesRecognizer(PatternLayer):
    """Decimal pairs with three or more decimals, degrees and minutes, open location codes."""

    ENTITY = "COORDINATES"
    GATE = re.compile(r"\d\.\d{3}|\d\s?°|[23456789CFGHJMPQRVWX]{4}\+|///")
    RULES = (
        Rule(
            re.compile(
                r"(?<![\w.])[-+]?\d{1,2}\.\d{3,9}°?\s?[NSns]?\s{0,2}[,;/ ]\s{0,2}[-+]?\d{1,3}\.\d{3,9}°?\s?[EWewOo]?(?![\w.]\d)"
            ),
            0.9,
        ),
        Rule(
            re.compile(
                r"\d{1,3}\s?°\s?\d{1,2}(?:\.\d{1,6})?\s?['′]?\s?(?:\d{1,2}(?:\.\d{1,6})?\s?[\"″']{0,2})?\s?[NSEWnsew]"
                r"(?:[\s,]{1,3}\d{1,3}\s?°\s?\d{1,2}(?:\.\d{1,6})?\s?['′]?\s?(?:\d{1,2}(?:\.\d{1,6})?\s?[\"″']{0,2})?\s?[NSEWnsew])?"
            ),
            0.9,
        ),
        Rule(re.compile(r"(?<!\w)[23456789CFGHJMPQRVWX]{4,8}\+[23456789CFGHJMPQRVWX]{2,3}(?!\w)"), 0.85),
        Rule(re.compile(r"///[^\W\d_]{2,20}\.[^\W\d_]{2,20}\.[^\W\d_]{2,20}"), 0.9),
    )
