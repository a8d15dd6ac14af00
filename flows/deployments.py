"""What a Prefect server is to run of a pool, and when: one file, made from the registry, that `prefect deploy` reads."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flows.pool import Pool
from intake.registry import Company, Schedule

FILE = "prefect.yaml"
WORK_POOL = "commons"

_NIGHTLY = Schedule(every="daily", hour=3)  # where the registry says nothing else
_RELEASE_CRON = "0 6 * * *"  # a day on which there is nothing to do costs nothing
_RETENTION_CRON = "30 4 * * *"
_AT_THE_LATEST = {"release": timedelta(hours=6), "retention": timedelta(hours=5)}  # of the day; to the hour will do
_EVERY_MONTH_HAS = 28
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def cron_of(schedule: Schedule) -> str:
    """A company's schedule as cron has it, in UTC: an hour after exports are due, when they are in (`_later`)."""
    hour, next_day = (schedule.hour + 1) % 24, schedule.hour == 23
    match schedule.every:
        case "daily":
            return f"0 {hour} * * *"
        case "weekly":
            return f"0 {hour} * * {_WEEKDAYS[(schedule.day - 1 + next_day) % 7]}"
        case "monthly" if _ends_the_month(schedule):
            return f"59 {schedule.hour} {schedule.day} * *"
        case "monthly":
            return f"0 {hour} {schedule.day + next_day} * *"


def _ends_the_month(schedule: Schedule) -> bool:
    """Whether an hour later is a day that not every month has."""
    return schedule.every == "monthly" and schedule.hour == 23 and schedule.day == _EVERY_MONTH_HAS


def _later(schedule: Schedule) -> timedelta:
    return timedelta(minutes=59 if _ends_the_month(schedule) else 60)


def last_due(pool: Pool, now: datetime) -> dict[str, datetime]:
    """When each deployment was last due, by its name. Empty where the pool was never deployed; what was deployed since is left out."""
    try:
        since = datetime.fromtimestamp((pool.root / FILE).stat().st_mtime, UTC)
    except FileNotFoundError:
        return {}
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    schedules = {f"intake-{each.id}": each.schedule or _NIGHTLY for each in pool.registry.companies.values()}
    due = {name: schedule.due(now - _later(schedule)) + _later(schedule) for name, schedule in schedules.items()}
    for name, later in _AT_THE_LATEST.items():
        due[name] = midnight + later if midnight + later <= now else midnight + later - timedelta(days=1)
    return {name: moment for name, moment in due.items() if moment > since}


def deployments(pool: Pool) -> list[dict[str, Any]]:
    """Every deployment of a pool: intake of each company, the release, and what retention says is over."""
    return list(_deployments(str(pool.root.resolve()), pool))


def _deployments(root: str, pool: Pool) -> Iterator[dict[str, Any]]:
    for company in sorted(pool.registry.companies.values(), key=lambda each: each.id):
        yield _intake(root, company)
    yield _deployment("release", "flows.quarterly:quarterly", {"root": root}, _RELEASE_CRON)
    yield _deployment("retention", "flows.retention:retention", {"root": root}, _RETENTION_CRON)


def _intake(root: str, company: Company) -> dict[str, Any]:
    cron = cron_of(company.schedule or _NIGHTLY)
    return _deployment(f"intake-{company.id}", "flows.intake:intake", {"root": root, "company": company.id}, cron)


def _deployment(name: str, entrypoint: str, parameters: dict[str, str], cron: str) -> dict[str, Any]:
    return {
        "name": name,
        "entrypoint": entrypoint,
        "parameters": parameters,
        "schedules": [{"cron": cron, "timezone": "UTC", "active": True}],
        "work_pool": {"name": WORK_POOL},
        # A run that takes longer than until the next one is due goes on, and that one is left out: it would only wait in line.
        "concurrency_limit": {"limit": 1, "collision_strategy": "CANCEL_NEW"},
        "enforce_parameter_schema": False,
        "tags": ["incident-commons"],
        "pull": [],  # the code is installed, nothing is fetched
    }


def write_prefect_file(pool: Pool) -> Path:
    """Writes `prefect.yaml` below the pool's root (JSON is YAML). It holds names of companies, so it is the operator's alone."""
    path = pool.root / FILE
    path.touch(mode=0o600)
    path.write_text(json.dumps({"name": "incident-commons", "deployments": deployments(pool)}, indent=1) + "\n", encoding="utf-8")
    return path
