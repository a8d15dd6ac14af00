"""What is new, what grows and what a change does: plants over several quarters."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.codes import code_lists
from schemas.periods import Quarter

Share = Annotated[float, Field(ge=0, le=1)]
QuarterName = Annotated[str, Field(pattern=r"^\d{4}Q[1-4]$")]
Names = tuple[str, ...]

GROWING_KEYS = ("tactic", "failure_mode", "ideation", "behavior", "intervention", "age_band")
"""Keys whose rates can grow, each with the code list of its name."""


class _Plant(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    companies: Names = Field(default=(), description="companies that it concerns; empty: all")


class TermPlant(_Plant):
    """A term that nobody used before: its letters follow from the seed and the plant's place in the list.

    Users whose conversations carry text write it in the first of them, in turns of their own. Their share in a quarter is
    `share`, times `growth` for each quarter since it began, times `season_factor` in its season.
    """

    kind: Literal["word", "phrase"] = Field(default="word", description="a nonsense word, or ordinary words oddly put together")
    begins: QuarterName = Field(description="first quarter in which it is written")
    share: Share = Field(default=0.3, description="share of the users with text who write it")
    writers: int = Field(
        default=0, ge=0, description="number of users over all its companies, in place of a share; 1 for a decoy"
    )
    repeats: int = Field(default=1, ge=1, le=500, description="how often each of them writes it")
    growth: float = Field(default=1.0, gt=0, description="factor of the share from one quarter to the next")
    season: int = Field(default=0, ge=0, le=4, description="quarter of the year in which it rises; 0: none")
    season_factor: float = Field(default=1.0, gt=0, description="factor of the share in that quarter of each year")
    assistant: bool = Field(default=False, description="whether the assistant's next turn takes it up")

    def share_in(self, quarter: Quarter) -> float:
        """Share of the users with text who write it in a quarter, at most 1; 0 before it begins."""
        passed = quarters_between(Quarter.parse(self.begins), quarter)
        if passed < 0:
            return 0.0
        season = self.season_factor if self.season == quarter.number else 1.0
        return min(1.0, self.share * self.growth**passed * season)


class GrowthPlant(_Plant):
    """A cell whose rate is multiplied from a quarter on; the others of its key keep their proportions."""

    key: str = Field(description="tactic, failure_mode, ideation, behavior, intervention or age_band")
    code: str = Field(description="the code that grows, or recedes")
    factor: float = Field(ge=0, description="what its rate is multiplied by")
    begins: QuarterName = Field(description="first quarter with the new rate")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.key not in GROWING_KEYS or self.code not in code_lists()[self.key]:
            raise ValueError("the key or its code is unknown")
        return self


class ChangePlant(_Plant):
    """A registered change of model or product, and what it does to one outcome. It stands in `changes.toml` too."""

    change_class: str = Field(description="class of the change, as the registry names it")
    at: date = Field(description="first day with the change, UTC")
    kind: str = Field(default="user_reply", description="outcome kind that it moves, in every window")
    intervention: str = Field(default="", description="only after this intervention; empty: after every one")
    effect: float = Field(default=-0.14, description="what it adds to the chance of the kind's leading value")
    settled: date | None = Field(
        default=None,
        description="of a staged change: the first day on which all have it; of an experiment: the day after its last, when the change is over",
    )
    experiment: str = Field(
        default="", pattern=r"^[a-z0-9-]{0,40}$", description="where arms are drawn by chance: name of the experiment"
    )
    arm_share: float = Field(default=0.5, gt=0, lt=1, description="share of the users in the arm with the change")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.intervention and self.intervention not in code_lists()["intervention"]:
            raise ValueError("the intervention is unknown")
        if self.settled is not None and self.settled <= self.at:
            raise ValueError("it is settled before it begins")
        if not self.experiment and self.arm_share != 0.5:
            raise ValueError("only an experiment has a share of its arm")
        return self


def quarters_between(first: Quarter, second: Quarter) -> int:
    """Number of quarters from the first to the second, negative where the second is earlier."""
    return 4 * (second.year - first.year) + second.number - first.number
