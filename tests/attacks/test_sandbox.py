"""The throw-away process: what it gives up it has given up, and whatever it sends does no harm."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hostile_streams import STREAMS, code_of_stream
from submissions import accepted_rows, door

from intake.acceptance import take_in
from intake.delivery import FolderDelivery
from intake.limits import DEFAULT_LIMITS, Limits
from intake.reading import CheckedRows
from intake.record_checks import RecordContext
from intake.sandbox import reader
from intake.sandbox.reader import enforced_limits, read_confined
from intake.settlement import RowFacts

CANARY = "canary-7c20e9"
ALLOWANCE = 48 << 20

# Each attempt is made by a process that was confined before, in a process of its own, and must fail.
ATTEMPTS = """
def read_a_file(): return open("/etc/passwd").read(1)
def read_a_secret(): return open(SECRET).read(1)
def write_a_file(): return open(SECRET + ".new", "w").write("x")
def write_beside(): return open(SECRET, "a").write("x")
def list_a_folder(): return os.listdir("/")
def make_a_folder(): return os.mkdir(SECRET + ".folder")
def rename_a_file(): return os.rename(SECRET, SECRET + ".moved")
def unlink_a_file(): return os.unlink(SECRET)
def change_a_mode(): return os.chmod(SECRET, 0o777)
def read_own_environment(): return open("/proc/self/environ").read(1)
def read_parents_memory(): return open(f"/proc/{os.getppid()}/mem", "rb").read(1)
def by_device(): return open("/dev/vda", "rb").read(1)
def connect_by_tcp():
    os.close(0)
    with socket.socket() as one: one.connect(("127.0.0.1", PORT))
def connect_by_path():
    os.close(0)
    with socket.socket(socket.AF_UNIX) as one: one.connect(BY_PATH)
def connect_by_name():
    os.close(0)
    with socket.socket(socket.AF_UNIX) as one: one.connect("\\0" + BY_NAME)
def make_a_pipe(): return os.pipe()
def fork(): return os.fork()
def spawn(): return os.posix_spawn("/bin/true", ["/bin/true"], {})
def execute(): os.execv("/bin/true", ["/bin/true"])
def start_a_thread(): return __import__("_thread").start_new_thread(print, ())
def kill_the_parent(): return os.kill(os.getppid(), 0)
def trace_the_parent():
    if LIBC.ptrace(16, os.getppid(), 0, 0) == -1: raise OSError(ctypes.get_errno(), "ptrace")
def read_the_parent():
    buffer = ctypes.create_string_buffer(8)
    if LIBC.syscall(310, os.getppid(), buffer, 1, buffer, 1, 0) == -1: raise OSError(ctypes.get_errno(), "vm")
def new_namespaces():
    if LIBC.unshare(0x10000000) == -1: raise OSError(ctypes.get_errno(), "unshare")
def be_root_again(): return os.setresuid(0, 0, 0)
def raise_a_limit(): return resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
def take_memory(): return len(b"x" * (4 * ALLOWANCE))
def take_address_space():
    import mmap
    return mmap.mmap(-1, 4 * ALLOWANCE)
"""

ENFORCED_BY = {
    "read_a_file": "no_files", "read_a_secret": "no_files", "write_a_file": "no_files", "write_beside": "no_files",
    "list_a_folder": "no_files", "make_a_folder": "no_files", "rename_a_file": "no_files", "unlink_a_file": "no_files",
    "change_a_mode": "few_calls", "read_own_environment": "no_files", "read_parents_memory": "no_files", "by_device": "no_files",
    "connect_by_tcp": "no_network", "connect_by_path": "few_calls", "connect_by_name": "no_network", "make_a_pipe": "open_files",
    "fork": "no_processes", "spawn": "no_processes", "execute": "no_files", "start_a_thread": "no_processes",
    "kill_the_parent": "few_calls", "trace_the_parent": "few_calls", "read_the_parent": "few_calls",
    "new_namespaces": "few_calls", "be_root_again": "own_user", "raise_a_limit": "open_files", "take_memory": "memory",
    "take_address_space": "memory",
}  # fmt: skip

PROGRAM = """
import ctypes, json, os, resource, socket, sys
from intake.sandbox.confinement import Allowance, confine
SECRET, PORT, BY_PATH, BY_NAME, ALLOWANCE, USER, CONFINED = json.loads(sys.argv[1])
LIBC = ctypes.CDLL(None, use_errno=True)
ctypes.get_errno(); json.dumps(1.5); "x".encode("ascii"); __import__("mmap"); __import__("_thread")
{attempts}
attempts = {{name: each for name, each in globals().items() if name in {names}}}
if USER:
    os.setgroups([]); os.setresgid(USER, USER, USER); os.setresuid(USER, USER, USER)
def told(value): os.write(1, json.dumps(value).encode() + b"\\n")
for name, attempt in attempts.items():
    end, start = os.pipe()
    if not os.fork():
        os.dup2(start, 1)
        os.closerange(3, 64)
        enforced = {{}}
        try:
            if CONFINED: enforced = confine(Allowance(ALLOWANCE, 20))
            attempt()
            told(["done", enforced])
        except BaseException as error:
            told([type(error).__name__, enforced])
        os._exit(0)
    os.close(start)
    answer = b""
    while chunk := os.read(end, 65536): answer += chunk
    os.close(end); os.wait()
    told([name, json.loads(answer.splitlines()[-1]) if answer else ["ended", {{}}]])
"""


def attempted(
    tmp_path: Path, user: int = 0, confined: bool = True, names: tuple[str, ...] = tuple(ENFORCED_BY)
) -> dict[str, Any]:
    """What came of each attempt: `[error type or "done", what confine said]`, by name."""
    secret, by_path, by_name = tmp_path / "secret", tmp_path / "socket", f"commons-{os.getpid()}"
    secret.write_text(CANARY)
    for place in (tmp_path, *tmp_path.parents[:2]):
        place.chmod(0o777)
    secret.chmod(0o666)
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as path, socket.socket(socket.AF_UNIX) as name:
        tcp.bind(("127.0.0.1", 0))
        path.bind(str(by_path))
        by_path.chmod(0o777)
        name.bind("\0" + by_name)
        for one in (tcp, path, name):
            one.listen(64)
        given = json.dumps([str(secret), tcp.getsockname()[1], str(by_path), by_name, ALLOWANCE, user, confined])
        program = PROGRAM.format(attempts=ATTEMPTS, names=repr(list(names)))
        done = subprocess.run([sys.executable, "-I", "-c", program, given], capture_output=True, timeout=120)
    if confined:
        assert secret.read_text() == CANARY
        assert sorted(path.name for path in tmp_path.iterdir()) == ["secret", "socket"]
    by_path.unlink()
    return dict(json.loads(line) for line in done.stdout.splitlines())


@pytest.mark.parametrize("user", [0, 12_345], ids=["as it runs", "as another user"])
def test_a_confined_process_reaches_nothing_and_what_is_reported_is_so(tmp_path: Path, user: int) -> None:
    if user and os.geteuid():
        pytest.skip("only root can try it as another user")
    found = attempted(tmp_path, user)
    assert set(found) == set(ENFORCED_BY)
    lacking = set[str]()
    for name, (outcome, enforced) in found.items():
        key = ENFORCED_BY[name]
        if key == "own_user" and (user or os.geteuid()):
            assert outcome != "done", name  # it was never root
        elif enforced.get(key):
            assert outcome in ("PermissionError", "OSError", "MemoryError", "RuntimeError", "BlockingIOError", "ValueError"), name
        else:
            lacking.add(key)
    if lacking:
        pytest.skip(f"this host does not enforce {sorted(lacking)}, and says so; the rest held")


def test_the_attempts_can_succeed(tmp_path: Path) -> None:
    """Without confinement the same attempts go through: so that their failure says something."""
    names = (
        "read_a_file", "read_a_secret", "list_a_folder", "read_own_environment", "connect_by_tcp", "connect_by_path",
        "connect_by_name", "make_a_pipe", "fork", "spawn", "start_a_thread", "kill_the_parent", "take_memory",
        "take_address_space",
    )  # fmt: skip
    found = attempted(tmp_path, confined=False, names=names)
    assert {name for name, (outcome, _) in found.items() if outcome != "done"} == set()


def test_processor_time_and_core_dumps_are_limited(tmp_path: Path) -> None:
    program = (
        "import os, resource, sys; from intake.sandbox.confinement import Allowance, confine\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)\n"
        "kept = confine(Allowance(1 << 28, int(resource.getrusage(0).ru_utime) + 2))\n"
        "assert kept['processor_time'] and kept['no_core_dump']\n"
        "if sys.argv[1] == 'spin':\n    while True: pass\n"
        "import ctypes; ctypes.string_at(0)"
    )
    spun = subprocess.run([sys.executable, "-I", "-c", program, "spin"], cwd=tmp_path, capture_output=True, timeout=60)
    assert spun.returncode in (-9, -24)
    fell = subprocess.run([sys.executable, "-I", "-c", program, "fall"], cwd=tmp_path, capture_output=True, timeout=60)
    assert fell.returncode < 0
    assert list(tmp_path.iterdir()) == []


def worker(monkeypatch: pytest.MonkeyPatch, program: str, *arguments: str) -> None:
    """Lets another program take the place of the worker: everything else about how it is started stays."""
    start = subprocess.Popen

    def other(command: list[str], **named: Any) -> Any:
        return start([sys.executable, "-I", "-c", program, *arguments], **named)

    monkeypatch.setattr(reader.subprocess, "Popen", other)


def test_no_secret_and_no_descriptor_is_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMMONS_CANARY", CANARY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
    with Path("/etc/passwd").open() as _, socket.socket() as _:
        os.set_inheritable(_.fileno(), True)
        worker(
            monkeypatch,
            "import os, json\n"
            "def is_open(n):\n  try: os.fstat(n)\n  except OSError: return False\n  return True\n"
            "print(json.dumps({'descriptors': [n for n in range(1024) if is_open(n)], 'environment': dict(os.environ),"
            " 'folder': os.getcwd(), 'leader': os.getsid(0) == os.getpid()}))",
        )
        found: Any = enforced_limits()
    assert found["descriptors"] == [0, 1, 2]
    assert found["folder"] == "/"
    assert found["leader"]
    assert not {"COMMONS_CANARY", "AWS_SECRET_ACCESS_KEY", "HOME"} & set(found["environment"])
    assert CANARY not in json.dumps(found)


CONTEXT = RecordContext(frozenset({"flagged"}), datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC), True)
HASTY = Limits(seconds_a_file=2)


@pytest.mark.parametrize("name", sorted(STREAMS))
def test_whatever_the_process_sends_it_ends_in_a_code(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A process that was taken over: a fixed code, no crash, no hang, no word of its own."""
    stream = STREAMS[name]()
    (tmp_path / "stream").write_bytes(stream.data)
    (tmp_path / "file").write_bytes(b"x")
    monkeypatch.setattr(reader, "_START_SECONDS", 1)
    worker(monkeypatch, stream.program, str(tmp_path / "stream"))
    threads = threading.active_count()
    code, rows, shown = code_of_stream(lambda: read_confined(tmp_path / "file", "jsonl", 0, CONTEXT, HASTY))
    assert code in stream.codes, name
    assert CANARY not in shown
    assert rows <= stream.sound_rows
    assert threading.active_count() <= threads + 1  # nothing is left waiting but a timer that was told to end


def test_an_honest_stream_passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The crafted streams are refused for what was done to them: without it they pass."""
    from hostile_streams import honest

    (tmp_path / "stream").write_bytes(honest().data)
    (tmp_path / "file").write_bytes(b"x")
    worker(monkeypatch, honest().program, str(tmp_path / "stream"))
    code, rows, _ = code_of_stream(lambda: read_confined(tmp_path / "file", "jsonl", 0, CONTEXT, HASTY))
    assert (code, rows) == ("", honest().sound_rows)


@pytest.mark.parametrize("name", ["forged code", "rows without facts", "exit 0 half way", "field holds a value"])
def test_nothing_of_such_a_process_is_accepted(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clean: Path, submission: Callable[[], Path]
) -> None:
    stream = STREAMS[name]()
    (tmp_path / "stream").write_bytes(stream.data)
    folder, pool = submission(), door(tmp_path / "pool", clean)
    worker(monkeypatch, stream.program, str(tmp_path / "stream"))
    result = take_in(FolderDelivery(folder), pool)
    assert result.decision == "refused"
    assert set(result.report.counts) & {"E106", "E107", "E112"}
    assert accepted_rows(tmp_path / "pool") == []
    assert CANARY.encode() not in b"".join(result.answer.values())


def test_a_process_that_does_not_start_is_our_own_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from schemas.errors import InternalError

    (tmp_path / "file").write_bytes(b"x")
    worker(monkeypatch, "raise SystemExit(3)")
    with pytest.raises(InternalError):
        list(read_confined(tmp_path / "file", "jsonl", 0, CONTEXT, HASTY))
    worker(monkeypatch, "print('no json')")
    assert enforced_limits() == {"started": False}


def _told(batches: Iterable[CheckedRows]) -> tuple[int, list[RowFacts], list[tuple[int, str, str]]]:
    """What batches say together: how they are cut is nobody's concern."""
    each = list(batches)
    return max(c.rows for c in each), [f for c in each for f in c.sound], [p for c in each for p in c.problems]


def test_confined_reading_finds_what_plain_reading_finds(made: Path) -> None:
    from intake.manifest_checks import read_manifest
    from intake.reading import check_rows
    from intake.validation import record_context

    for path in sorted(made.glob("*/*/manifest.json"))[:4]:
        read, _ = read_manifest(path.parent, DEFAULT_LIMITS)
        assert read is not None
        context = record_context(read.manifest, True, datetime.now(UTC))
        for number, file in enumerate(read.manifest.files):
            with (path.parent / file.path).open("rb") as stream:
                plain = [c for c, _ in check_rows(stream, file.bytes, file.format, number, context, DEFAULT_LIMITS)]
            confined = read_confined(path.parent / file.path, file.format, number, context, DEFAULT_LIMITS)
            assert _told(confined) == _told(plain)
