"""The residual gate: looks at what came out, by other means than the layers that let it out."""

import re

from anonymize.helplines import Helplines
from anonymize.operators import PLACEHOLDER

# Digit runs with whatever stands between, handles, addresses: shapes only, no context, no model.
_DIGITS = re.compile(r"(?<!\w)\+?\d(?:[ ().\-/]{0,2}\d){6,}")
_AT = re.compile(r"\w@\w|(?<!\w)@\w{2,}")
_LINK = re.compile(r"://|\bwww\.", re.IGNORECASE)
_COUNTING = re.compile(r"^\W*\d{1,2}(?:\W+\d{1,2}){3,}\W*$")


def trips(scrubbed: str, helplines: Helplines) -> bool:
    """Say whether anything with the shape of a private value is left in a scrubbed turn."""
    if not ("@" in scrubbed or "://" in scrubbed or "ww." in scrubbed or sum(c.isdigit() for c in scrubbed) >= 7):
        return False
    rest = PLACEHOLDER.sub(" \n ", scrubbed)
    for start, end in reversed(helplines.kept(rest)):
        rest = rest[:start] + " \n " + rest[end:]
    if _AT.search(rest) or _LINK.search(rest):
        return True
    return any(not _COUNTING.match(match.group()) for match in _DIGITS.finditer(rest))
