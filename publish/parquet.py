"""Parquet that explains itself: sorted, zstd, with statistics, column documentation and the release in its metadata."""

import json
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq

from publish.content import release_id
from schemas.derived_tables import PUBLIC
from schemas.stages import MeasuredRelease
from schemas.tables import SCHEMA_VERSION, TABLES, columns, key_columns

SYNTHETIC_NOTICE = "SYNTHETIC DATA: made by a generator. No real person, conversation or company is behind any number."


def file_metadata(name: str, measured: MeasuredRelease, audience: str = PUBLIC) -> dict[str | bytes, str | bytes]:
    """Key-value metadata of one Parquet file: which release, what a row is, and under which privacy parameters."""
    plan, spec, spend = measured.plan, TABLES[name], measured.spend
    told: dict[str | bytes, str | bytes] = {
        "release": release_id(measured.quarter, measured.version),
        "schema_version": SCHEMA_VERSION,
        "synthetic": "true" if plan.synthetic else "false",
        "table": name,
        "title": spec.title,
        "row": spec.row,
        "event": spec.event,
        "privacy_unit": plan.privacy.unit.name,
        "rho": spend.rho,
        "epsilon": repr(spend.epsilon),
        "delta": repr(spend.delta),
        "confidence": repr(plan.privacy.confidence),
        "companies": str(plan.contributors),
        "plan_hash": plan.hash,
        "licence": "CC BY 4.0" if audience == PUBLIC else "for members of the pool only",
        "reading": "submitted conversations, not prevalence; C-SSRS-informed, inferred from text",
        # The Arrow schema holds this as well; readers that see only key-value metadata (DuckDB) find it here.
        "columns": json.dumps(
            [{"name": c.name, "description": c.description, "unit": c.unit} for c in columns(name, plan.release_plan)],
            ensure_ascii=False,
        ),
    }
    if plan.synthetic:
        told["notice"] = SYNTHETIC_NOTICE
    return told


def parquet_bytes(name: str, rows: pa.Table, measured: MeasuredRelease, audience: str = PUBLIC) -> bytes:
    """One table as Parquet. The same rows and release give the same bytes: no clock and no machine name is in them.

    Args:
        name: the table.
        rows: its sorted rows (`publish.content.sorted_rows`).
        measured: the release that it belongs to.
        audience: who may read it.
    """
    fields = [
        pa.field(
            column.name,
            pa.float64() if column.type == "float" else pa.string(),
            metadata={"description": column.description, **({"unit": column.unit} if column.unit else {})},
        )
        for column in columns(name, measured.plan.release_plan)
    ]
    schema = pa.schema(fields, metadata=file_metadata(name, measured, audience))
    order = [schema.get_field_index(key) for key in ("quarter", *key_columns(name, measured.plan.release_plan))]
    buffer = BytesIO()
    pq.write_table(
        rows.cast(schema),
        buffer,
        compression="zstd",
        compression_level=9,
        write_statistics=True,
        sorting_columns=[pq.SortingColumn(column) for column in order],
    )
    return buffer.getvalue()
