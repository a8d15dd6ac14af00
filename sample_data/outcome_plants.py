"""What follows an intervention in the simulation: the probability of each outcome value, and what moves it."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.codes import OPEN_OUTCOMES, code_lists, domains

DOMAIN = "suicide_self_harm"
MIN_CHANCE, MAX_CHANCE = 0.02, 0.97

Share = Annotated[float, Field(ge=0, le=1)]


class _Plant(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class OutcomePlant(_Plant):
    """One outcome kind in one window.

    Among known values, `leading` has the chance of its intervention, less `fading` for each depth band beyond the first, plus
    what `by_age` and a model release add, kept within [.02, .97]. The other known values share the rest. `unknown` and
    `pending` come first and do not depend on anything.
    """

    kind: str = Field(description="outcome kind")
    window: str = Field(description="window after the intervention")
    presence: Share = Field(description="share of interventions for which it is reported at all")
    after: tuple[str, ...] = Field(default=(), description="only after these interventions; empty: after all")
    leading: str = Field(description="the value whose chance is planted")
    chance: Mapping[str, float] = Field(default={}, description="chance of the leading value by intervention")
    otherwise: Share = Field(default=0.5, description="its chance after all other interventions")
    rest: Mapping[str, float] = Field(description="how the other known values share the rest")
    fading: float = Field(default=0.0, description="what each depth band beyond the first takes from the chance")
    by_age: Mapping[str, float] = Field(default={}, description="what an age band adds to the chance")
    unknown: Share = Field(default=0.05, description="probability of `unknown`")
    pending: Share = Field(default=0.0, description="probability of `pending`")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        known = set(domains()[DOMAIN].outcome_values.get(self.kind, {})) - set(OPEN_OUTCOMES)
        if {self.leading, *self.rest} != known or self.leading in self.rest:
            raise ValueError("leading and rest do not name the known values of the kind, each once")
        if self.window not in code_lists()["window"] or self.unknown + self.pending > 1:
            raise ValueError("the window is unknown, or unknown and pending exceed 1")
        if any(t not in code_lists()["intervention"] for t in (*self.after, *self.chance)):
            raise ValueError("an intervention is unknown")
        return self

    @property
    def values(self) -> tuple[str, ...]:
        """All values, in the contract's order; probability vectors follow it."""
        return tuple(domains()[DOMAIN].outcome_values[self.kind])


class ModelRelease(_Plant):
    """A model release and what it does to one outcome after one intervention."""

    first_day: date = Field(description="first day of the new model, UTC")
    companies: tuple[str, ...] = Field(default=(), description="companies that release it; empty: all")
    intervention: str = Field(default="crisis_resource_referral", description="intervention after which the outcome changes")
    kind: str = Field(default="user_reply", description="outcome kind that changes, in every window")
    change: float = Field(default=-0.14, description="what the release adds to the chance of the leading value")
    before: str = Field(default="2026.1", description="model version before")
    after: str = Field(default="2026.2", description="model version from that day on")


DEFAULT_OUTCOMES = (
    OutcomePlant(
        kind="user_reply",
        window="next_turn",
        presence=0.92,
        leading="engaged",
        chance={
            "no_intervention": 0.70,
            "supportive_continuation": 0.78,
            "empathic_risk_probe": 0.72,
            "direct_suicide_question": 0.64,
            "crisis_resource_referral": 0.55,
            "warm_handoff": 0.60,
            "safety_plan_offer": 0.62,
            "coping_skill": 0.68,
            "content_refusal": 0.34,
            "conversation_ended": 0.10,
            "account_action": 0.12,
        },
        otherwise=0.5,
        rest={"rejected": 0.45, "silent": 0.55},
        fading=0.06,
        by_age={"13_15": -0.05, "16_17": -0.04},
        unknown=0.05,
        pending=0.005,
    ),
    OutcomePlant(
        kind="risk_trajectory",
        window="same_session",
        presence=0.85,
        leading="deescalated",
        chance={
            "no_intervention": 0.24,
            "supportive_continuation": 0.42,
            "empathic_risk_probe": 0.46,
            "direct_suicide_question": 0.48,
            "crisis_resource_referral": 0.40,
            "warm_handoff": 0.62,
            "safety_plan_offer": 0.58,
            "coping_skill": 0.50,
            "content_refusal": 0.22,
        },
        otherwise=0.36,
        rest={"unchanged": 0.75, "escalated": 0.25},
        fading=0.03,
        by_age={"65_plus": 0.04},
        unknown=0.10,
        pending=0.01,
    ),
    OutcomePlant(
        kind="resource_opened",
        window="24h",
        presence=0.95,
        after=("crisis_resource_referral", "warm_handoff", "emergency_services_referral", "safety_plan_offer"),
        leading="yes",
        chance={"crisis_resource_referral": 0.28, "warm_handoff": 0.46, "emergency_services_referral": 0.36},
        otherwise=0.22,
        rest={"no": 1.0},
        fading=0.02,
        unknown=0.08,
        pending=0.02,
    ),
    OutcomePlant(
        kind="handoff_completed",
        window="24h",
        presence=0.9,
        after=("warm_handoff",),
        leading="yes",
        otherwise=0.45,
        rest={"no": 1.0},
        unknown=0.06,
        pending=0.02,
    ),
    OutcomePlant(
        kind="later_evasion",
        window="same_session",
        presence=0.5,
        after=("content_refusal", "conversation_paused", "model_reroute"),
        leading="yes",
        otherwise=0.3,
        rest={"no": 1.0},
        unknown=0.05,
    ),
    OutcomePlant(
        kind="reengagement",
        window="7d",
        presence=0.15,
        leading="yes",
        otherwise=0.5,
        rest={"no": 1.0},
        unknown=0.05,
        pending=0.04,
    ),
    OutcomePlant(
        kind="later_harm_reported",
        window="30d",
        presence=0.08,
        leading="yes",
        otherwise=0.03,
        rest={"no": 1.0},
        unknown=0.45,
        pending=0.08,
    ),
)
