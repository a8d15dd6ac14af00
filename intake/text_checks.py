"""Characters: what may not stand in texts, ids and codes, and what a misspelt code was meant to be. Never a value, only verdicts.

Sources: Unicode Standard Annex 15 (normalisation forms), Technical Reports 36 and 39 (look-alikes, text direction).
"""

import re
import unicodedata
from collections.abc import Callable

# What is left of a text's UTF-8 without these bytes is looked at more closely: nothing at all for plain ASCII.
_PLAIN = bytes([0x09, 0x0A, 0x0D, *range(0x20, 0x7F)])
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_ANY_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
# Changes of direction and what cannot be seen. Not: left-to-right marks and joiners, which languages and emoji need.
_HIDDEN = (
    "\u00ad\u115f\u1160\u17b4\u17b5\u180e\u200b\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e007f"
)
_HIDDEN_IN_TEXT = re.compile(f"[{_HIDDEN}]")
_HIDDEN_IN_ID = re.compile(f"[{_HIDDEN}\u034f\ufe00-\ufe0f\U000e0100-\U000e01ef]")  # most others are not printable
_SUSPICIOUS = re.compile(f"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f{_HIDDEN}]")

# Letters of other scripts that read as an ASCII letter, folded case; what NFKD and case folding settle is not listed.
_SEEN_AS = {
    "a": "\u0430\u03b1\u0251",
    "b": "\u0432\u03b2\u044c",
    "c": "\u0441\u03f2\u1d04",
    "d": "\u0501",
    "e": "\u0435\u03b5\u0454",
    "g": "\u0261\u0581",
    "h": "\u04bb\u043d\u0570\u0397",
    "i": "\u0456\u03b9\u0131\u0269",
    "j": "\u0458\u03f3\u0237",
    "k": "\u043a\u03ba",
    "l": "\u04cf\u01c0",
    "m": "\u043c",
    "n": "\u03b7\u0578\u043f\u039d",
    "o": "\u043e\u03bf\u0585\u1d0f",
    "p": "\u0440\u03c1",
    "q": "\u051b\u0566",
    "r": "\u0433",
    "s": "\u0455",
    "t": "\u0442\u03c4",
    "u": "\u03c5\u057d\u1d1c\u028b",
    "v": "\u03bd\u0475\u1d20",
    "w": "\u051d\u03c9\u0461\u1d21",
    "x": "\u0445\u03c7",
    "y": "\u0443\u03b3\u03a5",
    "z": "\u1d22\u0396",
    "3": "\u0437",
    "-": "\u2010\u2011\u2012\u2013\u2014\u2212\u02d7",
    ".": "\u2024\u3002",
    "_": "\u02cd",
}
_LOOK_ALIKES = str.maketrans({look: letter for letter, looks in _SEEN_AS.items() for look in looks})


def is_plain_json(written: bytes) -> bool:
    """Whether JSON is plain ASCII without any escape: then no text in it has a problem. Much faster than looking at each."""
    return written.isascii() and b"\\" not in written and b"\x7f" not in written


def text_problem(text: str) -> str:
    """The finding code that a text earns (E226, W305 or W304), the gravest; empty for a sound one."""
    rest = text.encode("utf-8", "replace").translate(None, _PLAIN)
    if not rest:
        return ""
    odd = rest.decode("utf-8", "replace")
    if _SUSPICIOUS.search(odd):
        return "E226" if _CONTROL.search(odd) else "W305"
    return "" if unicodedata.is_normalized("NFC", text) else "W304"


def id_problem(value: str) -> str:
    """The finding code that an id earns by its characters (E226, E227); empty for a sound one."""
    if value.isascii() and value.isprintable() and value[:1] != " " != value[-1:]:
        return ""
    if _ANY_CONTROL.search(value):
        return "E226"
    seen = value.isprintable() and not _HIDDEN_IN_ID.search(value) and value == value.strip()
    return "" if seen and unicodedata.is_normalized("NFC", value) else "E227"


def misspelling(value: str, is_permitted: Callable[[str], bool]) -> str:
    """Why a code is not a permitted one, where it nearly is: E226, E227, E228, E229; empty where it is another word."""
    stripped = value.strip()
    if _ANY_CONTROL.search(stripped):
        return "E226"
    if not stripped.isprintable() or _HIDDEN_IN_ID.search(stripped):
        return "E227"
    if any(is_permitted(way) for way in (stripped, stripped.lower(), stripped.upper())):
        return "E229"
    if stripped.isascii():
        return ""
    folded = _as_ascii(stripped)
    return "E228" if any(is_permitted(way) for way in (folded, folded.upper())) else ""


def _as_ascii(value: str) -> str:
    """What a value looks like in ASCII letters: compatibility forms, accents and look-alikes folded."""
    capitals = unicodedata.normalize("NFKD", value).translate(_LOOK_ALIKES)  # some look alike in one case only
    bare = "".join(c for c in capitals.casefold() if not unicodedata.combining(c))
    return "".join(_digit(c) for c in bare.translate(_LOOK_ALIKES))


def _digit(character: str) -> str:
    value = unicodedata.digit(character, None)
    return character if value is None else str(value)
