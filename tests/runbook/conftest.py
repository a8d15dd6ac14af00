"""What a rehearsal needs: a filled pool, small disks, and a console whose output the runbook must have quoted rightly."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rehearsing import Console, SmallDisk, with_settings
from runbook import RUNBOOK, is_printed, messages

sys.path.append(str(Path(__file__).parents[1] / "flows"))

from flows.pool import Pool


@pytest.fixture
def console(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Iterator[Console]:
    """A console of which the runbook quotes what it has printed by the end of the test."""
    made = Console(capsys)
    yield made
    quoted = messages(RUNBOOK.read_text(encoding="utf-8"))[request.node.originalname]
    missing = [each for each in quoted if not is_printed(each, made.lines)]
    assert quoted and not missing, f"the runbook quotes what was not printed: {missing}; printed: {made.lines}"


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool with scrubbed records of one quarter and four registered people."""
    from filled_pool import filled_once

    return filled_once(tmp_path_factory.getbasetemp())


@pytest.fixture
def pool(filled: Path, tmp_path: Path) -> Pool:
    """A copy of the filled pool for each test. It keeps no disk free: its disks are small."""
    shutil.copytree(filled, tmp_path / "pool")
    return with_settings(Pool(tmp_path / "pool"), keep_free_mib="0")


@pytest.fixture
def small_disk() -> Iterator[Callable[..., SmallDisk]]:
    """Mounts one; skipped where that is not allowed."""
    mounted = list[Path]()

    def mount(place: Path, mib: int = 24) -> SmallDisk:
        place.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", place], capture_output=True)
        if done.returncode:
            pytest.skip("a file system cannot be mounted here (it takes root)")
        mounted.append(place)
        return SmallDisk(place)

    yield mount
    for place in mounted:
        subprocess.run(["umount", "-l", place], check=True)
