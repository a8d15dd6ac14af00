"""What the generator plants. Every plant is a documented parameter with a default, so that a test can move one thing at a time."""

from collections.abc import Mapping
from datetime import date
from operator import not_
from typing import Annotated, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from sample_data.draws import Bools
from sample_data.emerging_plants import ChangePlant, GrowthPlant, QuarterName, TermPlant
from sample_data.outcome_plants import DEFAULT_OUTCOMES, ModelRelease, OutcomePlant
from schemas.codes import code_lists
from schemas.periods import Quarter

Share = Annotated[float, Field(ge=0, le=1)]
Weights = Mapping[str, float]

COMPANY_IDS = (
    "alder", "birch", "cedar", "dogwood", "elm", "fir", "ginkgo", "hazel", "ivy", "juniper", "kapok", "linden", "maple",
    "neem", "oak", "pine", "quince", "rowan", "spruce", "tamarack", "ulmus", "viburnum", "willow", "yew", "zelkova",
)  # fmt: skip

# Each company is a little smaller than the one before: .38, .33, .29 for three.
SIZE_RATIO = 0.87

PII_RATES: Weights = {
    "person_name": 0.40,
    "email": 0.12,
    "phone": 0.15,
    "street_address": 0.10,
    "postcode": 0.08,
    "date_of_birth": 0.10,
    "handle": 0.10,
    "school": 0.10,
    "workplace": 0.12,
    "ip_address": 0.05,
    "url": 0.07,
    "national_number": 0.06,
    "insurance_number": 0.04,
    "account_number": 0.06,
    "card_number": 0.05,
    "last_four": 0.06,
    "license_plate": 0.05,
    "passport_number": 0.04,
    "coordinates": 0.03,
}


class SimulationParameters(BaseModel):
    """All plants of a simulation. The same parameters (seed included) give byte-identical submissions."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    seed: int = Field(default=1, ge=0, description="seed of every draw and of the demonstration keys")

    # Who takes part, and when.
    companies: int = Field(default=3, ge=1, le=len(COMPANY_IDS), description="number of companies, named after trees")
    company_sizes: tuple[float, ...] = Field(
        default=(), description="share of users by company; empty: fairly even (.38/.33/.29)"
    )
    joining: Mapping[str, str] = Field(default={}, description="first quarter of companies that join after the first one")
    leaving: Mapping[str, QuarterName] = Field(default={}, exclude_if=not_, description="last quarter of companies that leave")
    quarters: int = Field(default=2, ge=1, le=16, description="number of consecutive quarters")
    first_quarter: str = Field(default="2026Q1", description="the first of them")
    users: int = Field(default=12_000, ge=1, description="users in each quarter, over all companies")
    volume_growth: float = Field(default=0.0, gt=-1, description="change in the number of users from one quarter to the next")
    submissions_per_quarter: int = Field(
        default=3,
        ge=1,
        le=12,
        description="submissions of a company in a quarter; with 3 or 4 all but the last cover a month, the last covers the quarter",
    )
    files_per_submission: int = Field(default=2, ge=1, le=8, description="data files in a submission")
    formats: tuple[str, ...] = Field(
        default=("jsonl", "parquet", "parquet", "jsonl.gz", "jsonl", "parquet", "jsonl.zst", "parquet"),
        min_length=1,
        description="formats of the data files, taken in turn",
    )
    not_collected: Mapping[str, tuple[str, ...]] = Field(
        default={"cedar": ("later_harm_reported",)}, description="outcome kinds that a company does not collect"
    )

    # Users and conversations.
    pareto_exponent: float = Field(default=1.6, gt=0, description="P(a user has at least k conversations) = k ** -exponent")
    max_conversations: int = Field(default=200, ge=1, description="cap on the conversations of a user in a quarter")
    age_bands: Weights = Field(
        default={
            "under_13": 0.02, "13_15": 0.06, "16_17": 0.10, "18_24": 0.30, "25_44": 0.29, "45_64": 0.10, "65_plus": 0.04,
            "unknown": 0.09,
        },
        description="age bands of users",
    )  # fmt: skip
    languages: Weights = Field(
        default={"en": 0.62, "es": 0.17, "fr": 0.10, "de": 0.05, "pt": 0.04, "unknown": 0.02}, description="languages of users"
    )
    regions: Mapping[str, Weights] = Field(
        default={
            "en": {"US": 0.58, "GB": 0.20, "CA": 0.10, "AU": 0.05, "IE": 0.02, "unknown": 0.05},
            "es": {"US": 0.32, "MX": 0.36, "ES": 0.28, "unknown": 0.04},
            "fr": {"FR": 0.62, "CA": 0.34, "unknown": 0.04},
            "": {"DE": 0.35, "BR": 0.30, "US": 0.15, "unknown": 0.20},
        },
        description="regions of users by language; the entry `` holds for the others",
    )
    turns_median: float = Field(default=14, gt=1, description="median number of turns of a conversation (log-normal)")
    turns_sigma: float = Field(default=1.1, ge=0, description="standard deviation of the logarithm of the number of turns")
    max_turns: int = Field(default=400, ge=2, le=100_000, description="cap on the number of turns")
    strata: Weights = Field(
        default={"flagged-main": 0.70, "comparison": 0.14, "fp-review": 0.08, "user-report": 0.08},
        description="selection strata of records (their rules stand in sample_data.population)",
    )
    risk_by_stratum: Weights = Field(
        default={"flagged-main": 0.93, "comparison": 0.35, "fp-review": 0.15, "user-report": 0.85},
        description="share of records with risk in each stratum",
    )

    # Interventions and outcomes.
    no_intervention_share: Share = Field(default=0.15, description="share of conversations with risk in which nothing was done")
    further_interventions: float = Field(
        default=0.35, ge=0, description="mean number of interventions after the first, for a short one"
    )
    turns_per_intervention: float = Field(default=45, gt=0, description="that mean grows by one for every so many turns")
    interventions: Weights = Field(
        default={
            "supportive_continuation": 0.22, "empathic_risk_probe": 0.14, "direct_suicide_question": 0.08,
            "crisis_resource_referral": 0.24, "warm_handoff": 0.05, "trusted_contact_notified": 0.01, "parent_notified": 0.02,
            "emergency_services_referral": 0.02, "safety_plan_offer": 0.05, "coping_skill": 0.06, "means_safety": 0.02,
            "ai_disclosure": 0.02, "break_nudge": 0.02, "content_refusal": 0.03, "model_reroute": 0.01,
            "conversation_paused": 0.005, "conversation_ended": 0.005, "account_action": 0.005,
        },
        description="types of intervention",
    )  # fmt: skip
    outcomes: tuple[OutcomePlant, ...] = Field(
        default=DEFAULT_OUTCOMES,
        min_length=1,
        description="what is seen after interventions: effects, fading with depth, unknown, pending",
    )
    user_correlation: Share = Field(
        default=0.0,
        description="share of a user's outcomes of one kind that follow one draw of the user; the probabilities stay as they are",
    )
    model_release: ModelRelease | None = Field(
        default=ModelRelease(first_day=date(2026, 4, 6)),
        description="a release after which an intervention is accepted less (or more)",
    )

    # Text.
    text_share: Share = Field(default=0.03, description="share of records with text, of those in a language that has templates")
    text_turns: int = Field(default=12, ge=1, description="turns of a conversation that are sent with text, from the first on")
    conversation_uses: int = Field(
        default=1,
        ge=1,
        description="how often each conversation of a file is used over the whole simulation (with `conversations` only)",
    )
    pii_rates: Weights = Field(default=PII_RATES, description="share of conversations with text that hold PII of a kind")
    name_again_rate: Share = Field(
        default=0.7, description="share of planted names that come again, without the words that gave them away"
    )
    lower_case_name_share: Share = Field(default=0.12, description="share of planted names written in lower case")
    helpline_rate: Share = Field(
        default=0.35, description="share of conversations with text in which the user mentions a helpline"
    )

    # What is new, what grows, and what a change does. Left out of truth.json where nothing of it is planted.
    text_quarters: tuple[QuarterName, ...] = Field(
        default=(), exclude_if=not_, description="quarters whose records carry text; empty: all (without a file of conversations)"
    )
    terms: tuple[TermPlant, ...] = Field(
        default=(),
        exclude_if=not_,
        description="terms that nobody used before, each from a quarter on; also seasonal ones and decoys",
    )
    overdispersion: float = Field(
        default=0.0,
        ge=0,
        le=2,
        exclude_if=not_,
        description="coefficient of variation of the rates of codes from quarter to quarter (gamma), the same at all companies",
    )
    growing: tuple[GrowthPlant, ...] = Field(
        default=(), exclude_if=not_, description="codes whose rate is multiplied from a quarter on"
    )
    changes: tuple[ChangePlant, ...] = Field(
        default=(), exclude_if=not_, description="registered changes of models and products, with their effects"
    )

    # What goes wrong, and what is put right.
    malformed_share: float = Field(
        default=0.012,
        ge=0,
        lt=0.03,
        description="malformed records per good one; at most 4.5 % of a submission, so that it is not refused",
    )
    duplicate_share: Share = Field(
        default=0.006, description="share of records sent again unchanged, within and across submissions"
    )
    late_share: Share = Field(
        default=0.03, description="share of records sent in the last submission of the quarter instead of their own"
    )
    correction_share: Share = Field(default=0.01, description="share of records corrected in a later submission of the quarter")
    record_withdrawal_share: Share = Field(default=0.004, description="share of records withdrawn")
    user_withdrawal_share: Share = Field(
        default=0.003, description="share of users withdrawn with all their records of the quarter"
    )
    withdrawn_submissions: int = Field(
        default=0, ge=0, description="companies (from the first on) that withdraw their first submission of each quarter"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        Quarter.parse(self.first_quarter)
        if self.company_sizes and len(self.company_sizes) != self.companies:
            raise ValueError("company_sizes names another number of companies")
        named = {c for plant in (*self.terms, *self.growing, *self.changes) for c in plant.companies}
        if not {*self.joining, *self.leaving, *named} <= set(self.company_ids):
            raise ValueError("joining, leaving or a plant names a company that does not take part")
        if not all(any(self._takes_part(company, quarter) for company in self.company_ids) for quarter in self.quarter_list):
            raise ValueError("no company is there in one of the quarters")
        trials = [company for plant in self.changes if plant.experiment for company in plant.companies or self.company_ids]
        if len(set(trials)) != len(trials):
            raise ValueError("a company has two experiments")
        if any(plant.kind not in {o.kind for o in self.outcomes} for plant in self.changes):
            raise ValueError("a change moves an outcome that is not planted")
        if any(f not in code_lists()["file_format"] for f in self.formats):
            raise ValueError("a format is unknown")
        if set(self.strata) != set(self.risk_by_stratum):
            raise ValueError("strata and risk_by_stratum name other strata")
        if any(t not in code_lists()["intervention"] or t == "no_intervention" for t in self.interventions):
            raise ValueError("an intervention is unknown, or no_intervention (it has its own share)")
        if any(a not in code_lists()["age_band"] for a in self.age_bands) or "" not in self.regions:
            raise ValueError("an age band is unknown, or regions lack the entry for other languages")
        if len({(o.kind, o.window) for o in self.outcomes}) != len(self.outcomes):
            raise ValueError("an outcome is planted twice")
        return self

    @property
    def company_ids(self) -> tuple[str, ...]:
        """Ids of the companies."""
        return COMPANY_IDS[: self.companies]

    @property
    def sizes(self) -> tuple[float, ...]:
        """Share of users by company, adding up to 1."""
        raw = self.company_sizes or tuple(SIZE_RATIO**i for i in range(self.companies))
        return tuple(size / sum(raw) for size in raw)

    def _takes_part(self, company: str, quarter: Quarter) -> bool:
        first, last = self.joining.get(company), self.leaving.get(company)
        return (first is None or Quarter.parse(first) <= quarter) and (last is None or quarter <= Quarter.parse(last))

    def companies_of(self, plant: TermPlant | GrowthPlant | ChangePlant) -> Bools:
        """Which companies a plant concerns, one entry for each."""
        return np.isin(self.company_ids, plant.companies or self.company_ids)

    def sizes_in(self, quarter: Quarter) -> tuple[float, ...]:
        """The same in one quarter, without the companies that have not joined yet or have left."""
        there = [self._takes_part(company, quarter) for company in self.company_ids]
        if all(there):
            return self.sizes
        raw = [size * takes_part for size, takes_part in zip(self.sizes, there, strict=True)]
        return tuple(size / sum(raw) for size in raw)

    @property
    def quarter_list(self) -> tuple[Quarter, ...]:
        """The quarters, in order."""
        found = [Quarter.parse(self.first_quarter)]
        while len(found) < self.quarters:
            found.append(found[-1].next())
        return tuple(found)

    def users_in(self, quarter: Quarter) -> int:
        """Users of all companies in a quarter."""
        return max(1, round(self.users * (1 + self.volume_growth) ** self.quarter_list.index(quarter)))
