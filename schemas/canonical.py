"""Canonical JSON (RFC 8785) and SHA-256 digests: what is hashed or signed is made here and nowhere else."""

import hashlib
from typing import Any

import rfc8785


def canonical_json(value: Any) -> bytes:
    """RFC 8785 bytes of a JSON value. Raises ValueError (with a fixed message) where the value has no such form."""
    canonical: bytes | None
    try:
        canonical = rfc8785.dumps(value)
    except Exception:  # its message may quote the value
        canonical = None
    if canonical is None:
        raise ValueError("the value has no canonical JSON form")
    return canonical


def digest(value: Any) -> str:
    """Hex SHA-256 of the canonical JSON of a value."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def sha256_bytes(data: bytes) -> str:
    """Hex SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()
