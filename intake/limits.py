"""Limits of what one submission may be; over them it is refused whole."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes, counts in records. `max_rejected_share` is the share of records that may be quarantined."""

    manifest_bytes: int = 1 << 20
    files: int = 1_000
    file_bytes: int = 8 << 30
    submission_bytes: int = 64 << 30
    line_bytes: int = 16 << 20
    decoded_ratio: int = 200
    batch_rows: int = 256
    listed_findings: int = 10_000
    max_rejected_share: float = 0.05


DEFAULT_LIMITS = Limits()
