"""What a plan looks for beyond its cells: terms that nobody listed, cells that grow, and what follows registered changes."""

from datetime import date, datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

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

    company: str = Field(description="id of the company")
    change_class: str = Field(description="class, from the code list `change_class`")
    at: datetime | date = Field(description="when it took effect, UTC; of a staged one, when it began")
    experiment: str = Field(default="", description="the company's name of the experiment, where arms were assigned by chance")
    arm: str = Field(default="", description="the arm that has the change")
    settled: date | None = Field(default=None, description="of a staged change: when all had it; the time between is left out")

    @model_validator(mode="after")
    def _fits(self) -> "ProductChange":
        if bool(self.experiment) != bool(self.arm):
            raise ValueError("an experiment and the arm with the change are named together")
        return self
