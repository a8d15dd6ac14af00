"""A drop behind an SFTP server. Its host key must be known beforehand; a file is written beside and then renamed."""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from intake.drop import TEMPORARY, Drop, Entry
from schemas.store_errors import guarded_store, silence

_SECONDS = 20.0
_REQUESTS, _PIECE = 64, 32_768


class UnknownHostKeyError(Exception):
    """The server showed a host key that nobody vouched for."""


@guarded_store
def connect(host: str, port: int, user: str | None) -> Any:
    """A connected fsspec file system. Raises TransportError (cannot be reached, not permitted, host key unknown)."""
    import paramiko  # type: ignore[import-untyped]
    from fsspec.implementations.sftp import SFTPFileSystem  # type: ignore[import-untyped]

    silence("paramiko", "fsspec.sftp")

    class Refuse(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]
        def missing_host_key(self, client: Any, hostname: str, key: Any) -> None:
            raise UnknownHostKeyError

    class KnownHosts(SFTPFileSystem):  # type: ignore[misc]
        """fsspec's own accepts any host key at first sight, and reads no known_hosts."""

        def _connect(self) -> None:
            self.client = paramiko.SSHClient()
            known = Path(os.environ.get("COMMONS_SFTP_KNOWN_HOSTS") or Path.home() / ".ssh" / "known_hosts")
            if not known.is_file():
                raise UnknownHostKeyError
            self.client.load_host_keys(str(known))
            self.client.set_missing_host_key_policy(Refuse())
            self.client.connect(self.host, **self.ssh_kwargs)
            self.ftp = self.client.open_sftp()
            self.ftp.get_channel().settimeout(6 * _SECONDS)

    key = os.environ.get("COMMONS_SFTP_KEY")
    return KnownHosts(
        host,
        port=port,
        username=user,
        key_filename=key,
        allow_agent=key is None,
        look_for_keys=key is None,
        timeout=_SECONDS,
        banner_timeout=_SECONDS,
        auth_timeout=_SECONDS,
        skip_instance_cache=True,
    )


class SftpDrop(Drop):
    """See Drop. The protocol has no way to open without following a link: links are looked for first, at every step."""

    def __init__(self, file_system: Any, root: str) -> None:
        self._fs, self._ftp, self._root = file_system, file_system.ftp, PurePosixPath(root)

    @guarded_store
    def entries(self, folder: str, most: int) -> list[Entry]:
        """See Drop."""
        if not self._is_folder(PurePosixPath(folder)):
            self._must_be_there()
            return []
        listed: Iterator[Any] = self._ftp.listdir_iter(str(self._root / folder))
        return [_entry(each.filename, each) for each in islice(listed, most)]

    @guarded_store
    def look(self, path: str) -> Entry | None:
        """See Drop."""
        place = PurePosixPath(path)
        status = self._status(place) if self._is_folder(place.parent) else None
        if status is None:
            self._must_be_there()
            return None
        return _entry(place.name, status)

    @guarded_store
    def read(self, path: str, most: int) -> bytes | None:
        """See Drop."""
        entry = self.look(path)
        if entry is None or not entry.is_file or entry.size > most:
            return None
        try:
            with self._ftp.open(str(self._root / path), "rb") as stream:
                stream.prefetch(entry.size, _REQUESTS)
                # In the protocol's own pieces: paramiko's time for one long read grows with the square of its length.
                data = b"".join(iter(lambda: stream.read(_PIECE), b""))
        except FileNotFoundError:
            return None
        return data if len(data) == entry.size else None

    @guarded_store
    def write(self, path: str, data: bytes) -> None:
        """See Drop."""
        place = PurePosixPath(path)
        self._must_be_there()
        for folder in [step for step in (*reversed(place.parent.parents), place.parent) if step.parts]:
            if self._status(folder) is None:
                with suppress(OSError):  # another process was first
                    self._ftp.mkdir(str(self._root / folder))
            if not self._is_folder(folder):
                raise NotADirectoryError(errno.ENOTDIR, "")
        temporary = str(self._root / place.parts[0] / f"{TEMPORARY}{secrets.token_hex(8)}")
        try:
            self._ftp.putfo(BytesIO(data), temporary, confirm=True)
            self._ftp.posix_rename(temporary, str(self._root / place))
        except BaseException:
            with suppress(Exception):
                self._ftp.remove(temporary)
            raise

    @guarded_store
    def remove(self, folder: str, names: list[str]) -> None:
        """See Drop."""
        place = PurePosixPath(folder)
        if not self._is_folder(place):
            return
        for name in names:
            status = self._status(place / name)
            if status is not None and stat.S_ISDIR(status.st_mode or 0):
                with suppress(OSError):  # a folder with something in it: not ours to walk through
                    self._ftp.rmdir(str(self._root / place / name))
            elif status is not None:
                with suppress(FileNotFoundError):
                    self._ftp.remove(str(self._root / place / name))

    @guarded_store
    def remove_folder(self, folder: str) -> None:
        """See Drop."""
        if self._is_folder(PurePosixPath(folder)):
            with suppress(OSError):
                self._ftp.rmdir(str(self._root / folder))

    def close(self) -> None:
        """See Drop."""
        self._fs.client.close()

    def _status(self, path: PurePosixPath) -> Any:
        try:
            return self._ftp.lstat(str(self._root / path))
        except FileNotFoundError:
            return None

    def _is_folder(self, path: PurePosixPath) -> bool:
        steps = [step for step in (*reversed(path.parents), path) if step.parts]
        found = (self._status(step) for step in steps)
        return all(status is not None and stat.S_ISDIR(status.st_mode or 0) for status in found)

    def _must_be_there(self) -> None:
        status = self._ftp.stat(str(self._root))  # raises FileNotFoundError
        if not stat.S_ISDIR(status.st_mode or 0):
            raise NotADirectoryError(errno.ENOTDIR, "")


def _entry(name: str, status: Any) -> Entry:
    mode = status.st_mode or 0
    return Entry(name, status.st_size or 0, float(status.st_mtime or 0), stat.S_ISREG(mode), stat.S_ISDIR(mode))
