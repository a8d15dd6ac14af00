"""The measurement reads scrubbed Parquet with its keys only, and its DuckDB opens no file at all."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pooled import QUARTER, SECRET, as_scrubbed, pool_rows, registered

from aggregate.bounding import BoundedTable, MeasurementSettings, bounded_tables
from sample_data.generate import generate
from sample_data.parameters import SimulationParameters
from schemas.arrow import pool_schema
from schemas.at_rest import encryption
from schemas.errors import InternalError
from schemas.plan import RegisteredPlan
from schemas.stages import ScrubbedRecords


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    pool = generate(SimulationParameters(seed=12, users=150, quarters=1))
    return pool_rows(pool.quarters[0].records())


def tables_of(records: ScrubbedRecords, plan: RegisteredPlan, folder: Path, **limits: int) -> Iterator[list[BoundedTable]]:
    with bounded_tables(records, plan, SECRET, folder / "scratch", MeasurementSettings(**limits)) as tables:  # type: ignore[arg-type]
        yield tables


def weights(records: ScrubbedRecords, folder: Path, **limits: int) -> list[Any]:
    """Weight and users of each bounded table: equal where the same rows were read."""
    found = []
    for tables in tables_of(records, registered(), folder, **limits):
        for table in tables:
            query = f"select unit, sum(w)::bigint, count(*) from {table.name} group by unit order by unit"
            found.append(table.connection.execute(query).fetchall())
    return found


ESCAPES = (
    "select * from read_csv('{secret}')",
    "select * from '{secret}'",
    "select * from read_parquet('{part}')",
    "select * from glob('{folder}/*')",
    "attach '{folder}/other.duckdb' as other",
    "copy (select 1) to '{folder}/out.csv'",
    "install httpfs",
    "load httpfs",
)


@pytest.mark.parametrize("escape", ESCAPES)
def test_no_query_opens_any_file(escape: str, rows: list[dict[str, Any]], tmp_path: Path) -> None:
    secret = tmp_path / "elsewhere" / "secret.csv"
    secret.parent.mkdir()
    secret.write_text("a\n1\n")
    records = as_scrubbed(rows[:5], tmp_path / "pool")
    for tables in tables_of(records, registered(), tmp_path / "pool"):
        query = escape.format(secret=secret, folder=secret.parent, part=records.parts[0].files[0])
        with pytest.raises(duckdb.Error, match=r"disabled|Permission"):
            tables[0].connection.execute(query)
    assert [path.name for path in secret.parent.iterdir()] == ["secret.csv"]


@pytest.mark.parametrize("setting", ["enable_external_access = true", "allowed_paths = ['/etc/passwd']", "threads = 8"])
def test_the_configuration_is_locked(setting: str, rows: list[dict[str, Any]], tmp_path: Path) -> None:
    for tables in tables_of(as_scrubbed(rows[:5], tmp_path), registered(), tmp_path):
        with pytest.raises(duckdb.Error, match=r"lock|while database is running"):
            tables[0].connection.execute(f"set {setting}")


def test_a_query_reaches_no_variable_of_the_process(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    nearby = pa.table({"a": [1]})
    for tables in tables_of(as_scrubbed(rows[:5], tmp_path), registered(), tmp_path):
        with pytest.raises(duckdb.CatalogException):
            tables[0].connection.execute("select * from nearby")
    assert len(nearby) == 1


def test_files_that_are_not_the_pools_stop_the_measurement(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    records = as_scrubbed(rows[:5], tmp_path / "good")
    path = records.parts[0].files[0]
    other_key = replace(records, parts=(replace(records.parts[0], key=b"o" * 32),))
    with pytest.raises(InternalError):
        list(tables_of(other_key, registered(), tmp_path))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InternalError):
        list(tables_of(records, registered(), tmp_path))
    plain = pa.Table.from_pylist(rows[:5], schema=pool_schema())
    pq.write_table(plain, path)
    with pytest.raises(InternalError):
        list(tables_of(records, registered(), tmp_path))
    fewer = plain.drop_columns(["content"])
    pq.write_table(fewer, path, encryption_properties=encryption(SECRET))
    with pytest.raises(InternalError):
        list(tables_of(records, registered(), tmp_path))


def test_a_changed_byte_in_a_scrubbed_file_is_never_measured(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    records = as_scrubbed(rows[:50], tmp_path / "good")
    path = records.parts[0].files[0]
    whole, plain, refused = path.read_bytes(), weights(records, tmp_path), 0
    for place in range(4, len(whole), len(whole) // 23):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            found = weights(records, tmp_path)
        except (InternalError, duckdb.Error, OSError):  # refused
            refused += 1
            continue
        assert found == plain  # a byte of a column that is not read
    assert refused >= 10


def test_many_keys_and_passes_give_what_one_gives(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    whole = weights(as_scrubbed(rows, tmp_path / "whole"), tmp_path)
    parts = []
    for number in range(40):  # more than are open at once
        own = as_scrubbed(rows[number::40], tmp_path / f"part-{number}").parts[0]
        table = pa.Table.from_pylist(rows[number::40], schema=pool_schema())
        key = bytes([number]) * 32
        pq.write_table(table, own.files[0], encryption_properties=encryption(key))
        parts.append(replace(own, key=key))
    records = ScrubbedRecords(QUARTER, tuple(parts), tuple(sorted({row["company"] for row in rows})))
    assert weights(records, tmp_path, rows_a_pass=len(rows) // 5) == whole
    fewer = replace(records, parts=records.parts[1:])
    assert weights(fewer, tmp_path) != whole


def test_a_file_of_many_row_groups_is_read_as_one_of_one(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    """Nested codes come as dictionaries, a new one in each row group: a large part of a pool has several."""
    whole = as_scrubbed(rows, tmp_path / "one")
    many = as_scrubbed(rows, tmp_path / "many")
    table = pa.Table.from_pylist(rows, schema=pool_schema())
    pq.write_table(table, many.parts[0].files[0], row_group_size=29, encryption_properties=encryption(SECRET))
    assert weights(whole, tmp_path / "a") == weights(many, tmp_path / "b")
