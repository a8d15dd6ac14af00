"""Rounds in which processes race for the last of a budget, or are killed while they spend it: run as a program.

One process loads everything and forks the others. They are killed at a line of the code (each line of the ledger's in turn,
or any line of the database layer's below it) or after a random part of the time that the work takes: there is no hook for it
in the code itself. Every round has a state database of its own, a copy of a migrated one.
"""

import argparse
import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
for _folder in (HERE.parents[2], HERE.parents[1] / "aggregate", HERE.parent):
    sys.path.insert(0, str(_folder))

from killing import FAILED, answer_of, die_at_line, forked  # noqa: E402

RACERS, RACES = 4, ("reserve", "year", "same", "register")
CLOSELY, WIDELY = ("/aggregate/ledger/",), ("/aggregate/ledger/", "/sqlalchemy/engine/", "/attacks/ledger_rounds")
PLANTS = ("", "lock", "store", "draw")
OVERSPENT = "more was charged than there was"


@dataclass(frozen=True)
class Found:
    """How many rounds were run, and what was found broken in them, how often."""

    races: int
    kills: int
    race_broken: dict[str, int]
    kill_broken: dict[str, int]
    seconds: float


def ledger_rounds(kind: str, races: int, kills: int, seed: int, plant: str = "") -> Found:
    """Runs rounds on a kind of database: `sqlite` or `postgresql`.

    `plant` breaks the ledger on purpose: `lock` takes away what keeps processes apart, `store` stores an answer before its
    budget is reserved, `draw` draws before.
    """
    command = [sys.executable, str(HERE), kind, str(races), str(kills), str(seed), "--plant", plant]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=HERE.parents[2])
    return Found(**json.loads(done.stdout.splitlines()[-1]))


def ledger_attacks(races: int = 100, kills: int = 500, seed: int = 1) -> dict[str, int]:
    """For benchmarks: rounds on each kind of database, and what was broken in all."""
    from postgres_server import binaries

    found = [ledger_rounds(kind, races, kills, seed) for kind in ("sqlite", "postgresql") if kind == "sqlite" or binaries()]
    return {
        "ledger_databases": len(found),
        "race_rounds": sum(each.races for each in found),
        "race_overspends": sum(sum(each.race_broken.values()) for each in found),
        "ledger_kill_rounds": sum(each.kills for each in found),
        "ledger_kill_violations": sum(sum(each.kill_broken.values()) for each in found),
    }


# A state database for each round ------------------------------------------------------------------------------------------


class Places:
    """Makes state databases of a kind, each a copy of a migrated one, and removes them again."""

    def __init__(self, kind: str, base: Path, stack: ExitStack) -> None:
        from flows.state import migrate, state_url

        self._kind, self._base = kind, base
        if kind == "postgresql":
            from postgres_server import postgres_server

            self._server = stack.enter_context(postgres_server())
            self._template = self._server.new_database()
            migrate(self._server.url(self._template))
        else:
            migrate(state_url(base / "template", ""))

    @contextmanager
    def new(self) -> Iterator[tuple[Any, Path]]:
        """A database's URL, and a folder for what the round leaves: draws and what was published."""
        from flows.state import state_url

        folder = self._base / "round"
        for name in ("draws", "published"):
            (folder / name).mkdir(parents=True)
        try:
            if self._kind == "postgresql":
                name = self._server.new_database(self._template)
                yield self._server.url(name), folder
                self._server.run(f"drop database {name} with (force)")
            else:
                shutil.copytree(self._base / "template", folder / "root")
                yield state_url(folder / "root", ""), folder
        finally:
            shutil.rmtree(folder)


def ledger_at(url: Any, **caps: Fraction) -> Any:
    """The ledger as the pool opens it."""
    from pooled import privacy

    from aggregate.ledger import Ledger
    from aggregate.mechanisms.conversion import epsilon_of
    from flows.state import open_state

    return Ledger(open_state(url), privacy().budget.model_copy(update=caps), epsilon_of)


def drawing(folder: Path, plan: Any) -> Callable[[], bytes]:
    """Noise, of which each draw leaves a trace: two draws are two files."""

    def draw() -> bytes:
        noise = secrets.token_bytes(64)
        path = folder / "draws" / f"{plan.hash}.{noise.hex()[:16]}"
        path.write_bytes(noise)
        return noise

    return draw


# Races --------------------------------------------------------------------------------------------------------------------


def race_plans(kind: str) -> tuple[list[Any], dict[str, Fraction]]:
    """The plan of each racer, of which the budget holds one; and the caps, where they are not the usual ones."""
    from pooled import privacy, registered

    from schemas.periods import Quarter

    budget = privacy().budget
    if kind == "reserve":
        return [registered(version=2 + n, rho=str(budget.reserve_rho), reason=f"{n}") for n in range(RACERS)], {}
    if kind == "register":  # one version of a quarter, and each its own plan of it
        return [registered(reason=f"{n}") for n in range(RACERS)], {}
    if kind == "year":
        return [registered(quarter=Quarter(2026, 1 + n)) for n in range(RACERS)], {"year_rho": budget.first_release_rho}
    return [registered()] * RACERS, {}


def race(url: Any, plan: Any, folder: Path, caps: dict[str, Fraction], ready: int, start: int) -> str:
    """One racer: waits for the start with the ledger open, registers where that is not done yet, and is answered or refused."""
    from schemas.errors import BudgetRefusedError

    ledger = ledger_at(url, **caps)
    ledger.entries()
    os.write(ready, b".")
    os.read(start, 1)
    try:
        ledger.register(plan)
        return str(ledger.answer_once(plan, drawing(folder, plan)).hex())
    except BudgetRefusedError:
        return "refused"


def one_race(places: Places, kind: str) -> list[str]:
    """One race: what was found broken."""
    plans, caps = race_plans(kind)
    with places.new() as (url, folder):
        if kind != "register":
            answer_of(*forked(lambda: [ledger_at(url, **caps).register(plan) for plan in plans]))
        ready, is_ready = os.pipe()
        start, starts = os.pipe()

        def racer(plan: Any) -> str:
            os.close(starts)
            return race(url, plan, folder, caps, is_ready, start)

        racers = [forked(lambda plan=plan: racer(plan)) for plan in plans]
        for _ in racers:
            os.read(ready, 1)
        for descriptor in (starts, start, ready, is_ready):
            os.close(descriptor)
        outcomes = [answer_of(*each) for each in racers]
        broken = answer_of(*forked(lambda: state_of(url, folder, caps)["broken"]))
        draws = len(list((folder / "draws").iterdir()))
    if broken == FAILED:
        return ["the state cannot be read"]
    answers = [outcome for outcome in outcomes if outcome not in ("refused", FAILED, None)]
    broken += ["a racer failed"] * (len(outcomes) - len(answers) - outcomes.count("refused"))
    if draws > 1 or len(set(answers)) > 1 or (kind != "same" and len(answers) > 1):
        broken.append(OVERSPENT)
    return broken if answers else [*broken, "nobody won"]


# Kills --------------------------------------------------------------------------------------------------------------------


def spend(url: Any, folder: Path, die_at: int = 0, watched: tuple[str, ...] = CLOSELY) -> Any:
    """A quarter's first release, or where its answer was lost the version that supersedes it, measured and published."""
    from pooled import privacy, registered

    from schemas.errors import BudgetRefusedError

    ran = die_at_line(die_at, watched) if die_at else [0]
    plans = [registered(), registered(version=2, rho=str(privacy().budget.reserve_rho), reason="lost")]
    for plan in plans:
        ledger = ledger_at(url)
        try:
            ledger.register(plan)
            answer = ledger.answer_once(plan, drawing(folder, plan))
        except BudgetRefusedError:
            continue
        (folder / "published" / f"{plan.hash}.{secrets.token_hex(8)}").write_bytes(answer)
        break
    sys.settrace(None)
    return ran[0]


def state_of(url: Any, folder: Path, caps: dict[str, Fraction]) -> dict[str, Any]:
    """What the ledger holds, and what breaks a promise already, killed or not."""
    from pooled import privacy

    ledger, budget = ledger_at(url, **caps), privacy().budget.model_copy(update=caps)
    entries = ledger.entries()
    broken = [f"the ledger is broken: {fault.part}" for fault in ledger.faults()]
    reserved = {entry["plan"] for entry in entries if entry["kind"] == "reserve"}
    answers = {}
    for plan in {entry["plan"] for entry in entries if entry["kind"] == "answer"}:
        with suppress(Exception):  # a fault, seen above
            answers[plan] = ledger.stored_answer(plan)
    drawn = Counter(path.name.partition(".")[0] for path in (folder / "draws").iterdir())
    broken += ["noise was drawn without a reserve"] * len(drawn.keys() - reserved)
    broken += ["noise was drawn twice for one plan"] * sum(times > 1 for times in drawn.values())
    broken += ["an answer is stored that nothing was reserved for"] * len(answers.keys() - reserved)
    for path in (folder / "published").iterdir():
        broken += ["another answer was published than is stored"] * (
            path.read_bytes() != answers.get(path.name.partition(".")[0])
        )

    def charged(column: str, value: Any, versions: Callable[[int], bool] = lambda _: True) -> Fraction:
        return sum((Fraction(e["rho"]) for e in entries if e[column] == value and versions(e["version"])), Fraction(0))

    for quarter in {entry["quarter"] for entry in entries}:
        first, later = charged("quarter", quarter, lambda v: v == 1), charged("quarter", quarter, lambda v: v > 1)
        broken += [OVERSPENT] * (first > budget.first_release_rho or later > budget.reserve_rho)
    for year in {entry["year"] for entry in entries}:
        broken += [OVERSPENT] * (charged("year", year) > budget.year_rho)
    hashes = [entry["hash"] for entry in entries]
    return {"broken": broken, "hashes": hashes, "answers": {plan: answer.hex() for plan, answer in answers.items() if answer}}


def one_kill(places: Places, chance: random.Random, sweep: int, lines: dict[tuple[str, ...], int], lasts: float) -> list[str]:
    """Kills and restarts, one or two at once, then a clean end: what was found broken."""
    broken: list[str] = []
    with places.new() as (url, folder):
        before: dict[str, Any] = {"hashes": [], "answers": {}}
        for phase in range(chance.randint(1, 2)):
            started = []
            for number in range(chance.choice((1, 1, 2))):
                closely = phase == number == 0 or chance.random() < 0.5
                watched = CLOSELY if closely else WIDELY
                by_line = phase == number == 0 or chance.random() < 0.7
                die_at = sweep % lines[CLOSELY] + 1 if phase == number == 0 else chance.randint(1, lines[watched]) * by_line
                work = lambda die_at=die_at, watched=watched: spend(url, folder, die_at, watched)  # noqa: E731
                started.append((*forked(work), 0.0 if by_line else chance.uniform(0, lasts)))
            begun = time.monotonic()
            for process, _, after in sorted(started, key=lambda each: each[2]):
                if after:
                    time.sleep(max(0.0, begun + after - time.monotonic()))
                    with suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
            for process, end, _ in started:
                broken += ["a run failed that nobody had killed"] * (answer_of(process, end) == FAILED)
            before = compared(before, answer_of(*forked(lambda: state_of(url, folder, {}))), broken)
        for _ in range(2):  # a clean run, and the same once more
            if answer_of(*forked(lambda: spend(url, folder))) == FAILED:
                broken.append("a clean run failed")
            before = compared(before, answer_of(*forked(lambda: state_of(url, folder, {}))), broken)
    return broken


def compared(before: dict[str, Any], after: Any, broken: list[str]) -> dict[str, Any]:
    """Adds what is broken in a state, by itself and against the one before."""
    if after is None or after == FAILED:
        broken.append("the state cannot be read")
        return before
    broken += after["broken"]
    if after["hashes"][: len(before["hashes"])] != before["hashes"]:
        broken.append("an entry is gone or changed")
    broken += ["an answer is gone or changed"] * sum(
        after["answers"].get(plan) != told for plan, told in before["answers"].items()
    )
    return after  # type: ignore[no-any-return]


# Breaks, on purpose -------------------------------------------------------------------------------------------------------


def planted(plant: str) -> None:
    """Breaks the ledger in this process and those it forks."""
    from aggregate.ledger import Ledger, book

    append, reserve, store = book._append, Ledger._reserve, Ledger._store

    @contextmanager
    def unlocked(self: Any) -> Iterator[Any]:
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            yield connection, book._entries(connection)

    def at_the_end(connection: Any, _: Any, *arguments: Any, **more: Any) -> None:
        append(connection, book._entries(connection), *arguments, **more)

    def answer_once(self: Any, plan: Any, draw: Callable[[], bytes]) -> bytes:
        stored: bytes | None = self.stored_answer(plan.hash)
        if stored is not None:
            return stored
        answer = draw()
        for step in (lambda: store(self, plan, answer), lambda: reserve(self, plan))[:: 1 if plant == "store" else -1]:
            step()
        return answer

    if plant == "lock":
        book._append = at_the_end
        Ledger._writing = unlocked  # type: ignore[method-assign]
    elif plant:
        Ledger.answer_once = answer_once  # type: ignore[method-assign]


def main() -> int:
    """Prints one JSON line: a `Found`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("sqlite", "postgresql"))
    for name in ("races", "kills", "seed"):
        parser.add_argument(name, type=int)
    parser.add_argument("--plant", default="", choices=PLANTS)
    given = parser.parse_args()
    import psycopg  # noqa: F401
    from pooled import privacy

    from aggregate.mechanisms.conversion import epsilon_of

    epsilon_of(privacy().budget.quarter_rho, privacy().budget.delta)  # what is loaded here need not be loaded in every round
    chance, began = random.Random(given.seed), time.monotonic()
    race_broken, kill_broken = Counter[str](), Counter[str]()
    memory = Path("/dev/shm")  # noqa: S108 - what a kill leaves is the same there, and nothing waits for a disk
    base = Path(tempfile.mkdtemp(prefix="commons-ledger-", dir=memory if memory.is_dir() else None))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, base, ignore_errors=True)
        places = Places(given.kind, base, stack)
        lines: dict[tuple[str, ...], int] = {}
        lasts = 0.0
        for watched in (CLOSELY, WIDELY):
            with places.new() as (url, folder):
                start = time.monotonic()
                lines[watched] = answer_of(*forked(partial(spend, url, folder, 1 << 60, watched)))
                lasts = lasts or time.monotonic() - start
        planted(given.plant)
        for number in range(given.races):
            race_broken.update(one_race(places, RACES[number % len(RACES)]))
        first = chance.randrange(lines[CLOSELY])
        step = max(1, lines[CLOSELY] // max(1, given.kills))
        for number in range(given.kills):
            kill_broken.update(one_kill(places, chance, first + number * step, lines, lasts))
            if number % 25 == 24:
                print(f"{number + 1} of {given.kills} kills: {dict(kill_broken)}", file=sys.stderr, flush=True)  # noqa: T201
    seconds = round(time.monotonic() - began, 1)
    found = Found(given.races, given.kills, race_broken, kill_broken, seconds)
    print(f"{lines=} {lasts=:.2f}", file=sys.stderr)  # noqa: T201
    print(json.dumps(vars(found)))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
