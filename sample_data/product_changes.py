"""Registered changes of models and products: who has them when, what they move, and the registry that a pool reads."""

from datetime import UTC, date, datetime
from typing import Any

import numpy as np

from sample_data.draws import Bools, Floats, Ints, stream
from sample_data.emerging_plants import ChangePlant
from sample_data.parameters import SimulationParameters
from sample_data.population import Records, Users
from schemas.emerging import ProductChange
from schemas.periods import Quarter

CONTROL_ARM, CHANGED_ARM = "old", "new"
STANDING = (("tone-1", "a"), ("tone-1", "b"))
"""The experiment in which some users always are. It moves nothing."""


def seconds_until(quarter: Quarter, day: date) -> float:
    """Seconds from the start of a quarter to the start of a day, UTC; negative before it."""
    return (datetime(day.year, day.month, day.day, tzinfo=UTC) - quarter.start).total_seconds()


def _drawn(p: SimulationParameters, quarter: Quarter, change: ChangePlant, users: Users) -> Floats:
    """One number for each user: when a staged change reaches it, or which arm it is in."""
    return stream(p.seed, quarter, "change", p.changes.index(change)).random(len(users.company))


def changed(p: SimulationParameters, quarter: Quarter, users: Users, records: Records, change: ChangePlant) -> Bools:
    """Which records a change has reached."""
    drawn = _drawn(p, quarter, change, users)
    if change.experiment:
        return _on_trial(p, quarter, users, records, change) & (drawn < change.arm_share)[records.user]
    start = seconds_until(quarter, change.at)
    length = seconds_until(quarter, change.settled) - start if change.settled else 0.0
    return _concerned(p, users, records, change) & (records.second >= (start + length * drawn)[records.user])


def _concerned(p: SimulationParameters, users: Users, records: Records, change: ChangePlant) -> Bools:
    concerned: Bools = p.companies_of(change)[users.company][records.user]
    return concerned


def _on_trial(p: SimulationParameters, quarter: Quarter, users: Users, records: Records, change: ChangePlant) -> Bools:
    """Which records are of an experiment, in whichever arm."""
    runs = _concerned(p, users, records, change) & (records.second >= seconds_until(quarter, change.at))
    return runs & (records.second < seconds_until(quarter, change.settled)) if change.settled else runs


def experiments(
    p: SimulationParameters, quarter: Quarter, users: Users, records: Records
) -> tuple[tuple[tuple[str, str], ...], Ints]:
    """All arms as (experiment, arm), and the arm of each record by its place there, -1 where it is in none."""
    arms, found = [*STANDING], users.arm[records.user]
    for change in p.changes:
        if change.experiment:
            arm = (_drawn(p, quarter, change, users) < change.arm_share)[records.user]
            found = np.where(_on_trial(p, quarter, users, records, change), len(arms) + arm, found)
            arms += [(change.experiment, CONTROL_ARM), (change.experiment, CHANGED_ARM)]
    return tuple(arms), found


def registered(p: SimulationParameters) -> tuple[ProductChange, ...]:
    """The entries of the registry: one for each change and company."""
    return tuple(
        ProductChange.model_validate({"company": company, **_entry(change)})
        for change in p.changes
        for company in change.companies or p.company_ids
    )


def _entry(change: ChangePlant) -> dict[str, Any]:
    told: dict[str, Any] = {"change_class": change.change_class, "at": change.at}
    if change.experiment:
        told |= {"experiment": change.experiment, "arm": CHANGED_ARM}
    if change.experiment and change.arm_share != 0.5:
        told["arm_share"] = change.arm_share
    if change.settled:
        told["settled"] = change.settled
    return told


def registry_text(p: SimulationParameters) -> str:
    """The registry as `config/changes.toml` has it."""
    entries = []
    for change in registered(p):
        fields = change.model_dump(mode="python", exclude_defaults=True)
        lines = (f'{name} = "{value}"' if isinstance(value, str) else f"{name} = {value}" for name, value in fields.items())
        entries.append("\n".join(["[[change]]", *lines, ""]))
    return "\n".join(entries)
