"""`config/privacy.toml` as one frozen model: every privacy number is written there once and passed on from here."""

import tomllib
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema, model_validator

from schemas.canonical import digest
from schemas.errors import UsageError


def _fraction(value: Any) -> Fraction:
    if isinstance(value, Fraction):
        return value
    if not isinstance(value, str):
        raise ValueError("exact numbers are written as strings")
    number = Fraction(value)
    if number < 0:
        raise ValueError("negative")
    return number


Exact = Annotated[Fraction, BeforeValidator(_fraction), PlainSerializer(str, return_type=str), WithJsonSchema({"type": "string"})]


class _Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, allow_inf_nan=False)


class UnitParameters(_Parameters):
    """The privacy unit and the integer scale of a user's weight."""

    name: Literal["user of one company in one quarter"] = Field(description="the privacy unit")
    pseudonym_units: tuple[str, ...] = Field(description="pseudonym units that a plan counts")
    weight_scale: int = Field(gt=0, description="G: a user's total weight in a measure, in integer steps")


class BudgetParameters(_Parameters):
    """Budget of a data quarter and of a calendar year, exact."""

    delta: Exact = Field(description="δ at which ε is stated")
    quarter_rho: Exact = Field(description="rho of one data quarter")
    first_release_rho: Exact = Field(description="rho of the first release of a quarter")
    reserve_rho: Exact = Field(description="rho kept for superseding versions of the quarter")
    quarter_threshold_delta: Exact = Field(description="δ of thresholded mechanisms in a quarter")
    first_release_threshold_delta: Exact = Field(description="of that, for the first release")
    reserve_threshold_delta: Exact = Field(description="of that, in reserve")
    year_rho: Exact = Field(description="cap on rho over a calendar year")
    year_threshold_delta: Exact = Field(description="cap on δ of thresholded mechanisms over a calendar year")
    quarter_epsilon: Exact = Field(description="cap on ε of a quarter at δ")
    year_epsilon: Exact = Field(description="cap on ε of a calendar year at δ")

    @model_validator(mode="after")
    def _adds_up(self) -> "BudgetParameters":
        if self.first_release_rho + self.reserve_rho != self.quarter_rho:
            raise ValueError("first release and reserve must add up to the quarter's rho")
        if self.first_release_threshold_delta + self.reserve_threshold_delta != self.quarter_threshold_delta:
            raise ValueError("first release and reserve must add up to the quarter's delta")
        return self


class CompanyParameters(_Parameters):
    """The company rules: at least `minimum` companies behind a number, none with more than `dominance_share` of it."""

    minimum: int = Field(ge=2, description="K, companies that must stand behind a number")
    dominance_share: Exact = Field(description="r, largest share of one company")
    too_few_error_rate: float = Field(gt=0, le=0.5, description="rate at which a number of just K - 1 companies is published")
    dominance_error_rate: float = Field(
        gt=0, le=0.5, description="rate at which a number just at the dominance share is published"
    )

    @model_validator(mode="after")
    def _fits(self) -> "CompanyParameters":
        if not 0 < self.dominance_share < 1:
            raise ValueError("the dominance share lies between 0 and 1")
        return self


class ShareParameters(_Parameters):
    """How a measure's rho is divided. Estimates are one workload; the others are divided evenly over its marginals."""

    estimates: Exact = Field(gt=0, description="share of a measure's rho for the estimates")
    sampling: Exact = Field(gt=0, description="share for the sum of squared weights, which sampling variance is told from")
    outside: Exact = Field(gt=0, description="share for the mass outside the K - 1 largest companies")
    dominance: Exact = Field(gt=0, description="share for the dominance vector")
    panel: Exact = Field(
        default=Fraction(0),
        description="part of `estimates` that goes to sums without new companies, in quarters that are compared without them",
    )

    @model_validator(mode="after")
    def _adds_up(self) -> "ShareParameters":
        if self.estimates + self.sampling + self.outside + self.dominance != 1:
            raise ValueError("the shares of a measure's rho must add up to 1")
        if self.panel >= self.estimates:
            raise ValueError("the share for sums without new companies is a part of that for the estimates")
        return self


class PrivacyParameters(_Parameters):
    """All of `config/privacy.toml`."""

    unit: UnitParameters
    budget: BudgetParameters
    companies: CompanyParameters
    shares: ShareParameters
    confidence: float = Field(gt=0.5, lt=1, description="confidence of the published intervals")
    too_noisy_ratio: float = Field(gt=0, description="an estimate below this many standard deviations is flagged too_noisy")
    close_days: int = Field(ge=0, description="days after its end at which a quarter is closed for measuring")
    split: dict[str, Exact] = Field(description="share of a release's rho by measure of the plan")
    threshold_split: dict[str, Exact] = Field(default={}, description="share of a release's threshold δ by search for terms")

    @model_validator(mode="after")
    def _split_fits(self) -> "PrivacyParameters":
        if max(sum(self.split.values()), sum(self.threshold_split.values())) > 1:
            raise ValueError("a split adds up to more than 1")
        return self

    @property
    def hash(self) -> str:
        """Digest of all parameters."""
        return digest(self.model_dump(mode="json"))


def load_privacy_parameters(path: Path) -> PrivacyParameters:
    """Reads `privacy.toml`. Raises UsageError where it is missing, unreadable or breaks a rule."""
    try:
        return PrivacyParameters.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        pass
    raise UsageError("privacy.toml cannot be read or breaks a rule.", "Compare it with config/privacy.toml of this version.")
