"""E-mail addresses, after the view has undone `[at]` and look-alikes."""

import re

from anonymize.recognizers.base import PatternLayer, Rule


class ChatEmailRecognizer(PatternLayer):
    """`name@host.tld`, the local part in any script; also an address whose domain was cut off before the top level."""

    ENTITY = "EMAIL_ADDRESS"
    GATE = re.compile("@")
    RULES = (
        Rule(re.compile(r"(?<![\w.+%-])[\w.+%'-]{1,64}(?:@|\s@\s)[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}"), 0.95),
        Rule(re.compile(r"(?<![\w.+%-])[\w.+%'-]{2,64}@[\w-]{2,63}(?![\w.])"), 0.7),
    )
