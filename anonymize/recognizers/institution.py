"""Schools, hospitals and the like in French, Spanish, German, Portuguese and Italian: a kind of institution and the name beside it."""

import re

from anonymize.recognizers.base import PatternLayer

_KINDS: dict[str, str] = {
    "fr": "lycée|collège|école|université|faculté|institut|hôpital|clinique|maternelle|internat|centre hospitalier|foyer",
    "es": "instituto|colegio|escuela|universidad|facultad|academia|hospital|clínica|liceo|residencia|centro de salud",
    "de": "gymnasium|schule|grundschule|realschule|gesamtschule|hauptschule|hochschule|universität|uni|krankenhaus|klinik|klinikum|kita",
    "pt": "escola|colégio|liceu|universidade|faculdade|instituto|academia|hospital|clínica|centro de saúde",
    "it": "liceo|scuola|istituto|università|facoltà|accademia|ospedale|clinica|collegio|policlinico",
}  # fmt: skip
_CAPITAL = r"(?-i:[A-ZÀ-Þ])[\w'’.-]{1,30}"
_SMALL = r"(?:de la|de las|de los|de|del|della|dello|degli|dei|des|du|di|do|da|dos|das|der|am|an der|la|le|les|el|los|y|e|et|und) |[dl]['’]"
_NAME = rf"(?:{_SMALL}){{0,2}}{_CAPITAL}(?: (?:{_SMALL}){{0,2}}{_CAPITAL}){{0,3}}"


class ChatInstitutionRecognizer(PatternLayer):
    """ "Lycée des Tilleuls", "Instituto Tres Fuentes", "Goethe-Gymnasium": never the kind alone, nor "my school"."""

    ENTITY = "ORGANIZATION"
    GATE = re.compile(r"[^\W\d_]{3}")
    RULES = ()

    def __init__(self, supported_language: str = "fr") -> None:
        super().__init__(supported_language)
        kinds = _KINDS[supported_language]
        # German puts the name in front: "Goethe-Gymnasium", "Rheinberger Gymnasium".
        before = rf"|\b(?:{_CAPITAL}-|{_CAPITAL}er )(?:{kinds})\b" if supported_language == "de" else ""
        self._pattern = re.compile(rf"\b(?:{kinds}) {_NAME}{before}", re.IGNORECASE)

    def matches(self, text: str) -> list[tuple[int, int, float]]:
        """Give the institutions that a kind and a name beside it make."""
        return [(*match.span(), 0.65) for match in self._pattern.finditer(text)]
