"""Internet addresses, version 4 and 6."""

import ipaddress
import re

from anonymize.recognizers.base import PatternLayer, Rule


def _is_address(match: re.Match[str]) -> bool:
    try:
        ipaddress.ip_address(match.group().split("%")[0])
    except ValueError:
        return False
    return True


class ChatIpRecognizer(PatternLayer):
    """Candidates are checked by the standard library, so version numbers and clock times fall out."""

    ENTITY = "IP_ADDRESS"
    GATE = re.compile(r"\d\.\d{1,3}\.|[0-9a-fA-F]:[0-9a-fA-F:]|::")
    RULES = (
        Rule(re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)"), 0.9, accepts=_is_address),
        Rule(re.compile(r"(?<![\w:])[0-9a-fA-F:]{2,39}(?:\.\d{1,3}){0,3}(?![\w:])"), 0.9, accepts=_is_address),
    )
