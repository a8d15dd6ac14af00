"""The whole way at 10^5 and 10^6 conversations, a tenth of them with text: seconds and memory by stage.

    python -m benchmarks.scale_pipeline [EXPONENT ...]

Each stage is a process of its own, that calls what its command calls; its memory is that of all its processes together.
"""

import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.measure_process import watched
from benchmarks.report import OUT, report, reported

EXPONENTS = (5, 6)
CONVERSATIONS_A_USER = 2.1  # of the default population
TEXT_SHARE, TEXT_TURNS, COMPANIES = 0.1, 2, 4
QUARTER = "2026Q2"
STAGES = ("simulate", "send", "take_in", "scrub", "measure", "publish")
PIPELINE = STAGES[2:]  # what a pool does: simulating and sending is what companies do


def figures(exponents: Sequence[int] = EXPONENTS) -> dict[str, float]:
    """Seconds, processor seconds and peak MiB by stage, sizes, and the slope of the whole from the first size to the last."""
    found = dict[str, float]()
    for exponent in exponents:
        with tempfile.TemporaryDirectory(dir=_work()) as folder:
            found |= _whole_way(Path(folder), exponent)
    if len(exponents) > 1:
        found |= _slopes(found, exponents[0], exponents[-1])
    found["peak_mb"] = max(found[f"{stage}_1e{e}_peak_mb"] for stage in PIPELINE for e in exponents)
    return found


def _slopes(found: dict[str, float], low: int, high: int) -> dict[str, float]:
    """Powers of the number of records with which seconds, and processor seconds, of a pool's own stages grow."""
    grown = math.log(found[f"pipeline_1e{high}_records"] / found[f"pipeline_1e{low}_records"])
    return {
        f"{said}_1e{low}_1e{high}": math.log(found[f"pipeline_1e{high}_{cost}"] / found[f"pipeline_1e{low}_{cost}"]) / grown
        for said, cost in (("slope", "seconds"), ("processor_slope", "processor_seconds"))
    }


def _work() -> Path:
    place = OUT / "scale"
    place.mkdir(parents=True, exist_ok=True)
    return place


def _whole_way(folder: Path, exponent: int) -> dict[str, float]:
    found, seconds, processor = dict[str, float](), 0.0, 0.0
    for stage in STAGES:
        answer = folder / f"{stage}.json"
        command = [sys.executable, "-m", "benchmarks.scale_pipeline", "--stage", stage, str(folder / "pool"), str(exponent)]
        told, cost = watched([*command, str(answer)], answer, _work() / f"{stage}-1e{exponent}.log", timeout=14_400)
        named = f"{stage}_1e{exponent}"
        found |= {f"{named}_seconds": cost.seconds, f"{named}_processor_seconds": cost.processor_seconds}
        found |= {f"{named}_peak_mb": cost.peak_mb} | {
            f"pipeline_1e{exponent}_{name}": told[name] for name in told if name != "seconds"
        }
        if stage in PIPELINE:
            seconds, processor = seconds + cost.seconds, processor + cost.processor_seconds
        sys.stderr.write(f"{named} {cost.seconds:.1f} s {cost.processor_seconds:.1f} processor s {cost.peak_mb:.0f} MiB\n")
    return found | {f"pipeline_1e{exponent}_seconds": seconds, f"pipeline_1e{exponent}_processor_seconds": processor}


def _simulate(root: Path, exponent: int) -> dict[str, float]:
    from sample_data.emerging_plants import TermPlant
    from sample_data.parameters import SimulationParameters
    from sample_data.simulate import simulate

    parameters = SimulationParameters(
        seed=exponent,
        companies=COMPANIES,
        first_quarter=QUARTER,
        quarters=1,
        users=round(10**exponent / CONVERSATIONS_A_USER),
        text_share=TEXT_SHARE,
        text_turns=TEXT_TURNS,
        terms=(TermPlant(begins=QUARTER),),
    )
    truth = simulate(root / "made", parameters)
    counts = [count for companies in truth.counts.values() for count in companies.values()]
    size = sum(path.stat().st_size for path in (root / "made").rglob("*") if path.is_file())
    return {"texts": sum(count.conversations_with_text for count in counts), "made_bytes": size}


def _send(root: Path, _: int) -> dict[str, float]:
    from flows.demo import configure, send
    from flows.pool import Pool

    configure(Pool(root), root / "made")
    send(Pool(root), root / "made")
    return {"sent_bytes": _bytes(root / "drops")}


def _take_in(root: Path, _: int) -> dict[str, float]:
    from flows.drops import waiting
    from flows.intake_steps import take_in_submission
    from flows.pool import Pool

    pool = Pool(root)
    told = [take_in_submission(pool, each.company, each.digest) for each in waiting(pool)]
    return {"records": sum(each["accepted"] for each in told), "accepted_bytes": _bytes(root / "accepted")}


def _scrub(root: Path, _: int) -> dict[str, float]:
    from flows.pool import Pool
    from flows.scrubbing import pending_parts, scrub_parts

    pool = Pool(root)
    pending = pending_parts(pool)
    done = scrub_parts(pool, pending)
    return {"parts": len(pending), "characters": done.characters, "scrubbed_bytes": _bytes(root / "scrubbed")}


def _measure(root: Path, _: int) -> dict[str, float]:
    from flows.demo import key_of
    from flows.pool import Pool
    from flows.release import release
    from flows.release_steps import make_plan
    from flows.runs import run_flow
    from schemas.periods import Quarter

    pool, quarter = Pool(root), Quarter.parse(QUARTER)
    make_plan(pool, quarter, key_of(pool, "operator"))
    told = run_flow(release, str(root), QUARTER, "measure")
    return {"cells": told["measure"]["cells"]}


def _publish(root: Path, _: int) -> dict[str, float]:
    from flows.demo import release_quarter
    from flows.pool import Pool
    from schemas.periods import Quarter

    told = release_quarter(Pool(root), Quarter.parse(QUARTER))
    return {"published_cells": told["published"], "released_bytes": _bytes(root / "releases")}


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


_DO: dict[str, Callable[[Path, int], dict[str, float]]] = {
    "simulate": _simulate,
    "send": _send,
    "take_in": _take_in,
    "scrub": _scrub,
    "measure": _measure,
    "publish": _publish,
}


def _stage(name: str, root: str, exponent: str, answer: str) -> None:
    from flows.prefect_home import prepare

    prepare(Path(root))
    start = time.monotonic()
    found = _DO[name](Path(root), int(exponent))
    Path(answer).write_text(json.dumps(found | {"seconds": time.monotonic() - start}), encoding="ascii")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--stage"]:
        _stage(*sys.argv[2:])
    else:
        report("scale", reported("scale") | figures([int(e) for e in sys.argv[1:]] or EXPONENTS))
