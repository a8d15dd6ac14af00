"""The whole way of one small pool, from its drops to a published release, and what must hold of it, killed or not."""

import os
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

QUARTER = "2026Q1"
STAGES = ("take_in", "scrub", "plan", "measure", "check", "approve", "publish")
USERS, TEXT_SHARE, COMPANIES = 36, 0.2, 3
LOST = "lost draw"
PLANTS = {"": STAGES, "part": ("scrub",), "answer": ("measure",), "folder": ("publish",)}
"""Breaks on purpose, and the stages in which they show."""
Facts = dict[str, Any]


def walk(root: Path, plain: bool, begin: str = STAGES[0], told: Callable[[int], None] = lambda stage: None) -> None:
    """Every command of the way, from a stage on; what is done already is answered as it was."""
    from flows.demo import key_of
    from flows.pool import Pool
    from flows.release_steps import approve_release, make_plan
    from schemas.errors import BudgetRefusedError
    from schemas.periods import Quarter

    pool, quarter = Pool(root), Quarter.parse(QUARTER)
    ingest, release = _plain(pool, quarter) if plain else _flows(root)
    for number, stage in enumerate(STAGES):
        if number < STAGES.index(begin):
            continue
        told(number)
        if stage == "take_in":
            ingest(partial(told, STAGES.index("scrub")))
        elif stage == "plan":
            make_plan(pool, quarter, key_of(pool, "operator"))
        elif stage == "approve":
            for person in ("adviser", "steward"):
                approve_release(pool, quarter, key_of(pool, person))
        elif stage != "scrub":
            try:
                release(stage)
            except BudgetRefusedError as refused:
                if "answer is lost" not in refused.message:
                    raise
                make_plan(pool, quarter, key_of(pool, "operator"), LOST)
                release(stage)


def _flows(root: Path) -> tuple[Callable[..., None], Callable[..., None]]:
    from flows import progress
    from flows.intake import intake
    from flows.release import release
    from flows.runs import run_flow

    def ingest(scrubs: Callable[[], None]) -> None:
        def heard(stage: str, share: float) -> None:
            if (stage, share) == ("intake", 1.0):
                scrubs()

        with progress.listening(heard):
            run_flow(intake, str(root))

    return ingest, lambda stage: run_flow(release, str(root), QUARTER, stage) and None


def _plain(pool: Any, quarter: Any) -> tuple[Callable[..., None], Callable[..., None]]:
    from flows import release_steps
    from flows.drops import waiting
    from flows.intake_steps import clear_leftovers, take_in_submission
    from flows.scrub_reports import deliver_scrub_reports
    from flows.scrubbing import pending_parts, scrub_parts

    def ingest(scrubs: Callable[[], None]) -> None:
        clear_leftovers(pool)
        for each in waiting(pool):
            take_in_submission(pool, each.company, each.digest)
        scrubs()
        scrub_parts(pool, pending_parts(pool))
        deliver_scrub_reports(pool)

    return ingest, lambda stage: getattr(release_steps, f"{stage}_release")(pool, quarter) and None


def prepare(root: Path, seed: int) -> None:
    """A pool with everything in its drops."""
    from flows.demo import configure, send
    from flows.pool import Pool, packaged_config
    from sample_data.parameters import SimulationParameters
    from sample_data.simulate import simulate

    parameters = SimulationParameters(
        seed=seed,
        companies=COMPANIES,
        first_quarter=QUARTER,
        quarters=1,
        users=USERS,
        submissions_per_quarter=1,
        files_per_submission=2,
        text_share=TEXT_SHARE,
        text_turns=2,
    )
    simulate(root / "made", parameters)
    configure(Pool(root), root / "made")
    settings = packaged_config("pool.toml").read_text(encoding="utf-8")
    one_worker = re.sub(
        r"(?m)^workers = \d+", "workers = 1", settings
    )  # loading its models is most of what this little text takes
    (root / "config" / "pool.toml").write_text(one_worker, encoding="utf-8")
    send(Pool(root), root / "made")


# What must hold -------------------------------------------------------------------------------------------------------


def look(root: Path) -> Facts:
    """What is there and may not change any more: finished parts, stored answers, entries of the ledger, the release."""
    from sqlalchemy import select

    from aggregate.ledger.tables import ANSWERS
    from flows.pool import Pool
    from schemas.canonical import sha256_bytes

    pool = Pool(root)
    scrubbed = {p: p.stat() for p in sorted(pool.scrubbed.rglob("*.parquet")) if not p.name.startswith(".")}
    with pool.engine.connect() as connection:
        answers = {row.plan: sha256_bytes(bytes(row.body)) for row in connection.execute(select(ANSWERS))}
    return {
        "parts": {str(p.relative_to(root)): [s.st_ino, s.st_mtime_ns] for p, s in scrubbed.items()},
        "answers": answers,
        "entries": [entry["hash"] for entry in pool.ledger.entries()],
        "released": _files(pool.releases / QUARTER),
        "answered": _files(root / "answers"),
    }


def _files(folder: Path) -> dict[str, str]:
    """Digest of every file that was put in place below a folder."""
    from schemas.canonical import sha256_bytes

    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    found = {path.relative_to(folder): path for path in paths if not path.relative_to(folder).parts[0].startswith(".")}
    return {str(name): sha256_bytes(path.read_bytes()) for name, path in found.items() if not name.name.startswith(".")}


def ended(root: Path) -> Facts:
    """The end of a round: rows, spends, and what is broken by itself."""
    from flows.pool import Pool
    from flows.release_steps import publish_release
    from publish.path import State
    from publish.store import states
    from schemas.at_rest import Room
    from schemas.periods import Quarter

    pool, broken = Pool(root), list[str]()
    entries = pool.ledger.entries()
    steps = Counter((entry["plan"], entry["kind"]) for entry in entries)
    reserved, answered = ([e["plan"] for e in entries if e["kind"] == kind] for kind in ("reserve", "answer"))
    plans = {entry["plan"]: entry for entry in entries if entry["kind"] == "plan"}
    lost = [plan for plan in plans if plan not in answered]
    if (
        pool.ledger.faults()
        or any(times > 1 for times in steps.values())
        or sorted(answered) != sorted(set(reserved) - set(lost))
    ):
        broken.append("the ledger is not in order")
    if set(states(pool.engine).values()) - {State.PUBLISHED} and not lost:
        broken.append("something is not published")
    for folder in (pool.root / "staging", pool.root / "drops"):
        left = folder.glob("*" if folder.name == "staging" else "*/in/*")
        broken += [f"something is left in {folder.name}" for _ in left]
    if any(path.name.startswith(".") for path in (*pool.scrubbed.rglob("*"), *pool.releases.glob(f"{QUARTER}/*"))):
        broken.append("something unfinished is left")
    released = _files(pool.releases / QUARTER)
    shutil.move(pool.releases, pool.root / "first")
    publish_release(pool, Quarter.parse(QUARTER))
    return {
        "accepted": _rows(pool, Room.ACCEPTED),
        "scrubbed": _rows(pool, Room.SCRUBBED),
        "spends": len(reserved),
        "draws_lost": len(lost),
        "built_again": released == _files(pool.releases / QUARTER),
        "broken": broken,
    }


def _rows(pool: Any, room: Any) -> dict[str, str]:
    """Digest of the rows of each part of a room, decrypted: by quarter, company, submission and name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from schemas.at_rest import decryption
    from schemas.canonical import sha256_bytes
    from schemas.periods import Quarter

    found, top = {}, pool.root / str(room)
    for path in sorted(top.glob("*/*/*/[!.]*.parquet")):
        quarter, company = path.relative_to(top).parts[:2]
        key = pool.keys_at_rest.existing(room, Quarter.parse(quarter), company)
        table = pq.read_table(path, decryption_properties=decryption(key)).combine_chunks()
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        found[str(path.relative_to(top))] = sha256_bytes(sink.getvalue().to_pybytes())
    return found


def draw_seconds(root: Path) -> Facts:
    """How long a measurement takes, and for how long of it a charge stands without a stored answer."""
    from aggregate.ledger import Ledger
    from flows.pool import Pool
    from flows.release_steps import measure_release
    from schemas.periods import Quarter

    moments, reserve, store = list[float](), Ledger._reserve, Ledger._store

    def reserved(*arguments: Any) -> None:
        reserve(*arguments)
        moments.append(time.monotonic())

    def stored(*arguments: Any) -> None:
        store(*arguments)
        moments.append(time.monotonic())

    Ledger._reserve, Ledger._store = reserved, stored  # type: ignore[method-assign]
    began = time.monotonic()
    measure_release(Pool(root), Quarter.parse(QUARTER))
    return {"measure": time.monotonic() - began, "draw": moments[1] - moments[0]}


# Breaks, on purpose ---------------------------------------------------------------------------------------------------


def planted(plant: str) -> None:
    """Breaks the way in this process and those it forks, and has the first run that comes there die where it is broken.

    `part`: a scrubbed part lies in its place before it is whole. `answer`: an answer is stored for which nothing was reserved.
    `folder`: a release is written where it will lie.
    """
    from aggregate.ledger import Ledger
    from flows import scrubbing
    from publish import folder

    def stored_first(self: Any, plan: Any, draw: Callable[[], bytes]) -> bytes:
        stored = self.stored_answer(plan.hash)
        if stored is None:
            stored = draw()
            self._store(plan, stored)
        return bytes(stored)

    def in_place(target: Path, files: Any) -> None:
        for number, (path, data) in enumerate(files.items()):
            if number == len(files) // 2:
                _die_once(target.parents[3])
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_bytes(data)

    if plant == "part":
        scrubbing._scrub_part = torn_part
    elif plant == "answer":
        Ledger.answer_once = stored_first  # type: ignore[method-assign]
    elif plant == "folder":
        folder._write_whole = in_place


def torn_part(number: int, job: Any) -> Any:
    """In a worker: what a scrub would do that writes into place."""
    from flows.scrubbing import _scrub_part

    job.part.target.parent.mkdir(parents=True, exist_ok=True)
    job.part.target.write_bytes(job.part.source.read_bytes()[:1000])
    _die_once(job.part.target.parents[5])
    return _scrub_part(number, job)


def _die_once(folder: Path) -> None:
    """Kills the run where it is broken, the first time that it comes there in a round."""
    if not (folder / "torn").exists():
        (folder / "torn").touch()
        os.killpg(0, signal.SIGKILL)
