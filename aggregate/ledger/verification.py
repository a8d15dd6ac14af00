"""Whether a ledger is as it was written: its hash chain, its plans, its answers, and the order in which they came."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

from schemas.canonical import digest, sha256_bytes
from schemas.errors import CommonsError
from schemas.periods import Quarter


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


@dataclass(frozen=True)
class StoredPlan:
    """A plan as it is stored: its body, and by which quarter and version it is found."""

    quarter: str
    version: int
    body: Any


def faults(entries: Sequence[Mapping[str, Any]], plans: Mapping[str, StoredPlan], answers: Mapping[str, bytes]) -> list[Fault]:
    """What is broken in a ledger, given all of it: entries in order, plans and answers by hash of the plan."""
    return sorted({*charge_faults(entries, plans), *_plans(entries, plans), *_answers(entries, answers)})


def charge_faults(entries: Sequence[Mapping[str, Any]], plans: Mapping[str, StoredPlan]) -> set[Fault]:
    """What is broken in the entries themselves, or charges other than what its plan spends."""
    return {*_chain(entries), *_order(entries), *_charges(entries, plans)}


def _chain(entries: Sequence[Mapping[str, Any]]) -> Iterable[Fault]:
    previous = ""
    for number, entry in enumerate(entries, start=1):
        body = {name: value for name, value in entry.items() if name != "hash"}
        if entry["number"] != number or entry["previous"] != previous or entry["hash"] != _digest(body):
            yield Fault(Part.CHAIN, number)
        previous = entry["hash"]


def _charges(entries: Sequence[Mapping[str, Any]], plans: Mapping[str, StoredPlan]) -> Iterable[Fault]:
    """Whoever may append can link a hash correctly: what an entry charges, and to which quarter, follows from its plan."""
    for number, entry in enumerate(entries, start=1):
        plan = plans.get(entry["plan"])
        if plan is None and entry["kind"] != "reserve":
            continue  # told of as a plan that is not there
        if plan is None or _told(entry) != _expected(entry["kind"], plan.body):
            yield Fault(Part.CHAIN, number)


def _told(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    return entry["quarter"], entry["year"], entry["version"], _number(entry["rho"]), _number(entry["delta"])


def _expected(kind: str, body: Any) -> tuple[Any, ...] | None:
    try:
        spent = (Fraction(body["rho"]), Fraction(body.get("threshold_delta", 0))) if kind == "reserve" else (0, 0)
        quarter = Quarter.parse(body["quarter"])
        expected = (str(quarter), quarter.year, body["version"], *spent)
    except (CommonsError, KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return expected


def _number(told: Any) -> Fraction | None:
    try:
        return Fraction(told)
    except (TypeError, ValueError, ZeroDivisionError):
        return None


def _plans(entries: Sequence[Mapping[str, Any]], plans: Mapping[str, StoredPlan]) -> Iterable[Fault]:
    # By what is stored, not by what this program makes of it: a plan of an older version is as it was written too.
    registered = {entry["plan"]: number for number, entry in enumerate(entries, start=1) if entry["kind"] == "plan"}
    for name in registered.keys() | plans.keys():
        if name not in registered or name not in plans or not _is_as_written(name, plans[name]):
            yield Fault(Part.PLAN, registered.get(name, 0))


def _is_as_written(name: str, plan: StoredPlan) -> bool:
    if _digest(plan.body) != name or not isinstance(plan.body, dict):
        return False
    return (plan.quarter, plan.version) == (plan.body.get("quarter"), plan.body.get("version"))


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
