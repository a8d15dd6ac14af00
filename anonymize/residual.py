"""The residual gate: looks at what came out, by other means than the layers that let it out."""

import re

from anonymize.helplines import Helplines
from anonymize.operators import PLACEHOLDER
from anonymize.vocabulary import is_common

# Digit runs with whatever stands between, handles, addresses: shapes only, no context, no model.
_DIGITS = re.compile(r"(?<![\w-])\+?\d(?:[ ().\-/]{0,2}\d){6,}")
_AT = re.compile(r"\w@\w|(?<!\w)@\w{2,}")
_LINK = re.compile(r"://|\bwww\.", re.IGNORECASE)
_COUNTING = re.compile(r"^\W*\d{1,2}(?:\W+\d{1,2}){3,}\W*$")


# A capital in the middle of a sentence: by far most such words are names, and the word list says which are usual ones.
_CAPITAL_INSIDE = re.compile(r"(?<=[a-z,;] )[A-Z][a-zà-ÿ]{2,}(?![\w'’-])")
_HARDLY_EVER = 1e-8


def trips(scrubbed: str, helplines: Helplines, language: str = "en") -> bool:
    """Say whether anything with the shape of a private value is left in a scrubbed turn.

    Two checks that share nothing with the layers before: the format of characters (digit runs, handles, addresses), and words that
    stand like a name and that a list of word frequencies does not know.
    """
    return _has_private_format(scrubbed, helplines) or _has_unknown_name(scrubbed, helplines, language)


def _has_unknown_name(scrubbed: str, helplines: Helplines, language: str) -> bool:
    if language == "de":  # every noun has a capital
        return False
    unknown = [m for m in _CAPITAL_INSIDE.finditer(scrubbed) if not is_common(m.group(), _HARDLY_EVER, language)]
    if not unknown:
        return False
    kept = helplines.kept(scrubbed)
    return any(not any(start <= m.start() and m.end() <= end for start, end in kept) for m in unknown)


def _has_private_format(scrubbed: str, helplines: Helplines) -> bool:
    if not ("@" in scrubbed or "://" in scrubbed or "ww." in scrubbed or sum(c.isdigit() for c in scrubbed) >= 7):
        return False
    rest = PLACEHOLDER.sub(" \n ", scrubbed)
    for start, end in reversed(helplines.kept(rest)):
        rest = rest[:start] + " \n " + rest[end:]
    if _AT.search(rest) or _LINK.search(rest):
        return True
    return any(not _COUNTING.match(match.group()) for match in _DIGITS.finditer(rest))
