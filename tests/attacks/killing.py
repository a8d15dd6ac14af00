"""Rounds of processes that are killed while they take submissions in, and what must hold after each: run as a program.

One process loads everything and forks the others, so that a round is cheap; SIGKILL is the same to them. They are killed
after a random part of the time that the work takes, or at a random line of the code that takes in: there is no hook for it
in the code itself.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import Any

HERE = Path(__file__).resolve()
for _folder in (HERE.parents[2], HERE.parents[1] / "intake"):
    sys.path.insert(0, str(_folder))

PROCESSES, PHASES = 3, 2
SANDBOXED_EVERY = 25
WIDELY = ("/intake/", "/flows/intake_steps", "/flows/at_rest")
CLOSELY = ("/intake/acceptance", "/intake/catalogue", "/intake/answering", "/intake/arrival", "/intake_steps", "/attacks/killing")
FAILED = "failed"
ACCEPTED, REFUSED = ("alder-1", "alder-2", "alder-3", "birch-1"), ("alder-bad", "alder-forged")


def kill_rounds(rounds: int, seed: int, plant: str = "") -> tuple[int, int]:
    """Rounds done, and how many promises were found broken. `plant` breaks the code on purpose: `order` or `turns`."""
    command = [sys.executable, str(HERE), str(rounds), str(seed), "--plant", plant]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=HERE.parents[2])
    found = json.loads(done.stdout.splitlines()[-1])
    return found["rounds"], found["violations"]


# What is sent -----------------------------------------------------------------------------------------------------------


def make_submissions(out: Path) -> None:
    """Six small submissions of two companies: one repeats half of another, one corrects itself, two must be refused."""
    from submissions import json_lines, rewrite, write_lines

    from sample_data.parameters import SimulationParameters
    from sample_data.simulate import simulate

    parameters = SimulationParameters(
        seed=22, users=60, quarters=1, formats=("jsonl",), files_per_submission=1, malformed_share=0, duplicate_share=0,
        correction_share=0, record_withdrawal_share=0, user_withdrawal_share=0, text_share=0.3,
    )  # fmt: skip
    simulate(out / "made", parameters)
    for name in (*ACCEPTED, *REFUSED):
        company = name.partition("-")[0]
        source = sorted(path.parent for path in (out / "made" / company).glob("*/manifest.json"))[0]
        folder = out / "sent" / name
        shutil.copytree(source, folder)
        write_lines(folder, "part-1.jsonl", _records(name, json_lines(folder, "part-1.jsonl")))
        signer = "birch" if name.endswith("forged") else company
        rewrite(folder, out / "made" / "keys" / f"{signer}.key", lambda m, name=name: m.update(submission_id=name))  # type: ignore[misc]


def _records(name: str, records: list[dict[str, Any]]) -> list[Any]:
    if name.endswith("-1"):
        return records[:10]
    if name == "alder-2":
        return records[5:15]
    if name == "alder-3":
        first = records[15]
        corrects = {"record_status": "correction", "record_id": "c", "supersedes": first["record_id"]}
        return [*records[15:24], {**first, **corrects, "supersedes_started_at": first["started_at"]}]
    return [{**record, "n_turns": -1} if i % 2 else record for i, record in enumerate(records[24:34])]


# Three ways in ----------------------------------------------------------------------------------------------------------


def plain_reader(path: Path, file_format: str, number: int, context: Any, limits: Any) -> Iterator[Any]:
    """What `read_confined` gives, read in this process: most rounds would only wait for the sandbox to start."""
    from intake.reading import check_rows
    from intake.sandbox.worker import _table

    with path.open("rb") as stream:
        for checked, sound in check_rows(stream, path.stat().st_size, file_format, number, context, limits):
            yield replace(checked, table=_table(checked, sound).drop_columns(["row", "content"]))


class Way:
    """One pool and how submissions get into it: `folder` hands them to `take_in` itself, `drop` goes through the flow's step."""

    def __init__(self, kind: str, root: Path, sent: Path, sandboxed: bool) -> None:
        self.kind, self.root, self.sent, self.sandboxed = kind, root, sent, sandboxed

    @cached_property
    def pool(self) -> Any:
        from flows.pool import Pool

        reader: dict[str, Any] = {} if self.sandboxed else {"reader": plain_reader}

        class FastPool(Pool):
            @property
            def door(self) -> Any:
                return replace(super().door, **reader)

        return FastPool(self.root)

    @property
    def database(self) -> Path:
        return self.root / "state" / "state.db"

    def prepare(self, made: Path) -> None:
        """The pool as it is before anything came in; with `drop`, everything lies in the drops."""
        from flows.drops import drop_of, make_local_drops, public_keys
        from intake.submission import submit

        (self.root / "config").mkdir(parents=True)
        shutil.copyfile(made / "companies.toml", self.root / "config" / "companies.toml")
        make_local_drops(self.pool)
        keys = public_keys(self.pool)
        for name in ACCEPTED:
            with drop_of(self.pool, name.partition("-")[0]) as drop:
                submit(self.sent / name, drop, keys["pool_recipient"])
        for name in REFUSED:  # the company would not send it: it is put there beside `submit`
            self._put(name, keys["pool_recipient"])

    def _put(self, name: str, recipient: str) -> None:
        from intake.sealing import MANIFEST_PART, part_name, seal

        folder = Path(self.pool.drop_url("alder"), "in", self.digest(name))
        folder.mkdir(parents=True)
        (folder / part_name(0, 0)).write_bytes(seal((self.sent / name / "part-1.jsonl").read_bytes(), recipient))
        (folder / MANIFEST_PART).write_bytes(seal((self.sent / name / "manifest.json").read_bytes(), recipient))

    def digest(self, name: str) -> str:
        from intake.limits import DEFAULT_LIMITS
        from intake.manifest_checks import read_manifest

        read, _ = read_manifest(self.sent / name, DEFAULT_LIMITS)
        assert read is not None
        return read.digest

    def take(self, name: str) -> None:
        from flows.intake_steps import take_in_submission
        from intake.acceptance import take_in
        from intake.delivery import FolderDelivery

        if self.kind == "drop":
            take_in_submission(self.pool, name.partition("-")[0], self.digest(name))
        else:
            take_in(FolderDelivery(self.sent / name), self.pool.door)


# Killing ----------------------------------------------------------------------------------------------------------------


def die_at_line(number: int, watched: tuple[str, ...]) -> list[int]:
    """Kills this process at the n-th line of the watched code. Returns a list that holds the lines run so far."""
    ran = [0]

    def on_line(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            ran[0] += 1
            if ran[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)
        return on_line

    def on_call(frame: FrameType, _: str, __: Any) -> Any:
        return on_line if any(part in frame.f_code.co_filename for part in watched) else None

    sys.settrace(on_call)
    return ran


def forked(work: Callable[[], Any]) -> tuple[int, int]:
    """Starts work in a process of its own: its id, and a descriptor from which its answer (JSON) can be read."""
    end, start = os.pipe()
    process = os.fork()
    if process:
        os.close(start)
        return process, end
    try:
        os.close(end)
        answer = json.dumps(work()).encode()
        os.write(start, answer)
        os._exit(0)
    except BaseException as error:
        os.write(2, f"{type(error).__name__}\n".encode())
        if os.environ.get("KILLING_DEBUG"):
            import traceback

            traceback.print_exc()
        os._exit(1)


def answer_of(process: int, end: int) -> Any:
    """What a process answered; None where it ended without."""
    with os.fdopen(end, "rb") as stream:
        data = stream.read()
    _, ended = os.waitpid(process, 0)
    if os.WIFEXITED(ended) and os.WEXITSTATUS(ended):
        return FAILED
    return json.loads(data) if data else None


def take_all(way: Way, names: list[str], die_at: int = 0, watched: tuple[str, ...] = WIDELY) -> Any:
    ran = die_at_line(die_at, watched) if die_at else [0]
    for name in names:
        way.take(name)
    sys.settrace(None)
    return ran[0]


# What must hold ---------------------------------------------------------------------------------------------------------


def state_of(way: Way) -> dict[str, Any]:
    """What is accepted: receipts by digest, row keys, and what breaks a promise already, killed or not."""
    import pyarrow.parquet as pq

    from schemas.at_rest import Room, decryption
    from schemas.periods import Quarter

    broken: list[str] = []
    root = way.root
    with closing(sqlite3.connect(way.database)) as connection:
        tables = {name for (name,) in connection.execute("select name from sqlite_master")}
        if not {"submissions", "intake_audit"} <= tables:  # killed before there were any
            return {"broken": [], "receipts": {}, "rows": [], "orphans": 0, "accepted": [], "staged": 0, "waiting": 0}
        found = connection.execute("select digest, company, submission_id, quarter, status, receipt from submissions").fetchall()
        audit = connection.execute("select digest, company, decision from intake_audit").fetchall()
    named, rows = set(), []
    for digest, company, submission_id, quarter, _, text in found:
        receipt, folder = json.loads(text), root / "accepted" / quarter / company / digest
        named.add(folder)
        if submission_id in REFUSED:
            broken.append("a refused submission is in the catalogue")
        if not folder.is_dir():
            broken.append("an accepted submission has no folder")
            continue
        try:
            key = way.pool.keys_at_rest.existing(Room.ACCEPTED, Quarter.parse(quarter), company)
            parts = [pq.read_table(p, decryption_properties=decryption(key)) for p in sorted(folder.glob("*.parquet"))]
        except Exception as error:
            broken.append(f"an accepted submission cannot be read: {type(error).__name__}")
            continue
        own = [(row["unit"], row["record_id"]) for part in parts for row in part.select(["unit", "record_id"]).to_pylist()]
        if len(own) != receipt["accepted"]:
            broken.append("an accepted submission has other rows than its receipt says")
        if any(row["submission"] != digest for part in parts for row in part.select(["submission"]).to_pylist()):
            broken.append("a row names another submission")
        rows += own
    if len(set(rows)) < len(rows):
        broken.append("a record counts twice")
    decided = Counter((digest, decision) for digest, _, decision in audit)
    for (digest, decision), times in decided.items():
        if decision == "accepted" and (times != 1 or digest not in {row[0] for row in found}):
            broken.append("the audit tells of another acceptance than the catalogue")
    if any((row[0], "accepted") not in decided for row in found):
        broken.append("an acceptance is not in the audit")
    folders = set((root / "accepted").glob("*/*/*"))
    return {
        "broken": broken,
        "receipts": {row[0]: json.loads(row[5]) for row in found},
        "rows": sorted(rows),
        "orphans": len(folders - named),
        "accepted": sorted(row[2] for row in found),
        "staged": len(list((root / "staging").glob("*"))) if (root / "staging").exists() else 0,
        "waiting": _waiting(root, {row[0] for row in found}) if way.kind == "drop" else 0,
    }


def _waiting(root: Path, accepted: set[str]) -> int:
    """Submissions that are still in a drop. Of a refused one parts may be left: they may as well be on their way again."""
    from intake.sealing import MANIFEST_PART

    left = (root / "drops").glob("*/in/*")
    return sum(1 for folder in left if folder.name in accepted or (folder / MANIFEST_PART).exists())


def answers_of(way: Way) -> dict[str, Any]:
    """The receipts that companies were given, by digest."""
    if way.kind == "drop":
        paths = (way.root / "drops").glob("*/out/*/receipt.json")
    else:
        paths = (way.root / "answers").glob("*/*/receipt.json")
    receipts = [json.loads(path.read_bytes()) for path in paths]
    return {receipt["digest"]: receipt for receipt in receipts}


def end_of(way: Way) -> dict[str, Any]:
    """A clean run to the end, then everything once more: the state, and what is broken."""
    from flows.intake_steps import clear_leftovers
    from intake.acceptance import clear_staging

    for name in (*ACCEPTED, *REFUSED):
        way.take(name)
    clear_staging(way.pool.door)
    if way.kind == "drop":
        clear_leftovers(way.pool)  # as every run of the flow does
    first = state_of(way)
    broken, given = list(first["broken"]), answers_of(way)
    if first["accepted"] != sorted(ACCEPTED):
        broken.append("not every good submission is accepted in the end")
    broken += [f"something is left over in the end: {what}" for what in ("orphans", "staged", "waiting") if first[what]]
    if any(given.get(digest) != receipt for digest, receipt in first["receipts"].items()):
        broken.append("a company was given another receipt than the pool holds")
    way.kind = "folder"
    for name in ACCEPTED:
        way.take(name)
    again = state_of(way)
    if (again["rows"], again["receipts"]) != (first["rows"], first["receipts"]):
        broken.append("a replay changed something")
    return {**first, "broken": broken}


# Rounds -----------------------------------------------------------------------------------------------------------------


def one_round(template: Way, root: Path, chance: random.Random, lasts: float, lines: dict[Any, int]) -> list[str]:
    """Kills and restarts, then a clean end: what was found broken."""
    shutil.copytree(template.root, root)
    way = Way(template.kind, root, template.sent, template.sandboxed)
    broken: list[str] = []
    receipts: dict[str, Any] = {}
    for _ in range(chance.randint(1, PHASES)):
        started = []
        for _ in range(PROCESSES):
            names = list(ACCEPTED + REFUSED)
            chance.shuffle(names)
            del names[chance.randint(3, len(names)) :]
            by_line, watched = chance.random() < 0.7, chance.choice((WIDELY, CLOSELY, CLOSELY))
            die_at = chance.randint(1, lines[watched]) if by_line else 0
            process, end = forked(lambda names=names, die_at=die_at, watched=watched: take_all(way, names, die_at, watched))
            started.append((process, end, 0.0 if by_line else chance.uniform(0, lasts)))
        begun = time.monotonic()
        for process, _, after in sorted(started, key=lambda each: each[2]):
            if after and chance.random() < 0.9:
                time.sleep(max(0.0, begun + after - time.monotonic()))
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
        for process, end, _ in started:
            broken += ["a run failed that nobody had killed"] * (answer_of(process, end) == FAILED)
        state = answer_of(*forked(lambda: state_of(way))) if way.database.exists() else None
        if state == FAILED:
            broken.append("the state cannot be read")
        elif state is not None:
            broken += state["broken"]
            broken += ["a receipt changed"] * sum(state["receipts"].get(d) != r for d, r in receipts.items())
            receipts |= state["receipts"]
    final = answer_of(*forked(lambda: end_of(way)))
    if final is None or final == FAILED:
        return [*broken, "the clean run did not end well"]
    broken += final["broken"]
    broken += ["a receipt changed"] * sum(final["receipts"].get(d) != r for d, r in receipts.items())
    return broken


def planted(plant: str) -> None:
    """Breaks the code on purpose: `order` catalogues before the rename, `turns` lets runs of one company overlap."""
    from intake import acceptance

    if plant == "turns":
        acceptance._one_at_a_time = lambda door, company: nullcontext()  # type: ignore[assignment]
    if plant == "order":
        accept, add = acceptance._accept, acceptance.Catalogue.add

        def reversed_order(door: Any, report: Any, read: Any, quarter: Any, parts: Path, *rest: Any) -> Any:
            def first(self: Any, row: Any, withdraws: Any, counts: Any) -> None:
                return None

            receipt = acceptance.make_receipt(door.signing_key, "accepted", read.manifest.company, read.digest, report, rest[-1])
            row = acceptance.AcceptedSubmission(
                digest=read.digest,
                company=read.manifest.company,
                submission_id=read.manifest.submission_id,
                quarter=quarter,
                pseudonym_key_id=read.manifest.pseudonym_key_id,
                kept=report.kept,
                users=report.new_users,
                status="accepted",
                receipt=dict(receipt),
            )
            add(door.catalogue, row, set(), report.counts)
            acceptance.Catalogue.add = first  # type: ignore[method-assign]
            try:
                return accept(door, report, read, quarter, parts, *rest)
            finally:
                acceptance.Catalogue.add = add  # type: ignore[method-assign]

        acceptance._accept = reversed_order


def main() -> int:
    """Prints one JSON line: rounds, violations, what was broken how often, seconds, and rounds by kind."""
    parser = argparse.ArgumentParser()
    parser.add_argument("rounds", type=int)
    parser.add_argument("seed", type=int)
    parser.add_argument("--plant", default="")
    given = parser.parse_args()
    import jinja2  # noqa: F401
    import pyarrow as pa
    import pyarrow.compute
    import pyarrow.parquet.encryption

    import flows.intake_steps  # noqa: F401
    import intake.sandbox.worker
    import intake.submission  # noqa: F401
    from intake.report_page import _template

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    _template()
    chance, broken, kinds, began = random.Random(given.seed), Counter[str](), Counter[str](), time.monotonic()
    memory = Path("/dev/shm")  # noqa: S108 - what a kill leaves is the same there, and nothing waits for a disk
    base = Path(tempfile.mkdtemp(prefix="commons-killing-", dir=memory if memory.is_dir() else None))
    try:
        answer_of(*forked(lambda: make_submissions(base)))
        planted(given.plant)
        templates = {}
        for kind, sandboxed in (("folder", False), ("drop", False), ("drop", True)):
            template = Way(kind, base / f"{kind}-{sandboxed}", base / "sent", sandboxed)
            answer_of(*forked(lambda t=template: t.prepare(base / "made")))
            start, lines = time.monotonic(), {}
            for watched in (WIDELY, CLOSELY):
                trial = Way(kind, base / "trial", base / "sent", sandboxed)
                shutil.copytree(template.root, trial.root)
                work = lambda t=trial, w=watched: take_all(t, [*ACCEPTED, *REFUSED], 1 << 60, w)  # noqa: E731
                lines[watched] = answer_of(*forked(work))
                shutil.rmtree(trial.root)
            templates[kind, sandboxed] = template, (time.monotonic() - start) / 2, lines
        for number in range(given.rounds):
            sandboxed = number % SANDBOXED_EVERY == SANDBOXED_EVERY - 1
            kind = "drop" if sandboxed or number % 2 else "folder"
            template, lasts, lines = templates[kind, sandboxed]
            kinds[f"{kind}{', sandboxed' if sandboxed else ''}"] += 1
            broken.update(one_round(template, base / "round", chance, lasts, lines))
            shutil.rmtree(base / "round")
            if number % 10 == 9:
                print(f"{number + 1} rounds, {broken.total()} violations: {dict(broken)}", file=sys.stderr, flush=True)  # noqa: T201
    finally:
        shutil.rmtree(base, ignore_errors=True)
    found = {"rounds": given.rounds, "violations": broken.total(), "broken": broken, "kinds": kinds}
    print(json.dumps({**found, "seconds": round(time.monotonic() - began, 1)}))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
