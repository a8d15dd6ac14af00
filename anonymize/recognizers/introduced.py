"""Names after the words that introduce them, in French, Spanish, German, Portuguese and Italian."""

import re

from anonymize.recognizers.base import PatternLayer
from anonymize.vocabulary import is_common

# Per language: what introduces oneself (any word follows), and kin or greetings (a word that is not common follows).
_CUES: dict[str, tuple[str, str]] = {
    "fr": (
        r"je m['’ ]?appelle|mon nom est|mon prénom est|appelle[- ]moi|il s['’]appelle|elle s['’]appelle",
        r"(?:mon|ma|mes|notre|son|sa) (?:sœur|soeur|frère|mère|père|ami|amie|copain|copine|mari|femme|fils|fille|cousin|cousine|oncle|tante|"
        r"psy|médecin|prof|chef|voisin|voisine|collègue)|bonjour|salut|merci|cher|chère|adieu|monsieur|madame|docteur|avec|à|chez|de",
    ),
    "es": (
        r"me llamo|mi nombre es|llámame|se llama|soy",
        r"(?:mi|mis|nuestra|nuestro|su) (?:hermana|hermano|madre|padre|amigo|amiga|novio|novia|marido|esposa|esposo|mujer|hijo|hija|primo|prima|"
        r"tío|tía|jefe|jefa|vecino|vecina|psicóloga|psicólogo|médico|profesor|profesora)|hola|gracias|querido|querida|adiós|señor|señora|doctor|doctora|con|en|a",
    ),
    "de": (
        r"ich hei(?:ß|ss)e|mein name ist|nenn mich|er hei(?:ß|ss)t|sie hei(?:ß|ss)t|ich bin(?: der| die)?",
        r"(?:mein|meine|meinem|meiner|unser|sein|seine|ihr|ihre) (?:schwester|bruder|mutter|vater|freund|freundin|mann|frau|sohn|tochter|cousin|"
        r"cousine|onkel|tante|chef|chefin|nachbar|nachbarin|therapeut|therapeutin|arzt|ärztin|lehrer|lehrerin)|hallo|danke|liebe|lieber|tschüss|herr|frau|mit|in|aus|bei|nach|von",
    ),
    "pt": (
        r"(?:o )?meu nome é|me chamo|chamo[- ]me|me chama de|ele se chama|ela se chama|sou (?:o|a)",
        r"(?:meu|minha|nosso|nossa|seu|sua) (?:irmã|irmão|mãe|pai|amigo|amiga|namorado|namorada|marido|esposa|mulher|filho|filha|primo|prima|"
        r"tio|tia|chefe|vizinho|vizinha|psicóloga|psicólogo|médico|médica|professor|professora)|oi|olá|obrigada|obrigado|querido|querida|tchau|senhor|senhora|doutor|doutora|com|em",
    ),
    "it": (
        r"mi chiamo|il mio nome è|chiamami|si chiama|sono",
        r"(?:mio|mia|miei|nostro|nostra|suo|sua) (?:sorella|fratello|madre|padre|amico|amica|ragazzo|ragazza|marito|moglie|figlio|figlia|cugino|"
        r"cugina|zio|zia|capo|vicino|vicina|psicologa|psicologo|medico|professore|professoressa)|ciao|grazie|caro|cara|addio|signor|signora|dottor|dottoressa|con|a|di|da",
    ),
}  # fmt: skip
_WORD = r"[^\W\d_][\w'’-]{1,24}"
_PLAIN = re.compile(r"[^\W\d_]+")
_AT_MOST = 1e-5
_SELF_AT_MOST = 5e-5
# Where nouns have small letters, a capital inside a sentence is a name of somebody or something.
_PART = r"[A-ZÀ-Þ][\w'’-]{1,24}"
_SMALL = r"(?:(?:de la|de|del|della|di|du|da|do|dos|das|von|van|le|la|el|y|e|et) |[dl]['’])"
_CAPITAL_INSIDE = re.compile(rf"(?<=[a-zà-ÿ,;] )(?P<name>[A-ZÀ-Þ][a-zà-ÿ'’-]{{1,24}}(?: {_SMALL}{{0,2}}{_PART}){{0,3}})(?!\w)")
# Two of them make one at the beginning too.
_TWO_CAPITALS = re.compile(
    rf"(?:^|(?<=[.!?¿¡] )|(?<=\n))(?P<name>[A-ZÀ-Þ][a-zà-ÿ'’-]{{1,24}}(?: {_SMALL}{{0,2}}[A-ZÀ-Þ][a-zà-ÿ'’-]{{1,24}}){{1,3}})(?!\w)"
)
_WRITTEN_LARGE = frozenset(
    "dieu noël noel pâques internet état monsieur madame vous dios navidad pascua usted ustedes estado señor señora deus natal páscoa você senhor "
    "senhora dio natale pasqua lei stato signore signora facebook instagram whatsapp google youtube netflix tiktok discord chatgpt".split()
)
# Where all nouns have capitals, a short one that the language hardly uses: long ones are compounds.
_SHORT_NOUN = re.compile(r"(?<=[a-zà-ÿ,;] )(?P<name>[A-ZÄÖÜ][a-zà-ÿ]{2,8})(?!\w)")
_HARDLY_A_NOUN = 3e-6


class ChatIntroducedRecognizer(PatternLayer):
    """A word that its language hardly uses, after a word that a name follows; after "my name is" also a rather usual one."""

    ENTITY = "PERSON"
    GATE = re.compile(r"[^\W\d_]{2}")
    RULES = ()

    def __init__(self, supported_language: str = "fr") -> None:
        super().__init__(supported_language)
        own, kin = _CUES[supported_language]
        run = rf"[ ,]{{1,2}}(?P<name>{_WORD}(?: {_WORD}){{0,2}})"
        self._own = re.compile(rf"\b(?:{own}){run}", re.IGNORECASE)
        self._kin = re.compile(rf"\b(?:{kin}){run}", re.IGNORECASE)

    def matches(self, text: str) -> list[tuple[int, int, float]]:
        """Give the names that a cue introduces."""
        found: list[tuple[int, int, float]] = []
        for pattern, most in ((self._own, _SELF_AT_MOST), (self._kin, _AT_MOST)):
            for cue in pattern.finditer(text):
                start = end = cue.start("name")
                for word in re.finditer(_WORD, cue.group("name")):
                    parts = _PLAIN.findall(word.group())
                    if any(is_common(part, most, self.supported_language) for part in parts):
                        break
                    end = start + word.end()
                if end > start:
                    found.append((start, end, 0.7))
        found.extend(self._by_capital(text))
        return found

    def _by_capital(self, text: str) -> list[tuple[int, int, float]]:
        if text.isupper():
            return []
        if self.supported_language == "de":
            rare = (m for m in _SHORT_NOUN.finditer(text) if not is_common(m.group("name"), _HARDLY_A_NOUN, "de"))
            return [(*match.span("name"), 0.5) for match in rare]
        inside = (*_CAPITAL_INSIDE.finditer(text), *_TWO_CAPITALS.finditer(text))
        return [(*m.span("name"), 0.6) for m in inside if m.group("name").split()[0].lower() not in _WRITTEN_LARGE]
