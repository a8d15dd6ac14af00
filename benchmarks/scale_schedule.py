"""How soon cron deployments have scheduled runs: a real Prefect server on PostgreSQL, deployed to as `commons deploy` does.

python -m benchmarks.scale_schedule
"""

import json
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.report import report, reported

for _folder in ("aggregate", "end_to_end"):
    sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / _folder))

COMPANIES, MOST_SECONDS = 3, 600.0
SCHEDULED = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}


def figures() -> dict[str, float]:
    """`scheduled_within_s`, seconds from the end of the deploy until every deployment has scheduled runs, and their number."""
    from postgres_server import postgres_server

    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(postgres_server())
        return scheduled(place, f"postgresql+asyncpg://{server.url().username}@/postgres?host={server.folder}&port={server.port}")


def scheduled(place: Path, database: str) -> dict[str, float]:
    """The figures for a server whose state is at a URL; everything else lies below `place`."""
    from prefect_server import prefect_server

    from flows.pool import Pool
    from flows.serving import deploy
    from sample_data.parameters import SimulationParameters
    from sample_data.simulate import simulate

    made, config = place / "made", place / "pool" / "config"
    simulate(made, SimulationParameters(users=9, companies=COMPANIES, quarters=1, text_share=0.0))
    config.mkdir(parents=True)
    (config / "companies.toml").write_bytes((made / "companies.toml").read_bytes())
    home = place / "pool" / "prefect"
    home.mkdir()
    with prefect_server(home, PREFECT_SERVER_DATABASE_CONNECTION_URL=database) as api:
        names = deploy(Pool(place / "pool"), api)
        deployed = time.monotonic()
        while time.monotonic() - deployed < MOST_SECONDS:
            runs = _asked(api, "/flow_runs/filter", SCHEDULED)
            seconds, with_runs = time.monotonic() - deployed, {run["deployment_id"] for run in runs}
            if with_runs == {each["id"] for each in _asked(api, "/deployments/filter", {})}:
                return {"scheduled_within_s": seconds, "scheduled_deployments": len(names), "scheduled_runs": len(runs)}
            time.sleep(0.1)
    raise RuntimeError("No runs are scheduled.")


def _asked(api: str, path: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(f"{api}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310  (ours)
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return json.loads(answer.read())


if __name__ == "__main__":
    report("scale", reported("scale") | figures())
