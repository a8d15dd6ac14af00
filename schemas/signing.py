"""Ed25519 signatures over canonical bytes: one way to sign and one to verify, for submissions, receipts and sign-offs."""

import base64

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from schemas.errors import UsageError


def new_private_key() -> bytes:
    """A fresh private key, 32 raw bytes."""
    return Ed25519PrivateKey.generate().private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())


def encode_key(raw: bytes) -> str:
    """A key (private or public, 32 raw bytes) as the base64 text that key files and registries hold."""
    return base64.b64encode(raw).decode()


def decode_key(text: str) -> bytes:
    """The 32 raw bytes of a key. Raises UsageError on anything else; the message never quotes the text."""
    try:
        raw = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise UsageError("A key is 32 bytes in base64.", "Make one with `commons keygen`.")
    return raw


def public_key(private_key: bytes) -> bytes:
    """The public key of a private key, 32 raw bytes each."""
    return Ed25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def sign(private_key: bytes, data: bytes) -> str:
    """Base64 Ed25519 signature of `data` (RFC 8032)."""
    return base64.b64encode(Ed25519PrivateKey.from_private_bytes(private_key).sign(data)).decode()


def verify(public_key: bytes, data: bytes, signature: str) -> bool:
    """Whether `signature` (base64) is the key's own over `data`. Never raises on a malformed signature.

    One signature has one text: the last character of its base64 has bits that decode to nothing, and they must be 0.
    """
    try:
        raw = base64.b64decode(signature, validate=True)
        Ed25519PublicKey.from_public_bytes(public_key).verify(raw, data)
    except (InvalidSignature, ValueError):
        return False
    return base64.b64encode(raw).decode() == signature
