"""Vehicle registration plates: where a word says that it is one, beside a vehicle, and shapes that are hardly anything else."""

import re

from anonymize.recognizers.base import PatternLayer, Rule
from anonymize.vocabulary import is_common, is_ordinary

_VEHICLE = (
    r"(?:cars?|trucks?|vans?|vehicles?|suv|motorbike|motorcycle|scooter|taxi|cab|uber|lyft|lorry|pickup|minivan|coche|carro|moto|furgoneta|camioneta|"
    r"voiture|camion|camionnette|auto|wagen|lieferwagen|macchina|automobile)"
)
_YEAR = re.compile(r"(?:19|20)\d\d")


def _is_no_model(match: re.Match[str]) -> bool:
    """ "2014 Ford", "ISO-9001", "covid 2020" are no plates: a year, or a word that is used for itself."""
    code = match.group("code")
    for word in re.findall(r"[A-Za-z]+", code):
        if (len(word) > 2 or word.islower()) and (is_ordinary(word) or is_common(word, 1e-5)):
            return False
    digits = re.findall(r"\d+", code)
    return not (len(digits) == 1 and _YEAR.fullmatch(digits[0]) and code.startswith(digits[0]))


def _mixes(match: re.Match[str]) -> bool:
    code = match.group("code")
    letters, digits = sum(c.isalpha() for c in code), sum(c.isdigit() for c in code)
    return letters >= 2 and digits >= 2 and letters + digits >= 5 and _is_no_model(match)


class ChatPlateRecognizer(PatternLayer):
    """A short code of letters and digits after plate, reg and the like, or beside a vehicle; and the shapes of some countries."""

    ENTITY = "PLATE"
    GATE = re.compile(r"\d")
    RULES = (
        Rule(
            re.compile(
                r"(?i:\b(?:plates?|registration|reg|rego|tags?|kennzeichen|matricula|matrícula|targa|immatricul\w{1,8}|matriculad[oa])\b"
                r"(?:\s(?:number|no|is|was|are|says|said|reads)\b|[\s:#=\"'-]){0,4})"
                r"(?P<code>(?=[A-Za-z0-9 -]{0,10}\d)(?=[A-Za-z0-9 -]{0,10}[A-Za-z])[A-Za-z0-9]{1,4}(?:[ -]?[A-Za-z0-9]{1,4}){1,2}(?<=\d|[A-Z]))(?!\w)"
            ),
            0.75,
            "code",
        ),
        Rule(
            re.compile(
                rf"(?i:\b{_VEHICLE}\b)[^\d\n.!?]{{0,30}}?(?<![\w$€£])(?P<code>[A-Za-z\d]{{1,4}}(?:[ -]?[A-Za-z\d]{{1,5}}){{1,2}})(?![\w-]|[.,]\d)"
            ),
            0.6,
            "code",
            accepts=_mixes,
        ),
        # Great Britain; California; France and Italy; Spain; Germany; three letters and digits.
        Rule(re.compile(r"(?<!\w)[A-Z]{2}\d{2} ?[A-Z]{3}(?!\w)"), 0.8),
        Rule(re.compile(r"(?<![\w-])\d[A-Z]{3}\d{3}(?![\w-])"), 0.8),
        Rule(re.compile(r"(?<![\w-])[A-Z]{2}[- ]\d{3}[- ][A-Z]{2}(?![\w-])"), 0.7),
        Rule(re.compile(r"(?<![\w-])(?P<code>\d{4}[ -]?[B-DF-HJ-NP-TV-Z]{3})(?![\w-])"), 0.6, "code", accepts=_is_no_model),
        Rule(re.compile(r"(?<![\w-])[A-ZÄÖÜ]{1,3}-[A-Z]{1,2} \d{2,4}(?![\w-]|[.,]\d)"), 0.6),
        Rule(re.compile(r"(?<![\w-])(?P<code>[A-Z]{3}-?\d{3,4})(?![\w-]|[.,]\d)"), 0.5, "code", accepts=_is_no_model),
    )
