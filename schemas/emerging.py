"""What a plan looks for beyond its cells: terms that nobody listed, cells that grow, and what follows registered changes."""

from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict, model_validator

from schemas.codes import Coded

Names = tuple[str, ...]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TermRule(StrEnum):
    """Which mass of a term is measured, before noise, so that no company is exposed."""

    STRICT = "strict"  # outside the K - 1 largest companies: a term of fewer than K companies can never appear
    RELAXED = "relaxed"  # all of it, capped by that plus a margin below the threshold: more terms, a stated rate of mistakes


class TermSearch(_Model):
    """One search for terms: whose turns, how many terms of a user count, in how many rounds. Its rho stands in the split.

    Terms that were found earlier are followed by `tracked_<name>`, which has a share of the split of its own.
    """

    name: str = Field(pattern=r"^[a-z0-9_]{1,64}$", description="name; the splits of rho and of δ refer to it")
    speaker: Literal["user", "assistant"] = Field(description="whose turns are read")
    most: int = Field(ge=1, le=1000, description="terms that a user counts with at most")
    rounds: int = Field(default=1, ge=1, le=4, description="rounds; what one round finds makes room in the next")
    rule: TermRule = Field(default=TermRule.STRICT, description="company rule before noise")
    minors: bool = Field(default=False, description="whether text of known minors is read")

    @property
    def tracked(self) -> str:
        """Name of the measure that follows found terms."""
        return f"tracked_{self.name}"


class PatternSearch(_Model):
    """The test for growing and receding cells, registered before the data are read."""

    false_discovery_rate: float = Field(gt=0, lt=0.5, description="rate of false discoveries among what is called")
    quarters: int = Field(ge=2, le=20, description="earlier quarters that are compared with, at most")
    measures: Names = Field(description="measures whose cells are tested; cells of marginals by week are not")


class ProductChange(_Model):
    """One registered change of a model or product. Private: the operator and the company concerned see it, its class is published."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    company: str = Field(min_length=1, repr=False, description="id of the company")
    change_class: Annotated[str, Coded("change_class")] = Field(description="class of the change")
    at: Annotated[datetime, Strict()] | Annotated[date, Strict()] = Field(
        repr=False, description="when it took effect, UTC; of a staged one or an experiment, when it began"
    )
    experiment: str = Field(
        default="", repr=False, description="the company's name of the experiment, where arms were assigned by chance"
    )
    arm: str = Field(default="", repr=False, description="the arm that has the change")
    arm_share: float = Field(default=0.5, gt=0, lt=1, repr=False, description="share of users or sessions assigned to that arm")
    settled: date | None = Field(
        default=None,
        strict=True,
        repr=False,
        description="of a staged change: the first day on which all had it, the time between is left out; of an experiment: the day after its last",
    )

    @model_validator(mode="after")
    def _fits(self) -> "ProductChange":
        if bool(self.experiment) != bool(self.arm):
            raise ValueError("an experiment and the arm with the change are named together")
        if self.settled is not None and self.until <= self.since:
            raise ValueError("it is settled before it begins")
        if not self.experiment and self.arm_share != 0.5:
            raise ValueError("only an experiment has a share of its arm")
        return self

    @property
    def since(self) -> datetime:
        """When it began, UTC; a day begins at midnight, and a moment without a zone is of UTC."""
        return _moment(self.at)

    @property
    def until(self) -> datetime:
        """When all had it, UTC: `since` where it was not staged."""
        return self.since if self.settled is None else _moment(self.settled)


def _moment(when: datetime | date) -> datetime:
    if not isinstance(when, datetime):
        return datetime.combine(when, time(), UTC)
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
