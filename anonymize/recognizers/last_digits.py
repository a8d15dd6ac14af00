"""The last digits of a card, a phone or an identity, and codes that open something: enough to pick one person from a list."""

import re

from anonymize.recognizers.base import PatternLayer, Rule

_ENDING = (
    r"(?:ending|ends|end)(?:\s(?:in|with|on))?|(?:finishing|finishes|terminating|terminates|terminad[ao]|termina[ne]?|acab[ao]|finit|"
    r"finissant|se termine|endet|endende?|finisce)\s(?:in|with|on|en|em|com|con|par|auf|mit|per)"
)
_LAST_OF = (
    r"(?:last|final|first) (?:4|four|3|three|five|5|six|6)(?: digits| numbers)?(?: of [\w' ]{1,25})?"
    r"|[úu]ltim[oa]s (?:4|cuatro|quatro)(?: d[íi]gitos| n[úu]meros| cifras)?|(?:4|quatre) derniers chiffres"
    r"|letzten (?:4|vier)(?: ziffern| stellen| zahlen)?|ultime (?:4|quattro)(?: cifre)?"
)
_IS = r"(?:is|are|was|were|used to be|son|eran?|sont|étaient|sind|waren|são|sono|erano|es|est|ist|é|è)"
_CODE = (
    r"(?:pins?|pass ?codes?|passwords?|(?:access|door|gate|alarm|entry|unlock|security|safe|locker|building|entrance|verification) codes?|"
    r"cvv2?|cvc2?|combination|code secret|mot de passe|digicode|clave|contraseña|senha|palavra[- ]passe|geheimzahl|passwort|"
    r"codice segreto|code(?= is| was|:))"
)
# "pin for my card is still": some words, then one that says so; or nothing but a mark between.
_FILLER = (
    rf"(?:(?: [^\W\d_][\w'’]{{0,12}}){{0,5}}? (?:{_IS}|to|be)(?: still| now| just| always| set to)?|(?:\s|[:=#,'\"-]){{0,2}})"
)


class ChatLastDigitsRecognizer(PatternLayer):
    """ "ending in 1234", "last four 1234", "my pin is 1234", and masked numbers that show their end."""

    ENTITY = "LAST_DIGITS"
    GATE = re.compile(r"\d{3}")
    RULES = (
        Rule(
            re.compile(rf"(?i:\b(?:{_ENDING}|{_LAST_OF})(?:\s{_IS}|[\s:=-]){{0,3}}\s?)(?P<number>\d{{3,6}})(?!\d)"),
            0.8,
            "number",
        ),
        Rule(re.compile(rf"(?i:\b{_CODE}\b{_FILLER}(?:\s|[:=#'\"-]){{1,3}})(?P<number>\d{{3,8}})(?!\w|[.,:]\d)"), 0.75, "number"),
        Rule(re.compile(r"(?<!\w)(?:[xX*•#]{2,4}[ -]?){1,4}(?P<number>\d{3,5})(?!\w)"), 0.8, "number"),
    )
