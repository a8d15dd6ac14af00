"""How the English recognizers read the words after a cue: which of them can be a name."""

import re

from anonymize.vocabulary import is_ordinary, is_typo_of_ordinary, one_edit_from

# The score of a name that its cue alone makes one, even if it is an ordinary word ("call me Rose").
CUED = 0.75

NAME_WORD = re.compile(r"[^\W\d_]+(?:['’.-][^\W\d_]+)*", re.UNICODE)
_GAP = re.compile(r"[ \t]{1,2}(?:(?:van|von|de|del|della|di|da|dos|bin|al|el|la|le|der|den|ter|mac|o)[ \t])?", re.IGNORECASE)
_PARTICLE = frozenset(
    [
        "van",
        "von",
        "de",
        "del",
        "della",
        "di",
        "da",
        "dos",
        "bin",
        "al",
        "el",
        "la",
        "le",
        "der",
        "den",
        "ter",
        "mac",
        "st",
        "saint",
    ]
)
_NEVER = frozenset(
    [
        "i",
        "a",
        "the",
        "and",
        "or",
        "but",
        "so",
        "if",
        "my",
        "your",
        "his",
        "her",
        "their",
        "our",
        "it",
        "im",
        "ive",
        "dont",
        "is",
        "was",
        "were",
        "are",
        "to",
        "of",
        "in",
        "on",
        "at",
    ]
)


# Pronouns, indefinites, kin, the divine, small words: where a name could stand, these are none.
_CLOSED = frozenset(
    """
    i you u he she it we they me him her us them ya yall y'all this that these those who whoever whom what whatever which where when why how
    someone somebody anyone anybody everyone everybody nobody none one another other others each both all some any most many few
    something anything everything nothing much more enough myself yourself himself herself itself ourselves themselves
    mom mum mam ma mama mummy mommy momma mother dad da daddy papa pops pop father grandma grandpa gran nan nana nanna granny grandad granddad
    grandmother grandfather auntie aunty aunt uncle sis bro sister brother hubby hubs babe baby bae bestie bff bf gf ppl peeps people mate
    dude man girl boy honey god jesus christ allah lord satan doc doctor nurse teacher miss sir
    and or but so if then than because cause cuz cos though although while until till unless since not never ever always just only even still
    really also maybe perhaps please again too very once twice now soon later today tonight tomorrow yesterday here there out up down in on at
    to for from with without about after before over off by of as like is was are were be been am do did does done has have had can could will
    would shall should may might must let get got go going gone no yes yeah yep nope ok okay oh ah um well right wrong sorry thanks hi hey
    hello lol omg idk tbh imo a an the my your ur his their our its
    """.split()
)
# With these, what stands without an article where a person stands: it acts like one in speech ("life hit me", "work called").
_BARE = _CLOSED | frozenset(
    """
    heaven fate karma police cops cop security hr cps management admin staff customs doctors chief coach counsel family folks company mankind
    humanity society life death reality nature time history science religion medicine therapy google siri alexa chatgpt ai depression anxiety
    grief guilt shame fear anger pain sleep food money love music school work class college uni church home court jail prison hospital bed
    """.split()
)


def stands_for_itself(word: str) -> bool:
    """Say whether a word, or what it is a slip of, is of the closed kind that names nobody."""
    lowered = word.lower()
    return lowered in _CLOSED or "'" in word or "’" in word or one_edit_from(lowered, _CLOSED)


def is_closed(word: str) -> bool:
    """Say whether a word, as it is written, is of the closed kind."""
    return word.lower() in _CLOSED


def stands_bare(word: str) -> bool:
    """Say whether a word can stand without an article where a person stands, so that it need not be a name there."""
    lowered = word.lower()
    return stands_for_itself(word) or lowered in _BARE or one_edit_from(lowered, _BARE) or lowered.endswith(("s", "ly"))


def name_run(text: str, start: int, *, most: int, capital_is_enough: bool, typo_is_name: bool = True) -> tuple[int, int] | None:
    """Give the run of up to `most` name words that begins exactly at `start`, or nothing.

    A word can be a name if it is not ordinary. With `capital_is_enough`, a capitalised ordinary word in a text that has lower-case
    letters too is one as well ("Dr Young").
    """
    end = start
    position = start
    count = 0
    mixed_case = not text.isupper()
    while count < most:
        match = NAME_WORD.match(text, position)
        if match is None:
            break
        word = match.group()
        lowered = word.lower()
        if lowered in _PARTICLE and count < most - 1 and _leads_to_a_name(text, match.end()):
            position = match.end() + 1
            continue
        base = re.sub(r"['’]s$", "", word)
        if lowered in _NEVER or not base:
            break
        capital = mixed_case and base[0].isupper() and capital_is_enough and len(base) > 1
        # A particle can be the family name itself ("Amir Van"), where the cue is sure and nothing follows that it could lead to.
        particle = capital_is_enough and lowered in _PARTICLE
        if is_ordinary(base) and not capital and not particle:
            break
        if not capital and not typo_is_name and is_typo_of_ordinary(base):
            break
        end = match.start() + len(base)
        count += 1
        gap = _GAP.match(text, match.end())
        if gap is None or len(base) != len(word):
            break
        position = gap.end() if not gap.group().strip() else match.end() + 1
    return (start, end) if end > start else None


def _leads_to_a_name(text: str, end: int) -> bool:
    """ "de la Cruz": a particle counts where a word that can be a name follows it."""
    ahead = NAME_WORD.match(text, end + 1)
    return ahead is not None and text[end : end + 1] in " \t" and not is_ordinary(ahead.group())
