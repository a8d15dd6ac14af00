"""Simulated records as the pool would hold them after the scrub, and a registered plan over them: for tests of the measurement."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from aggregate.ledger import Ledger
from aggregate.measurement import commitment
from flows.pool import packaged_config
from sample_data.columnar import pool_table
from sample_data.generate import SimulatedQuarter, ValidRecord
from schemas.arrow import pool_schema
from schemas.at_rest import encryption
from schemas.parameters import PrivacyParameters, load_privacy_parameters
from schemas.periods import Quarter
from schemas.plan import RegisteredPlan, load_release_plan
from schemas.stages import EncryptedFiles, ScrubbedRecords
from schemas.unit import bucket_of, unit_id

SECRET = bytes(range(32))
QUARTER = Quarter(2026, 1)


def privacy() -> PrivacyParameters:
    return load_privacy_parameters(packaged_config("privacy.toml"))


def registered(contributors: int = 3, quarter: Quarter = QUARTER, **changes: Any) -> RegisteredPlan:
    parameters = privacy()
    budget, first = parameters.budget, changes.get("version", 1) == 1
    fields: dict[str, Any] = {
        "quarter": str(quarter),
        "version": 1,
        "synthetic": True,
        "reason": "first release",
        "planner": "operator",
        "contributors": contributors,
        "not_collected": (),
        "rho": str(parameters.budget.first_release_rho),
        "threshold_delta": str(budget.first_release_threshold_delta if first else budget.reserve_threshold_delta),
        "secret_commitment": commitment(SECRET, quarter),
        "parameters": parameters.model_dump(mode="json"),
        "plan": load_release_plan(packaged_config("release_plan.toml"), parameters).model_dump(mode="json", by_alias=True),
    }
    return RegisteredPlan(**{**fields, **changes})


def never() -> bytes:
    """A draw that must not be asked for."""
    raise AssertionError("noise was drawn")


def answered(ledger: Ledger, version: int = 1, **changes: object) -> bytes:
    """Registers a plan, and its answer."""
    plan = registered(version=version, **changes)
    ledger.register(plan)
    return ledger.answer_once(plan, lambda: b"noise")


def content_of(*parts: str) -> str:
    """A digest as the pool makes one of a record, here of some parts that tell records apart."""
    return blake2b("/".join(parts).encode(), digest_size=32).hexdigest()


def pool_row(company: str, record: dict[str, Any], reason: str = "flagged", **changes: Any) -> dict[str, Any]:
    row = dict(record)
    for name in ("started_at", "supersedes_started_at"):
        if isinstance(row.get(name), str):
            row[name] = datetime.fromisoformat(row[name])
    unit = unit_id(company, row.pop("user_pseudonym"))
    own = {
        "company": company,
        "submission": "0" * 64,
        "pseudonym_unit": "account",
        "selection_reason": reason,
        "unit": unit,
        "bucket": bucket_of(unit),
        "content": content_of(company, unit, row["record_id"]),
    }
    return {**row, **own, **changes}


# Valid records stand alone here: what they corrected is not among them, and a correction without its original does not count.
ALONE: dict[str, Any] = {"record_status": "new", "supersedes": None, "supersedes_started_at": None}


def pool_rows(records: Iterable[ValidRecord]) -> list[dict[str, Any]]:
    return [pool_row(valid.company, valid.record, valid.selection_reason, **ALONE) for valid in records]


def pooled_table(simulated: SimulatedQuarter) -> pa.Table:
    table = pool_table(simulated)
    for name, value in ALONE.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pa.array([value] * len(table), table.schema.field(name).type))
    return table


def as_scrubbed(rows: Sequence[dict[str, Any]] | pa.Table, folder: Path, quarter: Quarter = QUARTER) -> ScrubbedRecords:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "part-00000.parquet"
    table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(list(rows), schema=pool_schema())
    pq.write_table(table, path, encryption_properties=encryption(SECRET))
    companies = tuple(sorted(set(table.column("company").to_pylist())))
    return ScrubbedRecords(quarter, (EncryptedFiles((path,), SECRET),), companies)
