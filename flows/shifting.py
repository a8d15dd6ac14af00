"""Shifts of each company against its own history, from the scrubbed records that are still held."""

import itertools
from dataclasses import dataclass

from aggregate.shifts import Profile, Shift, profile, shifts
from flows.pool import Pool
from flows.protecting import acting_role
from flows.roles import load_roles
from flows.scrubbing import parts
from schemas.at_rest import NoLongerHeldError, Room
from schemas.errors import NotApprovedError, UsageError
from schemas.periods import Quarter
from schemas.stages import EncryptedFiles

HISTORY = 4
"""Earlier quarters that a quarter is compared with, at most."""


@dataclass(frozen=True)
class CompanyShifts:
    """All shifts of one company in a quarter, the most unusual first, and how many earlier quarters they rest on."""

    company: str
    quarters_before: int
    shifts: tuple[Shift, ...]


def company_shifts(pool: Pool, quarter: Quarter, company: str = "") -> list[CompanyShifts]:
    """Compares each company's quarter (or one company's) with its own earlier ones. Exact: nothing of it is stored.

    Raises NotApprovedError where this account's role may not read scrubbed records, UsageError where there are none.
    """
    roles = load_roles(pool.config("roles.toml"))
    role = acting_role(roles, tuple(pool.registry.companies))
    if role is not None and roles.matrix["scrubbed"].get(role, "none") == "none":
        raise NotApprovedError("Shifts are exact, so they are for the operator alone.", "Use the operator's account.")
    files = _files(pool, quarter)
    names = sorted(name for name in files if company in ("", name))
    if not names:
        raise UsageError(f"No scrubbed records of {quarter} are held.", "`commons status` shows what came in.")
    history = list(itertools.islice(_earlier(pool, quarter), HISTORY))
    found = []
    for name in names:
        now = profile(files[name], pool.scratch)
        before: list[Profile] = [profile(each[name], pool.scratch) for each in history if name in each]
        found.append(CompanyShifts(name, len(before), tuple(shifts(now, before))))
    return sorted(found, key=lambda each: (not any(shift.alarm for shift in each.shifts), each.company))


def _earlier(pool: Pool, quarter: Quarter) -> "itertools.chain[dict[str, EncryptedFiles]]":
    held = sorted({s.quarter for s in pool.catalogue.accepted() if s.quarter < quarter}, reverse=True)
    return itertools.chain(_files(pool, each) for each in held)


def _files(pool: Pool, quarter: Quarter) -> dict[str, EncryptedFiles]:
    """Scrubbed files of a quarter by company; what was purged, or is not scrubbed yet, is not among them."""
    found = {}
    for company, own in itertools.groupby(parts(pool, quarter), key=lambda part: part.company):
        there = tuple(part.target for part in own if part.scrubbed)
        try:
            key = pool.keys_at_rest.existing(Room.SCRUBBED, quarter, company) if there else b""
        except NoLongerHeldError:
            continue
        if there:
            found[company] = EncryptedFiles(there, key)
    return found
