"""The Arrow messages of the throw-away process, looked at before Arrow does: bounded in size, and never compressed.

A compressed buffer names the size that it expands to, and Arrow takes it at its word. Nothing of ours is compressed, so
nothing compressed is let through. Format: Arrow columnar format 1.5 (encapsulated messages); FlatBuffers.
"""

import struct
from typing import IO

from intake.reading import UnreadableFileError

_CONTINUES = b"\xff\xff\xff\xff"
_MESSAGE_BYTES = 256 << 20
_HEADER_BYTES = 64 << 20
_SCHEMA, _BATCH = 1, 3
_KIND, _HEADER, _BODY = 1, 2, 3  # fields of a message
_COMPRESSION = 3  # field of a batch


class CheckedMessages:
    """What Arrow reads in place of the pipe. Raises UnreadableFileError: E107 no Arrow stream, E112 too large."""

    closed = False

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe, self._head, self._body = pipe, b"", 0

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes of the current message; empty at the end."""
        if size < 0:
            raise UnreadableFileError("E107")
        if not self._head and not self._body:
            self._head = self._next()
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
            return data
        data = self._pipe.read(min(size, self._body))
        self._body -= len(data)
        return data

    def _next(self) -> bytes:
        start = self._pipe.read(8)
        if start in (b"", _CONTINUES + bytes(4)):  # the end, with or without its mark
            return start
        length = int.from_bytes(start[4:], "little")
        if len(start) < 8 or start[:4] != _CONTINUES:
            raise UnreadableFileError("E107")
        if length > _HEADER_BYTES:
            raise UnreadableFileError("E112")
        header = self._pipe.read(length)
        self._body = _body_bytes(header) if len(header) == length else -1
        if self._body < 0:
            raise UnreadableFileError("E107")
        if self._body > _MESSAGE_BYTES:
            raise UnreadableFileError("E112")
        return start + header


def _body_bytes(header: bytes) -> int:
    """Length of the body that follows a message's header; -1 where it is none of ours."""
    try:
        message = _offset(header, 0)
        kind, body = _field(header, message, _KIND), _field(header, message, _BODY)
        length: int = struct.unpack_from("<q", header, body)[0] if body else 0
        if not kind or header[kind] not in (_SCHEMA, _BATCH):
            return -1
        held = _field(header, message, _HEADER)
        compressed = header[kind] == _BATCH and (not held or _field(header, _offset(header, held), _COMPRESSION))
    except (struct.error, IndexError):
        return -1
    return -1 if compressed else length


def _offset(data: bytes, place: int) -> int:
    at: int = place + struct.unpack_from("<I", data, place)[0]
    return at


def _field(data: bytes, table: int, number: int) -> int:
    """Where a field of a table lies; 0 where it is absent."""
    fields: int = table - struct.unpack_from("<i", data, table)[0]
    if fields < 0 or 4 + 2 * number + 2 > struct.unpack_from("<H", data, fields)[0]:
        return 0
    at: int = struct.unpack_from("<H", data, fields + 4 + 2 * number)[0]
    return table + at if at else 0
