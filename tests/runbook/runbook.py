"""Reads the runbook: which test rehearses what, and which messages it quotes."""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

RUNBOOK = Path(__file__).parents[2] / "docs" / "guides" / "runbook.md"

_TEST = re.compile(r"`(test_[a-z0-9_]+)`")
_QUOTED = re.compile(r"([^\n]*`test_[^\n]*)\n((?:```text\n.*?```\n)+)", re.DOTALL)
_FENCE = re.compile(r"```text\n(.*?)```\n", re.DOTALL)
_HEAD = re.compile(r"^## (\d+)\. (.+)$", re.MULTILINE)


def entries(text: str) -> dict[str, str]:
    """The text of each entry, by its heading, in order."""
    found = list(_HEAD.finditer(text))
    ends = [each.start() for each in found[1:]] + [len(text)]
    return {each[0].removeprefix("## "): text[each.end() : end] for each, end in zip(found, ends, strict=True)}


def messages(text: str) -> dict[str, list[str]]:
    """Lines that are quoted, by the test that must see them printed. Where a line names several tests, each has a fence of its own."""
    found = defaultdict[str, list[str]](list)
    for quoted in _QUOTED.finditer(text):
        tests, fences = _TEST.findall(quoted[1]), _FENCE.findall(quoted[2])
        assert len(tests) == len(fences), quoted[1]
        for test, fence in zip(tests, fences, strict=True):
            found[test] += fence.splitlines()
    return found


def is_printed(quoted: str, lines: Iterable[str]) -> bool:
    """Whether a quoted line was printed, or begins one that was; … stands for whatever was there."""
    pattern = re.compile(".+".join(re.escape(part) for part in quoted.rstrip(" …").split("…")))
    return any(pattern.match(line) for line in lines)
