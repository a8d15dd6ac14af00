"""Commands of a pool on a schedule: a server and a worker on this machine, or deployments on a server that is there."""

import os
from typing import Any

from cli.output import Json, print_json, progress, say
from cli.pool import DEFAULT_ROOT, Root
from schemas.errors import ExitCode, UsageError


def _pool(root: Root) -> Any:
    from flows.pool import Pool
    from flows.prefect_home import prepare

    if not root.is_dir():
        raise UsageError("There is no such pool.", "Give its root folder with --root.")
    prepare(root)
    return Pool(root.resolve())


def deploy(*, api: str = "", root: Root = DEFAULT_ROOT, json: Json = False) -> int:
    """Deploy a pool's schedules to a Prefect server: intake of each company, the release, retention; and its automations.

    Again after the registry changed. The server's address may be in PREFECT_API_URL. docs/guides/scheduling.md tells the rest.

    Example: `commons deploy --root pool --api http://127.0.0.1:4200/api`

    Args:
        api: address of the server's API.
    """
    from flows.serving import deploy

    address = api or os.environ.get("PREFECT_API_URL", "")
    if not address:
        raise UsageError("No Prefect server is named.", "Give --api, set PREFECT_API_URL, or run `commons serve`.")
    names = deploy(_pool(root), address)
    if json:
        print_json({"deployments": names})
    else:
        say(f"Deployed: {', '.join(names)}.")
    return ExitCode.DONE


def serve(*, host: str = "127.0.0.1", port: int = 4200, runs: int = 2, metrics_port: int = 0, root: Root = DEFAULT_ROOT) -> int:
    """Run a pool on its schedules on this machine: a Prefect server, its page, and a worker, until stopped (Ctrl-C).

    Example: `commons serve --root pool`

    Args:
        host: address to listen on. The page knows no identities: leave it where only operators reach it.
        port: port of the server and its page.
        runs: runs at the same time, at most.
        metrics_port: serve metrics for Prometheus on this port too, at /metrics; 0: do not.
    """
    from flows.serving import serve

    say(f"Serving on http://{host}:{port}. Stop with Ctrl-C.")
    with progress():
        serve(_pool(root), host, port, runs, metrics_port)
    return ExitCode.DONE
