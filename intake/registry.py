"""The registry of companies: who may submit, under which agreement, with which keys."""

import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from schemas.errors import UsageError
from schemas.fields import Slug
from schemas.signing import decode_key


class CompanyKey(BaseModel):
    """A signing key with its validity, both days included."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    key_id: Slug
    public_key: str
    valid_from: date
    valid_until: date

    def valid_at(self, moment: datetime) -> bool:
        """Whether the key holds at a UTC moment."""
        return self.valid_from <= moment.astimezone(UTC).date() <= self.valid_until


class Company(BaseModel):
    """One registered company. `not_collected` names outcome kinds that it does not collect: a public fact."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    id: Slug
    agreement_id: Slug
    synthetic: bool = False
    not_collected: tuple[str, ...] = ()
    keys: tuple[CompanyKey, ...] = Field(alias="key", min_length=1)

    def key(self, key_id: str) -> CompanyKey | None:
        """The key of that id, or None."""
        return next((key for key in self.keys if key.key_id == key_id), None)


@dataclass(frozen=True)
class Registry:
    """All registered companies by id."""

    companies: Mapping[str, Company]

    def find(self, company: str) -> Company | None:
        """Exact match after Unicode folding, so that no look-alike spelling is a second company."""
        return self.companies.get(unicodedata.normalize("NFKC", company))


def load_registry(path: Path) -> Registry:
    """Reads `companies.toml`. Raises UsageError where it is missing or breaks a rule."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        companies = [Company.model_validate(entry) for entry in raw.get("company", [])]
        keys = [decode_key(key.public_key) for company in companies for key in company.keys]
    except (OSError, ValueError, UsageError):
        companies, keys = [], []
        readable = False
    else:
        readable = len({c.id for c in companies}) == len(companies) and len(set(keys)) == len(keys)
    if not readable:
        raise UsageError(
            "companies.toml cannot be read, or names a company or key twice.",
            "Register each company once in companies.toml of the pool's configuration.",
        )
    return Registry({company.id: company for company in companies})
