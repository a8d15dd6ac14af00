"""Commands of the registry of model and product changes."""

from typing import Annotated

from cyclopts import App, Parameter

from cli.output import Json, print_json, print_table, quarter_of, say
from cli.pool import DEFAULT_ROOT, Root
from schemas.errors import ExitCode

changes = App(
    name="changes",
    group="Pool",
    help="The private registry of model and product changes: what stands in it, and whether it can be compared.",
)

COLUMNS = ("company", "change_class", "at", "settled", "experiment", "arm", "arm_share")
COUNTS = ("change_class", "companies", "others", "before_after", "difference_in_differences", "randomised_arms")


@changes.command(name="list")
def list_(
    *,
    company: Annotated[str, Parameter(help="Only this company's entries: what that company may be shown.")] = "",
    root: Root = DEFAULT_ROOT,
    json: Json = False,
) -> int:
    """Registered changes as they stand in changes.toml. Private: for the operator, and of a company for that company.

    Example: `commons changes list --company alder --root pool`
    """
    from flows.changes import listed
    from flows.pool import Pool

    entries = listed(Pool(root.resolve()).changes, company)
    if json:
        print_json({"changes": entries})
    elif entries:
        print_table("", COLUMNS, ([entry[name] for name in COLUMNS] for entry in entries))
    else:
        say("No change is registered.")
    return ExitCode.DONE


@changes.command
def check(quarter: str, *, root: Root = DEFAULT_ROOT, json: Json = False) -> int:
    """Check changes.toml, and count for each class how many contributing companies have such a change in a quarter, and what can be compared.

    Example: `commons changes check 2026Q1 --root pool`
    """
    from flows.changes import compared_by_class
    from flows.pool import Pool

    counts = compared_by_class(Pool(root.resolve()), quarter_of(quarter))
    if json:
        print_json({"quarter": quarter, "classes": counts})
    else:
        rows = ([("yes" if value else "no") if isinstance(value, bool) else value for value in row.values()] for row in counts)
        print_table(f"Registered changes of {quarter}, counts for the operator", COUNTS, rows)
    return ExitCode.DONE
