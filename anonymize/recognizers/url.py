"""Addresses of pages: they name profiles, posts and small sites."""

import re

from anonymize.recognizers.base import PatternLayer, Rule

_COMMON_ENDINGS = (
    "com|org|net|edu|gov|io|me|co|info|biz|app|dev|tv|gg|ly|be|uk|us|ca|au|nz|ie|de|fr|es|pt|it|nl|ch|at|eu|se|no|dk|fi|pl|cz|"
    "hu|ro|gr|ru|ua|tr|in|jp|cn|kr|br|mx|ar|za|xyz|online|site|club|shop|blog|cc|to|is|hr|si|sk|bg|rs|lt|lv|ee|cy|lu|gl|fo"
)


class ChatUrlRecognizer(PatternLayer):
    """With a scheme, with `www.`, or a bare host under a usual ending."""

    ENTITY = "URL"
    GATE = re.compile(r"\w\.\w|://")
    RULES = (
        Rule(re.compile(r"(?<![\w+.-])[a-z][a-z0-9+.-]{1,20}://[^\s<>\"'\])]{1,500}(?<![.,;:!?])", re.IGNORECASE), 0.9),
        Rule(re.compile(r"\b(?:https?|ftp)\s?://[^\s<>\"'\])]{2,500}[^\s<>\"'\]).,;:!?]", re.IGNORECASE), 0.9),
        Rule(
            re.compile(
                r"(?<![\w@.])www\.[\w-]{1,63}(?:\.[\w-]{1,63}){0,4}(?:[/?#][^\s<>\"'\])]{0,300}(?<![.,;:!?]))?", re.IGNORECASE
            ),
            0.85,
        ),
        Rule(
            re.compile(
                rf"(?<![\w@.-])(?:[a-z0-9][\w-]{{0,62}}\.){{1,4}}(?:{_COMMON_ENDINGS})(?![\w@-])(?:[/?#][^\s<>\"'\])]{{0,300}}(?<![.,;:!?]))?",
                re.IGNORECASE,
            ),
            0.6,
            accepts=lambda match: not _is_run_on_sentence(match.group()),
        ),
    )


def _is_run_on_sentence(match: str) -> bool:
    """ "I left.in the end": a word ending a sentence and a short word after it look like a host."""
    host = match.split("/")[0].lower()
    return host.rsplit(".", 1)[-1] in ("in", "me", "is", "to", "it", "no", "at", "be", "us", "so") and "/" not in match
