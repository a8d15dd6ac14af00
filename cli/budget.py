"""Commands of the privacy budget and of the state database that keeps it."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from cli.output import Json, print_json, print_table, say
from cli.pool import DEFAULT_ROOT, Root
from schemas.errors import CheckFailedError, ExitCode

if TYPE_CHECKING:
    from aggregate.ledger import BudgetLine, Fault

ExportFile = Annotated[Path | None, Parameter(name="--export", help="Write the entry for the deployments registry, as YAML.")]
BAR = 30


def budget(*, verify: bool = False, export: ExportFile = None, root: Root = DEFAULT_ROOT, json: Json = False) -> int:
    """What each quarter and year has spent, has reserved for draws without an answer, and has left, in rho and in (ε, δ).

    Example: `commons budget --verify --root pool`

    Args:
        verify: check the ledger's hash chain, plans, stored answers, and what the published releases say of it.
    """
    from flows.budget import budget_lines, export_deployment, ledger_faults
    from flows.pool import Pool

    pool = Pool(root.resolve())
    if verify:
        _refuse(ledger_faults(pool), json)
    lines = budget_lines(pool)
    if export is not None:
        export_deployment(pool, export)
    if json:
        print_json({"verified": verify, "faults": [], "lines": [_line(line) for line in lines]})
        return ExitCode.DONE
    for unit, columns in (
        ("rho", ("rho_spent", "rho_reserved", "rho_left", "rho_cap")),
        ("ε", ("epsilon_spent", "epsilon_reserved", "epsilon_left", "epsilon_cap", "delta")),
    ):
        heads = ("scope", "releases", *(name.replace("rho_", "").replace("epsilon_", "") for name in columns))
        rows = [["scope", "releases", *columns]]
        table = [[_line(line)[name] for name in rows[0]] + ([_bar(line)] if unit == "rho" else []) for line in lines]
        print_table(f"Privacy budget, {unit}", (*heads, *(["█ spent ▒ reserved"] if unit == "rho" else [])), table)
    if verify:
        say("The ledger is as it was written: chain, plans, answers, order, and what the releases say of it.")
    if export is not None:
        say(f"The entry for the deployments registry is written: {export.name}.")
    return ExitCode.DONE


def migrate(*, root: Root = DEFAULT_ROOT, json: Json = False) -> int:
    """Bring the state database to the version of this program, whole or not at all. With PostgreSQL, as the tables' owner.

    SQLite is upgraded whenever it is opened. Make a backup of PostgreSQL first; afterwards `commons protect --sql` prints the
    GRANTs for new tables.

    Example: `COMMONS_DATABASE_URL=postgresql://owner@host/commons commons migrate`
    """
    from flows.pool import Pool
    from flows.state import migrate, state_url

    pool = Pool(root.resolve())
    before, after = migrate(state_url(pool.root, pool.settings.database))
    if json:
        print_json({"before": before, "after": after})
    else:
        say(f"The state database is at version {after}" + (f", from {before or 'none'}." if before != after else " already."))
    return ExitCode.DONE


def _refuse(faults: "Iterable[Fault]", json: bool) -> None:
    found = list(faults)
    if not found:
        return
    if json:
        print_json({"verified": False, "faults": [{"part": fault.part, "entry": fault.entry} for fault in found], "lines": []})
    names = ", ".join(f"{fault.part} (entry {fault.entry})" if fault.entry else str(fault.part) for fault in found)
    raise CheckFailedError(
        f"The ledger is not as it was written: {names}.", "Restore it from a backup before anything else is measured."
    )


def _bar(line: "BudgetLine") -> str:
    spent, reserved = (round(BAR * float(part / line.rho_cap)) for part in (line.rho_spent, line.rho_reserved))
    return "█" * (spent - reserved) + "▒" * reserved + "·" * (BAR - spent)


def _line(line: "BudgetLine") -> dict[str, Any]:
    names = ("rho_spent", "rho_reserved", "rho_left", "rho_cap", "first_release_rho_left", "reserve_rho_left")
    exact = {name: getattr(line, name) for name in (*names, "threshold_delta_spent", "threshold_delta_cap")}
    return {
        "scope": line.scope,
        "releases": line.releases,
        **{name: None if value is None else float(value) for name, value in exact.items()},
        **{f"{name}_exact": None if value is None else str(value) for name, value in exact.items()},
        "epsilon_spent": line.epsilon_spent,
        "epsilon_reserved": line.epsilon_reserved,
        "epsilon_left": line.epsilon_left,
        "epsilon_cap": line.epsilon_cap,
        "delta": line.delta,
    }
