"""A signature has one text: every other one is refused, also where it decodes to the same bytes."""

import base64
import string

from schemas.signing import new_private_key, public_key, sign, verify

ALPHABET = string.ascii_letters + string.digits + "+/="


def test_every_other_text_of_a_signature_is_refused() -> None:
    key, data = new_private_key(), b"what is signed"
    signature = sign(key, data)
    assert verify(public_key(key), data, signature)
    others = [
        signature[:n] + other + signature[n + 1 :] for n in range(len(signature)) for other in ALPHABET if other != signature[n]
    ]
    assert not any(verify(public_key(key), data, other) for other in others)
    # The alarm would be silent if no other text decoded to the same bytes.
    raw = base64.b64decode(signature)
    assert sum(_decodes_to(other, raw) for other in others) > 3


def _decodes_to(text: str, raw: bytes) -> bool:
    try:
        return base64.b64decode(text, validate=True) == raw
    except ValueError:
        return False


def test_what_is_no_signature_is_refused_and_never_raises() -> None:
    key = new_private_key()
    for text in ("", "=", "é", "A" * 86 + "==", sign(key, b"other")):
        assert not verify(public_key(key), b"data", text)
