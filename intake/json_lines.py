"""One line of a JSON Lines file: an object, or the code of why it is none. No value of the line is ever told.

orjson does the parsing: it refuses what RFC 8259 refuses, and numbers that no 64-bit float holds. What it lets pass and
the contract does not is looked for here: a key that stands twice in one object (orjson keeps the last), and objects so
wide that their faults could not be told.
"""

import json
import re
from typing import Any

import orjson

from intake.record_checks import MOST_KEYS

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ESCAPED_COLON = b"\\u003"
_NOT_FINITE = re.compile(r"(?<![\w.])(NaN|-?Infinity)(?![\w.])", re.ASCII)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?')  # one that does not end goes to the line's end: so each byte is looked at once
_LOOK_CLOSER = 65_536  # bytes from which an object may have more faults than are worth telling
_MOST_PARTS = 800_000  # objects, lists and items of a line, counted in its bytes: twice what the longest conversation has


def read_line(line: bytes) -> dict[str, Any] | str:
    """One line as a JSON object; else the finding code: E201, E203, E206, E231 to E236."""
    reason = ""
    if len(line) > _LOOK_CLOSER and line.count(b"{") + line.count(b"[") + line.count(b",") > _MOST_PARTS:
        return "E206"  # parsed, a line of 16 MiB could take 600 MiB
    try:
        raw = orjson.loads(line)
    except ValueError as error:
        reason = getattr(error, "msg", "")  # orjson's own words, which quote nothing; they are looked at and dropped
        raw = None
    except RecursionError:
        return "E234"
    if raw is None:
        return _why_unreadable(line, reason)
    if not isinstance(raw, dict):
        return "E201"
    if len(line) > _LOOK_CLOSER and has_wide_object(raw):
        return "E203"
    return "E231" if not _is_compact(raw, line) and _may_repeat(raw, line) and repeats_a_key(line) else raw


def _is_compact(raw: dict[str, Any], line: bytes) -> bool:
    """Whether a line is just what orjson writes of the object that it read, so that nothing of the line was lost."""
    try:
        return orjson.dumps(raw) == line
    except TypeError:  # deeper than it writes
        return False


def _may_repeat(raw: dict[str, Any], line: bytes) -> bool:
    return (b"\\" in line and _ESCAPED_COLON in line) or line.count(b":") != _colons_of_record(raw)


def file_start_problem(head: bytes) -> str:
    """The finding code of how a JSON Lines file begins (E119: not UTF-8); empty where it may be UTF-8.

    `head` is the first four bytes, or fewer where the file is shorter.
    """
    return "E119" if head[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in head else ""


def _why_unreadable(line: bytes, reason: str) -> str:
    if not line.strip(b" \t\r"):
        return "E236"
    if line.startswith(_BYTE_ORDER_MARK):
        return "E235"
    if reason == "depth limit exceeded":
        return "E234"
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return "E233"
    if "surrogate" in reason:
        return "E233"
    if reason == "number is infinity when parsed as double" or _NOT_FINITE.search(_STRING.sub('""', text)):
        return "E232"
    return "E201"


def _colons_of_record(raw: dict[str, Any]) -> int:
    """How many colons the line of a sound record holds: one a key, and those in its texts, ids and timestamps.

    A line of a sound record with as many has no key twice, since that key would bring one more. A record that is not
    sound, or has other colons, is counted wrong, and then looked at closely.
    """
    try:
        if raw["record_status"] != "new":
            return -1
        deployment = raw["deployment"]
        keys: int = len(raw) + len(deployment) + len(deployment["experiment"] or ()) + len(raw["person"]) + len(raw["risk"])
        keys += len(raw["evasion"]) + raw["started_at"].count(":") + raw["user_pseudonym"].count(":")
        keys += 3 * len(raw["turns"]) + sum([turn["text"].count(":") for turn in raw["turns"]])
        return keys + sum([6 + 4 * len(intervention["outcomes"]) for intervention in raw["interventions"]])
    except (KeyError, TypeError, AttributeError):
        return -1


class _RepeatedKeyError(Exception):
    pass


def _object_without_repeats(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) < len(pairs):
        raise _RepeatedKeyError


def _nothing(_: str) -> None:
    return None


_STRICT = json.JSONDecoder(
    object_pairs_hook=_object_without_repeats, parse_int=_nothing, parse_float=_nothing, parse_constant=_nothing
)


def repeats_a_key(line: bytes) -> bool:
    """Whether any object of a line that orjson has read has the same key twice."""
    try:
        _STRICT.decode(line.decode("utf-8"))
    except _RepeatedKeyError:
        return True
    except (ValueError, RecursionError):  # deeper than this parser goes, which is deeper than any record
        return True
    return False


def has_wide_object(raw: Any) -> bool:
    """Whether any object of a parsed document has more than MOST_KEYS keys: each may be a fault to tell."""
    waiting = [raw]
    while waiting:
        value = waiting.pop()
        if type(value) is dict:
            if len(value) > MOST_KEYS:
                return True
            waiting += value.values()
        elif type(value) is list:
            waiting += value
    return False
