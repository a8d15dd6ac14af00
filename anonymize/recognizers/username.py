"""Handles: what a person is called on some platform."""

import re

from anonymize.recognizers.base import PatternLayer, Rule
from anonymize.vocabulary import is_ordinary

_PLATFORM = (
    "discord|insta|instagram|ig|snap|snapchat|sc|tiktok|twitter|reddit|kik|username|user ?name|handle|gamertag|gamer ?tag|psn|steam|"
    "telegram|skype|facebook|fb|youtube|twitch|tumblr|roblox|minecraft|xbox|venmo|cashapp|onlyfans|linkedin|threads|bluesky|mastodon|"
    "whatsapp|signal|tinder|hinge|bumble|grindr|login|screen ?name|tag|alt|account"
)
_HANDLE = r"@?(?P<handle>[^\W_][\w.-]{1,38}[\w])"
_UNIT = re.compile(
    r"^(?:\d+[a-z]{1,5}|[a-z]{1,2}\d{1,3}|covid\d*|mp\d|gpt\d.*|\d+x\d+|[a-z]\d|\d+(?:st|nd|rd|th)|web\d)$", re.IGNORECASE
)


def _is_handle(match: re.Match[str]) -> bool:
    handle = match.group("handle")
    if any(character.isdigit() or character in "_." for character in handle.strip(".")):
        return not _UNIT.match(handle)
    return not is_ordinary(handle)


def _is_code_word(match: re.Match[str]) -> bool:
    return not _UNIT.match(match.group("handle"))


class ChatUsernameRecognizer(PatternLayer):
    """`@name`, `u/name`, `name#1234`, a word after a platform's name, and words that only a handle looks like."""

    ENTITY = "USERNAME"
    GATE = re.compile(rf"[@#_]|u/|\w\d|\d\w|\b(?:{_PLATFORM})\b", re.IGNORECASE)
    RULES = (
        Rule(re.compile(r"(?<![\w@.])@[^\W_]?[\w.-]{1,38}\w"), 0.85),
        Rule(re.compile(r"(?<![\w/])/?u/[\w-]{2,30}"), 0.9),
        Rule(re.compile(r"(?<![\w#])[^\W\d_][\w.]{1,31}#\d{3,5}(?!\w)"), 0.9),
        Rule(
            re.compile(
                rf"\b(?:{_PLATFORM})\b(?: (?:is|was|name|handle|account|user|username|tag|id|me|at|as|under|on|its|it's)\b|[ :=\"'-]){{1,5}}{_HANDLE}",
                re.IGNORECASE,
            ),
            0.7,
            "handle",
            accepts=_is_handle,
        ),
        Rule(re.compile(rf"(?<![\w.@-])@?(?P<handle>[\w.-]{{3,39}}) on (?:{_PLATFORM})\b", re.IGNORECASE), 0.7, "handle", accepts=_is_handle),
        Rule(re.compile(r"(?<![\w@.#/-])(?P<handle>[^\W_]+(?:_+[^\W_]+)+_*|_+[^\W_]{3,}_*|[^\W_]{3,}_+)(?![\w@])"), 0.6, "handle"),
        Rule(re.compile(r"(?<![\w@.#/-])(?P<handle>[^\W\d_]{3,30}\d{2,6})(?![\w@])"), 0.55, "handle", accepts=_is_code_word),
        Rule(re.compile(r"(?<![\w@.#/-])(?P<handle>[^\W\d_]+\d{1,3}[^\W\d_]+[\w]{0,20})(?![\w@])"), 0.5, "handle", accepts=_is_code_word),
    )  # fmt: skip
