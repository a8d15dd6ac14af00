"""Whether a ledger is as it was written: its hash chain, its plans, its answers, and the order in which they came."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from schemas.canonical import digest, sha256_bytes


class Part(StrEnum):
    """What of a ledger can be broken."""

    CHAIN = "chain"  # an entry was altered, removed or put in
    PLAN = "plan"  # a registered plan was altered, removed or put in
    ANSWER = "answer"  # a stored answer was altered, removed or put in
    ORDER = "order"  # charged without a plan, answered without a charge, or either twice
    RELEASE = "release"  # a published release names an entry that the ledger does not have


@dataclass(frozen=True, order=True)
class Fault:
    """One thing that is broken. `entry` is the number of the ledger's entry that tells; 0: nothing in it tells of it."""

    part: Part
    entry: int


def faults(entries: Sequence[Mapping[str, Any]], plans: Mapping[str, Any], answers: Mapping[str, bytes]) -> list[Fault]:
    """What is broken in a ledger, given all of it: entries in order, plans and answers by hash of the plan."""
    return sorted({*chain_faults(entries), *_plans(entries, plans), *_answers(entries, answers)})


def chain_faults(entries: Sequence[Mapping[str, Any]]) -> set[Fault]:
    """What is broken in the entries themselves."""
    return {*_chain(entries), *_order(entries)}


def _chain(entries: Sequence[Mapping[str, Any]]) -> Iterable[Fault]:
    previous = ""
    for number, entry in enumerate(entries, start=1):
        body = {name: value for name, value in entry.items() if name != "hash"}
        if entry["number"] != number or entry["previous"] != previous or entry["hash"] != _digest(body):
            yield Fault(Part.CHAIN, number)
        previous = entry["hash"]


def _plans(entries: Sequence[Mapping[str, Any]], plans: Mapping[str, Any]) -> Iterable[Fault]:
    # By what is stored, not by what this program makes of it: a plan of an older version is as it was written too.
    registered = {entry["plan"]: number for number, entry in enumerate(entries, start=1) if entry["kind"] == "plan"}
    for name in registered.keys() | plans.keys():
        if name not in registered or _digest(plans.get(name)) != name:
            yield Fault(Part.PLAN, registered.get(name, 0))


def _answers(entries: Sequence[Mapping[str, Any]], answers: Mapping[str, bytes]) -> Iterable[Fault]:
    given = {entry["plan"]: (number, entry["answer"]) for number, entry in enumerate(entries, 1) if entry["kind"] == "answer"}
    for name in given.keys() | answers.keys():
        number, expected = given.get(name, (0, ""))
        if name not in answers or sha256_bytes(answers[name]) != expected:
            yield Fault(Part.ANSWER, number)


def _order(entries: Sequence[Mapping[str, Any]]) -> Iterable[Fault]:
    needs = {"plan": "", "reserve": "plan", "answer": "reserve"}
    seen: set[tuple[str, str]] = set()
    for number, entry in enumerate(entries, start=1):
        step, before = (entry["plan"], entry["kind"]), needs.get(entry["kind"])
        if before is None or step in seen or (before and (entry["plan"], before) not in seen):
            yield Fault(Part.ORDER, number)
        seen.add(step)


def _digest(body: Any) -> str:
    try:
        return digest(body)
    except ValueError:  # a database takes values that JSON does not have
        return ""
