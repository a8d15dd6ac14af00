"""Sealing what crosses: each part is an age file to the pool's X25519 recipient. What is on the way, nobody else can read."""

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from intake.delivery import DeliveryError
from schemas.errors import UsageError

if TYPE_CHECKING:
    from pyrage.x25519 import Identity  # type: ignore[import-untyped]

PART_BYTES = 64 << 20
"""Plain bytes of every part of a file but its last: what sending again repeats at most, and what memory must hold."""

MANIFEST_PART = "manifest.json.age"
"""Written last: where it is, the submission is complete."""

PART_NAME = re.compile(r"(\d{5})-(\d{5})\.age", re.ASCII)
"""The file's place in the manifest, from 0, and the part's place in the file, from 0."""

# An age file is a header, a nonce and 16 bytes a chunk of 64 KiB. The header holds 167 bytes, and padding of random
# length that some libraries add ("grease"): so a part's size is known to within these bounds, and not to the byte.
_NONCE, _CHUNK, _TAG = 16, 64 << 10, 16
_HEADER_LEAST, _HEADER_MOST = 160, 1_200
_BEGIN, _MAC = b"age-encryption.org/v1\n", b"\n--- "


def part_name(file: int, part: int) -> str:
    """Name of a part in the drop: our own, whatever the file is called at home."""
    return f"{file:05d}-{part:05d}.age"


def parts_of(size: int) -> list[int]:
    """Plain sizes of the parts of a file: all but the last are full, an empty file has one empty part."""
    full, rest = divmod(size, PART_BYTES)
    return [PART_BYTES] * full + ([rest] if rest or not full else [])


def sealed_sizes(plain: int) -> range:
    """The sizes that a sealed part of `plain` bytes may have."""
    chunks = max(1, -(-plain // _CHUNK))
    payload = _NONCE + plain + chunks * _TAG
    return range(payload + _HEADER_LEAST, payload + _HEADER_MOST + 1)


def seal(data: bytes, recipient: str) -> bytes:
    """Encrypts to an age recipient (`age1…`). Raises UsageError where that is none."""
    import pyrage  # type: ignore[import-untyped]

    try:
        return bytes(pyrage.encrypt(data, [pyrage.x25519.Recipient.from_str(recipient)]))
    except pyrage.RecipientError:  # its message quotes the recipient
        pass
    raise UsageError("The pool's recipient is no age key.", "The pool's operator has it: `commons status --keys`.")


def unseal(sealed: bytes, identities: Sequence["Identity"]) -> bytes:
    """Decrypts a sealed part with whichever identity fits. Raises DeliveryError (E107) where none does, or it was altered.

    A longer header than ours is none of ours: age's time for one grows with the square of its length, 19 seconds at 98 KB.
    """
    import pyrage

    if not sealed.startswith(_BEGIN) or _MAC not in sealed[:_HEADER_MOST]:
        raise DeliveryError("E107")
    with suppress(Exception):  # whatever age says of a hostile file is not passed on
        return bytes(pyrage.decrypt(sealed, list(identities)))
    raise DeliveryError("E107")


def new_identity() -> bytes:
    """A fresh age identity as its file holds it: one line."""
    import pyrage

    return f"{pyrage.x25519.Identity.generate()}\n".encode()


def identities_of(data: bytes) -> tuple["Identity", ...]:
    """The identities of a file, one a line, the newest first: what was sealed to an older one still opens.

    Raises UsageError where a line is none; the message never quotes it.
    """
    import pyrage

    try:
        found = tuple(pyrage.x25519.Identity.from_str(line) for line in data.decode("ascii").split())
    except (ValueError, pyrage.IdentityError):
        found = ()
    if not found:
        raise UsageError("The pool's age identity cannot be read.", "Restore secrets/pool.age from a backup.")
    return found


def recipient_of(identities: Sequence["Identity"]) -> str:
    """The recipient that companies seal to: that of the first identity."""
    return str(identities[0].to_public())
