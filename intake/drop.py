"""A drop: the place of one company in a store, `in/` written by the company and `out/` written by the pool.

It is behind one interface whatever the store is. What lies there is not trusted: names are only compared, no link is
followed, nothing larger than asked for is read.
"""

import os
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from schemas.errors import UsageError

INCOMING, ANSWERS = "in", "out"
DIGEST = re.compile(r"[0-9a-f]{64}")
RECEIPT_NAME = "receipt.json"
TEMPORARY = ".sending-"
"""Begins the names of files that are being written: they lie beside the submissions, never in one."""


@dataclass(frozen=True, slots=True, repr=False)
class Entry:
    """One thing that lies in a folder of a drop. `modified` is in seconds since 1970 by the store's clock."""

    name: str
    size: int
    modified: float
    is_file: bool
    is_folder: bool


class Drop(ABC):
    """A place in a store. Paths are our own, relative, with `/`. Every method raises TransportError by kind, quoting nothing."""

    tick = 1.0
    """Seconds between two moments that the store's clock tells apart."""

    @abstractmethod
    def entries(self, folder: str, most: int) -> list[Entry]:
        """What lies in a folder, at most `most` of it, in no order; nothing where the folder is none, or a link."""

    def of_each(self, folder: str, name: str, most: int) -> dict[str, Entry]:
        """By digest, the file of this name in each submission's folder below a folder, of which at most `most` are looked at."""
        digests = [each.name for each in self.entries(folder, most) if each.is_folder and as_digest(each.name)]
        found = {digest: self.look(f"{folder}/{digest}/{name}") for digest in digests}
        return {digest: entry for digest, entry in found.items() if entry is not None and entry.is_file}

    @abstractmethod
    def look(self, path: str) -> Entry | None:
        """One entry, or None; a link is neither a file nor a folder."""

    @abstractmethod
    def read(self, path: str, most: int) -> bytes | None:
        """A file's bytes; None where there is no plain file of at most `most` bytes."""

    @abstractmethod
    def write(self, path: str, data: bytes) -> None:
        """Puts a file in place whole, over an earlier one: nobody ever sees a part of it. Makes the folders it needs."""

    @abstractmethod
    def remove(self, folder: str, names: list[str]) -> None:
        """Removes files (and links, and empty folders) of a folder; what is not there is no error."""

    @abstractmethod
    def remove_folder(self, folder: str) -> None:
        """Removes a folder if it is empty."""

    def close(self) -> None:
        """Ends the connection, where there is one."""
        return

    def __enter__(self) -> "Drop":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_drop(url: str) -> Drop:
    """A drop by its URL: a folder or `file://`, `s3://bucket/prefix`, `sftp://user@host:port/path`.

    Credentials never stand in it: S3 takes them from the environment (`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, …), SFTP a
    key file from `COMMONS_SFTP_KEY` and known hosts from `COMMONS_SFTP_KNOWN_HOSTS` (or `~/.ssh/known_hosts`). Raises
    UsageError where the URL is none of these, TransportError where an SFTP server cannot be connected to.
    """
    if "://" not in url:
        from intake.store_local import LocalDrop

        return LocalDrop(Path(url))
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.password is not None or (parts.username is not None and parts.scheme != "sftp"):
        raise UsageError(
            "The URL of a drop holds no credentials.",
            "Put them into the environment (AWS_…), or name a key file in COMMONS_SFTP_KEY.",
        )
    path = unquote(parts.path)
    if parts.query or parts.fragment or ".." in path.split("/"):
        raise _no_drop()
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and path:
        from intake.store_local import LocalDrop

        return LocalDrop(Path(path))
    if parts.scheme == "s3" and parts.netloc:
        from intake.store_s3 import S3Drop

        return S3Drop(parts.netloc, path.strip("/"))
    if parts.scheme == "sftp" and parts.hostname and path.strip("/"):
        from intake.store_sftp import SftpDrop, connect

        # What was typed after the @ names the host as known_hosts does: a host's case is nothing to it.
        return SftpDrop(connect(parts.hostname, port or 22, parts.username), path.rstrip("/"))
    raise _no_drop()


def _no_drop() -> UsageError:
    return UsageError("That is no drop.", "Give a folder, file:///folder, s3://bucket/prefix or sftp://user@host:port/path.")


def below(url: str, name: str, base: Path) -> str:
    """The URL of a place below another; a relative path counts from `base`."""
    return f"{url.rstrip('/')}/{name}" if "://" in url else os.fspath(base / url / name)


def as_digest(name: str) -> bool:
    """Whether a name is a submission's: anything else that lies in a drop is left alone."""
    return DIGEST.fullmatch(name) is not None
