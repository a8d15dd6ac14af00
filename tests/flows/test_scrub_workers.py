"""Processes that die: each takes down its own job, which is tried again alone; none outlives whoever started it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from flows.scrub_workers import TRIES_ALONE, WorkerDiedError, Workers, share_done
from schemas.errors import CommonsError, OutOfSpaceError, ScrubStoppedError

ROOT = Path(__file__).resolve().parents[2]
Job = tuple[Path, str, int]


def work(number: int, job: Job) -> str:
    """Notes that it was begun; is killed the first so many times."""
    folder, name, deaths = job
    begun = folder / f"{name}-{os.getpid()}"
    begun.write_text("")
    share_done(number, 0.5)
    if name == "full":
        raise OutOfSpaceError("no room", "make some")
    if name == "other":
        raise ValueError("my name is Anna Karlsson")
    if len(list(folder.glob(f"{name}-*"))) <= deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    return name


def run(folder: Path, deaths: dict[str, int], count: int) -> dict[str, str | CommonsError]:
    names = list(deaths)
    workers = Workers(work, [(folder, name, times) for name, times in deaths.items()], count)
    return {names[number]: outcome for number, outcome in workers.outcomes()}


def test_only_the_job_that_kills_is_lost(tmp_path: Path) -> None:
    deaths = {"a": 0, "poison": 99, "b": 0, "once": 1, "twice": 2, "c": 0, "d": 0}
    found = run(tmp_path, deaths, 2)
    assert isinstance(found.pop("poison"), WorkerDiedError)
    assert found == {name: name for name in deaths if name != "poison"}
    tried = {name: len(list(tmp_path.glob(f"{name}-*"))) for name in deaths}
    # Nothing that was done beside one that died was done again.
    assert tried == {"a": 1, "b": 1, "c": 1, "d": 1, "poison": 1 + TRIES_ALONE, "once": 2, "twice": 3}


def test_it_ends_where_every_worker_dies(tmp_path: Path) -> None:
    found = run(tmp_path, {"a": 99, "b": 99, "c": 99}, 2)
    assert all(isinstance(outcome, WorkerDiedError) for outcome in found.values())


def test_errors_of_ours_are_outcomes_and_others_quote_nothing(tmp_path: Path) -> None:
    found = run(tmp_path, {"full": 0, "a": 0, "other": 0}, 2)
    full, other = found["full"], found["other"]
    assert isinstance(full, OutOfSpaceError)
    assert (full.message, full.next_step) == ("no room", "make some")
    assert isinstance(other, ScrubStoppedError)
    assert "Anna" not in f"{other!r}{other.__cause__!r}{other.__context__!r}"
    assert found["a"] == "a"


def test_shares_are_told_while_a_job_is_done(tmp_path: Path) -> None:
    told: list[Sequence[float]] = []
    workers = Workers(wait_for_it, [tmp_path / "seen"], 1)

    def listen(shares: Sequence[float]) -> None:
        told.append(shares)
        if shares[0] == 0.25:
            (tmp_path / "seen").write_text("")

    assert list(workers.outcomes(listen)) == [(0, None)]
    assert [0.25] in told
    assert told[-1] == [1.0]


def wait_for_it(number: int, seen: Path) -> None:
    share_done(number, 0.25)
    while not seen.exists():
        time.sleep(0.01)


def wait_for_ever(number: int, begun: Path) -> None:
    begun.with_suffix(".tmp").write_text(str(os.getpid()))
    begun.with_suffix(".tmp").replace(begun)
    while True:
        signal.pause()


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    program = (
        "import sys; from pathlib import Path; sys.path[:0] = sys.argv[1:3]\n"
        "from flows.scrub_workers import Workers; from test_scrub_workers import wait_for_ever\n"
        "if __name__ == '__main__': list(Workers(wait_for_ever, [Path(sys.argv[3])], 1).outcomes())"
    )
    (tmp_path / "program.py").write_text(program)
    here = str(Path(__file__).resolve().parent)
    parent = subprocess.Popen([sys.executable, tmp_path / "program.py", str(ROOT), here, begun], stderr=subprocess.DEVNULL)
    try:
        while not begun.exists():
            assert parent.poll() is None
            time.sleep(0.01)
        worker = int(begun.read_text())
        assert alive(worker)
    finally:
        parent.kill()
        parent.wait()
    while alive(worker):  # the test's time-out is what fails it
        time.sleep(0.01)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
