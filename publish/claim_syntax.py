"""How a claim is written in staff's Markdown, and how one that the brief found is written down to be taken over.

    {{claim association
    After “{a.intervention}”, an engaged reply was seen more often than after “{b.intervention}”: {a} against {b}, difference {d}.
    a = intervention_outcomes outcome_kind=user_reply window=next_turn intervention=safety_plan_offer outcome=engaged
    b = a intervention=no_intervention
    d = a higher than b
    }}

The first line says the kind, then comes the sentence, then one line for each name. A quantity is a table with the codes of its
keys, or an earlier quantity with other codes; `estimate` at the end takes the number of users instead of the rate. A comparison
is `a higher than b` or `a lower than b`, a trend `a b c rising` or `a b c falling`. A row of `emerging_patterns`, `emerging_terms`
or `change_effects` tells a change of its own, `ratio`, `growth` or `effect`: `a growing` or `a receding` says which way. What holds
a space stands in quotes: `'term=two words'`.
"""

import re
import shlex
from dataclasses import dataclass
from typing import get_args

from publish.cells import Cell
from publish.claims import Assertion, Claim, Difference, Kind, MeasuredColumn, Moved, Quantity, Trend
from publish.wording import Direction

BLOCK = re.compile(r"\{\{claim\b(.*?)\}\}(?!\})", re.S)
_DEFINED = re.compile(r"\s*(\w+)\s*=\s*(\S.*?)\s*")
_COLUMNS: tuple[MeasuredColumn, ...] = get_args(MeasuredColumn)
_MOVES = {"growing": Direction.HIGHER, "receding": Direction.LOWER}
_TRENDS = {"rising": Direction.HIGHER, "falling": Direction.LOWER}


@dataclass(frozen=True)
class UnreadableClaim:
    """A block that is no claim, and why (a fixed text)."""

    reason: str


def read_claim(body: str) -> Claim | UnreadableClaim:
    """Reads what stands between `{{claim` and `}}`."""
    first, *lines = body.split("\n")
    try:
        kind = Kind(first.strip())
    except ValueError:
        return UnreadableClaim("its first line does not say descriptive, association or randomised")
    start = next((place for place, line in enumerate(lines) if _DEFINED.fullmatch(line)), len(lines))
    text = " ".join(" ".join(lines[:start]).split())
    if not text:
        return UnreadableClaim("it has no sentence")
    quantities: dict[str, Quantity] = {}
    asserts: list[Assertion] = []
    for line in filter(str.strip, lines[start:]):
        defined = _DEFINED.fullmatch(line)
        if defined is None or defined[1] in quantities or any(defined[1] == getattr(a, "name", "") for a in asserts):
            return UnreadableClaim("after its sentence a line is not `name = …`, or a name stands twice")
        words = _split(defined[2])
        found = _assertion(defined[1], words) or _quantity(words, quantities)
        if found is None:
            return UnreadableClaim("a name stands for no cell, comparison or trend")
        if isinstance(found, Quantity):
            quantities[defined[1]] = found
        else:
            asserts.append(found)
    return Claim(kind, text, quantities, tuple(asserts))


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a quote that does not end
        return []


def _assertion(name: str, words: list[str]) -> Assertion | None:
    if len(words) == 4 and words[2] == "than" and words[1] in (Direction.HIGHER, Direction.LOWER):
        return Difference(name, words[0], words[3], Direction(words[1]))
    if len(words) == 2 and words[1] in _MOVES:
        return Moved(words[0], _MOVES[words[1]])
    if len(words) > 1 and words[-1] in _TRENDS:
        return Trend(tuple(words[:-1]), _TRENDS[words[-1]])
    return None


def _quantity(words: list[str], known: dict[str, Quantity]) -> Quantity | None:
    if not words:
        return None
    source, *rest = words
    column: MeasuredColumn = known[source].column if source in known else "rate"
    for name in _COLUMNS:
        if rest[-1:] == [name]:
            column = name
            rest.pop()
            break
    keys = [word.partition("=") for word in rest]
    if any(not (name and equals and code) for name, equals, code in keys):
        return None
    table, given = (known[source].cell.table, dict(known[source].cell.keys)) if source in known else (source, {})
    return Quantity(Cell.of(table, given | {name: code for name, _, code in keys}), column)


def written(claim: Claim) -> str:
    """A claim as a block that `read_claim` reads back."""
    lines = [f"{{{{claim {claim.kind}", claim.text]
    for name, quantity in claim.quantities.items():
        codes = " ".join(shlex.quote(f"{key}={code}") for key, code in quantity.cell.keys)
        column = "" if quantity.column == "rate" else f" {quantity.column}"
        lines.append(f"{name} = {quantity.cell.table} {codes}{column}")
    for assertion in claim.asserts:
        if isinstance(assertion, Difference):
            lines.append(f"{assertion.name} = {assertion.a} {assertion.direction} than {assertion.b}")
        elif isinstance(assertion, Moved):
            way = next(word for word, direction in _MOVES.items() if direction is assertion.direction)
            lines.append(f"moved = {assertion.name} {way}")
        else:
            way = next(word for word, direction in _TRENDS.items() if direction is assertion.direction)
            lines.append(f"trend = {' '.join(assertion.names)} {way}")
    return "\n".join([*lines, "}}"])
