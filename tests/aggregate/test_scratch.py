"""The scratch database: what it leaves, and what others left."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from aggregate.scratch import scratch_database

HOLDS = """
import sys
from pathlib import Path
from aggregate.scratch import scratch_database
with scratch_database(Path(sys.argv[1]), "100MB", 1, "1GB") as connection:
    connection.execute("create table held as select 1 as x")
    print("there", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Another process that is in the midst of a measurement."""
    command = [sys.executable, "-c", HOLDS, tmp_path]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"there\n"
    yield process
    process.kill()
    process.wait()


def folders(scratch: Path) -> list[Path]:
    return sorted(scratch.iterdir())


def test_nothing_is_left_whether_it_ends_well_or_not(tmp_path: Path) -> None:
    for ends in (nullcontext(), pytest.raises(KeyboardInterrupt)):
        with ends, scratch_database(tmp_path, "100MB", 1, "1GB") as connection:
            connection.execute("create table t as select range from range(10)")
            assert folders(tmp_path)
            if not isinstance(ends, nullcontext):
                raise KeyboardInterrupt
        assert folders(tmp_path) == []


def test_what_a_killed_process_left_goes_with_the_next(tmp_path: Path, holder: "subprocess.Popen[bytes]") -> None:
    holder.kill()
    holder.wait()
    (left,) = folders(tmp_path)
    with scratch_database(tmp_path, "100MB", 1, "1GB"):
        assert left not in folders(tmp_path) and len(folders(tmp_path)) == 1


def test_what_is_in_use_stays(tmp_path: Path, holder: "subprocess.Popen[bytes]") -> None:
    (used,) = folders(tmp_path)
    with scratch_database(tmp_path, "100MB", 1, "1GB"), scratch_database(tmp_path, "100MB", 1, "1GB"):
        assert used in folders(tmp_path) and len(folders(tmp_path)) == 3
    assert folders(tmp_path) == [used]
    assert holder.communicate(b"")[0] == b"" and holder.returncode == 0
    assert folders(tmp_path) == []
