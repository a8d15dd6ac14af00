"""Data files and manifests as bytes: the four formats, byte-identical for the same rows, and the signed manifest."""

import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from sample_data.population import STRATA
from schemas.arrow import record_schema
from schemas.canonical import sha256_bytes
from schemas.manifest import CONTRACT_VERSION, signed_bytes
from schemas.signing import sign

_MOMENTS = ("started_at", "supersedes_started_at")


def _gzip(data: bytes) -> bytes:
    """One gzip member with no time and no system in its header, so that the bytes are the same everywhere."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = packer.compress(data) + packer.flush()
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff" + body + struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)


def _parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    schema = record_schema()
    moments = [{**row, **{m: datetime.fromisoformat(row[m]) for m in _MOMENTS if row.get(m) is not None}} for row in rows]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(moments, schema=schema), sink, compression="zstd")
    return sink.getvalue()


def pack(rows: Sequence[Mapping[str, Any] | bytes], file_format: str) -> bytes:
    """The bytes of a data file. A row that is bytes already is a line as it stands (JSON Lines only)."""
    if file_format == "parquet":
        return _parquet([row for row in rows if not isinstance(row, bytes)])
    lines = b"".join((row if isinstance(row, bytes) else orjson.dumps(row)) + b"\n" for row in rows)
    if file_format == "jsonl.gz":
        return _gzip(lines)
    if file_format == "jsonl.zst":
        return bytes(pa.Codec("zstd", compression_level=3).compress(lines, asbytes=True))
    return lines


def data_file(path: str, file_format: str, content: bytes, records: int) -> dict[str, Any]:
    """The manifest's entry of a data file."""
    return {"path": path, "sha256": sha256_bytes(content), "bytes": len(content), "records": records, "format": file_format}


def signed_manifest(
    company: str, submission_id: str, period: str, key_id: str, pseudonym_key_id: str, files: list[dict[str, Any]], key: bytes
) -> bytes:
    """A manifest with its signature, as the bytes of manifest.json."""
    manifest: dict[str, Any] = {
        "contract_version": CONTRACT_VERSION,
        "company": company,
        "agreement_id": f"agr-{company}-1",
        "submission_id": submission_id,
        "period": period,
        "pseudonym_key_id": pseudonym_key_id,
        "pseudonym_unit": "account",
        "selection": [
            {"stratum": stratum, "reason": reason, "rule": rule, "classifier_version": "risk-3", "sampling_rate": rate}
            for stratum, (reason, rule, rate) in STRATA.items()
        ],
        "files": files,
        "attestations": {
            "redacted_by_company": True,
            "opt_outs_removed": True,
            "restricted_records_excluded": True,
            "redaction_tool": "none: synthetic text with planted personal information",
        },
        "tier": "records",
        "key_id": key_id,
    }
    manifest["signature"] = sign(key, signed_bytes(manifest))
    return orjson.dumps(manifest, option=orjson.OPT_INDENT_2) + b"\n"
