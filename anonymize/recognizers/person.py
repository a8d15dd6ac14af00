"""Names of people after the words that introduce them: what models miss in short, lower-case messages."""

import re

from anonymize.recognizers.base import PatternLayer
from anonymize.recognizers.names import CUED, is_closed, name_run, stands_bare, stands_for_itself

_KIN = (
    "friend|best friend|bestfriend|bestie|bff|mate|buddy|boyfriend|girlfriend|bf|gf|ex|partner|fiance|fiancé|fiancee|fiancée|husband|"
    "wife|hubby|crush|roommate|flatmate|housemate|neighbou?r|boss|manager|supervisor|coworker|co-worker|colleague|classmate|"
    "mum|mom|mother|dad|father|stepdad|stepmom|stepmum|stepfather|stepmother|sister|brother|sis|bro|twin|twin sister|twin brother|"
    "stepsister|stepbrother|cousin|aunt|auntie|aunty|uncle|niece|nephew|grandma|grandpa|gran|nan|granny|grandmother|grandfather|"
    "nana|son|daughter|kid|child|baby|stepson|stepdaughter|godson|goddaughter|mother in law|sister in law|brother in law|"
    "therapist|counsell?or|psychiatrist|psychologist|doctor|doc|gp|nurse|midwife|social worker|case ?worker|caseworker|key ?worker|"
    "teacher|tutor|professor|coach|principal|headteacher|landlord|landlady|lawyer|solicitor|pastor|priest|sponsor|mentor|"
    "probation officer|dog|cat|puppy|abuser|stalker|bully|rapist"
)
_TITLE = (
    "mr|mrs|ms|mx|miss|mister|missus|dr|doctor|prof|professor|sir|madam|officer|nurse|coach|pastor|father|fr|sister|brother|rev|"
    "reverend|rabbi|imam|aunt|auntie|aunty|uncle|grandma|grandpa|nana|detective|inspector|judge|constable|sergeant|sgt|lieutenant|lt|"
    "captain|capt|principal|deputy|counsellor|counselor|therapist|señor|señora"
)
# Each cue: the pattern up to the name, most words, whether a capital alone makes a name, whether a slip of the keys can be one.
_CUES: tuple[tuple[str, int, bool, bool], ...] = (
    (r"\bname(?:'s|’s|s)?(?: is| was)?[ :]{1,2}|\bnames |\bcalled |\bnamed |\bcall me |\bknown as |\baka |\bgoes by ", 3, True, True),
    (rf"\b(?:{_TITLE})\b\.? ", 3, True, True),
    (rf"\b(?:my|our|his|her|their|the|this|ur|your|old|little|big|older|younger|late)(?: (?:best|old|little|big|older|younger|ex|late|new|former))? (?:{_KIN})(?:'s name is|s name is|,| is| was)? ", 3, False, False),
    (r"\b(?:friend|brother|sister|cousin|husband|wife|son|daughter|boyfriend|girlfriend|partner|coworker|roommate),? (?:named |called )?", 3, False, False),
    (r"\b(?:i'm|i’m|im|i am|this is|it's|it’s|its|i be) (?:just |only )?", 3, False, False),
    (r"\b(?:hi|hey|hello|dear|yo|thanks|thank you|sorry|love|goodnight|night|bye|goodbye|rip|r\.i\.p\.?|happy birthday),? ", 3, False, False),
    (r"\b(?:sincerely|regards|yours|cheers|xoxo|signed|respectfully|warmly|love always|best wishes|kind regards)[,.]?\s{1,3}", 3, True, True),
    (r"\b(?:told|tell|asked|ask|miss|hate|love|loved|met|texted|text|called|call|trust|saw|know|knew|hurt|left|lost|buried|kissed|dating|married|marry|blame|forgive|blocked) ", 3, False, False),
    (r"\b(?:with|about|from|by|to|for|and|without|like|because of|than|at) ", 3, False, False),
)  # fmt: skip
_COMPILED = tuple((re.compile(cue, re.IGNORECASE), most, capital, typo) for cue, most, capital, typo in _CUES)
# The last two cues are common words: what follows has to look like a name by its capital as well.
_NEEDS_CAPITAL = 2
_SIGN_OFF = re.compile(r"(?:^|\n|[.!?,] )\s{0,3}(?:[-–—~]{1,2} ?|xx? )(?=[^\W\d_])")
_SUBJECT = re.compile(
    r"(?:^|(?<=[.!?,] )|(?<=\n)|(?<=and )|(?<=but )|(?<=that )|(?<=because )|(?<=when )|(?<=if ))(?P<name>[^\W\d_][\w'’-]{1,20})(?= "
    r"(?:said|says|told|dumped|left|hit|texted|called|died|hates|loves|is my|was my|and i\b|and me\b|keeps|kept|blocked|ghosted|knows|doesn'?t|won'?t|never|always|thinks|found|hurt|cheated|raped|passed|wants|makes|made|broke|asked|yelled|screamed))",
    re.IGNORECASE,
)
# "i want faith to know": whom someone is wanted, asked or told to do something, is a person.
_OBJECT = re.compile(
    r"\b(?:want|wants|wanted|need|needs|needed|ask|asked|tell|told|beg|begged|let|help|helped) (?P<name>[^\W\d_][\w'’-]{1,20})(?= (?:to|that|know|see|be|understand|i)\b)",
    re.IGNORECASE,
)
# Where only a person, or what stands bare, can stand: who is calling me, who is told that I am sorry.
_WHO_DOES = re.compile(
    r"(?:^|(?<=[.!?,;:] )|(?<=\n)|\b(?:and|but|because|cause|cuz|that|when|if|then|so|now|until|before|after|while|since) )"
    r"(?P<name>[^\W\d_][\w'’-]{1,20})(?= (?:"
    r"(?:is|was|keeps|kept|started) (?:calling|texting|messaging|yelling at|screaming at|shouting at|blaming|ignoring|avoiding|hitting|ghosting|bullying) (?:me|us)"
    r"|(?:told|texted|messaged|blocked|ghosted|dumped|slapped|hugged|blamed|ignored|asked|called|misses|hates|loves|left) me"
    r"|(?:said|says|thinks|thought|swears|swore) (?:i|i'm|i’m|im|that i|to me|he|she|they)"
    r"|(?:yelled|screamed|shouted|laughed|swore) at me|(?:cheated|walked out) on me|broke up with me)\b)",
    re.IGNORECASE,
)
_WHO_IS_TOLD = re.compile(
    r"\b(?:want|wants|wanted|need|needs|needed|tell|told|telling|ask|asked|beg|begged|let|wish|hope) (?P<name>[^\W\d_][\w'’-]{1,20})"
    r"(?= (?:to (?:know|understand|forgive|see|hear|remember|find|be the one|come|call|text|stay|leave)|that i|about (?:it|this|that|me|my)"
    r"|i (?:am|'m|’m|m|love|loved|was|did|tried|miss|want)|i'm|i’m|im|would (?:understand|know|see|listen|care|call|text))\b)",
    re.IGNORECASE,
)
# What follows is a name, whatever word it is: nobody may be called back by "you can call me", nor a name be "my name is not".
_NAMED = re.compile(
    r"\b(?:(?:you|u|ya) (?:can|could|may) (?:just |also )?call me|(?:my|his|her|their) (?:first |last |real |full |middle |nick ?)?name(?: is|'s|’s| was|s)"
    r"|i go by|friends call me|they named (?:him|her|me)) (?P<name>[^\W\d_][\w'’-]{1,20})(?![\w'’-])",
    re.IGNORECASE,
)
_NO_NAME = frozenset(
    "not on all being known called gone unknown important private changed spelled spelt pronounced common hard written under anything back later "
    "anytime whenever if when again in every crazy whatever too".split()
)
# "I'm Guy." stands between a cue and the end of the sentence with a capital that the place does not ask for.
_I_AM = re.compile(
    r"(?<!\w)(?:I'm|I’m|Im|I am|i'm|i’m|im|i am|[Tt]his is) (?P<name>[A-ZÀ-Þ][a-zà-ÿ'’-]{2,20})(?=[.!]|$| here\b| again\b)"
)
_HERE = re.compile(
    r"(?:^|(?<=\n))(?i:hello|hi|hey|good morning|good evening),? (?P<name>[A-ZÀ-Þ][\w'’-]{1,20}(?: [A-ZÀ-Þ][\w'’-]{1,20}){0,2})(?= here\b)"
)


class ChatPersonRecognizer(PatternLayer):
    """A word that is not ordinary, after a title, a kind of kin, a greeting, a sign-off or the like."""

    ENTITY = "PERSON"
    GATE = re.compile(r"[^\W\d_]{2}")
    RULES = ()

    def matches(self, text: str) -> list[tuple[int, int, float]]:
        """Give the names that a cue introduces."""
        found: list[tuple[int, int, float]] = []
        weak = len(_COMPILED) - _NEEDS_CAPITAL
        for place, (pattern, most, capital_is_enough, typo_is_name) in enumerate(_COMPILED):
            for cue in pattern.finditer(text):
                if place >= weak and not text[cue.end() : cue.end() + 1].isupper():
                    continue
                run = name_run(text, cue.end(), most=most, capital_is_enough=capital_is_enough, typo_is_name=typo_is_name)
                if run:
                    found.append((*run, CUED))
        for cue in _SIGN_OFF.finditer(text):
            run = name_run(text, cue.end(), most=3, capital_is_enough=False, typo_is_name=False)
            if run and not text[run[1] : run[1] + 40].strip(" .!\nxX"):
                found.append((*run, 0.7))
        for match in (*_SUBJECT.finditer(text), *_OBJECT.finditer(text)):
            run = name_run(
                text,
                match.start("name"),
                most=1,
                capital_is_enough=False,
                typo_is_name=match.re is _OBJECT,
            )
            if run:
                found.append((*run, 0.6))
        for match in _NAMED.finditer(text):
            if match.group("name").lower() not in _NO_NAME and not stands_for_itself(match.group("name")):
                found.append((*match.span("name"), CUED))
        if not text.istitle():
            found.extend(
                (*match.span("name"), CUED) for match in _I_AM.finditer(text) if not stands_for_itself(match.group("name"))
            )
        found.extend((*m.span("name"), CUED) for m in _WHO_DOES.finditer(text) if not stands_bare(m.group("name")))
        mixed_case = not text.isupper()
        for match in _WHO_IS_TOLD.finditer(text):
            name = match.group("name")
            # A capital that the place does not ask for: only what is surely none is no name.
            if not (is_closed(name) if mixed_case and name[0].isupper() else stands_bare(name)):
                found.append((*match.span("name"), CUED))
        found.extend((*m.span("name"), CUED) for m in _HERE.finditer(text) if not stands_for_itself(m.group("name")))
        return found
