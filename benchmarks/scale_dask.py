"""The scrub on a Dask cluster: two workers against one, and against two processes without it, over the same parts.

    python -m benchmarks.scale_dask

Each run begins with workers that have no model in memory yet, as processes of a pool do, and ends when the driver has every part's
counts. Scheduler, workers, driver and a Prefect server share this machine; processor seconds are of all of them, and of whatever else
it does meanwhile.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure_process import watched
from benchmarks.report import OUT, report, reported
from benchmarks.scale_pipeline import COMPANIES, QUARTER

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "tests" / folder) for folder in ("flows", "end_to_end")]

ROUNDS = 2
USERS, SUBMISSIONS, TEXT_SHARE = 6_000, 5, 0.5
WAYS = {"processes": 0, "one_worker": 1, "two_workers": 2}
"""How many workers a cluster has; 0: two processes of the machine, and no cluster."""


def figures(users: int = USERS, rounds: int = ROUNDS) -> dict[str, float]:
    """`dask_two_worker_efficiency` (t1 / 2 t2), `dask_overhead` over two plain processes by the clock and of the processor, and seconds: the best of interleaved rounds."""
    from prefect_server import prefect_server

    place = OUT / "scale"
    place.mkdir(parents=True, exist_ok=True)
    costs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory(dir=place) as folder:
        root, home = Path(folder) / "pool", Path(folder) / "prefect"
        home.mkdir()
        told = _child("prepare", root, str(users))
        with prefect_server(home) as api:
            for _ in range(rounds):
                for way, found in costs.items():
                    shutil.rmtree(root / "scrubbed", ignore_errors=True)
                    found.append(_timed(root, api, WAYS[way]))
                    sys.stderr.write(f"{way} {found[-1]['seconds']:.1f} s, {found[-1]['processor_seconds']:.1f} processor s\n")
    least = {
        cost: {way: min(each[cost] for each in found) for way, found in costs.items()}
        for cost in ("seconds", "processor_seconds")
    }
    seconds, processor = least.values()
    return {
        "dask_parts": told["parts"],
        "dask_rounds": rounds,
        **{f"dask_{cost}_{way}": value for cost, found in least.items() for way, value in found.items()},
        "dask_two_worker_efficiency": seconds["one_worker"] / (2 * seconds["two_workers"]),
        "dask_overhead": seconds["two_workers"] / seconds["processes"] - 1,
        "dask_processor_overhead": processor["two_workers"] / processor["processes"] - 1,
    }


def _timed(root: Path, api: str, workers: int) -> dict[str, float]:
    from dask_cluster import dask_cluster

    if not workers:
        return _child("scrub", root, api, "", "0")
    quiet = {"DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "info"}
    with dask_cluster(root.parent / "cluster", quiet, places=[("127.0.0.1", ())] * workers) as cluster:
        return _child("scrub", root, api, cluster.address, str(workers))


def _child(way: str, root: Path, *arguments: str) -> dict[str, float]:
    answer = root.with_suffix(".json")
    command = [sys.executable, "-m", "benchmarks.scale_dask", "--way", way, str(answer), str(root), *arguments]
    told: dict[str, float] = watched(command, answer, OUT / "scale" / f"dask-{way}.log", timeout=7_200)[0]
    return told


def _prepare(root: str, users: str) -> dict[str, float]:
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
        users=int(users),
        submissions_per_quarter=SUBMISSIONS,
        files_per_submission=1,
        text_share=TEXT_SHARE,
    )
    pool = Pool(Path(root))
    simulate(pool.root / "made", parameters)
    configure(pool, pool.root / "made")
    send(pool, pool.root / "made")
    for each in waiting(pool):
        take_in_submission(pool, each.company, each.digest)
    return {"parts": len(pending_parts(pool)), "seconds": 0.0}


def _busy() -> float:
    """Seconds that all processors of the machine have worked; what a hypervisor gave to others is not in it."""
    user, nice, system = map(int, Path("/proc/stat").read_text(encoding="ascii").split(maxsplit=4)[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def _scrub(root: str, api: str, address: str, workers: str) -> dict[str, float]:
    os.environ["PREFECT_API_URL"] = api  # before Prefect is first imported
    from flows.pool import Pool, packaged_config
    from flows.prefect_home import prepare
    from flows.scrubbing import pending_parts, scrub_parts

    prepare(Path(root))
    settings = packaged_config("pool.toml").read_text(encoding="utf-8")
    settings = settings.replace('\ncluster = ""\n', f'\ncluster = "{address}"\n').replace("\nworkers = 0 ", "\nworkers = 2 ")
    (Path(root) / "config" / "pool.toml").write_text(settings, encoding="utf-8")
    if address:
        from distributed import Client

        import flows.scrub_on_dask  # noqa: F401  (loaded where a flow runs anyway)

        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(int(workers))
    pool = Pool(Path(root))
    pending = pending_parts(pool)
    start, busy = time.monotonic(), _busy()
    done = scrub_parts(pool, pending)
    told = {"seconds": time.monotonic() - start, "processor_seconds": _busy() - busy}
    return {**told, "records": done.records, "characters": done.characters}


def _main(way: str, answer: str, *arguments: str) -> None:
    told = {"prepare": _prepare, "scrub": _scrub}[way](*arguments)
    Path(answer).write_text(json.dumps(told), encoding="ascii")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--way"]:
        _main(*sys.argv[2:])
    else:
        report("scale", reported("scale") | figures())
