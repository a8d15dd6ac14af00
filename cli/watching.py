"""Commands for who watches a pool: metrics for a monitor, and whether all is well."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from cli.output import print_json, say
from cli.pool import DEFAULT_ROOT, Root
from schemas.errors import UsageError

_NAME = 14  # width of the names of checks


def metrics(
    *,
    out: Annotated[Path | None, Parameter(help="Write them to this file (*.prom), whole or not at all.")] = None,
    root: Root = DEFAULT_ROOT,
) -> int:
    """Metrics of a pool in Prometheus' text format: by stage records, bytes and seconds; queue, budget, disk, health.

    They name no company; the counts are exact, so they are for the operator's own monitor alone. docs/guides/scheduling.md
    tells the rest.

    Example: `commons metrics --root pool --out /var/lib/node_exporter/commons.prom`
    """
    from flows.metrics import metrics_text, write_metrics

    pool = _pool(root)
    if out is None:
        say(metrics_text(pool).rstrip())
    else:
        write_metrics(pool, out)
    return 0


def print_health(root: Path, json: bool, now: datetime | None = None) -> int:
    """Each check in a line, and what to do about those that failed; the exit code is that of the first of them."""
    from flows.health import Condition, exit_code, health

    found = health(_pool(root), now)
    code = exit_code(found)
    if json:
        told = [
            {"check": each.check, "condition": each.condition, "told": each.told, "next_step": each.next_step}
            | {"exit_code": int(each.exit_code)}
            for each in found
        ]
        print_json({"healthy": code == 0, "exit_code": int(code), "checks": told})
        return code
    for each in found:
        say(f"{each.condition:10}{each.check:{_NAME}}{each.told}")
        if each.condition is Condition.FAILED and each.next_step:
            say(f"{'':{10 + _NAME}}{each.next_step}")
    return code


def _pool(root: Path) -> Any:
    from flows.pool import Pool

    # Looking at another folder would make a pool's state there.
    if not any((root / name).exists() for name in ("config", "state", "drops", "secrets")):
        raise UsageError("There is no such pool.", "Give its root folder with --root.")
    return Pool(root.resolve())
