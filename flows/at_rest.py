"""Keys at rest, as files: one for each room, quarter and company, made at first use, destroyed for good."""

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from schemas.at_rest import KEY_BYTES, NoLongerHeldError, Room
from schemas.errors import InternalError, UsageError
from schemas.periods import Quarter

EVERY_COMPANY = "_"
"""In the place of a company: no id begins like this."""


@dataclass(frozen=True)
class KeyFolder:
    """`<root>/secrets/at_rest/<room>/<quarter>/<company>.key`: satisfies `schemas.at_rest.KeysAtRest`.

    Where a key was destroyed a marker `<company>.destroyed` takes its place, and no other key is ever made there.
    """

    folder: Path

    def __call__(self, room: Room, quarter: Quarter, company: str) -> bytes:
        """The key, made at first use and readable by its owner only. Raises NoLongerHeldError where it was destroyed."""
        if not self.exists(room, quarter, company):
            self._make(room, quarter, company)
        return self.existing(room, quarter, company)

    def keep(self, room: Room, quarter: Quarter, company: str, key: bytes) -> bytes:
        """Makes `key` the key where there is none yet, and returns the one that holds. Raises NoLongerHeldError where it was destroyed."""
        if not self.exists(room, quarter, company):
            self._make(room, quarter, company, key)
        return self.existing(room, quarter, company)

    def existing(self, room: Room, quarter: Quarter, company: str) -> bytes:
        """The key of what was written before. Raises NoLongerHeldError where it was destroyed, InternalError where it is lost."""
        if self.destroyed(room, quarter, company):
            raise NoLongerHeldError
        try:
            key = self._key(room, quarter, company).read_bytes()
        except FileNotFoundError:
            key = b""
        if len(key) != KEY_BYTES:
            raise InternalError(
                "A key at rest is not there, or not whole.", "Restore secrets/ from a backup: without it nothing can be read."
            )
        return key

    def held(self, room: Room | None = None) -> Iterator[tuple[Room, Quarter, str]]:
        """Every key that there is, in order."""
        for each in Room if room is None else (room,):
            for path in sorted((self.folder / each).glob("*/*.key")):
                yield each, Quarter.parse(path.parent.name), path.name.removesuffix(".key")

    def destroyed(self, room: Room, quarter: Quarter, company: str) -> bool:
        """Whether the key was destroyed, or is about to be; or the quarter was closed for every company."""
        return any(self._marker(room, quarter, name).exists() for name in (company, EVERY_COMPANY))

    def readable(self) -> dict[tuple[Room, Quarter, str], bytes]:
        """Every key that is there, given out or not: with these a purge shows what can still be read."""
        return {place: self._key(*place).read_bytes() for place in self.held()}

    def close_quarter(self, room: Room, quarter: Quarter) -> None:
        """No key is made for any company of the quarter any more. Keys that are there stay, but are not given out."""
        self._mark(room, quarter, EVERY_COMPANY)

    def exists(self, room: Room, quarter: Quarter, company: str) -> bool:
        """Whether the key's file is there."""
        return self._key(room, quarter, company).exists()

    def destroy(self, room: Room, quarter: Quarter, company: str) -> bool:
        """Destroys a key: marker first, then overwritten, synced and removed. Says whether there was one. May be repeated.

        A file system or disk that keeps old blocks (snapshots, wear levelling) and backups are out of its reach.
        """
        path = self._key(room, quarter, company)
        self._mark(room, quarter, company)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        except FileNotFoundError:
            return False
        with os.fdopen(descriptor, "r+b", buffering=0) as stream:
            for _ in range(2):
                stream.seek(0)
                stream.write(secrets.token_bytes(KEY_BYTES))
                os.fsync(stream.fileno())
        path.unlink(missing_ok=True)
        _sync(path.parent)
        return True

    def _mark(self, room: Room, quarter: Quarter, company: str) -> None:
        marker = self._marker(room, quarter, company)
        private_folder(marker.parent)
        with os.fdopen(os.open(marker, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as stream:
            os.fsync(stream.fileno())
        _sync(marker.parent)

    def _make(self, room: Room, quarter: Quarter, company: str, key: bytes | None = None) -> None:
        if self.destroyed(room, quarter, company):
            raise NoLongerHeldError
        path = self._key(room, quarter, company)
        private_folder(path.parent)
        new_secret(path, key)
        if self.destroyed(room, quarter, company):  # a purge came between: it may not have seen this key
            self.destroy(room, quarter, company)

    def _key(self, room: Room, quarter: Quarter, company: str) -> Path:
        return self._place(room, quarter, company, "key")

    def _marker(self, room: Room, quarter: Quarter, company: str) -> Path:
        return self._place(room, quarter, company, "destroyed")

    def _place(self, room: Room, quarter: Quarter, company: str, kind: str) -> Path:
        name = f"{company}.{kind}"
        if not company or company.startswith(".") or Path(name).name != name:
            raise UsageError("That is not the id of a company.", "Use the id that companies.toml registers.")
        return self.folder / room / str(quarter) / name


def private_folder(path: Path) -> None:
    """Makes a folder, and each missing one above it, for its owner only."""
    if not path.exists():
        private_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)


def new_secret(path: Path, content: bytes | None = None) -> None:
    """Puts 32 random bytes (or `content`) at a path, readable by its owner only, whole or not at all; a file that is there stays."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(secrets.token_bytes(KEY_BYTES) if content is None else content)
            stream.flush()
            os.fsync(stream.fileno())
        os.link(temporary, path)  # fails where another process was first: then its secret holds
        _sync(path.parent)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
