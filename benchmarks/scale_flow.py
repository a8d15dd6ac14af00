"""What the flow costs beside its work: 1,000 shards scrubbed through Prefect and the engine, and by a bare loop.

    python -m benchmarks.scale_flow

The work is `scrub_shard` over the same shards, half of them in each of two processes, which nothing watches, logs or reports. The
flow runs on a server that is there already, as on a schedule; a command without one takes `flow_start_seconds` more to start its own.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

from benchmarks.measure_process import Cost, watched
from benchmarks.report import OUT, report, reported
from benchmarks.scale_pipeline import QUARTER

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "tests" / "end_to_end")]

SHARDS, ROUNDS, WORKERS = 1_000, 2, 2
USERS, TEXT_SHARE = 60, 0.3


def figures() -> dict[str, float]:
    """`flow_overhead`, the share of its work's time that the flow takes on top (the best of each over rounds), by the clock and of the processor.

    The processor's are of the flow and its workers, without the server's.
    """
    from prefect_server import prefect_server

    place = OUT / "scale"
    place.mkdir(parents=True, exist_ok=True)
    costs: dict[str, list[Cost]] = {"work": [], "flow": []}
    with tempfile.TemporaryDirectory(dir=place) as folder:
        root = Path(folder) / "pool"
        _child("prepare", root)
        (home := Path(folder) / "prefect").mkdir()
        with prefect_server(home) as api:
            for _ in range(ROUNDS):
                for way, found in costs.items():
                    shutil.rmtree(root / "scrubbed", ignore_errors=True)
                    found.append(_child(way, root, api))
                    sys.stderr.write(f"{way} {found[-1].seconds:.1f} s, {found[-1].processor_seconds:.1f} processor s\n")
            start = [_child("flow", root, server).seconds for server in ("", api)]  # all is done: nothing but the start
    work, flow = (min(cost.seconds for cost in costs[way]) for way in costs)
    work_processor, flow_processor = (min(cost.processor_seconds for cost in costs[way]) for way in costs)
    return {
        "flow_shards": SHARDS,
        "flow_rounds": ROUNDS,
        "flow_work_seconds": work,
        "flow_seconds": flow,
        "flow_overhead": flow / work - 1,
        "flow_work_processor_seconds": work_processor,
        "flow_processor_seconds": flow_processor,
        "flow_processor_overhead": flow_processor / work_processor - 1,
        "flow_start_seconds": start[0] - start[1],
    }


def _child(way: str, root: Path, api: str = "") -> Cost:
    answer = root.with_suffix(".json")
    command = [sys.executable, "-m", "benchmarks.scale_flow", "--way", way, str(root), str(answer), api]
    return watched(command, answer, OUT / "scale" / f"flow-{way}.log", timeout=7_200)[1]


def _prepare(root: Path) -> None:
    """A pool with one accepted part, a thousand times."""
    from benchmarks.scale_pipeline import COMPANIES
    from flows.demo import configure, send
    from flows.drops import waiting
    from flows.intake_steps import take_in_submission
    from flows.pool import Pool
    from flows.scrubbing import pending_parts
    from sample_data.parameters import SimulationParameters
    from sample_data.simulate import simulate

    parameters = SimulationParameters(
        companies=COMPANIES,
        first_quarter=QUARTER,
        quarters=1,
        users=USERS * COMPANIES,
        submissions_per_quarter=1,
        files_per_submission=1,
        text_share=TEXT_SHARE,
        text_turns=2,
    )
    pool = Pool(root)
    simulate(root / "made", parameters)
    configure(pool, root / "made")
    send(pool, root / "made")
    for each in waiting(pool):
        take_in_submission(pool, each.company, each.digest)
    made = pending_parts(pool)
    for number in range(SHARDS - len(made)):
        source = made[number % len(made)].source
        shutil.copyfile(source, source.with_name(f"part-{10_000 + number}.parquet"))


def _work(root: Path) -> None:
    with get_context("spawn").Pool(WORKERS, _begin) as processes:
        processes.starmap(_loop, [(str(root), half) for half in range(WORKERS)], chunksize=1)


def _begin() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"


def _loop(root: str, half: int) -> None:
    from anonymize.shard import ShardKeys, scrub_shard
    from flows.pool import Pool
    from flows.scrubbing import pending_parts
    from schemas.at_rest import Room

    pool = Pool(Path(root))
    for part in pending_parts(pool)[half::WORKERS]:
        place = (part.quarter, part.company)
        keys = ShardKeys(pool.keys_at_rest.existing(Room.ACCEPTED, *place), pool.keys_at_rest(Room.SCRUBBED, *place))
        part.target.parent.mkdir(parents=True, exist_ok=True)
        scrub_shard(part.source, part.target, pool.scrub_settings, keys, report_file=part.report_file)


def _flow(root: Path) -> None:
    from flows.intake import intake
    from flows.runs import run_flow

    run_flow(intake, str(root))


def _main(way: str, root: str, answer: str, api: str) -> None:
    if api:
        os.environ["PREFECT_API_URL"] = api  # before Prefect is first imported
    from flows.prefect_home import prepare

    prepare(Path(root))
    start = time.monotonic()
    {"prepare": _prepare, "work": _work, "flow": _flow}[way](Path(root))
    Path(answer).write_text(json.dumps({"seconds": time.monotonic() - start}), encoding="ascii")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--way"]:
        _main(*sys.argv[2:])
    else:
        report("scale", reported("scale") | figures())
