"""Rows that are no cells: what grows, which terms are new, what followed changes; how claims and pages name and read them."""

from collections.abc import Callable, Mapping
from typing import Any

from publish.cells import Cell
from schemas.codes import label
from schemas.derived_tables import DESIGNS, DIRECTIONS, EFFECTS, PATTERNS, SPEAKERS, TERMS
from schemas.keys import KEYS
from schemas.tables import TABLES

DERIVED = (PATTERNS, TERMS, EFFECTS)
"""The tables that are read here, in the order of the brief."""

Row = Mapping[str, Any]


def cell_of(row: Row) -> Cell | None:
    """The cell that a row of `emerging_patterns` is about; None where its keys and codes name none."""
    keys, codes = row["keys"].split(","), row["codes"].split(",")
    if len(keys) != len(codes) or len(set(keys)) != len(keys):
        return None
    outcome = {"outcome_kind": row["outcome_kind"], "window": row["window"]}
    return Cell.of(row["of_table"], outcome | dict(zip(keys, codes, strict=True)))


def key_name(key: str) -> str:
    """A key in a few words."""
    return KEYS[key].description.replace(";", ",").split(",")[0] if key in KEYS else key.replace("_", " ")


def _codes(row: Row) -> str:
    pairs = zip(row["keys"].split(","), row["codes"].split(","), strict=True)
    return ", ".join(f"{key_name(key)} “{KEYS[key].label(code)}”" for key, code in pairs)


def _coded(column: str) -> Callable[[Row], str]:
    return lambda row: label(column, row[column])


_SHOWN: Mapping[str, Callable[[Row], str]] = {
    "of_table": lambda row: TABLES[row["of_table"]].title,
    "keys": lambda row: ", ".join(key_name(key) for key in row["keys"].split(",")),
    "codes": _codes,
    "direction": lambda row: DIRECTIONS.get(row["direction"] or "", ""),
    "outcome": lambda row: KEYS["outcome"].label(row["outcome"]),
    "design": lambda row: DESIGNS[row["design"]],
    "speaker": lambda row: SPEAKERS[row["speaker"]],
    "term": lambda row: str(row["term"]),
    "first_seen": lambda row: str(row["first_seen"]),
    "q_value": lambda row: f"{row['q_value']:.2g}",
    "quarters_before": lambda row: f"{row['quarters_before']:.0f}",
    "detectable_ratio": lambda row: f"{row['detectable_ratio']:.2g}",
    "detectable": lambda row: f"{100 * row['detectable']:.1f}\u00a0points",
    **{name: _coded(name) for name in ("outcome_kind", "window", "change_class")},
}


def shows(row: Row, column: str) -> bool:
    """Whether a column of a row can be shown in words: a number that needs an interval cannot."""
    return column in _SHOWN and row.get(column) is not None


def shown(row: Row, column: str) -> str:
    """A column of a row as readers see it."""
    return _SHOWN[column](row)
