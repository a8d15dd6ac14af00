"""The registry of companies: who may submit, under which agreement, with which keys, how much and how often."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from intake.limits import DEFAULT_LIMITS
from intake.settings import in_entry, read_toml, told
from schemas.errors import UsageError
from schemas.fields import Slug
from schemas.signing import decode_key

if TYPE_CHECKING:
    from intake.catalogue import AcceptedSubmission  # not loaded with it: a company that checks at home needs no database


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class CompanyKey(_Entry):
    """A signing key with its validity, both days included. Validities may overlap: so keys are changed without a gap."""

    key_id: Slug
    public_key: str
    valid_from: date
    valid_until: date

    @field_validator("public_key")
    @classmethod
    def _is_a_key(cls, text: str) -> str:
        try:
            decode_key(text)
        except UsageError:
            text = ""
        if not text:
            raise ValueError("it is no Ed25519 key in base64")
        return text

    @model_validator(mode="after")
    def _in_order(self) -> "CompanyKey":
        if self.valid_until < self.valid_from:
            raise ValueError("a key ends before it begins")
        return self

    def valid_at(self, moment: datetime) -> bool:
        """Whether the key holds at a UTC moment."""
        return self.valid_from <= moment.astimezone(UTC).date() <= self.valid_until


class Quota(_Entry):
    """What a company may bring: see `intake.quotas`."""

    records_a_quarter: int = Field(default=5_000_000, ge=1)
    users_a_quarter: int = Field(default=1_000_000, ge=1)
    bytes_a_submission: int = Field(default=DEFAULT_LIMITS.submission_bytes, ge=1)
    submissions_a_day: int = Field(default=200, ge=1)


class Schedule(_Entry):
    """When a company's exports are expected, in UTC. `day` counts from 1: of the week (Monday) or of the month (to 28)."""

    every: Literal["daily", "weekly", "monthly"]
    day: int = Field(default=1, ge=1, le=28)
    hour: int = Field(default=0, ge=0, le=23)
    grace_hours: int = Field(default=24, ge=0, le=240)

    @model_validator(mode="after")
    def _of_a_week(self) -> "Schedule":
        if self.every == "weekly" and self.day > 7:
            raise ValueError("a week has seven days")
        return self

    def due(self, now: datetime) -> datetime:
        """The last moment at or before `now` at which an export was due."""
        today = now.astimezone(UTC).replace(hour=self.hour, minute=0, second=0, microsecond=0)
        if self.every == "daily":
            return today if today <= now else today - timedelta(days=1)
        if self.every == "weekly":
            found = today - timedelta(days=(today.isoweekday() - self.day) % 7)
            return found if found <= now else found - timedelta(days=7)
        found = today.replace(day=self.day)
        return found if found <= now else (found.replace(day=1) - timedelta(days=1)).replace(day=self.day)


class Company(_Entry):
    """One registered company. `not_collected` names outcome kinds that it does not collect: a public fact."""

    id: Slug
    agreement_id: Slug
    synthetic: bool = False
    not_collected: tuple[str, ...] = ()
    keys: tuple[CompanyKey, ...] = Field(alias="key", min_length=1)
    quota: Quota = Quota()
    schedule: Schedule | None = None

    @model_validator(mode="after")
    def _names(self) -> "Company":
        if not self.id[0].isalnum():
            raise ValueError("an id names folders, so it begins with a letter or a digit")
        if len({key.key_id for key in self.keys}) < len(self.keys):
            raise ValueError("a key id stands twice")
        return self

    def key(self, key_id: str) -> CompanyKey | None:
        """The key of that id, or None."""
        return next((key for key in self.keys if key.key_id == key_id), None)


def folded(name: str) -> str:
    """A name as it is compared: two that look the same by compatibility or case fold to the same."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


_NAMES = {field.alias or name for model in (Company, CompanyKey, Quota, Schedule) for name, field in model.model_fields.items()}


@dataclass(frozen=True)
class Registry:
    """All registered companies by id. No two ids fold to the same name."""

    companies: Mapping[str, Company]

    def find(self, company: str) -> Company | None:
        """The company of exactly this id. A spelling that only folds to one is nobody's: it is not taken for the company."""
        return self.companies.get(company) if folded(company) == company else None


def load_registry(path: Path) -> Registry:
    """Reads `companies.toml`. Raises UsageError where it is missing or breaks a rule: it says where, by place and never by value."""
    raw = read_toml(path)
    entries, wrong = raw.get("company", []), list[str]()
    if not set(raw) <= {"company"} or not isinstance(entries, list):
        entries, wrong = [], ["there is something besides [[company]] entries"]
    companies = dict[int, Company]()
    for number, entry in enumerate(entries, start=1):
        try:
            companies[number] = Company.model_validate(entry)
        except ValidationError as error:
            wrong += [f"company {number}{place}" for place in in_entry(error, _NAMES)]
    wrong = wrong or _named_twice(companies)
    if wrong:
        raise UsageError(
            f"companies.toml is not right: {told(wrong)}.",
            "Entries count from 1, from the top. Register each company once, each key with one company.",
        )
    return Registry({company.id: company for company in companies.values()})


def _named_twice(companies: Mapping[int, Company]) -> list[str]:
    ids, keys, wrong = dict[str, int](), dict[bytes, int](), list[str]()
    for number, company in companies.items():
        if (first := ids.setdefault(folded(company.id), number)) != number:
            wrong.append(f"company {number} has the id of company {first}, or one that looks like it")
        for place, key in enumerate(company.keys, start=1):
            raw = decode_key(key.public_key)
            if raw in keys:
                wrong.append(f"company {number}, key {place} is also a key of company {keys[raw]}")
            keys.setdefault(raw, number)
    return wrong


@dataclass(frozen=True, order=True)
class MissedExport:
    """An export that was due and did not come: since when it is missed, and when the last one was accepted (or None)."""

    company: str
    due: datetime
    last: datetime | None = None


class AcceptedList(Protocol):
    """What `missed` asks of the catalogue."""

    def accepted(self, quarter: None = None, company: str | None = None) -> "Sequence[AcceptedSubmission]":
        """Accepted submissions of a company."""


def missed(registry: Registry, catalogue: AcceptedList, now: datetime) -> list[MissedExport]:
    """Companies whose last due export has not been accepted, its grace over. An export may come early by the grace."""
    found = []
    for company in registry.companies.values():
        if company.schedule is None:
            continue
        grace = timedelta(hours=company.schedule.grace_hours)
        due = company.schedule.due(now - grace)
        if due.date() < min(key.valid_from for key in company.keys):
            continue  # it had no key yet
        moments = [datetime.fromisoformat(s.receipt["received_at"]) for s in catalogue.accepted(company=company.id)]
        last = max(moments, default=None)
        if last is None or last < due - grace:
            found.append(MissedExport(company.id, due, last))
    return sorted(found)
