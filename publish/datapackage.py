"""`datapackage.json`: the release as a Frictionless Data Package (v2), so that its tools can read and check the tables."""

from collections.abc import Mapping
from typing import Any

from publish.content import ordered_tables
from publish.parquet import SYNTHETIC_NOTICE
from publish.views import READING, data_path
from schemas.columns import Column
from schemas.stages import MeasuredRelease
from schemas.tables import TABLES, Status, columns, key_columns

LICENCE = {
    "name": "CC-BY-4.0",
    "path": "https://creativecommons.org/licenses/by/4.0/",
    "title": "Creative Commons Attribution 4.0",
}
_TYPES = {"string": "string", "float": "number"}


def data_package(measured: MeasuredRelease, hashes: Mapping[str, str], created: str) -> dict[str, Any]:
    """The package: a resource a table, with its columns, its key and its file's SHA-256.

    Args:
        measured: the release.
        hashes: SHA-256 of each data file by its path in the folder.
        created: when the release was approved, ISO 8601.
    """
    plan = measured.plan
    notice = f"{SYNTHETIC_NOTICE} " if plan.synthetic else ""
    return {
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
        "name": f"incident-commons-{str(measured.quarter).lower()}-v{measured.version}",
        "title": f"Incident Commons {measured.quarter}",
        "description": f"{notice}{READING} Differentially private: README.md says of what and how.",
        "version": package_version(measured),
        "created": created,
        "licenses": [LICENCE],
        # No `bytes`: frictionless refuses a Parquet resource that has them.
        "resources": [
            {
                "name": table.name,
                "type": "table",
                "title": TABLES[table.name].title,
                "description": f"One row: {TABLES[table.name].row}.",
                "path": data_path(table.name),
                "format": "parquet",
                "mediatype": "application/vnd.apache.parquet",
                "hash": f"sha256:{hashes[data_path(table.name)]}",
                "schema": {
                    "fields": [_field(column) for column in columns(table.name, plan.release_plan)],
                    "primaryKey": ["quarter", *key_columns(table.name, plan.release_plan)],
                },
            }
            for table in ordered_tables(measured)
        ],
    }


def package_version(measured: MeasuredRelease) -> str:
    """Quarter and version as the three numbers that other people's tools ask for."""
    return f"{measured.quarter.year}.{measured.quarter.number}.{measured.version}"


def _field(column: Column) -> dict[str, Any]:
    constraints = (
        {"constraints": {"required": True, "enum": [str(status) for status in Status]}} if column.name == "status" else {}
    )
    unit = {"unit": column.unit} if column.unit else {}
    return {"name": column.name, "type": _TYPES[column.type], "description": column.description, **unit, **constraints}
