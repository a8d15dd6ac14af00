"""The privacy unit: one user of one company in one quarter, named by a hash so that no pseudonym travels on."""

import hashlib

BUCKETS = 64


def unit_id(company: str, user_pseudonym: str) -> str:
    """Hex SHA-256 that names `(company, user_pseudonym)`. Injective input: lengths are part of what is hashed."""
    a, b = company.encode(), user_pseudonym.encode("utf-8", "surrogatepass")
    return hashlib.sha256(b"unit\x00%d\x00%d\x00" % (len(a), len(b)) + a + b).hexdigest()


def bucket_of(unit: str) -> int:
    """The bucket (0 to 63) in which a unit's rows are bounded: its first byte modulo 64, so it never moves."""
    return int(unit[:2], 16) % BUCKETS
