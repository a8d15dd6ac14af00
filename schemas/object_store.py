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


def store_filesystem() -> Any:
    """The S3-compatible store of the environment: `AWS_ENDPOINT_URL`, or Amazon's, with credentials of the environment."""
    silence("s3fs", "fsspec", "botocore", "aiobotocore", "asyncio")
    return s3fs.S3FileSystem(
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


class StoredPath(S3Path):
    """A path of the store of the environment. It carries no address and no credential, to whatever process it is sent."""

    __slots__ = ()

    @property
    def fs(self) -> Any:
        """The file system, one for each process and identity. What it raises is a TransportError by kind; only asking for one
        object that is not there is a FileNotFoundError."""
        return _filesystem(os.getpid(), frozenset((k, v) for k, v in os.environ.items() if k.startswith("AWS_")))


register_implementation("s3", StoredPath, clobber=True)  # a path of a store makes others of the kind that is registered


@cache
def _filesystem(process: int, identity: frozenset[tuple[str, str]]) -> Any:
    made = store_filesystem()
    for name in [name[1:] for name in dir(made) if name.startswith("_") and iscoroutinefunction(getattr(made, name))]:
        if not name.startswith("_") and hasattr(made, name):
            setattr(made, name, guarded_store(getattr(made, name), FileNotFoundError if name in _ABSENCE_IS_AN_ANSWER else ()))
    return made


def unfinished_uploads(place: UPath) -> Iterator[dict[str, Any]]:
    """Uploads in parts below a place that were begun and neither completed nor given up (`Bucket`, `Key`, `UploadId`, `Initiated`)."""
    bucket, _, prefix = place.path.partition("/")
    further: dict[str, str] = {}
    while True:
        page = place.fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=prefix and f"{prefix}/", **further)
        yield from ({"Bucket": bucket, **each} for each in page.get("Uploads", ()))
        if not page.get("IsTruncated"):
            return
        further = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
