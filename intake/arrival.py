"""What arrives in a drop, as the pool sees it: complete submissions, part by part, and the answer that goes back."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from intake.delivery import DeliveryError
from intake.drop import ANSWERS, INCOMING, RECEIPT_NAME, Drop
from intake.sealing import MANIFEST_PART, PART_BYTES, PART_NAME, part_name, sealed_sizes, unseal

if TYPE_CHECKING:
    from pyrage.x25519 import Identity  # type: ignore[import-untyped]

LOOKED_AT = 10_000
"""Entries of a company's `in/` that one run looks at: what lies beyond waits, whoever put it there."""

_IN_A_SUBMISSION = 100_000


def arrivals(drop: Drop, limit: int) -> list[str]:
    """Digests of complete submissions, at most `limit`, the oldest first: so corrections follow what they correct.

    A submission without its manifest is still being sent, and anything that is not named like one is left alone.
    """
    complete = drop.of_each(INCOMING, MANIFEST_PART, LOOKED_AT)
    return [name for _, name in sorted((manifest.modified, name) for name, manifest in complete.items())[:limit]]


def clear_leftovers(drop: Drop, accepted: Collection[str]) -> None:
    """Removes what is left of accepted submissions where a run ended while it cleared them; what is being sent stays."""
    for entry in drop.entries(INCOMING, LOOKED_AT):
        if entry.name in accepted and entry.is_folder and drop.look(f"{INCOMING}/{entry.name}/{MANIFEST_PART}") is None:
            clear(drop, entry.name)


class DropDelivery:
    """One submission in a drop: satisfies `intake.delivery.Delivery`. At most one part is in memory at a time."""

    def __init__(self, drop: Drop, digest: str, identities: Sequence["Identity"]) -> None:
        self._drop, self._folder, self._identities = drop, f"{INCOMING}/{digest}", identities
        self._manifest: bytes | None = None

    def manifest(self, most: int) -> bytes:
        """See Delivery. Raises DeliveryError (E101; E107 where it was not encrypted to this pool, or altered).

        It is read once: what was checked against the drop and the name is what is taken in, whatever lies there since.
        """
        if self._manifest is None:
            self._manifest = self._part(MANIFEST_PART, most)
        if not self._manifest or len(self._manifest) > most:
            raise DeliveryError("E101")
        return self._manifest

    def fetch(self, number: int, name: str, target: Path, most: int) -> tuple[str, int]:
        """See Delivery. `number` counts from 0; `name` is not used: parts lie under names of ours.

        Every part but the last must be full, so that a file of a given size has a given number of parts.
        """
        hasher, size, part = hashlib.sha256(), 0, 0
        with target.open("xb") as sink:
            while (data := self._part(part_name(number, part), PART_BYTES)) is not None:
                if size != part * PART_BYTES or (part and not data):
                    raise DeliveryError("E107")
                size, part = size + len(data), part + 1
                if size > most:
                    raise DeliveryError("E106")
                hasher.update(data)
                sink.write(data)
        if not part:
            raise DeliveryError("E106")
        return hasher.hexdigest(), size

    def size(self) -> int:
        """See Delivery."""
        return sum(entry.size for entry in self._drop.entries(self._folder, _IN_A_SUBMISSION))

    def unlisted(self, names: frozenset[str]) -> bool:
        """See Delivery. Parts of no listed file, parts behind a gap, and whatever else is no part."""
        parts: dict[int, set[int]] = {}
        entries = self._drop.entries(self._folder, _IN_A_SUBMISSION)
        for entry in entries:
            match = PART_NAME.fullmatch(entry.name)
            if match and entry.is_file:
                parts.setdefault(int(match[1]), set()).add(int(match[2]))
            elif entry.name != MANIFEST_PART:
                return True
        gaps = any(len(found) != max(found) + 1 for found in parts.values())
        return gaps or any(number >= len(names) for number in parts) or len(entries) == _IN_A_SUBMISSION

    def _part(self, name: str, most: int) -> bytes | None:
        """A part's plain bytes; None where there is none. Nothing larger than a part may be is read."""
        path = f"{self._folder}/{name}"
        sealed = self._drop.read(path, sealed_sizes(most).stop)
        if sealed is None:
            if self._drop.look(path) is None:
                return None
            raise DeliveryError("E107")
        return unseal(sealed, self._identities)


def answer(drop: Drop, digest: str, files: Mapping[str, bytes]) -> None:
    """Writes the pool's answer on a submission to `out/<digest>/`; the receipt comes last, so what has one is whole."""
    for name in sorted(files, key=lambda name: (name == RECEIPT_NAME, name)):
        drop.write(f"{ANSWERS}/{digest}/{name}", files[name])


def clear(drop: Drop, digest: str) -> None:
    """Removes a submission that was answered. The manifest goes first: what is left by a crash is no submission any more."""
    folder = f"{INCOMING}/{digest}"
    drop.remove(folder, [MANIFEST_PART])
    drop.remove(folder, [entry.name for entry in drop.entries(folder, _IN_A_SUBMISSION) if entry.name != MANIFEST_PART])
    drop.remove_folder(folder)
