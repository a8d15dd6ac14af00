"""Places after the words that lead to them, and places named by a compass point or a kind of landscape."""

import re

from anonymize.recognizers.base import PatternLayer
from anonymize.recognizers.names import name_run

_IN = re.compile(r"\b(?:in|from|near|outside|around) ", re.IGNORECASE)
_COMPASS = re.compile(
    r"\b(?:north|south|east|west|new|port|lake|mount|mt|fort|ft|san|santa|los|las|el|la|le|saint|st|upper|lower|great|little|old)\.? (?=[^\W\d_]{3})",
    re.IGNORECASE,
)
# Countries whose names are ordinary words, so that no unexplained word points to them.
_COUNTRY = re.compile(
    r"\b(?:United (?:Kingdom|States(?: of America)?|Arab Emirates)|Czech Republic|New Zealand|South (?:Africa|Korea|Sudan)|North Korea|"
    r"Central African Republic|Dominican Republic|Ivory Coast|Northern Ireland)\b",
    re.IGNORECASE,
)


class ChatLocationRecognizer(PatternLayer):
    """A word that is not ordinary, after "live in", "from", "North" and their like."""

    ENTITY = "LOCATION"
    GATE = re.compile(r"[^\W\d_]{2}")
    RULES = ()

    def matches(self, text: str) -> list[tuple[int, int, float]]:
        """Give the places that a cue introduces."""
        found: list[tuple[int, int, float]] = []
        for cue in _COMPASS.finditer(text):
            run = name_run(text, cue.end(), most=2, capital_is_enough=False, typo_is_name=False)
            if run:
                found.append((cue.start(), run[1], 0.6))
        for cue in _IN.finditer(text):
            run = name_run(text, cue.end(), most=3, capital_is_enough=False, typo_is_name=False)
            if run:
                found.append((*run, 0.5))
        found.extend((*country.span(), 0.7) for country in _COUNTRY.finditer(text))
        return found
