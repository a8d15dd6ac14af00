"""What is deployed of a pool: cron from the registry, and one file that only the operator reads."""

import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.scale_schedule import scheduled
from flows.deployments import cron_of, deployments, write_prefect_file
from flows.pool import Pool
from flows.serving import serve
from intake.registry import Schedule
from schemas.errors import TransportError

if TYPE_CHECKING:
    from postgres_server import Server


@pytest.mark.parametrize(
    ("schedule", "cron"),
    [
        (Schedule(every="daily", hour=3), "0 4 * * *"),
        (Schedule(every="daily", hour=23), "0 0 * * *"),
        (Schedule(every="weekly", day=1, hour=5), "0 6 * * mon"),
        (Schedule(every="weekly", day=7, hour=23), "0 0 * * mon"),
        (Schedule(every="monthly", day=2, hour=0), "0 1 2 * *"),
        (Schedule(every="monthly", day=27, hour=23), "0 0 28 * *"),
        (Schedule(every="monthly", day=28, hour=23), "59 23 28 * *"),  # February has no 29th, most years
    ],
)
def test_a_company_is_looked_for_an_hour_after_its_exports_are_due(schedule: Schedule, cron: str) -> None:
    assert cron_of(schedule) == cron


def test_each_company_the_release_and_retention_are_deployed_once_at_a_time(pool: Pool) -> None:
    made = {each["name"]: each for each in deployments(pool)}
    assert set(made) == {*(f"intake-{company}" for company in pool.registry.companies), "release", "retention"}
    for each in made.values():
        assert each["concurrency_limit"]["limit"] == 1 and each["schedules"][0]["timezone"] == "UTC"
        module, flow = each["entrypoint"].split(":")
        assert hasattr(__import__(module, fromlist=[flow]), flow)
        assert each["parameters"]["root"] == str(pool.root.resolve())


def test_the_file_names_companies_so_only_its_owner_reads_it(pool: Pool) -> None:
    path = write_prefect_file(pool)
    assert path == Path(pool.root / "prefect.yaml") and path.stat().st_mode & 0o077 == 0
    assert len(json.loads(path.read_text())["deployments"]) == len(pool.registry.companies) + 2


@pytest.mark.long
def test_a_server_on_postgresql_schedules_every_deployment(postgres: "Server", tmp_path: Path) -> None:
    """By an account that owns its database and has no other right."""
    postgres.run("create role keeper login", "create database kept owner keeper")
    found = scheduled(tmp_path, f"postgresql+asyncpg://keeper@/kept?host={postgres.folder}&port={postgres.port}")
    assert found["scheduled_deployments"] == 5 and found["scheduled_runs"] >= 5


def test_a_server_that_is_there_already_is_left_alone(pool: Pool) -> None:
    """It is another pool's, as likely as not: its release and its retention have the same names."""
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(TransportError, match="in use"):
        serve(pool, "127.0.0.1", other.getsockname()[1], 1)
    assert not (pool.root / "prefect").exists()
