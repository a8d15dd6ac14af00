"""The text of a conversation: our own templates or a file's turns, with PII planted and every span known."""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import orjson

from sample_data.parameters import SimulationParameters
from sample_data.phrases import (
    AMBIGUOUS_HELPLINES,
    ASSISTANT_LINES,
    ASSISTANT_NAMES,
    HELPLINE_MENTIONS,
    HELPLINE_OFFERS,
    HELPLINES,
    PII_SENTENCES,
    TEXT_LANGUAGES,
    USER_LINES,
)
from sample_data.pii import draw_value
from schemas.errors import UsageError
from schemas.fields import MAX_TURN_CHARACTERS

OFFERS_HELPLINE = frozenset({"crisis_resource_referral", "warm_handoff", "emergency_services_referral"})
_BOUNDARY = re.compile(r"(?<=[.!?]) ")


@dataclass(frozen=True)
class Span:
    """A planted or protected stretch of one turn: character offsets into the text as submitted."""

    turn: int  # the turn's index, from 1
    start: int
    end: int
    kind: str
    value: str  # what was planted; truth.json does not repeat it


@dataclass(frozen=True)
class Conversation:
    """Turns with text, the PII planted in them, and the helplines and planted terms that must survive the scrub."""

    turns: tuple[dict[str, Any], ...]
    planted: tuple[Span, ...]
    must_survive: tuple[Span, ...]
    terms: tuple[Span, ...] = ()


@dataclass(frozen=True)
class FileConversation:
    """One conversation of a `--conversations` file."""

    language: str
    turns: tuple[tuple[str, str], ...]  # role, text

    def user_speaks(self, n_turns: int) -> bool:
        """Whether one of its first turns is a user's."""
        return any(_role(role) == "user" for role, _ in self.turns[:n_turns])


@dataclass
class _Piece:
    """A sentence, and where in it PII stands."""

    text: str
    start: int = 0
    end: int = 0
    kind: str = ""
    value: str = ""


def _choose(rng: random.Random, options: Sequence[str]) -> str:
    return options[int(rng.random() * len(options))]


def _shuffled(rng: random.Random, options: Sequence[str]) -> Iterator[str]:
    """The options in a drawn order, over and over: nothing is said twice before all else was said."""
    return cycle(sorted(options, key=lambda _: rng.random()))


def _planted(sentence: str, value: str, kind: str) -> _Piece:
    start = sentence.index("{}")
    return _Piece(sentence.replace("{}", value, 1), start, start + len(value), kind, value)


def read_conversations(path: Path) -> tuple[FileConversation, ...]:
    """Reads `{"turns": [{"role", "text"}]}` rows. Raises UsageError where a row has another form."""
    found = []
    try:
        for line in path.read_bytes().splitlines():
            if line.strip():
                row = orjson.loads(line)
                turns = tuple((str(t["role"]), str(t["text"])) for t in row["turns"])
                found.append(FileConversation(str(row.get("lang", "")), turns))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        found = []
    if not found:
        raise UsageError("The file of conversations cannot be read.", 'Each line is {"turns": [{"role", "text"}]}.')
    return tuple(found)


def _role(name: str) -> str:
    return "assistant" if name.lower() in ("assistant", "model", "bot", "chatbot", "system", "provider") else "user"


def pii_pieces(p: SimulationParameters, rng: random.Random, language: str) -> list[list[_Piece]]:
    """Sentences with PII for one conversation, in groups: within a group the order matters (a name, and the name again)."""
    sentences, groups = PII_SENTENCES[language], []
    for kind, rate in p.pii_rates.items():
        if rng.random() >= rate or kind not in sentences:
            continue
        value = draw_value(kind, rng, language)
        if kind == "person_name" and rng.random() < p.lower_case_name_share:
            value = value.lower()
        group = [_planted(_choose(rng, sentences[kind]), value, kind)]
        if kind == "person_name":
            first = value.split(" ")[0]
            while rng.random() < p.name_again_rate and len(group) < 4:
                group.append(_planted(_choose(rng, sentences["name_again"]), first, kind))
        groups.append(group)
    return groups


def _place(rng: random.Random, groups: list[list[_Piece]], turns: int) -> list[list[_Piece]]:
    """Which of a conversation's user turns each sentence goes to; a group never goes backwards."""
    placed: list[list[_Piece]] = [[] for _ in range(turns)]
    for group in groups:
        for at, piece in zip(sorted(int(rng.random() * turns) for _ in group), group, strict=True):
            placed[at].append(piece)
    return placed


def _join(pieces: list[_Piece], index: int) -> tuple[str, list[Span]]:
    text, spans = "", []
    for piece in pieces:
        text += " " if text else ""
        if piece.kind:
            spans.append(Span(index, len(text) + piece.start, len(text) + piece.end, piece.kind, piece.value))
        text += piece.text
    return text, spans


def from_templates(
    p: SimulationParameters, rng: random.Random, language: str, region: str, n_turns: int, interventions: Sequence[dict[str, Any]]
) -> Conversation:
    """A conversation of our own lines; the first `text_turns` turns of it carry text."""
    count = min(n_turns, p.text_turns)
    users = (count + 1) // 2
    placed = _place(rng, pii_pieces(p, rng, language), users)
    offers = {i["turn"] for i in interventions if i["type"] in OFFERS_HELPLINE}
    mentioned = int(rng.random() * users) if rng.random() < p.helpline_rate else -1
    name, said = (
        "",
        {role: _shuffled(rng, lines[language]) for role, lines in (("user", USER_LINES), ("assistant", ASSISTANT_LINES))},
    )
    turns, spans = [], []
    for index in range(1, count + 1):
        role = "user" if index % 2 else "assistant"
        if role == "user":
            pieces = [_Piece(next(said[role])) for _ in range(1 + int(rng.random() * 3))]
            if index // 2 == mentioned:
                pieces.append(_Piece(_choose(rng, HELPLINE_MENTIONS[language])))
            for piece in placed[index // 2]:
                pieces.insert(1 + int(rng.random() * len(pieces)), piece)
            pieces = _in_order(pieces, placed[index // 2])
            name = next((q.value.split(" ")[0] for q in pieces if q.kind == "person_name"), name)
        else:
            pieces = [_Piece(next(said[role])) for _ in range(1 + int(rng.random() * 2))]
            if name and rng.random() < 0.15:
                pieces.insert(0, _planted(ASSISTANT_NAMES[language], name, "person_name"))
            if index in offers:
                pieces.append(_Piece(_choose(rng, _offers(language, region))))
        text, found = _join(pieces, index)
        turns.append({"index": index, "role": role, "text": text})
        spans += found
    return Conversation(tuple(turns), tuple(spans), helpline_spans(turns, spans, HELPLINES))


def _in_order(pieces: list[_Piece], placed: list[_Piece]) -> list[_Piece]:
    """Puts the planted sentences back into their order, at the places that they took."""
    rest = iter(placed)
    return [next(rest) if piece.kind else piece for piece in pieces]


def _offers(language: str, region: str) -> tuple[str, ...]:
    english = {"US", "CA", "GB", "IE", "AU", ""}
    if language == "en":
        return HELPLINE_OFFERS[region if region in english else ""]
    local = {"es": ("ES", "MX"), "fr": ("FR",)}[language]
    return HELPLINE_OFFERS[region if region in local else language]


def from_file(
    p: SimulationParameters, rng: random.Random, source: FileConversation, n_turns: int, reserved: int = 0
) -> Conversation:
    """A file's conversation, cut to `n_turns`, with PII planted into its user turns between their sentences.

    In every turn `reserved` characters stay free below the contract's limit.
    """
    language = source.language if source.language in TEXT_LANGUAGES else "en"
    given = source.turns[:n_turns]
    user_turns = [i for i, (role, _) in enumerate(given) if _role(role) == "user"]
    placed = _place(rng, pii_pieces(p, rng, language), len(user_turns)) if user_turns else []
    by_turn = dict(zip(user_turns, placed, strict=True))
    turns, spans = [], []
    for i, (role, text) in enumerate(given):
        text, found = _plant(rng, text, by_turn.get(i, []), i + 1, MAX_TURN_CHARACTERS - reserved)
        turns.append({"index": i + 1, "role": _role(role), "text": text})
        spans += found
    distinct = tuple(number for number in HELPLINES if number not in AMBIGUOUS_HELPLINES)
    return Conversation(tuple(turns), tuple(spans), helpline_spans(turns, spans, distinct))


def _plant(rng: random.Random, text: str, pieces: list[_Piece], index: int, most: int) -> tuple[str, list[Span]]:
    room = most - sum(len(piece.text) + 1 for piece in pieces)
    text = text[:room]
    if not pieces:
        return text, []
    sentences = _BOUNDARY.split(text) if text else []
    places = sorted(int(rng.random() * (len(sentences) + 1)) for _ in pieces)
    woven, next_piece = [], 0
    for at in range(len(sentences) + 1):
        while next_piece < len(pieces) and places[next_piece] == at:
            woven.append(pieces[next_piece])
            next_piece += 1
        if at < len(sentences):
            woven.append(_Piece(sentences[at]))
    return _join(woven, index)


def helpline_spans(turns: Sequence[dict[str, Any]], planted: Sequence[Span], numbers: Sequence[str]) -> tuple[Span, ...]:
    """Every mention of a helpline that is no part of planted PII."""
    pattern = re.compile(
        r"(?<![\w.+/-])(?:" + "|".join(re.escape(n) for n in sorted(numbers, key=len, reverse=True)) + r")(?![\w/-]|[.,]\d)"
    )
    found = []
    for turn in turns:
        taken = [(s.start, s.end) for s in planted if s.turn == turn["index"]]
        for match in pattern.finditer(turn["text"]):
            if not any(start < match.end() and match.start() < end for start, end in taken):
                found.append(Span(turn["index"], match.start(), match.end(), "helpline", match.group()))
    return tuple(found)
