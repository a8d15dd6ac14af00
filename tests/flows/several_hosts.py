"""One of several machines with the same root and the same database, as a program: it takes a release on, or scrubs.

    python several_hosts.py ROOT NAME WORK [--plant]

Beside the root it leaves `NAME.began` once it has begun what only one may do, `NAME.waits` where it waits for its turn, and
`NAME.ended`. What it does alone it does until another one waits for it or has ended. `--plant` takes its turns away.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

QUARTER = "2026Q1"


def measure(pool: Any, meet: Callable[[], None]) -> Any:
    from aggregate.mechanisms.draw import PreparedDraw
    from flows.release_steps import measure_release
    from publish.signoff import SignedContent
    from schemas.periods import Quarter

    draw = PreparedDraw.draw

    def slowly(self: Any) -> Any:
        meet()
        return draw(self)

    PreparedDraw.draw = slowly  # type: ignore[method-assign]
    return SignedContent.of(measure_release(pool, Quarter.parse(QUARTER))).tables_digest


def scrub(pool: Any, meet: Callable[[], None]) -> Any:
    from flows import scrubbing

    outcomes = scrubbing._outcomes

    def slowly(*arguments: Any) -> Any:
        meet()
        return outcomes(*arguments)

    scrubbing._outcomes = slowly
    return scrubbing.scrub_parts(pool, scrubbing.pending_parts(pool)).records


def release(pool: Any, person: str) -> Any:
    """The whole way, of which each machine signs for one person."""
    from flows.release_steps import approve_release, check_release, is_approved, make_plan, measure_release, publish_release
    from schemas.periods import Quarter

    quarter = Quarter.parse(QUARTER)
    make_plan(pool, quarter, pool.root / "olga.key")
    measure_release(pool, quarter)
    check_release(pool, quarter)
    approve_release(pool, quarter, pool.root / f"{person}.key")
    while not is_approved(pool, quarter):
        time.sleep(0.1)
    return publish_release(pool, quarter).manifest["tables_digest"]


def main() -> int:
    parser = argparse.ArgumentParser()
    for name in ("root", "name", "work"):
        parser.add_argument(name)
    parser.add_argument("--plant", action="store_true")
    given = parser.parse_args()
    from flows import progress, release_steps, scrubbing
    from flows.pool import Pool
    from schemas.errors import CommonsError

    pool = Pool(Path(given.root))

    def mark(name: str, what: str) -> Path:
        return pool.root.with_name(f"{name}.{what}")

    def meet() -> None:
        mark(given.name, "began").touch()
        own = {mark(given.name, what) for what in ("began", "waits", "ended")}
        while not {path for what in ("began", "waits", "ended") for path in pool.root.parent.glob(f"*.{what}")} - own:
            time.sleep(0.05)

    if given.plant:
        for module in (release_steps, scrubbing):
            module.in_turn = lambda *_: nullcontext()  # type: ignore[attr-defined]
    work = {"measure": measure, "scrub": scrub}.get(given.work)
    try:
        with progress.listening(lambda stage, _: mark(given.name, "waits").touch() if stage.startswith("waits") else None):
            sys.stdout.write(json.dumps(work(pool, meet) if work else release(pool, given.work)) + "\n")
        return 0
    except CommonsError as error:
        sys.stderr.write(error.message)
        return int(error.exit_code)
    finally:
        mark(given.name, "ended").touch()


if __name__ == "__main__":
    sys.exit(main())
