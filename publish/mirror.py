"""A release in an S3-compatible store: whole or not at all, since nobody is told of it before it has been verified there."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from publish.catalog import CATALOG, VIEWS, build_catalog, json_bytes
from publish.places import Place, StorePlace
from publish.verify import SIGNATURE, SUMS, verify_release
from publish.views import catalog_views_sql
from schemas.errors import CheckFailedError, InternalError, TransportError, UsageError
from schemas.stages import CheckResult

_LINE = re.compile(r"[0-9a-f]{64}  ((?:[A-Za-z0-9_][A-Za-z0-9_.-]*/)*[A-Za-z0-9_][A-Za-z0-9_.-]*)", re.ASCII)
_MOST_FILES, _TRIES = 10_000, 50


def verify_there(place: Place, public_key: bytes | None = None) -> list[CheckResult]:
    """Fetches a release and verifies it here. In a store no object may lie beside it; the web does not tell what lies there.

    Raises TransportError where it cannot be fetched, UsageError where there is none.
    """
    with TemporaryDirectory(prefix="commons-verify-") as folder:
        _fetch(place, Path(folder))
        return verify_release(Path(folder), public_key)


def _fetch(place: Place, folder: Path) -> None:
    sums = place.read(SUMS)
    if sums is None:
        raise UsageError("There is no release at this place.", f"Give the address of the folder that holds {SUMS}.")
    lines = [line for line in sums.decode("utf-8", "replace").splitlines() if not line.startswith("#")]
    matches = [_LINE.fullmatch(line) for line in lines]
    if len(lines) > _MOST_FILES or not all(matches):
        raise CheckFailedError(f"{SUMS} there is not one of ours.", "Do not use what lies there.")
    paths = [match[1] for match in matches if match]
    unlisted = set(place.names()) - {*paths, SUMS, SIGNATURE} if isinstance(place, StorePlace) else set[str]()
    for path in (SIGNATURE, *paths):
        if (data := place.read(path)) is not None:
            _put(folder / path, data)
    _put(folder / SUMS, sums)
    for number, _ in enumerate(unlisted):  # what lies there unlisted is not fetched, only counted
        _put(folder / f"unlisted-{number}", b"")


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def mirror_release(
    releases: Path, release: str, store: StorePlace, told: Callable[[str], None] = lambda _: None
) -> Mapping[str, Any]:
    """Copies a release of a local catalogue into a store and then names it in the catalogue there.

    Files are written only where none is: what was published is never changed. The copy is read back and verified, and only
    then is `catalog.json` swapped, on the condition that nobody else did meanwhile. Stopped anywhere, the store has the
    release as a whole or does not name it; the same call again goes on.

    Args:
        releases: the local folder with `catalog.json`.
        release: such as `2026Q3/v1`.
        store: where `catalog.json` of the store lies.
        told: hears of each step, for tests.

    Returns:
        The catalogue of the store.

    Raises:
        UsageError: there is no such release, or the store does not know conditional writes.
        InternalError: the local release is not as it was written, or another one lies in the store in its place.
        CheckFailedError: what was read back does not verify.
    """
    entries = {entry["release"]: entry for entry in build_catalog(releases)["releases"]}
    if release not in entries:
        raise UsageError("There is no such release.", "`commons publish` makes it.")
    folder = releases / entries[release]["path"]
    if not all(result.passed for result in verify_release(folder)):
        raise InternalError("The folder of this release is not as it was written.", "Run `commons verify` on it and restore it.")
    _require_conditions(store)
    there = store.below(entries[release]["path"])
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        _write_once(there, name, path.read_bytes())
        told(name)
    _write_once(store, "minisign.pub", (releases / "minisign.pub").read_bytes())
    if not all(result.passed for result in verify_there(there)):
        raise CheckFailedError(
            "What was read back from the store does not verify.", "The store does not name it. Look at the store."
        )
    told("verified")
    return _name(store, entries[release], told)


def _require_conditions(store: StorePlace) -> None:
    """A store that overwrites whatever it is told could lose a release or tear a catalogue."""
    store.swap(".conditions", b"", None)
    if store.swap(".conditions", b"", None):
        raise UsageError(
            "This store does not know conditional writes.", "Releases need one that honours If-None-Match and If-Match."
        )


def _write_once(place: StorePlace, path: str, data: bytes) -> None:
    if not place.swap(path, data, None) and place.read(path) != data:
        raise InternalError("Another file lies in its place in the store.", "A published release is never edited.")


def _name(store: StorePlace, entry: Mapping[str, Any], told: Callable[[str], None]) -> Mapping[str, Any]:
    """Names a release in the catalogue of a store, and makes the views of the catalogue that there is then."""
    for _ in range(_TRIES):
        found = store.read_tagged(CATALOG)
        catalog = json.loads(found[0]) if found else {"releases": [], "latest": {}}
        wanted = _with(catalog, entry)
        if wanted != catalog:
            if not store.swap(CATALOG, json_bytes(wanted), found[1] if found else None):
                continue  # another release was named meanwhile
            told(CATALOG)
        views, data = store.read_tagged(VIEWS), catalog_views_sql(wanted).encode()
        if views and views[0] == data:
            return wanted
        store.swap(VIEWS, data, views[1] if views else None)  # and look again: it may be another's, of an older catalogue
    raise TransportError("The catalogue of the store changes all the time.", "Try again: what was written stays.")


def _with(catalog: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    known = {each["release"]: each for each in catalog["releases"]}
    if known.get(entry["release"], entry) != entry:
        raise InternalError("The store names another release of this quarter and version.", "Plan a new version.")
    entries = sorted((known | {entry["release"]: entry}).values(), key=lambda each: (each["quarter"], each["version"]))
    return {"releases": entries, "latest": {each["quarter"]: each["release"] for each in entries}}
