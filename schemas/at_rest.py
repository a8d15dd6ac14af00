"""Encryption at rest: accepted and scrubbed Parquet can be read only with the key of its room, quarter and company.

The format is Parquet's own (modular encryption, AES-256 in GCM, footer and all columns under one key), as PyArrow
writes it: whoever lacks the key sees neither values nor column names, and a changed byte is noticed.
"""

from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from schemas.errors import InternalError, UsageError
from schemas.periods import Quarter

if TYPE_CHECKING:
    from pyarrow._parquet import FileDecryptionProperties, FileEncryptionProperties
    from pyarrow.parquet import ParquetFile

KEY_BYTES = 32


class Room(StrEnum):
    """Where records lie at rest. Each room has keys of its own: who scrubs reads both, who measures only the second."""

    ACCEPTED = "accepted"
    SCRUBBED = "scrubbed"


class KeysAtRest(Protocol):
    """Where keys come from: 32 bytes for a room, quarter and company. Raises NoLongerHeldError where it was destroyed."""

    def __call__(self, room: Room, quarter: Quarter, company: str) -> bytes:
        """The key."""


class NoLongerHeldError(UsageError):
    """The key was destroyed by a purge, or the time for which records may be held is over: there is no other key."""

    def __init__(self, message: str = "", next_step: str = "") -> None:
        super().__init__(
            message or "The records of this quarter and company were purged: their key is destroyed.",
            next_step or "Nothing can be read or added there any more; `commons purge --dry-run` shows what is held.",
        )


def encryption(key: bytes) -> "FileEncryptionProperties":
    """What `pyarrow.parquet` needs to write a file under a key of 32 bytes (argument `encryption_properties`)."""
    import pyarrow.parquet.encryption as at_rest  # here, so that checking a submission needs no Arrow

    made: FileEncryptionProperties = at_rest.create_encryption_properties(_whole(key))  # type: ignore[attr-defined]
    return made


def decryption(key: bytes) -> "FileDecryptionProperties":
    """What `pyarrow.parquet` needs to read a file written under a key (argument `decryption_properties`).

    A plain file is refused: nothing is read that was put there beside the pool.
    """
    import pyarrow.parquet.encryption as at_rest

    made: FileDecryptionProperties = at_rest.create_decryption_properties(_whole(key))  # type: ignore[attr-defined]
    return made


def parquet_file(source: Path | IO[bytes], key: bytes | None, **named: Any) -> "ParquetFile":
    """Opens a file (`schemas.storage.source_of`) that was written under a key; None opens plain ones only.

    Of a store, the columns that are asked for come a row group, or what is asked for at once, in few requests.
    """
    import pyarrow.parquet as pq

    readable = None if key is None else decryption(key)
    return pq.ParquetFile(source, decryption_properties=readable, pre_buffer=not isinstance(source, Path), **named)


def _whole(key: bytes) -> bytes:
    if len(key) != KEY_BYTES:  # AES would take 16 bytes too
        raise InternalError("A key at rest is not of 32 bytes.")
    return key
