"""The types that cross rooms. Each stage takes the previous one's type and returns its own, so that none can be skipped."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.emerging import ProductChange
from schemas.findings import Finding
from schemas.manifest import Manifest
from schemas.periods import Quarter
from schemas.plan import RegisteredPlan
from schemas.storage import Place
from schemas.tables import TABLES

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class ValidatedSubmission:
    """A submission of which every accepted record keeps the contract.

    `digest` names its content (SHA-256 of the signed manifest), `files` are the Parquet files that the pool wrote.
    """

    manifest: Manifest
    digest: str
    quarter: Quarter
    accepted: int
    quarantined: int
    findings: tuple[Finding, ...]
    files: tuple[Place, ...]


@dataclass(frozen=True)
class EncryptedFiles:
    """Parquet files that are encrypted under one key (`schemas.at_rest`)."""

    files: tuple[Place, ...]
    key: bytes = field(repr=False)


@dataclass(frozen=True)
class ScrubbedRecords:
    """Scrubbed Parquet of one quarter, by key: the only thing that the measurement reads."""

    quarter: Quarter
    parts: tuple[EncryptedFiles, ...]
    companies: tuple[str, ...]
    newcomers: tuple[str, ...] = ()  # of them, those that did not contribute in the quarter before
    changes: tuple[ProductChange, ...] = field(default=(), repr=False)  # registered changes of the quarter


@dataclass(frozen=True)
class NoisyTable:
    """One public table: rows in the column order of `schemas.tables.columns`, sorted by key."""

    name: str
    rows: "pa.Table" = field(repr=False)


@dataclass(frozen=True)
class Spend:
    """What a release and its year have cost, in rho (exact, as text) and in (epsilon, delta)."""

    rho: str
    epsilon: float
    delta: float
    year: int
    year_rho: str
    year_epsilon: float
    year_delta: float
    entries: tuple[str, ...]  # hashes of the ledger entries


@dataclass(frozen=True)
class MeasuredRelease:
    """What the measurement hands to the release: noisy tables, the plan that they answer, and what they cost."""

    quarter: Quarter
    version: int
    plan: RegisteredPlan
    tables: tuple[NoisyTable, ...]
    spend: Spend
    members_digest: str = ""  # of the table of terms for members, where terms are looked for

    @property
    def cell_tables(self) -> tuple[NoisyTable, ...]:
        """The tables whose rows are cells of marginals."""
        return tuple(table for table in self.tables if TABLES[table.name].of_cells)


@dataclass(frozen=True)
class SignOff:
    """One signature under a release: who, in which role, over which content."""

    person: str
    role: str
    signed_at: datetime
    signature: str


@dataclass(frozen=True)
class CheckResult:
    """One check of a release. `stops` says whether a failure stops it; `detail` is fixed text and public numbers."""

    name: str
    passed: bool
    stops: bool
    detail: str


@dataclass(frozen=True)
class Release:
    """A written release folder."""

    quarter: Quarter
    version: int
    folder: Path
    manifest: Mapping[str, Any]
