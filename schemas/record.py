"""The interaction record: one conversation. This declaration gives the checks, the Arrow schema and the documentation."""

from typing import Annotated, Any, Literal

from pydantic import Field

from schemas.codes import Coded
from schemas.fields import (
    FIRST_FAULT_ONLY,
    MAX_INTERVENTIONS,
    MAX_OUTCOMES,
    MAX_TURNS,
    Contract,
    FewCodes,
    Language,
    Pseudonym,
    RecordId,
    Region,
    Slug,
    TurnNumber,
    TurnText,
    UtcTimestamp,
)


class Experiment(Contract):
    """An experiment that the conversation was part of."""

    id: Slug = Field(description="the company's own name of the experiment")
    arm: Slug = Field(description="the arm to which the user or session was assigned")
    assigned: Annotated[str, Coded("assigned")] = Field(description="how arms were assigned")


class Deployment(Contract):
    """The product and model that answered."""

    surface: Annotated[str, Coded("surface")] = Field(description="kind of product")
    model_family: Slug = Field(description="model family; never a key of a public table")
    model_version: Slug = Field(description="model version; never a key of a public table")
    safety_config: Slug = Field(description="safety configuration; never a key of a public table")
    experiment: Experiment | None = Field(description="the experiment, or null where there was none")


class Person(Contract):
    """What is known of the person writing, in coarse codes."""

    age_band: Annotated[str, Coded("age_band")] = Field(description="age band; public tables show `under_18`")
    age_source: Annotated[str, Coded("age_source")] = Field(description="where the age band comes from")
    language: Language = Field(description="BCP 47 primary language tag, or `unknown`")
    region: Region = Field(description="ISO 3166-1 alpha-2, or `unknown`")


class Risk(Contract):
    """Peak risk over the conversation. Levels are C-SSRS-informed and inferred from text, never administered."""

    ideation: Annotated[str, Coded("ideation")] = Field(description="peak suicidal ideation")
    behavior: Annotated[str, Coded("behavior")] = Field(description="suicidal behaviour")
    behavior_recency: Annotated[str, Coded("behavior_recency")] = Field(description="when the behaviour took place")
    nssi: Annotated[str, Coded("nssi")] = Field(description="non-suicidal self-injury")
    imminence: Annotated[str, Coded("imminence")] = Field(description="how near the risk is")
    speech_form: Annotated[list[Annotated[str, Coded("speech_form")]], FewCodes] = Field(
        description="how the risk was put into words"
    )
    subject: Annotated[str, Coded("subject")] = Field(description="whose risk it is")
    first_turn: TurnNumber | None = Field(description="turn in which risk first showed; null exactly where none or unknown")
    peak_turn: TurnNumber | None = Field(description="turn of the peak; null exactly where none or unknown")
    label_source: Annotated[str, Coded("label_source")] = Field(description="who or what gave the labels")
    confidence: Annotated[str, Coded("confidence")] = Field(description="confidence in the labels")


class Evasion(Contract):
    """Rephrasing around safeguards."""

    tactics: Annotated[list[Annotated[str, Coded("tactic")]], FewCodes] = Field(description="tactics of rephrasing")
    bypassed: Annotated[str, Coded("bypassed")] = Field(description="whether a safeguard was got around")


class Turn(Contract):
    """One message, counted from 1; system messages are not counted."""

    index: TurnNumber = Field(description="number of the turn in the conversation")
    role: Annotated[str, Coded("role")] = Field(description="who wrote it")
    text: TurnText = Field(description="redacted text, an excerpt, or empty; at most 32,768 characters")


class Outcome(Contract):
    """One thing seen after an intervention, within a window."""

    kind: Annotated[str, Coded("outcome_kind")] = Field(description="kind of outcome")
    value: Annotated[str, Coded("outcome_value")] = Field(description="its value; each kind has its own list")
    window: Annotated[str, Coded("window")] = Field(description="how long after the intervention")
    basis: Annotated[str, Coded("basis")] = Field(description="how it is known")


class Intervention(Contract):
    """One intervention in the conversation."""

    turn: TurnNumber = Field(description="turn in which it took place")
    type: Annotated[str, Coded("intervention")] = Field(description="type of intervention")
    layer: Annotated[str, Coded("layer")] = Field(description="which layer of the product acted")
    ideation_at: Annotated[str, Coded("ideation")] = Field(description="ideation just before it")
    imminence_at: Annotated[str, Coded("imminence")] = Field(description="imminence just before it")
    outcomes: Annotated[list[Outcome], FIRST_FAULT_ONLY] = Field(max_length=MAX_OUTCOMES, description="what was seen after it")


class InteractionRecord(Contract):
    """One conversation. Every field is required; `unknown` is an honest answer, a missing key is not."""

    domain: Annotated[str, Coded("domain")] = Field(description="domain of harm")
    record_id: RecordId = Field(description="unique within the company and user")
    record_status: Literal["new"] = Field(description="`new`, `correction` or `withdrawal`")
    user_pseudonym: Pseudonym = Field(description="keyed hash made by the company; the privacy unit")
    started_at: UtcTimestamp = Field(description="start of the conversation, UTC")
    selection_stratum: Slug = Field(description="one of the manifest's strata")
    event_class: Annotated[str, Coded("event_class")] = Field(description="class of event")
    origin: Annotated[str, Coded("origin")] = Field(description="where the conversation comes from")
    sharing_basis: Annotated[str, Coded("sharing_basis")] = Field(description="basis on which it is shared")
    deployment: Deployment = Field(description="product and model")
    person: Person = Field(description="the person writing")
    risk: Risk = Field(description="peak risk, inferred from text")
    evasion: Evasion = Field(description="rephrasing around safeguards")
    n_turns: TurnNumber = Field(description="turns of the whole conversation")
    turns: Annotated[list[Turn], FIRST_FAULT_ONLY] = Field(max_length=MAX_TURNS, description="turns sent, all or an excerpt")
    interventions: Annotated[list[Intervention], FIRST_FAULT_ONLY] = Field(
        max_length=MAX_INTERVENTIONS, description="interventions, in order of turn"
    )
    failure_modes: Annotated[list[Annotated[str, Coded("failure_mode")]], FewCodes] = Field(description="failures seen")
    human_review: Annotated[str, Coded("human_review")] = Field(description="who has reviewed the conversation")


class Correction(InteractionRecord):
    """A record that replaces an earlier one of the same user."""

    record_status: Literal["correction"] = Field(description="`new`, `correction` or `withdrawal`")  # type: ignore[assignment]
    supersedes: RecordId = Field(description="record_id of the same user that this replaces")
    supersedes_started_at: UtcTimestamp = Field(description="`started_at` of what is replaced: it names the quarter")


class RecordWithdrawal(Contract):
    """Takes back one record of a user."""

    domain: Annotated[str, Coded("domain")] = Field(description="domain of harm")
    record_id: RecordId = Field(description="id of this withdrawal")
    record_status: Literal["withdrawal"] = Field(description="`new`, `correction` or `withdrawal`")
    scope: Literal["record"] = Field(description="what is withdrawn")
    user_pseudonym: Pseudonym = Field(description="the user")
    supersedes: RecordId = Field(description="record_id of the same user that is withdrawn")
    supersedes_started_at: UtcTimestamp = Field(description="`started_at` of what is withdrawn: it names the quarter")


class UserWithdrawal(Contract):
    """Takes back every record of a user in one quarter."""

    domain: Annotated[str, Coded("domain")] = Field(description="domain of harm")
    record_id: RecordId = Field(description="id of this withdrawal")
    record_status: Literal["withdrawal"] = Field(description="`new`, `correction` or `withdrawal`")
    scope: Literal["user"] = Field(description="what is withdrawn")
    user_pseudonym: Pseudonym = Field(description="the user")
    supersedes_started_at: UtcTimestamp = Field(description="any moment of the quarter that is withdrawn")


class SubmissionWithdrawal(Contract):
    """Takes back a whole submission of the company."""

    domain: Annotated[str, Coded("domain")] = Field(description="domain of harm")
    record_id: RecordId = Field(description="id of this withdrawal")
    record_status: Literal["withdrawal"] = Field(description="`new`, `correction` or `withdrawal`")
    scope: Literal["submission"] = Field(description="what is withdrawn")
    submission_id: Slug = Field(description="the submission that is withdrawn")


Withdrawal = RecordWithdrawal | UserWithdrawal | SubmissionWithdrawal
AnyRecord = InteractionRecord | Correction | Withdrawal

_WITHDRAWALS: dict[str, type[Withdrawal]] = {
    "record": RecordWithdrawal,
    "user": UserWithdrawal,
    "submission": SubmissionWithdrawal,
}


def model_for(raw: dict[str, Any]) -> type[AnyRecord] | None:
    """The model by which a raw record is to be checked; None where its status (or a withdrawal's scope) is no known code."""
    match raw.get("record_status"):
        case "new":
            return InteractionRecord
        case "correction":
            return Correction
        case "withdrawal":
            scope = raw.get("scope")
            return _WITHDRAWALS.get(scope) if isinstance(scope, str) else None
        case _:
            return None


RECORD_MODELS: tuple[type[Contract], ...] = (
    InteractionRecord,
    Correction,
    RecordWithdrawal,
    UserWithdrawal,
    SubmissionWithdrawal,
)
