"""A submission as it arrives: a manifest, and files that are copied onto this machine before anything looks into them."""

import hashlib
import os
import stat
from pathlib import Path
from typing import BinaryIO, Protocol

from schemas.manifest import MANIFEST_NAME


class DeliveryError(Exception):
    """Something of a delivery is not there or over a limit. `code` is the finding code; nothing is quoted."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Delivery(Protocol):
    """One submission at the door. It is hostile: sizes are not believed, names are not used, nothing is read twice."""

    def manifest(self, most: int) -> bytes:
        """The manifest's bytes, at most `most` of them. Raises DeliveryError (E101)."""

    def fetch(self, number: int, name: str, target: Path, most: int) -> tuple[str, int]:
        """Writes the plain bytes of a listed file (its place in the list, its name there) to `target`, a name of ours.

        Returns SHA-256 and size of what was written. Raises DeliveryError: E106 not there, or more than `most` bytes;
        E107 not encrypted to this pool, or cut off.
        """

    def size(self) -> int:
        """How many bytes lie there, as they lie there."""

    def unlisted(self, names: frozenset[str]) -> bool:
        """Whether anything lies there besides the manifest and the files of these names."""


class FolderDelivery:
    """A submission in a plain local folder: what a company checks at home, and what tests hand in."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def manifest(self, most: int) -> bytes:
        """See Delivery."""
        try:
            with _open(self._folder / MANIFEST_NAME) as stream:
                data = stream.read(most + 1)
        except OSError:
            data = b""
        if not data or len(data) > most:
            raise DeliveryError("E101")
        return data

    def fetch(self, number: int, name: str, target: Path, most: int) -> tuple[str, int]:
        """See Delivery."""
        hasher, size = hashlib.sha256(), 0
        try:
            source = _open(self._folder / name)
        except OSError:
            source = None
        if source is None:
            raise DeliveryError("E106")
        with source, target.open("xb") as sink:
            while chunk := source.read(1 << 20):
                size += len(chunk)
                if size > most:
                    raise DeliveryError("E106")
                hasher.update(chunk)
                sink.write(chunk)
        return hasher.hexdigest(), size

    def size(self) -> int:
        """See Delivery."""
        return sum(entry.stat(follow_symlinks=False).st_size for entry in os.scandir(self._folder))

    def unlisted(self, names: frozenset[str]) -> bool:
        """See Delivery."""
        return bool({entry.name for entry in os.scandir(self._folder)} - names - {MANIFEST_NAME})


def _open(path: Path) -> BinaryIO:
    # Neither a link nor a pipe nor a device: opening one could read another's file, or wait for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError
    return os.fdopen(descriptor, "rb")
