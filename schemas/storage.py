"""Where records lie: in a folder of this machine, or below a prefix of an S3-compatible store. The same few calls for both.

A place is a `pathlib.Path`, or a `upath.UPath` of a store. `exists`, `stat`, `unlink` and joining names are their own; what
differs stands here. It is never listed by patterns: fsspec passes over what it may not see there, as if nothing were in it.
"""

import errno
import io
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, TypeAlias, Union, cast
from urllib.parse import urlsplit

from schemas.errors import OutOfSpaceError, UsageError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from upath import UPath

Place: TypeAlias = Union[Path, "UPath"]

_SENT_AT_ONCE = 16 << 20  # bytes of an object that is written, held until they are sent; at most 10,000 times as much is one
_OBJECTS_AT_ONCE = 4
_END = 64 << 10


def place_at(url: str, base: Path) -> Place:
    """The place of `s3://bucket/prefix`, or of a folder, counted from `base`. Credentials stand in the environment (AWS_…).

    Raises UsageError where it is neither.
    """
    if "://" not in url:
        return base / url
    try:
        parts = urlsplit(url)
        plain = parts.scheme == "s3" and parts.netloc and "@" not in parts.netloc and not (parts.query or parts.fragment)
    except ValueError:
        plain = False
    if not plain or ".." in parts.path.split("/"):
        raise UsageError("That is no place in a store.", "Give s3://bucket/prefix; credentials stand in the environment (AWS_…).")
    from schemas.object_store import StoredPath

    return StoredPath(f"s3://{parts.netloc}/{parts.path.strip('/')}")


@contextmanager
def whole_file(place: Place) -> Iterator[IO[bytes]]:
    """A new file to write: in place, over an earlier one, once this ends without an error; until then, and else, nobody sees it.

    On this machine it is synced to the disk first, and the folders above it are made. In a store it is one upload in parts;
    what a killed process began there stays unseen, and `remove_unfinished` frees it.
    """
    if not isinstance(place, Path):
        with _whole_object(place) as stream:
            yield stream
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    # Of this process alone: another machine may write the same file, and have a process of this number.
    temporary = place.with_name(f".{place.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(place)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _whole_object(place: "UPath") -> Iterator[IO[bytes]]:
    # Without `autocommit=False` an error, or the end of the interpreter, would complete what was written so far.
    stream = place.fs.open(place.path, "wb", block_size=_SENT_AT_ONCE, autocommit=False)
    try:
        yield stream
        stream.close()
        stream.commit()
    except BaseException:
        with suppress(Exception):
            stream.discard()
        stream.closed = True  # else it would be sent when it is forgotten
        raise


def put_folder(source: Path, target: Place) -> None:
    """Moves the files of a local folder to a place that nothing reads yet. What lies there already goes.

    On this machine they are in place all at once; in a store one whole object after the other, or none where one fails.
    Raises UsageError where source and target are folders of different file systems.
    """
    if not isinstance(target, Path):
        _put_objects(source, target)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    _sync(source)
    try:
        source.replace(target)
        apart = False
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        apart = True
    if apart:  # a copy would not be whole at once
        raise UsageError(
            "The pool's folders `staging` and `accepted` lie on different file systems.", "Put both on one, then run it again."
        )
    _sync(target.parent)


def _put_objects(source: Path, target: "UPath") -> None:
    names, there = sorted(path.name for path in source.iterdir()), files_below(target)
    for left in there.keys() - set(names):
        (target / left).unlink()
    try:
        if names:
            files, objects = [str(source / name) for name in names], [(target / name).path for name in names]
            target.fs.put(files, objects, batch_size=_OBJECTS_AT_ONCE)
    except BaseException:
        for name in set(names) - there.keys():  # what was there may be another run's, and named in the catalogue
            with suppress(Exception):
                (target / name).unlink(missing_ok=True)
        raise


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def files_below(place: Place) -> dict[str, int]:
    """Every file below a place, by its name from there (with `/`), and its size in bytes; in order of names. None, if it is not there."""
    if isinstance(place, Path):
        files = {path.relative_to(place).as_posix(): size for path in place.rglob("*") if (size := _size(path)) is not None}
    else:
        found: Mapping[str, Mapping[str, object]] = place.fs.find(place.path, detail=True)
        start = len(place.path.rstrip("/")) + 1
        files = {name[start:]: int(str(info["size"])) for name, info in found.items() if info["type"] == "file"}
        files.pop("", None)  # a mark that some stores keep for a folder
    return dict(sorted(files.items()))


def _size(path: Path) -> int | None:
    try:
        status = path.stat()
    except FileNotFoundError:  # it was there when its folder was listed: a temporary name that has become another
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def remove_folder(place: Place) -> None:
    """Removes a place and all below it. On this machine by another name first, so that nothing finds half of it; and what a
    killed process left of that."""
    if not isinstance(place, Path):
        if files_below(place):
            place.fs.rm(place.path, recursive=True)
        return
    for left in place.parent.glob(f".purged-{place.name}-*"):
        shutil.rmtree(left)
    if place.exists():
        hidden = place.with_name(f".purged-{place.name}-{os.getpid()}")
        place.rename(hidden)
        shutil.rmtree(hidden)


def remove_unfinished(place: Place, before: datetime, *, dry_run: bool = False) -> int:
    """Frees what uploads below a place, begun before a moment and never completed, take up in a store; returns how many."""
    if isinstance(place, Path):
        return 0
    from schemas.object_store import unfinished_uploads

    found = [each for each in unfinished_uploads(place) if each["Initiated"] < before]
    for each in [] if dry_run else found:
        place.fs.call_s3("abort_multipart_upload", **{name: each[name] for name in ("Bucket", "Key", "UploadId")})
    return len(found)


def clear_parts(place: Place) -> None:
    """Removes what killed processes left of writing a file. Only where nobody else writes it."""
    if isinstance(place, Path):
        for left in place.parent.glob(f".{place.name}.*.part"):
            left.unlink(missing_ok=True)


def read_files(places: Sequence[Place]) -> list[bytes]:
    """The bytes of small files, in the order of the places; of a store several at a time."""
    stored = [place for place in places if not isinstance(place, Path)]
    if not stored:
        return [place.read_bytes() for place in places]
    found: Mapping[str, bytes] = stored[0].fs.cat([place.path for place in stored])
    return [place.read_bytes() if isinstance(place, Path) else found[place.path] for place in places]


def source_of(place: Place) -> "Path | IO[bytes]":
    """What PyArrow reads a file from: the path on this machine; of a store the ranges that are asked for, and no more."""
    return place if isinstance(place, Path) else cast(IO[bytes], _Object(place))


def opened(place: Place) -> IO[bytes]:
    """A file to read from its beginning, a piece of it in memory at a time."""
    return place.open("rb") if isinstance(place, Path) else io.BufferedReader(_Object(place), _SENT_AT_ONCE)


@contextmanager
def local_copy(place: Place) -> Iterator[Path]:
    """A folder of this machine as it is; of a prefix the objects right below it, copied for as long as this lasts.

    Raises OutOfSpaceError, before anything is fetched, where the disk of temporary files (TMPDIR) would not hold them.
    """
    if isinstance(place, Path):
        yield place
        return
    files = {name: size for name, size in files_below(place).items() if "/" not in name and name not in (".", "..")}
    with TemporaryDirectory(prefix="commons-") as folder:
        if sum(files.values()) > shutil.disk_usage(folder).free:
            raise OutOfSpaceError(
                "The disk would not hold a copy of what lies there.", "Free some, or set TMPDIR to a larger one."
            )
        copy = Path(folder) / "copy"
        copy.mkdir()
        for name in files:
            with opened(place / name) as source, (copy / name).open("wb") as target:
                shutil.copyfileobj(source, target, _SENT_AT_ONCE)
        yield copy


class _Object(io.RawIOBase):
    """An object, read by ranges. Of what was read only its end is kept: that is where Parquet has its footer."""

    def __init__(self, place: "UPath") -> None:
        self._fs, self._path = place.fs, place.path
        self._size, self._at, self._end = int(self._fs.info(place.path)["size"]), 0, b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        end = self._size if size is None or size < 0 else min(self._size, self._at + size)
        if self._at >= end:
            return b""
        data = self._range(self._at, end)
        self._at += len(data)
        return data

    def readinto(self, buffer: "WriteableBuffer") -> int:
        wanted = memoryview(buffer).cast("B")
        data = self.read(len(wanted))
        wanted[: len(data)] = data
        return len(data)

    def _range(self, start: int, end: int) -> bytes:
        last = max(0, self._size - _END)
        if start < last:
            return bytes(self._fs.cat_file(self._path, start=start, end=end))
        if not self._end:
            self._end = bytes(self._fs.cat_file(self._path, start=last, end=self._size))
        return self._end[start - last : end - last]
