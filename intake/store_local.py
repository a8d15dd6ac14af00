"""A drop in a local folder. Whoever writes there may be hostile: each step down is opened for itself, and never through a link."""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path, PurePosixPath

from intake.drop import TEMPORARY, Drop, Entry
from schemas.store_errors import guarded_store

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


class LocalDrop(Drop):
    """See Drop. The folder itself must be there: a wrong path is no new drop."""

    tick = 0.0

    def __init__(self, root: Path) -> None:
        self._root = root

    @guarded_store
    def entries(self, folder: str, most: int) -> list[Entry]:
        """See Drop."""
        try:
            with self._folder(PurePosixPath(folder)) as descriptor, os.scandir(descriptor) as found:
                return [_entry(each.name, each.stat(follow_symlinks=False)) for each in islice(found, most)]
        except OSError as error:
            if error.errno not in _ABSENT:
                raise
        self._must_be_there()
        return []

    @guarded_store
    def look(self, path: str) -> Entry | None:
        """See Drop."""
        place = PurePosixPath(path)
        try:
            with self._folder(place.parent) as descriptor:
                return _entry(place.name, os.stat(place.name, dir_fd=descriptor, follow_symlinks=False))
        except OSError as error:
            if error.errno not in _ABSENT:
                raise
        self._must_be_there()
        return None

    @guarded_store
    def read(self, path: str, most: int) -> bytes | None:
        """See Drop."""
        place = PurePosixPath(path)
        try:
            with self._folder(place.parent) as descriptor:
                # Without O_NONBLOCK a pipe would keep us waiting for ever.
                opened = os.open(place.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=descriptor)
        except OSError as error:
            if error.errno not in (*_ABSENT, errno.ENXIO):
                raise
            return None
        status = os.fstat(opened)
        if not stat.S_ISREG(status.st_mode) or status.st_size > most:
            os.close(opened)
            return None
        with os.fdopen(opened, "rb") as stream:
            data = stream.read(most + 1)
        return data if len(data) <= most else None

    @guarded_store
    def write(self, path: str, data: bytes) -> None:
        """See Drop."""
        place = PurePosixPath(path)
        with self._folder(PurePosixPath(place.parts[0]), make=True) as top, self._folder(place.parent, make=True) as folder:
            # Temporary files lie beside the submissions, where nothing that is half there can be taken for a part of one.
            temporary = f"{TEMPORARY}{secrets.token_hex(8)}"
            opened = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=top)
            try:
                with os.fdopen(opened, "wb") as stream:
                    stream.write(data)
                    stream.flush()
                    os.fsync(opened)
                os.rename(temporary, place.name, src_dir_fd=top, dst_dir_fd=folder)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=top)
                raise
            os.fsync(folder)

    @guarded_store
    def remove(self, folder: str, names: list[str]) -> None:
        """See Drop."""
        try:
            with self._folder(PurePosixPath(folder)) as descriptor:
                for name in names:
                    _remove_one(name, descriptor)
        except OSError as error:
            if error.errno not in _ABSENT:
                raise

    @guarded_store
    def remove_folder(self, folder: str) -> None:
        """See Drop."""
        place = PurePosixPath(folder)
        with suppress(OSError), self._folder(place.parent) as above:
            os.rmdir(place.name, dir_fd=above)

    @contextmanager
    def _folder(self, path: PurePosixPath, make: bool = False) -> Iterator[int]:
        descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in path.parts:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(name, dir_fd=descriptor)
                further = os.open(name, _FOLDER, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = further
            yield descriptor
        finally:
            os.close(descriptor)

    def _must_be_there(self) -> None:
        if not self._root.is_dir():
            raise FileNotFoundError


def _remove_one(name: str, descriptor: int) -> None:
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode):
            with suppress(OSError):  # a folder with something in it: not ours to walk through
                os.rmdir(name, dir_fd=descriptor)
        else:
            os.unlink(name, dir_fd=descriptor)


def _entry(name: str, status: os.stat_result) -> Entry:
    mode = status.st_mode
    return Entry(name, status.st_size, status.st_mtime, stat.S_ISREG(mode), stat.S_ISDIR(mode))
