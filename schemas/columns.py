"""Columns of public tables as they are declared."""

from dataclasses import dataclass
from typing import Literal

ColumnType = Literal["string", "float"]


@dataclass(frozen=True)
class Column:
    """One column of a public table: name, type, what it means, and its unit where it has one."""

    name: str
    type: ColumnType
    description: str
    unit: str = ""
