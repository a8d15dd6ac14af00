"""What the machine may give, as its control groups say, and the defaults that follow from it."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.machine import GB, MEASURE_MOST, TERMS_MOST, WORKER, Machine, free_disk, this_machine
from flows.pool import Pool
from schemas.errors import OutOfSpaceError, UsageError

HOST = 64 * GB


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A host's folders `proc` and `groups`, of much memory and without a control group."""
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "groups").mkdir()
    (tmp_path / "proc" / "meminfo").write_text(f"MemFree: 1 kB\nMemTotal:  {HOST // 1024} kB\n")
    (tmp_path / "proc" / "self" / "cgroup").write_text("0::/\n")
    return tmp_path


def found(host: Path) -> Machine:
    return this_machine(host / "proc", host / "groups")


def put(host: Path, path: str, text: str) -> None:
    (host / "groups" / path).parent.mkdir(parents=True, exist_ok=True)
    (host / "groups" / path).write_text(f"{text}\n")


def in_group(host: Path, *lines: str) -> None:
    (host / "proc" / "self" / "cgroup").write_text("".join(f"{line}\n" for line in lines))


def test_a_host_without_limits_gives_what_it_has(host: Path) -> None:
    assert found(host) == Machine(HOST, len(os.sched_getaffinity(0)))
    put(host, "memory.max", "max")
    put(host, "cpu.max", "max 100000")
    assert found(host) == Machine(HOST, len(os.sched_getaffinity(0)))


@pytest.mark.parametrize(
    ("line", "files", "memory"),
    [
        ("0::/", {"memory.max": 3 * GB}, 3 * GB),
        ("0::/system.slice/worker.service", {"system.slice/worker.service/memory.max": 2 * GB}, 2 * GB),
        ("0::/a/b", {"a/memory.max": 2 * GB, "a/b/memory.max": 5 * GB}, 2 * GB),
        ("0::/a/b", {"a/memory.max": "max", "a/b/memory.max": HOST * 2}, HOST),
        ("4:memory:/", {"memory/memory.limit_in_bytes": GB}, GB),
        ("4:memory:/docker/1", {"memory/docker/1/memory.limit_in_bytes": GB}, GB),
        ("4:memory:/docker/1", {"memory/memory.limit_in_bytes": GB}, GB),  # in a container that sees its own tree alone
        ("4:memory:/", {"memory/memory.limit_in_bytes": 2**63 - 4096}, HOST),  # how version 1 says that there is none
        ("0::/../elsewhere", {"memory.max": GB}, GB),
    ],
)
def test_memory_is_the_least_of_the_groups_above_us(host: Path, line: str, files: dict[str, object], memory: int) -> None:
    in_group(host, line)
    for path, text in files.items():
        put(host, path, str(text))
    assert found(host).memory == memory


@pytest.mark.parametrize(
    ("line", "files", "cores"),
    [
        ("0::/a", {"a/cpu.max": "100000 100000"}, 1),
        ("0::/a", {"cpu.max": "50000 100000"}, 1),
        ("1:cpu:/", {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ("1:cpu,cpuacct:/a", {"cpu,cpuacct/a/cpu.cfs_quota_us": "90000", "cpu,cpuacct/a/cpu.cfs_period_us": "100000"}, 1),
        ("1:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, len(os.sched_getaffinity(0))),
    ],
)
def test_cores_are_those_of_the_quota(host: Path, line: str, files: dict[str, str], cores: int) -> None:
    in_group(host, line)
    for path, text in files.items():
        put(host, path, text)
    assert found(host).cores == cores


def test_cores_are_those_that_we_may_run_on() -> None:
    one = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, {{{one}}}); from flows.machine import this_machine; print(this_machine().cores)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout == "1\n"


@pytest.fixture
def small_group() -> Iterator[tuple[Path, int]]:
    """A real control group with a limit of memory."""
    parent = next((path for path in (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")) if path.is_dir()), Path())
    group, limit = parent / f"commons-test-{os.getpid()}", 512 << 20
    try:
        group.mkdir()
        name = next(each for each in ("memory.max", "memory.limit_in_bytes") if (group / each).exists())
        (group / name).write_text(str(limit))
    except (OSError, StopIteration):
        pytest.skip("no control group can be made here (it takes root)")
    yield group, limit
    group.rmdir()


def test_a_real_control_group_is_seen(small_group: tuple[Path, int]) -> None:
    group, limit = small_group
    code = (
        "import os, sys; from pathlib import Path; Path(sys.argv[1], 'cgroup.procs').write_text(str(os.getpid()));"
        "from flows.machine import this_machine; print(this_machine().memory)"
    )
    told = subprocess.run([sys.executable, "-c", code, str(group)], capture_output=True, check=True, text=True).stdout
    assert int(told) == limit < this_machine().memory


@pytest.mark.parametrize(
    ("machine", "measure", "terms", "threads", "workers"),
    [
        (Machine(64 * GB, 32), MEASURE_MOST, TERMS_MOST, 4, 32),
        (Machine(16 * GB, 2), MEASURE_MOST, TERMS_MOST, 2, 2),
        (Machine(4 * GB, 8), 2 * GB, GB // 2, 2, 5),
        (Machine(GB, 4), GB // 2, GB // 8, 1, 1),
    ],
)
def test_all_that_is_open_at_once_fits_into_the_memory(
    machine: Machine, measure: int, terms: int, threads: int, workers: int
) -> None:
    assert (machine.measure_memory, machine.terms_memory, machine.threads(measure), machine.workers) == (
        measure, terms, threads, workers,
    )  # fmt: skip
    assert machine.measure_memory + machine.terms_memory < machine.memory
    assert machine.workers == 1 or machine.workers * WORKER <= machine.memory


def settings(pool: Pool, **changes: str) -> Pool:
    """The pool with other lines in its pool.toml."""
    text = pool.config("pool.toml").read_text()
    for name, value in changes.items():
        lines = [f"{name} = {value}" if line.startswith(f"{name} ") else line for line in text.splitlines()]
        assert lines != text.splitlines()
        text = "\n".join(lines)
    (pool.root / "config").mkdir(exist_ok=True, parents=True)
    (pool.root / "config" / "pool.toml").write_text(text)
    return Pool(pool.root)


def test_what_no_setting_says_follows_from_the_machine(tmp_path: Path) -> None:
    pool, machine = settings(Pool(tmp_path), keep_free_mib="1"), this_machine()
    found = pool.measurement_settings
    assert found.memory_limit == f"{machine.measure_memory}B" and found.terms_memory == f"{machine.terms_memory}B"
    assert found.threads == machine.threads(machine.measure_memory) and pool.scrub_workers == machine.workers
    assert 0 < int(found.disk_limit.removesuffix("B")) <= free_disk(tmp_path)


def test_what_a_setting_says_holds(tmp_path: Path) -> None:
    pool = settings(Pool(tmp_path), keep_free_mib="1", memory_limit='"300MB"', threads="3", disk_limit='"2GB"', workers="7")
    found = pool.measurement_settings
    assert (found.memory_limit, found.threads, found.disk_limit, pool.scrub_workers) == ("300000000B", 3, "2000000000B", 7)
    with pytest.raises(UsageError):
        settings(Pool(tmp_path), memory_limit='"much"').settings  # noqa: B018
    with pytest.raises(UsageError):
        settings(Pool(tmp_path), memory_limit='"-1GB"').settings  # noqa: B018


def test_measuring_does_not_begin_where_too_little_disk_is_free(tmp_path: Path) -> None:
    free = free_disk(tmp_path)
    with pytest.raises(OutOfSpaceError, match="Measuring needs disk"):
        settings(Pool(tmp_path), keep_free_mib=str((free >> 20) + 1_000)).measurement_settings  # noqa: B018


def test_what_duckdb_is_told_is_what_it_takes(tmp_path: Path) -> None:
    from aggregate.scratch import scratch_database

    found = settings(Pool(tmp_path), keep_free_mib="1", memory_limit='"300MB"', threads="2").measurement_settings
    with scratch_database(tmp_path / "scratch", found.memory_limit, found.threads, found.disk_limit) as connection:
        told = dict(
            connection.execute("select name, value from duckdb_settings() where name in ('threads', 'memory_limit')").fetchall()
        )
    assert told["threads"] == "2" and told["memory_limit"].startswith("286.")  # MiB


def test_free_disk_is_of_the_folder_that_will_be_made(tmp_path: Path) -> None:
    assert abs(free_disk(tmp_path / "not" / "there") - free_disk(tmp_path)) < 1 << 30


@pytest.mark.parametrize("work", ["numpy.ones, 1 << 32", "threading.Thread(target=print).start", "bytearray, 1 << 40"])
def test_a_limit_of_the_address_space_ends_in_the_error_of_lack(work: str) -> None:
    """The guard, met by a process that may have no more memory: 4 MiB, less than the stack of a thread."""
    code = (
        "import resource, json, threading; import numpy; from flows.guard import guarded; from schemas.errors import CommonsError\n"
        "limit = (int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()) + (4 << 20)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        f"try: guarded({work})\n"
        "except CommonsError as error: print(json.dumps([int(error.exit_code), error.message]))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    assert json.loads(told) == [30, "Out of disk or memory."]
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
