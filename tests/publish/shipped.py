"""Releases as a reader has them: files in a folder, and a DuckDB that knows nothing of this project."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from aggregate.workload import Workload
from publish.catalog import json_bytes
from publish.content import release_rows
from publish.parquet import parquet_bytes
from publish.views import data_path, views_sql
from schemas.derived_tables import COVARIANCE
from schemas.periods import Quarter
from schemas.plan import Measure
from schemas.stages import MeasuredRelease

Row = dict[str, Any]


def ship(measured: MeasuredRelease, releases: Path, approved_at: str = "2026-11-20T12:00:00+00:00") -> Path:
    """Writes the tables, `views.sql` and what a catalogue reads of the manifest; not a whole release. Returns its folder."""
    folder = releases / str(measured.quarter) / f"v{measured.version}"
    rows = release_rows(measured)
    for name, table in rows.items():
        path = folder / data_path(name)
        path.parent.mkdir(parents=True)
        path.write_bytes(parquet_bytes(name, table, measured))
    (folder / "views.sql").write_text(views_sql(measured))
    manifest = {
        "release": f"{measured.quarter}/v{measured.version}",
        "quarter": str(measured.quarter),
        "version": measured.version,
        "schema_version": "1.0.0",
        "synthetic": measured.plan.synthetic,
        "reason": measured.plan.reason,
        "plan": measured.plan.model_dump(mode="json"),
        "tables": {name: {"path": data_path(name)} for name in rows},
        "signoffs": [{"signed_at": approved_at}],
    }
    (folder / "MANIFEST.json").write_bytes(json_bytes(manifest))
    return folder


def opened(folder: Path, script: str = "views.sql") -> duckdb.DuckDBPyConnection:
    """A plain DuckDB with a script of the folder, as `duckdb -init` in the folder has it."""
    connection = duckdb.connect(config={"autoinstall_known_extensions": False, "autoload_known_extensions": False})
    connection.execute(f"SET file_search_path = '{folder}'")
    connection.execute((folder / script).read_text())
    return connection


def answers(connection: duckdb.DuckDBPyConnection, sql: str) -> list[Row]:
    """Rows of a query by name."""
    result = connection.execute(sql)
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def answer(connection: duckdb.DuckDBPyConnection, sql: str) -> Row:
    """The one row of a query."""
    (row,) = answers(connection, sql)
    return row


def covariance_of(measured: MeasuredRelease, measure: Measure, marginal: tuple[str, ...]) -> np.ndarray:
    """Covariance of the noise of the cells of a marginal, shape (cells, cells), by pushing each residual's noise through.

    It uses what makes the estimates, not the formula that the release documents.
    """
    table = next(table for table in measured.tables if table.name == COVARIANCE)
    variances = {
        row["keys"]: row["variance"]
        for row in table.rows.to_pylist()
        if row["of_table"] == measure.table and row["outcome_kind"] == (measure.outcome_kind or "all")
    }
    workload = Workload.of(measure, measure.scope(Quarter.parse(measured.plan.quarter), measured.plan.release_plan))
    columns = []
    for residual in workload.parts_of(marginal):
        size = int(np.prod(residual.shape))
        for place in range(size):
            values = {part.keys: [0] * int(np.prod(part.shape)) for part in workload.parts_of(marginal)}
            values[residual.keys][place] = 1
            column = workload.marginal(marginal, values)
            columns.append(column * np.sqrt(variances[",".join(residual.keys) or "all"]))
    stacked = np.array(columns).T
    return np.asarray(stacked @ stacked.T)


def condition(keys: Iterable[tuple[str, str]]) -> str:
    """A condition that names one cell or line by its codes."""
    return " AND ".join(f"\"{name}\" = '{code}'" for name, code in keys)


def reader(*modules: str) -> str:
    """A Python that has these modules: that of `build/readers`, or this one. Skips the test where neither has them."""
    own = Path(__file__).parents[2] / "build" / "readers" / "bin" / "python"
    for python in (str(own), sys.executable):
        looked = "import importlib.util, sys; sys.exit(not all(map(importlib.util.find_spec, sys.argv[1:])))"
        if Path(python).exists() and subprocess.run([python, "-c", looked, *modules]).returncode == 0:
            return python
    pytest.skip(f"{', '.join(modules)} is not installed: requirements/readers.in, in build/readers")
