"""Names cut to initials, and names written letter by letter."""

import re

from anonymize.recognizers.base import PatternLayer, Rule
from anonymize.vocabulary import is_ordinary

_NOT_INITIALS = frozenset(
    [
        "us",
        "uk",
        "usa",
        "am",
        "pm",
        "eg",
        "ie",
        "ad",
        "bc",
        "dc",
        "ok",
        "tv",
        "id",
        "phd",
        "md",
        "ba",
        "ma",
        "bsc",
        "rn",
        "rip",
        "aka",
        "asap",
        "fyi",
        "diy",
        "eu",
        "un",
        "ptsd",
        "adhd",
        "ocd",
        "bpd",
        "nhs",
        "gp",
        "er",
        "icu",
    ]
)
_SPACED_SKIP = frozenset(["abc", "xyz", "help", "stop", "why", "lol", "sos", "yes", "omg", "die"])


def _are_initials(match: re.Match[str]) -> bool:
    letters = "".join(re.findall(r"(?<!\w)[A-Z](?=\.)", match.group()))
    return letters.lower() not in _NOT_INITIALS


def _spells_a_name(match: re.Match[str]) -> bool:
    joined = re.sub(r"[\W_]", "", match.group())
    return len(joined) > 2 and not is_ordinary(joined) and joined.lower() not in _SPACED_SKIP


class ChatInitialsRecognizer(PatternLayer):
    """ "J.K.", "A. Okafor", "my friend J", "E-w-a"."""

    ENTITY = "PERSON"
    GATE = re.compile(r"(?<![^\W\d_])[^\W\d_](?![^\W\d_])")
    RULES = (
        Rule(re.compile(r"(?<![\w.])(?:[A-Z]\.[ ]?){2,4}(?:[A-Z][\w'’-]{1,20})?(?!\w)"), 0.6, accepts=_are_initials),
        Rule(re.compile(r"(?<![\w.'’])[A-Z]\. [A-Z][a-z'’][\w'’-]{1,20}(?!\w)"), 0.6),
        Rule(re.compile(r"(?<!\w)[A-Z][\w'’-]{1,20} [A-Z]\.(?= ?[A-Z][a-z]|$|[ ,])"), 0.5, accepts=lambda m: not is_ordinary(m.group().split()[0])),
        Rule(
            re.compile(
                r"(?i:\b(?:friend|boyfriend|girlfriend|ex|partner|husband|wife|sister|brother|cousin|roommate|boss|therapist|teacher|mr|mrs|ms|dr|coach|named|called|sincerely,|signed,|with|told|and)\.? )"
                r"(?P<initial>(?!I\b|A\b)[A-Z]\.?)(?![\w'’&+/-])"
            ),
            0.55,
            "initial",
        ),
        Rule(re.compile(r"(?<![\w.-])[^\W\d_](?:[ .*_-][^\W\d_]){2,15}(?![\w-])"), 0.5, accepts=_spells_a_name),
    )  # fmt: skip
