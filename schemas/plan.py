"""The release plan: which questions a release answers. Adding a table is an entry here, not code."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.canonical import digest
from schemas.codes import OPEN_OUTCOMES, code_lists, domains
from schemas.emerging import PatternSearch, TermSearch
from schemas.errors import UsageError
from schemas.keys import DEPTH_BANDS, KEYS, Scope
from schemas.parameters import PrivacyParameters
from schemas.periods import Quarter


class Event(StrEnum):
    """What one row is after all unnesting."""

    RECORD = "record"
    INTERVENTION_OUTCOME = "intervention_outcome"  # each outcome of the measure's kind and window
    EVASION_TACTIC = "evasion_tactic"  # each tactic of a record; with its first intervention
    FAILURE_MODE = "failure_mode"  # each failure of a record; a record without one is one event
    REFERRAL = "referral"  # each intervention that refers, with the outcome of the measure's kind and window
    FOLLOWED_CONVERSATION = "followed_conversation"  # a record until an outcome in `ends_at`, or as far as outcomes are known
    CHANGE_OUTCOME = "change_outcome"  # each such outcome, once for each registered change that it is compared for


CHANGE_KEYS = ("change_class", "change_group", "outcome")
"""The one marginal of an event `change_outcome`: rates before and after are compared by what all of it tells."""

_OF_RECORD = frozenset("week ideation behavior imminence selection_reason age_band language region surface length_band".split())
_OF_INTERVENTION = frozenset("intervention layer ideation_before imminence_before depth_band earlier_interventions".split())

EVENT_KEYS: Mapping[Event, frozenset[str]] = {
    Event.RECORD: _OF_RECORD,
    Event.INTERVENTION_OUTCOME: _OF_RECORD | _OF_INTERVENTION | {"outcome"},
    Event.EVASION_TACTIC: _OF_RECORD | {"intervention", "depth_band", "tactic", "bypassed"},
    Event.FAILURE_MODE: _OF_RECORD | {"failure_mode"},
    Event.REFERRAL: _OF_RECORD | _OF_INTERVENTION | {"stage", "outcome"},
    Event.FOLLOWED_CONVERSATION: _OF_RECORD | {"depth_band", "ending"},
    Event.CHANGE_OUTCOME: frozenset(CHANGE_KEYS),
}
"""The keys that an event has."""

OUTCOME_EVENTS = (Event.INTERVENTION_OUTCOME, Event.REFERRAL, Event.FOLLOWED_CONVERSATION, Event.CHANGE_OUTCOME)
RECORD_EVENTS = (Event.RECORD, Event.FOLLOWED_CONVERSATION)
"""Events of which a record has at most one."""


class Estimand(StrEnum):
    """What a cell of a measure estimates; it fixes each event's weight and the contribution bound."""

    MOST_SEVERE_RECORD = "most_severe_record"  # one record a user, weight G
    ONE_RECORD = "one_record"  # one record a user, by keyed hash, weight G
    SHARE_OF_USER = "share_of_user"  # all events of a user, weight G // k each
    SHARE_OF_USER_AND_DEPTH = "share_of_user_and_depth"  # weight G // k within (user, depth band)


class _PlanModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Names = tuple[str, ...]


@dataclass(frozen=True)
class ContributionBound:
    """How much one user may weigh in a measure: at most `mass` integer steps within each value of the key `stratum`.

    Where `stratum` is empty that is the user's whole weight. `strata` counts the values of the stratum, 1 without one.
    Weights are not negative; so no user moves a marginal by more than √strata · mass in L2.
    """

    mass: int
    stratum: str = ""
    strata: int = 1

    @property
    def l2_squared(self) -> int:
        """Square of the most that one user moves any one marginal, in integer steps."""
        return self.strata * self.mass**2


class Measure(_PlanModel):
    """One measure: an event, an estimand, and the marginals on which it is published."""

    name: str = Field(pattern=r"^[a-z0-9_]{1,64}$", description="name; the split of the budget refers to it")
    table: str = Field(description="the public table that it fills")
    event: Event = Field(description="what one row is after all unnesting")
    estimand: Estimand = Field(description="what a cell estimates")
    outcome_kind: str = Field(default="", description="outcome kind, where the event is an outcome")
    window: str = Field(default="", description="window of the outcome")
    ends_at: Names = Field(default=(), description="outcomes at which following a conversation ends, where the event is that")
    marginals: tuple[Names, ...] = Field(min_length=1, description="lists of key names, one published marginal each")

    @model_validator(mode="after")
    def _fits(self) -> "Measure":
        if any(key not in KEYS for marginal in self.marginals for key in marginal):
            raise ValueError("a marginal names an unknown key")
        if len({frozenset(m) for m in self.marginals}) != len(self.marginals):
            raise ValueError("a marginal is listed twice")
        if any(len(set(m)) != len(m) for m in self.marginals):
            raise ValueError("a marginal lists a key twice")
        if any(key not in EVENT_KEYS[self.event] for marginal in self.marginals for key in marginal):
            raise ValueError("a marginal names a key that the event does not have")
        if self.estimand is Estimand.MOST_SEVERE_RECORD and self.event is not Event.RECORD:
            raise ValueError("the most severe record needs the event `record`")
        if self.estimand is Estimand.ONE_RECORD and self.event not in RECORD_EVENTS:
            raise ValueError("one record a user needs an event of which a record has at most one")
        if self.event in OUTCOME_EVENTS:
            values = {code for domain in domains().values() for code in domain.outcome_values.get(self.outcome_kind, {})}
            if not values or self.window not in code_lists()["window"]:
                raise ValueError("an outcome measure names an outcome kind and a window")
            if not set(self.ends_at) <= values - set(OPEN_OUTCOMES):
                raise ValueError("following a conversation ends at a value that the outcome does not have")
        elif self.outcome_kind or self.window:
            raise ValueError("only outcome measures name an outcome kind and a window")
        if self.event is Event.FOLLOWED_CONVERSATION and len(self.marginals) != 1:
            # A curve gives sums of its cells away; with those of a second marginal they could give a withheld cell away.
            raise ValueError("a followed conversation has one marginal; slices of it are measures of their own")
        if self.event is Event.CHANGE_OUTCOME and self.marginals != (CHANGE_KEYS,):
            raise ValueError("outcomes around changes have one marginal: change_class, change_group, outcome")
        if bool(self.ends_at) != (self.event is Event.FOLLOWED_CONVERSATION):
            raise ValueError("a followed conversation, and nothing else, names the outcomes at which it ends")
        if self.stratum and any(self.stratum not in m for m in self.marginals):
            # Without the stratum as key a user's strata fall into one cell, and the bound of √strata would be wrong.
            raise ValueError("a measure weighted within depth bands has depth_band in every marginal")
        return self

    @property
    def stratum(self) -> str:
        """The key within each value of which a user has a whole weight, or nothing."""
        return "depth_band" if self.estimand is Estimand.SHARE_OF_USER_AND_DEPTH else ""

    def bound(self, weight_scale: int) -> ContributionBound:
        """The contribution bound of this measure, written once."""
        if self.stratum:
            return ContributionBound(weight_scale, self.stratum, len(DEPTH_BANDS))
        return ContributionBound(weight_scale)

    def scope(self, quarter: Quarter, plan: "ReleasePlan") -> Scope:
        """What the public domains of this measure's keys depend on."""
        values: dict[str, None] = {}
        for domain in domains().values():
            values.update(dict.fromkeys(domain.outcome_values.get(self.outcome_kind, {})))
        return Scope(quarter, plan.languages, plan.regions, tuple(values), plan.change_classes)


class ReleasePlan(_PlanModel):
    """All of `config/release_plan.toml`."""

    domain: str = Field(description="domain of harm")
    languages: Names = Field(description="languages that are shown; others are `other`")
    regions: Names = Field(description="regions that are shown; others are `other`")
    change_classes: Names = Field(default=(), description="classes of registered changes that are shown")
    measures: tuple[Measure, ...] = Field(min_length=1, alias="measure", description="the measures")
    terms: tuple[TermSearch, ...] = Field(default=(), description="searches for terms that nobody listed")
    patterns: PatternSearch | None = Field(default=None, description="the test for growing and receding cells")

    @model_validator(mode="after")
    def _unique(self) -> "ReleasePlan":
        names = [m.name for m in self.measures] + [name for t in self.terms for name in (t.name, t.tracked)]
        if len(set(names)) != len(names):
            raise ValueError("two measures have one name")
        if self.patterns and not set(self.patterns.measures) <= {m.name for m in self.measures}:
            raise ValueError("the test for growing cells names an unknown measure")
        if self.domain not in domains():
            raise ValueError("the domain is unknown")
        if not set(self.change_classes) <= set(code_lists()["change_class"]):
            raise ValueError("a class of changes is unknown")
        if not self.change_classes and any(m.event is Event.CHANGE_OUTCOME for m in self.measures):
            raise ValueError("outcomes around changes need classes of changes")
        return self


# Asked for cell by cell, so that checking them each time took most of the time of making tables.
@lru_cache(maxsize=64)
def _release_plan(written: bytes) -> ReleasePlan:
    return ReleasePlan.model_validate_json(written)


@lru_cache(maxsize=64)
def _privacy(written: bytes) -> PrivacyParameters:
    return PrivacyParameters.model_validate_json(written)


def _nested(marginals: tuple[Names, ...]) -> bool:
    """Whether the sets of keys that a marginal shares with the others lie in each other, for every marginal."""
    for own in marginals:
        shared = sorted((set(own) & set(other) for other in marginals if other != own), key=len)
        if any(not small <= large for small, large in pairwise(shared)):
            return False
    return True


class RegisteredPlan(_PlanModel):
    """A plan as it stands in the ledger, before any data are read. Its hash is the key of what is spent."""

    quarter: str
    version: int = Field(ge=1)
    synthetic: bool = Field(description="whether it counts synthetic records (and only those)")
    reason: str = Field(description="why this version: `first release`, or the reason for superseding")
    planner: str = Field(description="who made the plan")
    contributors: int = Field(ge=0, description="companies with accepted submissions, a public fact")
    not_collected: Names = Field(description="outcome kinds that fewer than K contributors collect, from the registry")
    rho: str = Field(description="exact rho of this release")
    threshold_delta: str = Field(description="exact δ of thresholded mechanisms of this release")
    secret_commitment: str = Field(description="SHA-256 commitment to the sampling secret")
    history: tuple[str, ...] = Field(default=(), description="hashes of the plans of earlier quarters that this one goes on from")
    panel: str = Field(default="", description="salted SHA-256 of the contributors: equal where they are the same companies")
    newcomers: int = Field(default=0, ge=0, description="contributors that did not contribute in the quarter before")
    changes: str = Field(default="", description="salted SHA-256 commitment to the registered changes")
    compared: Names = Field(default=(), description="`class:group` of changes that enough companies registered to be compared")
    parameters: dict[str, Any] = Field(description="config/privacy.toml as read")
    plan: dict[str, Any] = Field(description="config/release_plan.toml as read")

    @property
    def hash(self) -> str:
        """Digest of the whole plan."""
        return digest(self.model_dump(mode="json"))

    @property
    def release_plan(self) -> ReleasePlan:
        """The questions."""
        return _release_plan(orjson.dumps(self.plan))

    @property
    def privacy(self) -> PrivacyParameters:
        """The privacy parameters."""
        return _privacy(orjson.dumps(self.parameters))

    def measured(self) -> tuple[Measure, ...]:
        """The measures on which budget is spent: those collected by enough companies, in enough companies' data."""
        if self.contributors < self.privacy.companies.minimum:
            return ()
        return tuple(
            m
            for m in self.release_plan.measures
            if m.outcome_kind not in self.not_collected and (self.compared or m.event is not Event.CHANGE_OUTCOME)
        )

    def rho_of(self, measure: "Measure | str") -> Fraction:
        """Exact rho of a measure, or of whatever else the split names."""
        return Fraction(self.rho) * self.privacy.split[measure if isinstance(measure, str) else measure.name]

    def searched(self) -> tuple[TermSearch, ...]:
        """The searches for terms on which budget is spent: in enough companies' data, by a plan that has a δ for thresholds."""
        enough = self.contributors >= self.privacy.companies.minimum
        return self.release_plan.terms if enough and Fraction(self.threshold_delta) > 0 else ()

    def threshold_delta_of(self, search: TermSearch) -> Fraction:
        """Exact δ of a search for terms."""
        return Fraction(self.threshold_delta) * self.privacy.threshold_split[search.name]


def load_release_plan(path: Path, privacy: PrivacyParameters) -> ReleasePlan:
    """Reads `release_plan.toml` and checks it against the split. Raises UsageError where either breaks a rule."""
    try:
        plan = ReleasePlan.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        plan = None
    if plan is None:
        raise UsageError("release_plan.toml cannot be read or breaks a rule.", "docs/guides/plan.md has each field.")
    if not all(_nested(measure.marginals) for measure in plan.measures):
        # Else withheld cells, each alone in a line of another marginal, may follow from all that is published.
        raise UsageError(
            "In release_plan.toml what a marginal shares with each of the others is not nested: withheld cells might follow.",
            "Make the marginals measures of their own.",
        )
    searches = {name for search in plan.terms for name in (search.name, search.tracked)}
    if {m.name for m in plan.measures} | searches != set(privacy.split):
        raise UsageError("The split in privacy.toml does not name the measures of release_plan.toml, each once.")
    if {search.name for search in plan.terms} != set(privacy.threshold_split):
        raise UsageError("The split of δ in privacy.toml does not name the searches for terms of release_plan.toml, each once.")
    return plan
