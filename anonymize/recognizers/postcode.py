"""Postal codes: shapes that can be nothing else, and plain digits after a word or a state."""

import re

from anonymize.recognizers.base import PatternLayer, Rule

_STATE = (
    "AL|AK|AZ|AR|CA|CO|CT|DE|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|NC|ND|OH|OK|OR|PA|RI|SC|SD|"
    "TN|TX|UT|VT|VA|WA|WV|WI|WY|DC|PR|NSW|VIC|QLD|TAS|ACT"
)


# Where somebody is: what follows, after one of the small words, is a place.
_WHERE = (
    r"(?:live|lives|lived|living|based|located|stay|staying|stayed|somewhere|moved?|moving|area|neighbou?rhood|region|district|location|"
    r"house|home|apartment|place|town|here|from|i'm|im|i am|we're|we are|he's|she's|they're|vivo|vive|habite|habitons|wohne|wohnt|moro|abito)"
)
_TO = r"(?:in|is|was|at|near|around|to|from|outside|code|en|à|au|dans|em|no|na|a)"


def _is_no_count(match: re.Match[str]) -> bool:
    """ "10000 steps", "a town of 50000": a round number, or one of things, counts."""
    return not match.group("code").endswith("000") and not _THINGS.match(match.string, match.end("code"))


_THINGS = re.compile(r" (?:[^\W\d_]+s|people|percent|feet|men|women|children|more|times|of|per)\b", re.IGNORECASE)


class ChatPostcodeRecognizer(PatternLayer):
    """British, Irish, Canadian and Dutch shapes in any case; digits after zip, postcode, PLZ or a state."""

    ENTITY = "POSTCODE"
    GATE = re.compile(r"\d")
    RULES = (
        Rule(
            re.compile(
                r"(?<![\w-])(?:[A-PR-UWYZa-pr-uwyz][A-HK-Ya-hk-y]?\d[A-Za-z0-9]?) ?\d[ABD-HJLNP-UW-Zabd-hjlnp-uw-z]{2}(?!\w)"
            ),
            0.7,
        ),
        Rule(re.compile(r"(?<![\w-])[ABCEGHJ-NPRSTVXYabceghj-nprstvxy]\d[A-Za-z][ -]?\d[A-Za-z]\d(?!\w)"), 0.8),
        Rule(re.compile(r"(?<![\w-])[ACDEFHKNPRTVWXYacdefhknprtvwxy]\d[\dWw] ?(?=[A-Za-z\d]{0,3}\d)[A-Za-z\d]{4}(?!\w)"), 0.5),
        Rule(re.compile(r"(?<![\w-])[1-9]\d{3} [A-Z]{2}(?!\w)"), 0.5),
        Rule(
            re.compile(
                r"(?i:\b(?:zip|zip ?code|post ?code|postal|postal code|plz|cap|cep|codigo postal|code postal)\b"
                r"(?:\s(?:is|was|code|number|starts with)\b|[\s:=-]){0,4})(?P<code>\d{4,6}(?:-\d{3,4})?|[A-Za-z]{1,2}\d{1,2}[A-Za-z]?)(?!\w)"
            ),
            0.8,
            "code",
        ),
        Rule(re.compile(rf"(?<!\w)(?:{_STATE})[ ,]{{1,2}}(?P<code>\d{{4,5}}(?:-\d{{4}})?)(?!\w)"), 0.7, "code"),
        # In lower case "in 20190" and "or 10000" are words and a number: only the codes that are no words.
        Rule(
            re.compile(
                rf"(?<!\w)(?!in|or|me|hi|ok|oh|pa|ma|de|id|la|al|act)(?:{_STATE.lower()})[ ,]{{1,2}}(?P<code>\d{{5}}(?:-\d{{4}})?)(?!\w)"
            ),
            0.7,
            "code",
        ),
        Rule(re.compile(r"(?<![\w-])\d{5}-\d{4}(?![\w-])"), 0.7),
        Rule(
            re.compile(rf"(?i:\b{_WHERE}\b[^\d\n.!?$€£]{{0,25}}?(?:\b{_TO}|[:,=]) {{1,2}})(?P<code>\d{{5}})(?![\w%:-]|[.,]\d)"),
            0.6,
            "code",
            accepts=_is_no_count,
        ),
        Rule(
            re.compile(rf"(?i:\b{_WHERE}\b[^\d\n.!?]{{0,25}}?\b{_TO} )(?P<code>[A-Z]{{1,2}}\d{{1,2}}[A-Z]?)(?![\w-]|[.,]\d)"),
            0.5,
            "code",
        ),
        Rule(re.compile(r"(?<![\w$€£.,-])(?P<code>\d{5}),? (?=[A-ZÀ-Þ][a-zà-ÿ'’-]{2,})"), 0.5, "code", accepts=_is_no_count),
        Rule(re.compile(r"(?<![\w.-])\d{5}-\d{3}(?![\w-])"), 0.6),
    )
