"""Commands of those who decide on found terms. Terms are shown on their terminal, and nowhere else."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from cli.output import Json, print_json, print_table, quarter_of, say
from cli.pool import DEFAULT_ROOT, Root
from schemas.errors import ExitCode

terms = App(name="terms", group="Pool", help="Terms that nobody listed: what waits for a reviewer, and the reviewer's decisions.")

KeyFile = Annotated[Path, Parameter(name="--key", help="Your private key file.")]

GUIDANCE = """Each term was written by users of several companies. You see the term and its noisy number, and no text around it.

  [p]ublic   it names a feeling, a situation, a place or a way of speaking, and harms nobody by being known
  [m]embers  it could be read as a method or a means, or tells how to get around a safeguard
  [r]eject   it could be a name, a handle or a group of few, or tell who somebody is; or it should lie nowhere

In doubt choose the stricter one: what is public stays public. Do not look a term up on a search engine.
Each decision is signed with your key and kept; until somebody signs the release you can decide anew (--all).
docs/guides/terms.md says more. If this work weighs on you, stop here: what you decided is kept."""

_ANSWERS = {"p": "public", "m": "members", "r": "reject"}
_ASKED = "  [p]ublic, [m]embers, [r]eject, [s]kip, [b]ack, [q]uit: "


def _printable(term: str) -> str:
    """A term as a terminal may get it: users wrote it, and could have written what moves a cursor or turns text around."""
    return "".join(character if character.isprintable() else "\ufffd" for character in term)


def _number(row: Any) -> str:
    if row.get("estimate") is None:
        return "number withheld"
    return f"{row['estimate']:.0f} users-equivalent ({row['ci_low']:.0f} to {row['ci_high']:.0f})"


def _pool(root: Path) -> Any:
    from flows.pool import Pool

    return Pool(root.resolve())


@terms.command(name="list")
def list_(
    quarter: str,
    *,
    key: Annotated[Path | None, Parameter(name="--key", help="The private key file of an approver, to see the terms.")] = None,
    root: Root = DEFAULT_ROOT,
    json: Json = False,
) -> int:
    """How many terms of a measured quarter wait, and how many were decided in which way; with an approver's key, which.

    With `--json` and a key it prints what `commons terms review --decide` takes back, once decisions are filled in.

    Example: `commons terms list 2026Q1 --root pool`
    """
    from flows.release_steps import person_of
    from flows.terms import quarters_terms, sees_terms

    pool, of = _pool(root), quarter_of(quarter)
    if key is not None:
        sees_terms(person_of(pool, key)[0])
    found = quarters_terms(pool, of)
    facts: dict[str, Any] = {"quarter": quarter, "version": found.plan.version, **found.counts}
    if key is not None:
        facts["terms"] = [_facts(each, found.reviews.get(each.key)) for each in found.found]
    if json:
        print_json(facts)
        return ExitCode.DONE
    say(", ".join(f"{number} {_COUNTED[name]}" for name, number in found.counts.items()))
    if key is not None:
        rows = ([_printable(f["term"]), f["speaker"], _number(f), f["decision"], f["person"]] for f in facts["terms"])
        print_table("", ("term", "speaker", "number", "decision", "by"), rows)
    return ExitCode.DONE


_COUNTED = {"waiting": "wait for review", "public": "public", "members": "for members", "reject": "rejected"}


def _facts(each: Any, review: Any) -> dict[str, Any]:
    numbers = {name: each.row.get(name) for name in ("estimate", "ci_low", "ci_high", "status", "first_seen")}
    decided = {"decision": str(review.decision) if review else "", "person": review.person if review else ""}
    return {"speaker": each.speaker, "term": each.term, **numbers, **decided}


@terms.command
def review(
    quarter: str,
    *,
    key: KeyFile,
    decide: Annotated[Path | None, Parameter(help="Take decisions from this file (CSV or JSON) and ask nothing.")] = None,
    all_: Annotated[bool, Parameter(name="--all", negative="", help="Also what was decided already.")] = False,
    root: Root = DEFAULT_ROOT,
    json: Json = False,
) -> int:
    """Decide on found terms of a measured quarter, one after the other, each signed with your key.

    A decision can be taken anew until somebody signs the release. A file has the columns speaker, term, decision (public,
    members or reject); it is taken as a whole or not at all.

    Example: `commons terms review 2026Q1 --key keys/clinical.key`
    """
    from flows.release_steps import person_of
    from flows.terms import decide_terms, decisions_in, quarters_terms, reviewer

    pool, of = _pool(root), quarter_of(quarter)
    person, private_key = person_of(pool, key)
    reviewer(person)
    found = quarters_terms(pool, of)
    if decide is not None:
        stored = decide_terms(pool, found, decisions_in(decide), person, private_key)
    else:
        asked = found.found if all_ else found.waiting
        stored = _one_by_one(asked, lambda one: decide_terms(pool, found, one, person, private_key))
    counts = quarters_terms(pool, of).counts
    if json:
        print_json({"quarter": quarter, "decided": stored, **counts})
    else:
        say(f"{stored} decided; {counts['waiting']} terms of {quarter} wait for review.")
        if not counts["waiting"]:
            say(f"The operator goes on with `commons check {quarter}`.")
    return ExitCode.DONE


def _one_by_one(asked: Iterable[Any], decided: Any) -> int:
    """Asks for each term and stores each answer at once. Returns how many decisions were stored."""
    from publish.term_reviews import Decision

    listed, place, stored = list(asked), 0, 0
    if listed:
        say(GUIDANCE)
    while place < len(listed):
        each = listed[place]
        bound = "at least " if each.is_new and each.row.get("estimate") is not None else ""
        say(f"\n{place + 1} of {len(listed)}   “{_printable(each.term)}”")
        say(f"  written by {each.speaker}s, {bound}{_number(each.row)}")
        try:
            answer = input(_ASKED).strip().lower()[:1]
        except EOFError:
            answer = "q"
        if answer == "q":
            break
        if answer in _ANSWERS:
            stored += decided({each.key: Decision(_ANSWERS[answer])})
        place += 1 if answer in (*_ANSWERS, "s") else -1 if answer == "b" and place else 0
    return stored
