"""The registry of model and product changes: read, checked, and counted by class. Private: it names companies."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from aggregate.comparing import changes_of, comparisons, groups_of
from intake.registry import Registry
from intake.settings import in_entry, read_toml, told
from schemas.codes import code_lists
from schemas.emerging import ProductChange
from schemas.errors import UsageError
from schemas.keys import ARM_WITH, CHANGED_BEFORE, OTHERS_BEFORE
from schemas.periods import Quarter

if TYPE_CHECKING:
    from flows.pool import Pool

NAME = "changes.toml"


def load_changes(path: Path, registry: Registry) -> tuple[ProductChange, ...]:
    """Reads `changes.toml`. Raises UsageError where it breaks a rule: it says where, by place and never by value."""
    raw = read_toml(path)
    entries, wrong = raw.get("change", []), list[str]()
    if not set(raw) <= {"change"} or not isinstance(entries, list):
        entries, wrong = [], ["there is something besides [[change]] entries"]
    changes = dict[int, ProductChange]()
    for number, entry in enumerate(entries, start=1):
        try:
            changes[number] = ProductChange.model_validate(entry)
        except ValidationError as error:
            wrong += [f"change {number}{place}" for place in in_entry(error, ProductChange.model_fields)]
    wrong = wrong or [*_of_strangers(changes, registry), *_named_twice(changes)]
    if wrong:
        raise UsageError(
            f"{NAME} is not right: {told(wrong)}.",
            "Entries count from 1, from the top; docs/guides/changes.md has each field.",
        )
    return tuple(changes.values())


def _of_strangers(changes: Mapping[int, ProductChange], registry: Registry) -> list[str]:
    strange = (number for number, change in changes.items() if registry.find(change.company) is None)
    return [f"change {number}, company: it is not registered" for number in strange]


def _named_twice(changes: Mapping[int, ProductChange]) -> list[str]:
    """One change is one entry: of a company and class, one a moment, and one an experiment."""
    first, wrong = dict[tuple[object, ...], int](), list[str]()
    for number, change in changes.items():
        of = change.experiment or change.since
        if (earlier := first.setdefault((change.company, change.change_class, of), number)) != number:
            wrong.append(f"change {number} is change {earlier} again: company, class and date or experiment are the same")
    return wrong


def compared_by_class(pool: "Pool", quarter: Quarter) -> list[dict[str, object]]:
    """Counts by class: companies with such a change in a quarter, of those that contribute, and what can be compared.

    For the operator: a class that few companies registered is not published, and its count is not either.
    """
    companies, minimum = pool.catalogue.contributors(quarter), pool.privacy.companies.minimum
    changes = [change for change in changes_of(pool.changes, quarter) if change.company in companies]
    having = Counter(name for name, _ in {(change.change_class, change.company) for change in changes})
    groups = groups_of(comparisons(changes, companies, pool.release_plan.change_classes, quarter, minimum))
    return [
        {
            "change_class": name,
            "companies": having[name],
            "others": len(companies) - having[name],
            "before_after": f"{name}:{CHANGED_BEFORE}" in groups,
            "difference_in_differences": f"{name}:{OTHERS_BEFORE}" in groups,
            "randomised_arms": f"{name}:{ARM_WITH}" in groups,
        }
        for name in code_lists()["change_class"]
    ]


def listed(changes: Iterable[ProductChange], company: str = "") -> list[dict[str, object]]:
    """Entries as they stand in the registry; of one company, where one is named."""
    return [change.model_dump(mode="json") for change in changes if company in ("", change.company)]
