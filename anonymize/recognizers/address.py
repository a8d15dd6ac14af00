"""Street addresses: house number and street, units, boxes, and the town and code that follow."""

import re

from anonymize.recognizers.base import PatternLayer, Rule

_STREET = (
    "street|st|road|rd|avenue|ave|lane|ln|drive|dr|court|ct|close|crescent|cres|way|place|pl|boulevard|blvd|terrace|ter|parkway|pkwy|"
    "highway|hwy|drives|squares?|sq|gardens?|grove|hill|mews|row|walk|rise|view|views|park|green|circle|cir|trail|trl|loop|alley|plaza|plains?|"
    "springs?|creek|ridge|ridges|heights|meadows?|station|junction|villages?|estates?|manor|manors|mission|fields?|forges?|forks?|"
    "fords?|glens?|harbors?|hollow|islands?|isle|keys?|knolls?|lakes?|landing|lodge|mall|mills?|mountains?|orchard|oval|pass|path|pike|"
    "pines?|points?|ports?|prairie|radial|ranch|rapids|rest|rivers?|rue|run|shoals?|shores?|skyway|spurs?|stravenue|stream|summit|"
    "throughway|trace|track|tunnel|turnpike|underpass|unions?|valleys?|via|ville|vista|viaduct|wells|crossing|crossroad|cliffs?|"
    "club|common|corners?|course|coves?|crest|dale|dam|divide|expressway|extension|falls|ferry|flats?|freeway|gateway|haven|inlet|"
    "burgs?|bypass|bridge|brooks?|branch|bluffs?|bend|beach|bayou|camp|canyon|cape|causeway|center|centers|brook"
)
_UNIT = r"(?:apt|apartment|suite|ste|unit|flat|room|rm|floor|fl|block|bldg|building|no)\.? ?#?\d{1,5}[A-Za-z]?|#\d{1,5}[A-Za-z]?"
_TOWN = r"(?:[,\n] ?\s?[^\W\d_][\w'’.-]{1,20}(?: [^\W\d_][\w'’.-]{1,20}){0,2}){0,2}"
_CODE = (
    r"(?:,? (?:[A-Za-z]{2} )?(?:\d{5}(?:-\d{4})?|[A-Za-z]{1,2}\d[A-Za-z0-9]? ?\d[A-Za-z]{2}|[A-Za-z]\d[A-Za-z] ?\d[A-Za-z]\d))"
)


class ChatAddressRecognizer(PatternLayer):
    """The written forms of English-speaking countries and the commonest European ones."""

    ENTITY = "ADDRESS"
    GATE = re.compile(r"\d|\b(?:p\.? ?o\.? ?box)\b", re.IGNORECASE)
    RULES = (
        Rule(
            re.compile(
                rf"(?<![\w$£€.])(?:(?:{_UNIT})[ ,]{{1,3}})?\d{{1,6}}[A-Za-z]?(?:[-/]\d{{1,5}})?,? (?:[^\W\d_][\w'’.-]{{0,24}} ){{1,3}}?(?:{_STREET})\b\.?"
                rf"(?:[ ,\n]{{1,3}}(?:{_UNIT})(?!\w))?(?:{_TOWN}{_CODE})?",
                re.IGNORECASE,
            ),
            0.7,
            accepts=lambda match: _is_street(match.group()),
        ),
        Rule(
            re.compile(
                r"\b(?:the )?corner of (?:[^\W_][\w'’.-]{0,24} ){1,6}(?:and|&) (?:[^\W_][\w'’.-]{0,24})(?: [^\W_a-z][\w'’.-]{0,24}){0,3}",
                re.IGNORECASE,
            ),
            0.6,
            accepts=lambda match: bool(re.search(r"[A-Z0-9]", match.group().split("of", 1)[1])),
        ),
        Rule(re.compile(r"(?<!\w)(?:p\.? ?o\.? ?box|post box|psc|apo box)\W{0,3}\d{1,6}(?:,? box \d{1,6})?", re.IGNORECASE), 0.85),
        Rule(re.compile(r"(?<!\w)(?:apt|apartment|suite|ste|unit|flat)\.? ?#?\d{1,5}[A-Za-z]?(?!\w)", re.IGNORECASE), 0.55),
        # Military post: unit and box, ship, and the office code that takes the place of town and state.
        Rule(
            re.compile(
                r"(?<!\w)(?:(?:unit|psc|cmr) \d{1,6},? (?:box|bldg) \d{1,6}|(?:uscgc|usns|uss) [^\W\d_]{2,20})(?!\w)",
                re.IGNORECASE,
            ),
            0.8,
        ),
        Rule(re.compile(r"(?<!\w)(?:apo|fpo|dpo),? a[aep],? \d{5}(?!\w)", re.IGNORECASE), 0.85),
        Rule(
            re.compile(
                r"(?<!\w)(?:rue|avenue|boulevard|place|calle|avenida|plaza|paseo|via|viale|piazza|corso|rua|travessa|ulica|ul\.) "
                r"(?:[^\W\d_][\w'’.-]{0,24}[ ,]{1,2}){1,5}(?:n[.º°]? ?)?\d{1,5}[A-Za-z]?(?!\w)",
                re.IGNORECASE,
            ),
            0.7,
        ),
        Rule(
            re.compile(
                r"(?<!\w)(?:[^\W\d_][\w'’.-]{0,24} ){0,2}[^\W\d_][\w'’-]{2,30}(?:straße|strasse|str\.|weg|gasse|platz|allee|damm|laan|straat|gade|vej|gatan|vägen|katu|tie|ulica)"
                r" \d{1,4}[A-Za-z]?(?!\w)",
                re.IGNORECASE,
            ),
            0.7,
        ),
        Rule(re.compile(r"(?<!\w)\d{1,5},? (?:rue|avenue|boulevard|place|chemin|allée|impasse|quai) (?:[^\W\d_][\w'’.-]{0,24} ?){1,5}(?<=\w)", re.IGNORECASE), 0.7),
    )  # fmt: skip


_QUANTITY = re.compile(
    r"^\d+ (?:days?|weeks?|months?|years?|hours?|hrs?|mins?|minutes?|times?|people|of|mg|pills?|kids?|more|other|different|small|big|"
    r"things?|ways?|steps?|feet|miles?|blocks?|deep|slow|breaths?|seconds?|secs?|and|or|to|am|pm|percent|in|is|was|at|on)\b",
    re.IGNORECASE,
)


def _is_street(address: str) -> bool:
    """ "5 deep breaths on the way" has a number and a street word and is no address."""
    return not _QUANTITY.match(address) and not re.search(
        r"\b(?:i|you|my|your|the|a|and|to|of|is|it|that|this)\b", address, re.IGNORECASE
    )
