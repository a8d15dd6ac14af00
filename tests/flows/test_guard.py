"""The border: what the system or a server refuses leaves it as the error that says what to do next, and quotes nothing."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from prefect_server import own_environment

from flows.guard import guarded
from flows.pool import Pool
from schemas.errors import ExitCode, InternalError, OutOfSpaceError, TransportError

COMMONS = Path(sys.executable).parent / "commons"
CANARY = "canary-7f3a"


@pytest.mark.parametrize("number", [errno.ENOMEM, errno.ENOSPC, errno.EDQUOT])
def test_what_the_machine_lacks_is_told_as_that(number: int) -> None:
    def fail() -> None:
        raise OSError(number, os.strerror(number), CANARY)

    with pytest.raises(OutOfSpaceError) as told:
        guarded(fail)
    assert CANARY not in f"{told.value}{told.value.next_step}"


def test_other_errors_of_the_system_are_not_told_as_a_lack() -> None:
    def fail() -> None:
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), CANARY)

    with pytest.raises(InternalError) as told:
        guarded(fail)
    assert CANARY not in f"{told.value}{told.value.next_step}"


def test_a_postgresql_that_takes_no_connection_is_one_that_does_not_answer() -> None:
    with pytest.raises(TransportError) as told:
        guarded(psycopg.connect, f"host=127.0.0.1 port=1 dbname={CANARY}")
    assert CANARY not in f"{told.value}{told.value.next_step}"


def test_a_prefect_server_that_cannot_be_reached_is_no_bug(tmp_path: Path) -> None:
    Pool(tmp_path)
    command = [COMMONS, "ingest", "--root", tmp_path]
    away = own_environment() | {"PREFECT_API_URL": "http://127.0.0.1:1/api", "PREFECT_CLIENT_MAX_RETRIES": "0"}
    done = subprocess.run(command, env=away, capture_output=True, text=True, check=False)
    assert done.returncode == ExitCode.TRANSPORT, done.stderr
    assert "PREFECT_API_URL" in done.stderr
