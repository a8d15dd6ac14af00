"""Roles and what each may do with what lies in the pool: one declared matrix, and the owner, group and mode that it amounts to."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.errors import UsageError

Right = Literal["none", "read", "write"]


class Role(StrEnum):
    """Who has to do with a pool."""

    COMPANY = "company"
    OPERATOR = "operator"
    REVIEWER = "reviewer"
    PRIVACY = "privacy"
    CLINICAL = "clinical"
    RESEARCHER = "researcher"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Accounts(_Part):
    """Account of each role on this machine: a name, or a number. Raises nothing here; `flows.protecting` looks them up."""

    company: str
    operator: str
    reviewer: str
    privacy: str
    clinical: str
    researcher: str
    group: str
    companies: Mapping[str, str] = Field(default_factory=dict)
    groups: Mapping[str, str] = Field(default_factory=dict)

    def of(self, role: Role, company: str = "") -> str:
        """The account of a role; of a company, its own."""
        if role is Role.COMPANY:
            return self.companies.get(company, self.company.format(company=company))
        return str(getattr(self, role))

    def group_of(self, name: str) -> str:
        """The group of several accounts that have to do with an object."""
        return self.groups.get(name, self.group.format(object=name))


class Roles(_Part):
    """All of `config/roles.toml`."""

    accounts: Accounts
    objects: Mapping[str, str]
    matrix: Mapping[str, Mapping[Role, Right]]

    @model_validator(mode="after")
    def _whole(self) -> "Roles":
        if set(self.objects) != set(self.matrix):
            raise ValueError("objects and matrix differ")
        if any(PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts for path in self.objects.values()):
            raise ValueError("an object lies outside the root")
        for name, row in self.matrix.items():
            shared = "{company}" not in self.objects[name]
            if shared and row.get(Role.COMPANY, "none") == "write":
                raise ValueError("companies would write in one place")
        return self


@dataclass(frozen=True)
class Place:
    """One folder and who may do what with it. `company` is set where it is one company's own."""

    name: str
    path: PurePosixPath
    company: str
    rights: Mapping[Role, Right]

    def right(self, role: Role, company: str = "") -> Right:
        """What a role may do here; a company only where the place is its own, or is everyone's."""
        if role is Role.COMPANY and self.company not in ("", company):
            return "none"
        return self.rights.get(role, "none")


@dataclass(frozen=True)
class Protection:
    """Owner and group (account names; empty: root), and modes of folders and files, that give a place its rights.

    `members` are the accounts of a group of several; empty where the group is an account's own.
    """

    path: PurePosixPath
    owner: str
    group: str
    folder_mode: int
    file_mode: int
    members: tuple[str, ...] = ()
    contents: bool = True  # whether it holds for what lies in it too


def load_roles(path: Path) -> Roles:
    """Reads `roles.toml`. Raises UsageError where it is missing or breaks a rule."""
    try:
        return Roles.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        pass
    raise UsageError("roles.toml cannot be read or breaks a rule.", "Compare it with config/roles.toml of this version.")


def places(roles: Roles, companies: Iterator[str] | tuple[str, ...]) -> list[Place]:
    """Every object of the matrix, those of companies once for each."""
    listed, found = tuple(companies), []
    for name, path in roles.objects.items():
        own = "{company}" in path
        for company in listed if own else ("",):
            found.append(Place(name, PurePosixPath(path.format(company=company)), company, roles.matrix[name]))
    return found


def protection(place: Place, accounts: Accounts) -> Protection:
    """What owner, group and modes give a place just its rights. Raises UsageError where they cannot."""
    rights = {role: place.rights.get(role, "none") for role in Role}
    writers = [role for role, right in rights.items() if right == "write"]
    readers = [role for role, right in rights.items() if right == "read"]
    everyone = "none" not in rights.values()
    if (len(writers) > 1 and readers and not everyone) or (
        readers and Role.COMPANY in readers and not place.company and not everyone
    ):
        raise UsageError(
            f"The rights of `{place.name}` are more than owner and group can hold.",
            "Give one writer with readers, several writers, or read to everyone.",
        )
    several = writers if len(writers) > 1 else [] if everyone else readers
    names = tuple(accounts.of(role, place.company) for role in several)
    own = accounts.of(writers[0], place.company) if len(writers) == 1 else ""
    label = f"{place.name}-{place.company}" if place.company else place.name
    group = names[0] if len(names) == 1 else accounts.group_of(label) if names else own
    other = 0o5 if everyone else 0
    if len(writers) > 1:
        return Protection(place.path, "", group, 0o2770 | other, 0o660 | other & 4, names)
    # Whoever is in the group is asked as the group, not as anybody: what all may read the group must be let to read too.
    shared, shared_file = (0o2050, 0o40) if names else (0o050, 0o40) if everyone else (0, 0)
    folder, file = 0o700 | shared | other, 0o600 | shared_file | other & 4
    return Protection(place.path, own, group, folder, file, names if len(names) > 1 else ())


def protections(roles: Roles, companies: tuple[str, ...]) -> list[Protection]:
    """Everything that is set below a root, from the root down.

    Everyone may pass through the root, nobody else lists it; the operator adds to it, and (sticky) removes only its own.
    """
    accounts, operator = roles.accounts, roles.accounts.of(Role.OPERATOR)
    found = [Protection(PurePosixPath(), "", operator, 0o1771, 0o644, contents=False)]
    seen: set[PurePosixPath] = set()
    for place in places(roles, companies):
        own = protection(place, accounts)
        for above in reversed(place.path.parents[:-1]):
            if above in seen:
                continue
            seen.add(above)
            if place.company and place.company in above.parts:  # the drop itself: its company and the operator look into it
                label = accounts.group_of(f"drop-{place.company}")
                members = (accounts.of(Role.COMPANY, place.company), operator)
                found.append(Protection(above, "", label, 0o750, 0o640, members, contents=False))
            else:
                found.append(Protection(above, "", operator, 0o751, 0o640, contents=False))
        # What a company put into its own drop is not touched: a link there could lead anywhere.
        written_by_company = place.rights.get(Role.COMPANY) == "write"
        found.append(own if not written_by_company else Protection(**{**vars(own), "contents": False}))
    return found
