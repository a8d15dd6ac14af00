"""minisign signatures (prehashed Ed25519), so that anyone checks a release with a tool that they have, without ours.

Format: https://jedisct1.github.io/minisign/. The key id is made from the public key, so that a key alone tells it.
"""

import base64
import hashlib
import re

from schemas.errors import UsageError
from schemas.signing import sign, verify

_SIGNED = "signature of Incident Commons"
_ALGORITHM, _PREHASHED = b"Ed", b"ED"
_FILE = re.compile(rf"untrusted comment: {_SIGNED}\n([A-Za-z0-9+/=]+)\ntrusted comment: ([^\n]*)\n([A-Za-z0-9+/=]+)\n")


def _key_id(public_key: bytes) -> bytes:
    return hashlib.sha256(public_key).digest()[:8]


def public_key_text(public_key: bytes) -> str:
    """A public key (32 raw bytes) as minisign's own file has it."""
    key_id = _key_id(public_key)
    encoded = base64.b64encode(_ALGORITHM + key_id + public_key).decode()
    return f"untrusted comment: minisign public key {int.from_bytes(key_id, 'little'):016X}\n{encoded}\n"


def read_public_key(text: str) -> bytes:
    """The 32 raw bytes of a public key, from minisign's file or its second line. Raises UsageError on anything else."""
    lines = [line for line in text.strip().splitlines() if not line.startswith("untrusted comment:")]
    try:
        raw = base64.b64decode(lines[0], validate=True) if len(lines) == 1 else b""
    except ValueError:
        raw = b""
    if len(raw) != 42 or raw[:2] != _ALGORITHM:
        raise UsageError(
            "That is no public key of minisign.", "It is a file of two lines, `minisign.pub`, or the second of them."
        )
    return raw[10:]


def signature_text(private_key: bytes, public_key: bytes, data: bytes, comment: str) -> str:
    """The signature file of some bytes with a trusted comment of one line. The same bytes give the same text."""
    signature = base64.b64decode(sign(private_key, hashlib.blake2b(data).digest()))
    whole = sign(private_key, signature + comment.encode())
    encoded = base64.b64encode(_PREHASHED + _key_id(public_key) + signature).decode()
    return f"untrusted comment: {_SIGNED}\n{encoded}\ntrusted comment: {comment}\n{whole}\n"


def trusted_comment(public_key: bytes, data: bytes, signed: str) -> str | None:
    """The trusted comment of a signature file of ours; None where it does not hold for these bytes and this key.

    No byte of the file is left open: its first line, which minisign does not sign, must be ours.
    """
    match = _FILE.fullmatch(signed)
    if match is None:
        return None
    try:
        raw = base64.b64decode(match[1], validate=True)
    except ValueError:
        return None
    signature, comment = raw[10:], match[2]
    exact = base64.b64encode(raw).decode() == match[1]  # one signature has one text
    if len(raw) != 74 or raw[:10] != _PREHASHED + _key_id(public_key) or not exact:
        return None
    holds = verify(public_key, hashlib.blake2b(data).digest(), base64.b64encode(signature).decode())
    return comment if holds and verify(public_key, signature + comment.encode(), match[3]) else None
