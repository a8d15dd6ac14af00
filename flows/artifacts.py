"""What runs show on Prefect's page, one table each, the latest on top: counts, codes and states, and nothing of a record."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from prefect.artifacts import create_table_artifact

from flows.budget import budget_lines
from flows.pool import Pool
from schemas.stages import CheckResult

Row = dict[str, Any]


def show_intake(taken: Sequence[Mapping[str, Any]], left_waiting: int) -> None:
    """Shows what became of each submission of a run."""
    names = ("company", "quarter", "decision", "records", "accepted", "quarantined")
    rows = [{name: each[name] for name in names} | {"findings": _counted(each["findings"])} for each in taken]
    _show("intake", rows, f"Submissions taken in. Left for the next run: {left_waiting}.")


def show_scrub(parts: int, report: Mapping[str, Any]) -> None:
    """Shows what the scrub of a run found: numbers of findings by kind."""
    counted = {name: report[name] for name in ("records", "turns", "characters", "canaries", "canaries_caught")}
    rows = [{"what": "parts", "number": parts}, *({"what": name, "number": number} for name, number in counted.items())]
    rows += [{"what": f"replaced: {kind}", "number": number} for kind, number in report["counts"].items()]
    rows += [{"what": f"withheld: {reason}", "number": number} for reason, number in report["withheld"].items()]
    _show("scrub", rows, "What was scrubbed in the latest run.")


def show_budget(pool: Pool) -> None:
    """Shows what of each quarter's and year's budget is spent, reserved and left, in rho, and ε at the year's δ."""
    rows = [
        {
            "scope": line.scope,
            "rho spent": float(line.rho_spent),
            "rho reserved": float(line.rho_reserved),
            "rho left": float(line.rho_left),
            "ε spent": round(line.epsilon_spent, 4),
            "ε cap": float(line.epsilon_cap),
            "δ": line.delta,
        }
        for line in budget_lines(pool)
    ]
    _show("budget", rows, "Privacy budget, as `commons budget` has it.")


def show_checks(quarter: str, results: Sequence[CheckResult]) -> None:
    """Shows each check of a release and how it ended."""
    rows = [{"check": each.name, "kind": "stops" if each.stops else "warns", "passed": each.passed} for each in results]
    _show(f"checks-{quarter.lower()}", rows, f"Checks of the release of {quarter}.")


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{code} {number}" for code, number in counts.items())


def _show(key: str, rows: list[Row], description: str) -> None:
    with suppress(Exception):  # a page that cannot be written keeps nothing from being done
        create_table_artifact(rows, key, description)
