"""The pool on one machine: where things lie below its root, and which configuration, keys and state it uses."""

import secrets
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, BeforeValidator, ByteSize, ConfigDict, Field

from flows.at_rest import KeyFolder, new_secret, private_folder
from flows.machine import Machine, free_disk, this_machine
from intake.acceptance import PoolDoor
from intake.catalogue import Catalogue
from intake.drop import below
from intake.limits import DEFAULT_LIMITS, MIB
from intake.registry import Registry, load_registry
from publish.path import State, has_reached
from publish.store import states
from schemas.at_rest import KEY_BYTES, NoLongerHeldError, Room
from schemas.errors import InternalError, OutOfSpaceError, UsageError
from schemas.parameters import PrivacyParameters, load_privacy_parameters
from schemas.periods import Quarter
from schemas.plan import ReleasePlan, load_release_plan
from schemas.storage import Place, place_at

if TYPE_CHECKING:
    from pyrage.x25519 import Identity  # type: ignore[import-untyped]
    from sqlalchemy import Engine

    from aggregate.bounding import MeasurementSettings
    from aggregate.ledger import Ledger
    from anonymize.settings import ScrubSettings
    from publish.signoff import People
    from schemas.emerging import ProductChange


POOL_KEY, POOL_IDENTITIES = "pool.key", "pool.age"
SAMPLING_SECRET = "sampling.key"  # noqa: S105  (a file's name)
RELEASE_KEY, MEMBERS_KEY = "release.key", "members.key"
"""Files below `secrets/`."""


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Size = Annotated[ByteSize, BeforeValidator(lambda given: given or 0)]
"""Bytes, like "4GB"; empty or 0: the machine says (`flows.machine`)."""


class MeasurementLimits(_Settings):
    """What DuckDB may use; what is empty or 0 follows from the machine."""

    memory_limit: Size = ByteSize(0)
    threads: int = Field(default=0, ge=0)
    disk_limit: Size = ByteSize(0)


class ScrubLimits(_Settings):
    """What the scrub may use; 0 workers: one a core, as far as there is memory for them. A `cluster` has workers of its own."""

    workers: int = Field(ge=0)
    cluster: str = Field(default="", pattern=r"^$|^(tcp|tls)://[^/\s@]+:\d{1,5}$")


class IntakeLimits(_Settings):
    """How long reading one submission may take at most, and how much of the disk a submission must leave free."""

    most_seconds: int = Field(default=DEFAULT_LIMITS.most_seconds, ge=1)
    keep_free_mib: int = Field(default=1024, ge=0)


class HealthLimits(_Settings):
    """When `commons status --health` finds that something waits too long."""

    queue_hours: int = Field(default=48, ge=1)


class Storage(_Settings):
    """Where the accepted and the scrubbed records lie: a folder, from the root, or `s3://bucket/prefix`; empty: the root."""

    records: str = ""


class Retention(_Settings):
    """For how many days records are held, from the end of their quarter, and what else is kept, from when it was written."""

    accepted_days: int = Field(ge=1)
    scrubbed_days: int = Field(ge=1)
    answers_days: int = Field(ge=1)
    leftovers_days: int = Field(ge=1)


class PoolSettings(_Settings):
    """All of `config/pool.toml`."""

    drops: str = Field(min_length=1)
    database: str = ""
    intake: IntakeLimits = IntakeLimits()
    health: HealthLimits = HealthLimits()
    storage: Storage = Storage()
    measurement: MeasurementLimits
    scrub: ScrubLimits
    retention: Retention


@dataclass(frozen=True)
class KeysOfAccepted:
    """Keys of the accepted records, for the door. A new one is a file only once `keep` says so: what is refused leaves none."""

    folder: KeyFolder
    catalogue: Catalogue
    _new: dict[tuple[Quarter, str], bytes] = field(default_factory=dict, repr=False)

    def __call__(self, quarter: Quarter, company: str) -> bytes:
        """The key, or the one that it will be. Raises NoLongerHeldError where it was destroyed, InternalError where it is lost."""
        room = Room.ACCEPTED  # a lost key is not made anew: half of the quarter would be under another one
        if self.folder.exists(room, quarter, company) or self.catalogue.accepted(quarter, company):
            return self.folder.existing(room, quarter, company)
        if self.folder.destroyed(room, quarter, company):
            raise NoLongerHeldError
        return self._new.setdefault((quarter, company), secrets.token_bytes(KEY_BYTES))

    def keep(self, quarter: Quarter, company: str, key: bytes) -> bytes:
        """Makes it the key, where there is none; returns the one that holds."""
        return self.folder.keep(Room.ACCEPTED, quarter, company, key)


def packaged_config(name: str) -> Path:
    """A configuration file as it ships with the project."""
    return Path(str(files("config").joinpath(name)))


@dataclass(frozen=True)
class Pool:
    """A pool below one root folder. A file in `<root>/config/` takes the place of the packaged one of the same name."""

    root: Path

    def room(self, room: Room) -> Place:
        """Where records of a room lie. Raises UsageError where `[storage]` of `pool.toml` names no place."""
        return place_at(self.settings.storage.records, self.root) / room

    @property
    def accepted(self) -> Place:
        """Validated records, rewritten by the pool, before the scrub."""
        return self.room(Room.ACCEPTED)

    @property
    def scrubbed(self) -> Place:
        """Scrubbed records: the only thing that is measured."""
        return self.room(Room.SCRUBBED)

    @property
    def releases(self) -> Path:
        """Published releases and their catalogue."""
        return self.root / "releases"

    @property
    def members(self) -> Path:
        """What members alone are told, beside the releases."""
        return self.root / "members"

    @property
    def scratch(self) -> Path:
        """Temporary files of the measurement."""
        return self.root / "scratch"

    def config(self, name: str) -> Path:
        """A configuration file: the pool's own, or the packaged one."""
        own = self.root / "config" / name
        return own if own.exists() else packaged_config(name)

    @cached_property
    def settings(self) -> PoolSettings:
        """`pool.toml`. Raises UsageError where it breaks a rule."""
        try:
            return PoolSettings.model_validate(tomllib.loads(self.config("pool.toml").read_text(encoding="utf-8")))
        except (OSError, ValueError):
            pass
        raise UsageError("pool.toml cannot be read or breaks a rule.", "Compare it with config/pool.toml of this version.")

    @cached_property
    def retention(self) -> Retention:
        """`[retention]` of `pool.toml`. Raises UsageError where records would be gone before they are measured, or superseded."""
        retention = self.settings.retention
        if not self.privacy.close_days < retention.accepted_days <= retention.scrubbed_days:
            raise UsageError(
                "The retention in pool.toml is too short.",
                "accepted_days must be over close_days of privacy.toml, and scrubbed_days no less than accepted_days.",
            )
        return retention

    @cached_property
    def privacy(self) -> PrivacyParameters:
        """`privacy.toml`."""
        return load_privacy_parameters(self.config("privacy.toml"))

    @cached_property
    def release_plan(self) -> ReleasePlan:
        """`release_plan.toml`."""
        return load_release_plan(self.config("release_plan.toml"), self.privacy)

    @cached_property
    def registry(self) -> Registry:
        """`companies.toml`."""
        return load_registry(self.config("companies.toml"))

    @cached_property
    def changes(self) -> "tuple[ProductChange, ...]":
        """`changes.toml`: registered changes of models and products. Not in `config/`, which approvers read.

        Raises UsageError where it breaks a rule, or lies there.
        """
        from flows.changes import NAME, load_changes

        own = self.root / "changes" / NAME
        if (self.root / "config" / NAME).exists():
            raise UsageError(f"{NAME} lies in config/, where approvers can read it.", f"Move it to changes/{NAME}.")
        return load_changes(own if own.exists() else packaged_config(NAME), self.registry)

    @cached_property
    def people(self) -> "People":
        """`people.toml`."""
        from publish.signoff import load_people

        return load_people(self.config("people.toml"))

    @cached_property
    def scrub_settings(self) -> "ScrubSettings":
        """`scrub.toml` and `helplines.toml`."""
        from anonymize.settings import load_scrub_settings

        return load_scrub_settings(self.config("scrub.toml"), self.config("helplines.toml"))

    @cached_property
    def engine(self) -> "Engine":
        """The state database, with every room's tables. Raises UsageError where it has to be migrated first."""
        from flows.state import open_state, state_url

        return open_state(state_url(self.root, self.settings.database))

    @cached_property
    def catalogue(self) -> Catalogue:
        """The catalogue of submissions."""
        return Catalogue(self.engine)

    @cached_property
    def ledger(self) -> "Ledger":
        """The privacy ledger."""
        from aggregate.ledger import Ledger
        from aggregate.mechanisms.conversion import epsilon_of

        return Ledger(self.engine, self.privacy.budget, epsilon_of)

    def drop_url(self, company: str) -> str:
        """Where a company's submissions arrive: a place of its own below the pool's drops."""
        return below(self.settings.drops, company, self.root)

    @property
    def identities(self) -> "tuple[Identity, ...]":
        """The age identities that submissions are sealed to, the first the one that companies are told of; made at first use.

        Raises InternalError where they are lost.
        """
        from intake.sealing import identities_of, new_identity

        return identities_of(self._secret(POOL_IDENTITIES, new_identity))

    @property
    def keys_at_rest(self) -> KeyFolder:
        """Keys of the accepted and the scrubbed records."""
        return KeyFolder(self.root / "secrets" / "at_rest")

    @property
    def door(self) -> PoolDoor:
        """What intake is handed."""
        measured = frozenset(
            Quarter.parse(quarter) for (quarter, _), state in states(self.engine).items() if has_reached(state, State.MEASURED)
        )
        keys, limits = KeysOfAccepted(self.keys_at_rest, self.catalogue), self.settings.intake
        return PoolDoor(
            accepted=self.accepted,
            staging=self.root / "staging",
            answers=self.root / "answers",
            registry=self.registry,
            catalogue=self.catalogue,
            signing_key=self.secret(POOL_KEY),
            key_at_rest=keys,
            keep_key=keys.keep,
            measured=measured,
            limits=replace(DEFAULT_LIMITS, most_seconds=limits.most_seconds),
            keep_free=self.keep_free,
        )

    @property
    def keep_free(self) -> int:
        """Bytes of each disk that are left alone."""
        return self.settings.intake.keep_free_mib * MIB

    @cached_property
    def machine(self) -> Machine:
        """What this machine may give."""
        return this_machine()

    @property
    def scrub_workers(self) -> int:
        """Processes of the scrub."""
        return self.settings.scrub.workers or self.machine.workers

    @property
    def measurement_settings(self) -> "MeasurementSettings":
        """What DuckDB may use. Raises OutOfSpaceError where less of the disk is free than has to be left alone."""
        from aggregate.bounding import MeasurementSettings

        limits, free = self.settings.measurement, free_disk(self.scratch)
        memory = limits.memory_limit or self.machine.measure_memory
        if free <= self.keep_free:
            raise OutOfSpaceError(
                f"Measuring needs disk: {free:,} bytes are free, and {self.keep_free:,} have to stay so.",
                "Free some below the pool's root, or lower `keep_free_mib` in pool.toml; then run the same command.",
            )
        return MeasurementSettings(
            memory_limit=f"{memory}B",
            threads=limits.threads or self.machine.threads(memory),
            disk_limit=f"{limits.disk_limit or free - self.keep_free}B",
            terms_memory=f"{self.machine.terms_memory}B",
        )

    def secret(self, name: str) -> bytes:
        """A secret of the pool, 32 bytes, made at first use in `<root>/secrets/` and readable by its owner only.

        Raises InternalError where it is lost: what was made with it would not go with another one.
        """
        return self._secret(name, partial(secrets.token_bytes, KEY_BYTES))

    def _secret(self, name: str, new: Callable[[], bytes]) -> bytes:
        path = self.root / "secrets" / name
        if not path.exists():
            if name in self.secrets_in_use:
                raise InternalError(
                    "A key of the pool is not there.",
                    "Restore secrets/ from a backup: another key would not go with what is there.",
                )
            private_folder(path.parent)
            new_secret(path, new())
        return path.read_bytes()

    @property
    def secrets_in_use(self) -> frozenset[str]:
        """Names of the pool's own secrets with which something was made."""
        taken, planned = bool(self.catalogue.audit_rows()), bool(self.ledger.entries())
        published = any(has_reached(state, State.PUBLISHED) for state in states(self.engine).values())
        told = published and any(self.members.glob("*"))
        used = {POOL_KEY: taken, POOL_IDENTITIES: taken, SAMPLING_SECRET: planned, RELEASE_KEY: published, MEMBERS_KEY: told}
        return frozenset(name for name, is_used in used.items() if is_used)

    def scrubbed_key(self, quarter: Quarter, company: str) -> bytes:
        """The key of scrubbed records, made before the first of them. Raises NoLongerHeldError where it was destroyed, InternalError where it is lost."""
        known = (self.scrubbed / str(quarter) / company).exists()
        return (self.keys_at_rest.existing if known else self.keys_at_rest)(Room.SCRUBBED, quarter, company)
