"""The path of a release: one table of transitions, from which the code checks each step and the docs draw the diagram."""

from dataclasses import dataclass
from enum import StrEnum

from schemas.errors import NotApprovedError
from schemas.periods import Quarter


class State(StrEnum):
    """Where a version of a quarter's release stands."""

    PLANNED = "planned"
    MEASURED = "measured"
    CHECKED = "checked"
    APPROVED = "approved"
    PUBLISHED = "published"
    SUPERSEDED = "superseded"


@dataclass(frozen=True)
class Transition:
    """One step: its verb, the state before (None: nothing yet) and after, what it needs, who takes it with which command."""

    verb: str
    before: State | None
    after: State
    needs: str
    who: str
    command: str

    def call(self, quarter: Quarter) -> str:
        """The command for a quarter, as it is typed."""
        return self.command.replace("QUARTER", str(quarter))


PATH: tuple[Transition, ...] = (
    Transition(
        "plan",
        None,
        State.PLANNED,
        "a plan in the ledger, before any data are read",
        "operator",
        "commons plan QUARTER --key KEY",
    ),
    Transition(
        "measure", State.PLANNED, State.MEASURED, "budget; the noise is drawn once", "operator", "commons measure QUARTER"
    ),
    Transition("check", State.MEASURED, State.CHECKED, "no stop check fails", "operator", "commons check QUARTER"),
    Transition(
        "approve",
        State.CHECKED,
        State.APPROVED,
        "two people, one clinical, one privacy, neither the planner, sign the same numbers and the same text",
        "clinical and privacy",
        "commons approve QUARTER --key KEY",
    ),
    Transition(
        "publish",
        State.APPROVED,
        State.PUBLISHED,
        "both signatures hold; the folder is written whole",
        "operator",
        "commons publish QUARTER",
    ),
    Transition(
        "supersede",
        State.PUBLISHED,
        State.SUPERSEDED,
        "a later version, which says why and takes the same path, is published",
        "operator",
        "commons plan QUARTER --key KEY --supersede REASON",
    ),
)

ORDER: tuple[State, ...] = tuple(step.after for step in PATH)


def transition(verb: str) -> Transition:
    """The step of a verb. Raises KeyError where there is none: verbs are ours, never the caller's text."""
    return {step.verb: step for step in PATH}[verb]


def next_step(state: State | None) -> Transition | None:
    """The step that leads on from a state; None at the end of the path."""
    return next((step for step in PATH if step.before is state), None)


def has_reached(state: State | None, wanted: State) -> bool:
    """Whether a release in `state` has `wanted` behind it or stands there; so a repeated command can skip its work."""
    return state is not None and ORDER.index(state) >= ORDER.index(wanted)


def advance(state: State | None, verb: str, quarter: Quarter, version: int) -> State:
    """The state after a verb.

    Raises:
        NotApprovedError: the verb is not allowed from `state`; the next step names the verb that is.
    """
    step = transition(verb)
    if state is step.before:
        return step.after
    following = next_step(state)
    stands = "not planned" if state is None else state.value
    needed = step.before.value if step.before else "new"
    raise NotApprovedError(
        f"Release {quarter} version {version} is {stands}; `{verb}` needs it to be {needed}.",
        f"Next is `{following.call(quarter)}`." if following else "It is at the end of its path: plan a new version.",
    )


def mermaid() -> str:
    """The path as a Mermaid state diagram, for the documentation."""
    lines = ["stateDiagram-v2"]
    lines += [f"    {step.before or '[*]'} --> {step.after}: {step.verb}" for step in PATH]
    lines += [f"    note right of {step.after}: {step.needs}" for step in PATH]
    return "\n".join(lines) + "\n"


def document() -> str:
    """The path as it stands in the documentation: the diagram, and each step with its command."""
    rows = [f"| {step.before or ''} | `{step.command}` | {step.who} | {step.needs} | {step.after} |" for step in PATH]
    head = "| from | command | who | what it needs | to |\n|---|---|---|---|---|\n"
    return f"# The path of a release\n\n```mermaid\n{mermaid()}```\n\n{head}" + "\n".join(rows) + "\n"
