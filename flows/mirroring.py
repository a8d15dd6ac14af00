"""Releases elsewhere: verified on the web or in a store, and copied into a store. Credentials come from the environment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from publish.minisign import read_public_key
from publish.mirror import mirror_release, verify_there
from publish.places import StorePlace, WebPlace
from publish.verify import verify_release
from schemas.errors import UsageError
from schemas.stages import CheckResult
from schemas.store_errors import guarded_store


def store_at(url: str) -> StorePlace:
    """The place of `s3://bucket/prefix`. Raises UsageError on anything else; the store is `AWS_ENDPOINT_URL`, or Amazon's."""
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise UsageError("That is no place of a store.", "Give s3://bucket/prefix; credentials stand in the environment (AWS_…).")
    from schemas.object_store import store_filesystem

    return StorePlace(store_filesystem(), parts.netloc, parts.path)


def verify_place(place: str, key_file: Path | None = None) -> list[CheckResult]:
    """Verifies a release in a folder, or at `http(s)://…` or `s3://bucket/prefix/2026Q3/v1`.

    Args:
        place: where its `SHA256SUMS` lies.
        key_file: `minisign.pub` from a trusted source; it has to be signed under that key.

    Raises:
        UsageError: there is no release at this place, or no key in the file.
        TransportError: the place cannot be reached.
    """
    key = None if key_file is None else _read_key(key_file)
    if place.startswith(("http://", "https://")):
        return verify_there(WebPlace(place), key)
    if "://" in place:
        return guarded_store(verify_there)(store_at(place), key)
    return verify_release(Path(place), key)


def _read_key(key_file: Path) -> bytes:
    try:
        text = key_file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        text = ""
    return read_public_key(text)


def copy_release(releases: Path, release: str, url: str) -> Mapping[str, Any]:
    """Copies a release into a store, whole or not at all (`publish.mirror.mirror_release`). Returns the store's catalogue."""
    return guarded_store(mirror_release)(releases, release, store_at(url))
