"""kill -9 anywhere on the whole way, from drops to a published release: rerun until it is done, and compared.

    python -m benchmarks.scale_kills [ROUNDS [SEED]]

One process loads everything and forks the runs; SIGKILL is the same to them. A run does what the commands `ingest`, `plan`,
`measure`, `check`, `approve` and `publish` do, in this order, by the steps that the flows call; with `--prefect` by the flows
themselves, on a real server. It dies at a random moment of a stage, each stage in turn: with all its processes, alone (its scrub workers are left
behind), or one scrub worker of it dies. In three rounds of ten the rerun dies too.
"""

import argparse
import json
import os
import random
import select
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from benchmarks.report import OUT, report, reported
from benchmarks.scale_way import LOST, PLANTS, STAGES, Facts, draw_seconds, ended, look, planted, prepare, walk

ROUNDS, SEED = 100, 1
AGAIN, MOST_RERUNS = 0.3, 4


@dataclass
class Found:
    """What rounds of kills found. A round is resumed where reruns alone, of the same commands, ended in the published release."""

    rounds: int = 0
    resumed: int = 0
    identical: int = 0  # accepted and scrubbed rows as of an undisturbed run; the release as it is built from the stored answer
    repeated_parts: int = 0  # parts that were scrubbed again
    double_spends: int = 0
    lost_draws: int = 0  # killed between reserve and stored answer: that budget stays spent, and the quarter is planned anew
    draw: float = 0.0  # seconds for which a charge stands without a stored answer
    measure: float = 0.0  # seconds of the measurement in which it does
    stages: Counter[str] = field(default_factory=Counter)  # of kills
    broken: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


def figures(rounds: int = ROUNDS, seed: int = SEED, plain: bool = True) -> dict[str, float]:
    """Rounds, and how many of them were resumed, identical, without a part repeated, and with budget spent twice."""
    found = kill_rounds(rounds, seed, plain)
    for what, times in (found.stages + found.broken).items():
        sys.stderr.write(f"{what}: {times}\n")
    return {
        "kill_rounds": found.rounds,
        "resumed": found.resumed,
        "kill_identical": found.identical,
        "kill_repeated_parts": found.repeated_parts,
        "double_spends": found.double_spends,
        "kill_lost_draws": found.lost_draws,
        "kill_draw_seconds": found.draw,
        "kill_measure_seconds": found.measure,
        "kill_seconds": found.seconds,
    }


# Processes ------------------------------------------------------------------------------------------------------------


@dataclass
class Run:
    """A run in a process group of its own, that tells the stages it begins."""

    pid: int
    stages: int  # a descriptor
    over: bool = False

    def begins(self, stage: int, wait: float) -> bool:
        """Waits until a stage begins; False where the run ended before, or says nothing for so long."""
        while True:
            told = self._told(wait)
            if not told:
                return False
            if max(told) >= stage:
                return True

    def lives(self, seconds: float) -> bool:
        """Whether it is still there after a while."""
        until = time.monotonic() + seconds
        while not self.over and (left := until - time.monotonic()) > 0:
            self._told(left)
        return not self.over

    def _told(self, wait: float) -> bytes:
        if self.over or not select.select([self.stages], [], [], wait)[0]:
            return b""
        told = os.read(self.stages, 64)
        self.over = not told
        return told

    def end(self) -> int:
        """Waits for its end: 0, or what it ended with."""
        _, status = os.waitpid(self.pid, 0)
        os.close(self.stages)
        return os.waitstatus_to_exitcode(status)


def run(log: Path, work: Callable[[Callable[[int], None]], None]) -> Run:
    """Forks a run; what it says goes into a file."""
    stages, tell = os.pipe()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        os.close(tell)
        return Run(pid, stages)
    code = 1
    try:
        os.setsid()
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        work(lambda stage: os.write(tell, bytes([stage])) and None)
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def asked(log: Path, question: Callable[[Path], Facts], root: Path) -> Facts:
    """The answer of a function, in a process of its own: this one opens nothing that its forks would share."""
    answer = log.with_suffix(".answer")
    answer.unlink(missing_ok=True)
    done = run(log, lambda _: answer.write_text(json.dumps(question(root))) and None).end()
    if done:
        raise RuntimeError(f"{question.__name__} failed: see {log}")
    told: Facts = json.loads(answer.read_text())
    return told


def workers_of(session: int) -> list[int]:
    """Processes of a session that work for its run."""
    found = []
    for place in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            fields = (place / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[3]) == session and b"spawn_main" in (place / "cmdline").read_bytes():
                found.append(int(place.name))
    return found


# Rounds ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ground:
    """What every round begins with: the pool before each stage, how long stages last, and how an undisturbed run ended."""

    place: Path
    plain: bool
    stages: Sequence[str]  # those that are killed in
    lasts: Mapping[str, float]
    end: Facts

    @property
    def log(self) -> Path:
        """What runs said."""
        return self.place / "runs.log"

    def start(self, root: Path, begin: str = STAGES[0]) -> Run:
        """A run of the way from a stage on."""
        return run(self.log, lambda told: walk(root, self.plain, begin, told))


def make_ground(place: Path, plain: bool, seed: int, stages: Sequence[str]) -> Ground:
    """Goes the way once, undisturbed, one stage at a time."""
    root, lasts, log = place / "pool", dict[str, float](), place / "runs.log"
    asked(log, lambda root: prepare(root, seed) or {}, root)
    for name in ("take_in", *STAGES[2:]):
        shutil.copytree(root, place / name)
        going, before = run(log, lambda told, name=name: _until(root, plain, name, told)), time.monotonic()  # type: ignore[misc]
        if name == "take_in" and going.begins(1, 600):
            lasts[name], before = time.monotonic() - before, time.monotonic()
            name = "scrub"
        if going.end():
            raise RuntimeError(f"the way cannot be gone undisturbed: see {log}")
        lasts[name] = time.monotonic() - before
    return Ground(place, plain, stages, lasts, asked(log, ended, root))


class _EnoughError(Exception):
    """The stage that was asked for is done."""


def _until(root: Path, plain: bool, stage: str, told: Callable[[int], None]) -> None:
    """One command of the way and no more."""
    last = STAGES.index(stage) + (stage == "take_in")

    def tell(number: int) -> None:
        if number > last:
            raise _EnoughError
        told(number)

    with suppress(_EnoughError):
        walk(root, plain, stage, tell)


def one_round(ground: Ground, number: int, chance: random.Random, found: Found) -> None:
    """One kill, or two, then reruns until the release is published."""
    stage = ground.stages[number % len(ground.stages)]
    root, broken = ground.place / "round" / "pool", list[str]()
    shutil.copytree(ground.place / ("take_in" if stage == "scrub" else stage), root)
    way = chance.choice(("all", "run", "worker") if stage == "scrub" else ("all", "all", "run"))
    first = ground.start(root, "take_in" if stage == "scrub" else stage)
    died = _kill(first, stage, chance.uniform(0, ground.lasts[stage]), way)
    code = first.end()
    found.stages[f"{stage} ({way if died else 'was over'})"] += 1
    if way == "worker" and code:
        broken.append("a run did not survive the death of a worker")
    reruns = 0
    before = asked(ground.log, look, root)
    while code and reruns < MOST_RERUNS:
        again = ground.start(root)
        if not reruns and chance.random() < AGAIN:
            _kill(again, STAGES[0], chance.uniform(0, sum(ground.lasts.values())), "all")
        code, reruns = again.end(), reruns + 1
    if code:
        broken.append("it does not come to its end")
    else:
        _compare(ground, root, before, broken, found)
    found.rounds += 1
    found.resumed += not broken
    found.broken.update(broken)
    shutil.rmtree(root.parent)


def _kill(run: Run, stage: str, after: float, way: str) -> bool:
    """Kills in a stage, so many seconds after it begins; False where it was over by then."""
    if not run.begins(STAGES.index(stage), 600) or not run.lives(after):
        return False
    if way == "worker":
        workers = workers_of(run.pid)
        for worker in workers[:1]:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        return bool(workers)
    with suppress(ProcessLookupError):
        (os.killpg if way == "all" else os.kill)(run.pid, signal.SIGKILL)
    return True


def _compare(ground: Ground, root: Path, before: Facts, broken: list[str], found: Found) -> None:
    """What was there when it died against what is there in the end, and that against an undisturbed run."""
    after = asked(ground.log, look, root)
    end = asked(ground.log, ended, root)
    broken += end["broken"]
    repeated = sum(after["parts"].get(name) != told for name, told in before["parts"].items())
    if repeated:
        broken.append("a finished part was scrubbed again")
    for what in ("answers", "released"):
        if any(after[what].get(name) != told for name, told in before[what].items()):
            broken.append(f"of {what}, something has changed that was there")
    if after["entries"][: len(before["entries"])] != before["entries"]:
        broken.append("an entry of the ledger has changed")
    identical = end["built_again"] and all(end[room] == ground.end[room] for room in ("accepted", "scrubbed"))
    if not identical:
        broken.append("the bytes are not those of an undisturbed run")
    if end["draws_lost"]:
        broken.append(LOST)
    found.identical += identical
    found.repeated_parts += repeated
    found.double_spends += end["spends"] - end["draws_lost"] != 1
    found.lost_draws += end["draws_lost"]


def kill_rounds(rounds: int, seed: int, plain: bool = True, plant: str = "") -> Found:
    """Runs rounds in processes of their own. `plant` breaks the way on purpose: see `planted`."""
    place = OUT / "scale"
    place.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=place)))
        if not plain:
            stack.enter_context(_prefect(folder / "prefect"))
        _load()
        began, found, chance = time.monotonic(), Found(), random.Random(seed)
        ground = make_ground(folder, plain, seed, PLANTS[plant])
        planted(plant)
        if not plant:
            shutil.copytree(folder / "measure", folder / "timed")
            timed = asked(ground.log, draw_seconds, folder / "timed")
            found.draw, found.measure = timed["draw"], timed["measure"]
        for number in range(rounds):
            one_round(ground, number, chance, found)
            sys.stderr.write(f"round {number + 1} of {rounds}: {found.resumed} resumed, {dict(found.broken)}\n")
        found.seconds = time.monotonic() - began
    return found


def _load() -> None:
    """What is loaded here need not be loaded by every run."""
    for name in ("aggregate.mechanisms.draw", "aggregate.mechanisms.terms", "anonymize.shard", "flows.demo", "publish.release"):
        import_module(name)


@contextmanager
def _prefect(home: Path) -> Iterator[None]:
    """A Prefect server of its own, for every run."""
    sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "end_to_end"))
    from prefect_server import prefect_server

    from flows.prefect_home import SETTINGS

    home.mkdir()
    with prefect_server(home) as api:
        os.environ |= {**SETTINGS, "PREFECT_HOME": str(home), "PREFECT_API_URL": api}
        yield


def main() -> int:
    """Prints the figures; with `--json` what was found, in one line, and writes nothing."""
    parser = argparse.ArgumentParser()
    parser.add_argument("rounds", type=int, nargs="?", default=ROUNDS)
    parser.add_argument("seed", type=int, nargs="?", default=SEED)
    parser.add_argument("--prefect", action="store_true")
    parser.add_argument("--plant", default="", choices=PLANTS)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.json:
        print(json.dumps(vars(kill_rounds(given.rounds, given.seed, not given.prefect, given.plant))))
    else:
        report("scale", reported("scale") | figures(given.rounds, given.seed, not given.prefect))
    return 0


if __name__ == "__main__":
    sys.exit(main())
