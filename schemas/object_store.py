"""An S3-compatible store as a file system and as paths. Loaded only where there is one: its library takes a second."""

import os
from collections.abc import Iterator
from functools import cache
from inspect import iscoroutinefunction
from typing import Any

import s3fs  # type: ignore[import-untyped]
from upath import UPath
from upath.implementations.cloud import S3Path
from upath.registry import register_implementation

from schemas.store_errors import guarded_store, silence

_ABSENCE_IS_AN_ANSWER = ("info", "cat", "cat_file")


def store_filesystem(kind: type[s3fs.S3FileSystem] = s3fs.S3FileSystem) -> Any:
    """The S3-compatible store of the environment: `AWS_ENDPOINT_URL`, or Amazon's, with credentials of the environment."""
    silence("s3fs", "fsspec", "botocore", "aiobotocore", "asyncio")
    return kind(
        endpoint_url=os.environ.get("AWS_ENDPOINT_URL"),
        use_listings_cache=False,
        skip_instance_cache=True,
        # Trailing checksums are not known to every S3-compatible store; age, Parquet's encryption, and a release's own hashes
        # tell of any altered byte.
        config_kwargs={
            "connect_timeout": 10,
            "read_timeout": 120,
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        },
    )


class _Guarded(s3fs.S3FileSystem):  # type: ignore[misc]
    """What it raises is a TransportError by kind; only asking for one object that is not there is a FileNotFoundError."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name in [n[1:] for n in dir(type(self)) if n.startswith("_") and iscoroutinefunction(getattr(type(self), n))]:
            if not name.startswith("_") and (method := getattr(self, name, None)) is not None:
                setattr(self, name, guarded_store(method, FileNotFoundError if name in _ABSENCE_IS_AN_ANSWER else ()))


class StoredPath(S3Path):
    """A path of the store of the environment. It carries no address and no credential, to whatever process it is sent."""

    __slots__ = ()

    @property
    def fs(self) -> Any:
        """The file system, one for each process and identity."""
        return _filesystem(os.getpid(), frozenset((k, v) for k, v in os.environ.items() if k.startswith("AWS_")))


register_implementation("s3", StoredPath, clobber=True)  # a path of a store makes others of the kind that is registered


@cache
def _filesystem(process: int, identity: frozenset[tuple[str, str]]) -> Any:
    return store_filesystem(_Guarded)


def unfinished_uploads(place: UPath) -> Iterator[dict[str, Any]]:
    """Uploads in parts below a place that were begun and neither completed nor given up (`Bucket`, `Key`, `UploadId`, `Initiated`)."""
    bucket, _, prefix = place.path.partition("/")
    further: dict[str, str] = {}
    while True:
        page = place.fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=f"{prefix.rstrip('/')}/", **further)
        yield from ({"Bucket": bucket, **each} for each in page.get("Uploads", ()))
        if not page.get("IsTruncated"):
            return
        further = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
