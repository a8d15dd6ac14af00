"""Places where releases lie: on the web, to be read, and in an S3-compatible store, to be read and written."""

import re
import urllib.error
import urllib.request
from typing import Any, Protocol
from urllib.parse import quote

from schemas.errors import TransportError

MOST = 1 << 30
"""No file of a release is read beyond this."""
_STEP, _SECONDS = 1 << 20, 60
_UNREACHABLE = ("The place of the releases cannot be reached.", "Check its address and the network; trying again is safe.")
_TOO_LARGE = ("A file there is larger than any of a release.", "That is no release of ours.")
_CONDITION_FAILED = re.compile(r"PreconditionFailed|ConditionalRequestConflict")


class Place(Protocol):
    """Where files lie, by paths with `/`."""

    def read(self, path: str) -> bytes | None:
        """A file, or None where there is none. Raises TransportError."""


class WebPlace:
    """Files below an address of the web (http or https)."""

    def __init__(self, address: str) -> None:
        self._address = address.rstrip("/")
        # Only these two: no redirection leads to a file of this machine.
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler,
            urllib.request.HTTPHandler,
            urllib.request.HTTPSHandler,
            urllib.request.HTTPDefaultErrorHandler,
            urllib.request.HTTPRedirectHandler,
            urllib.request.HTTPErrorProcessor,
        ):
            self._opener.add_handler(handler())

    def read(self, path: str) -> bytes | None:
        """See Place."""
        found, failure = bytearray(), _UNREACHABLE
        try:
            with self._opener.open(f"{self._address}/{quote(path)}", timeout=_SECONDS) as answer:
                while len(found) <= MOST and (step := answer.read(_STEP)):
                    found += step
            if len(found) <= MOST:
                return bytes(found)
            failure = _TOO_LARGE
        except urllib.error.HTTPError as error:
            if error.code in (403, 404, 410):
                return None
        except Exception:  # what the network raises may quote the address, which can hold a password
            failure = _UNREACHABLE
        raise TransportError(*failure)


class StorePlace:
    """Objects below a prefix of a bucket. `filesystem` is an s3fs.S3FileSystem; what it raises is the caller's to translate."""

    def __init__(self, filesystem: Any, bucket: str, prefix: str) -> None:
        self._filesystem, self._bucket = filesystem, bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def below(self, folder: str) -> "StorePlace":
        """A folder of it."""
        return StorePlace(self._filesystem, self._bucket, f"{self._prefix}{folder}")

    def read(self, path: str) -> bytes | None:
        """See Place."""
        found = self.read_tagged(path)
        return None if found is None else found[0]

    def read_tagged(self, path: str) -> tuple[bytes, str] | None:
        """A file with the tag that names this content of it."""
        from fsspec.asyn import sync  # type: ignore[import-untyped]

        async def get() -> tuple[bytes, str]:
            answer = await self._filesystem._call_s3("get_object", Bucket=self._bucket, Key=self._prefix + path)
            if answer["ContentLength"] > MOST:
                raise TransportError(*_TOO_LARGE)
            return await answer["Body"].read(), answer["ETag"]

        try:
            data, tag = sync(self._filesystem.loop, get)
        except FileNotFoundError:
            return None
        return bytes(data), str(tag)

    def swap(self, path: str, data: bytes, tag: str | None) -> bool:
        """Puts a file in place of the one with this tag, or where there is none yet (None). False where another was quicker."""
        condition = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
        try:
            self._filesystem.call_s3("put_object", Bucket=self._bucket, Key=self._prefix + path, Body=data, **condition)
        except FileNotFoundError:
            return False  # it was to be replaced, and is gone
        except OSError as error:
            if _CONDITION_FAILED.search(f"{error.__cause__!r}"):
                return False
            raise
        return True

    def names(self) -> list[str]:
        """Paths of all objects."""
        found, further = list[str](), dict[str, str]()
        while True:
            page = self._filesystem.call_s3("list_objects_v2", Bucket=self._bucket, Prefix=self._prefix, **further)
            found += [each["Key"][len(self._prefix) :] for each in page.get("Contents", ()) if not each["Key"].endswith("/")]
            if not page.get("IsTruncated"):
                return found
            further = {"ContinuationToken": page["NextContinuationToken"]}
