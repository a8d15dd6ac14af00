"""What members alone are told: a folder of its own beside the releases, signed with a key of its own, never mirrored."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from publish.catalog import swap_synced
from publish.content import members_digest, release_id, sorted_rows
from publish.folder import PUBLIC_KEY, only_writer, origin, signed_files, written_once
from publish.minisign import public_key_text
from publish.parquet import SYNTHETIC_NOTICE, parquet_bytes
from publish.signoff import People, SignedContent, verify_signoffs
from schemas.derived_tables import MEMBERS, PUBLIC, TERMS
from schemas.errors import InternalError
from schemas.signing import public_key
from schemas.stages import MeasuredRelease, NoisyTable, SignOff

TERMS_FILE = f"{TERMS}.parquet"
_IDENTITY = ("release", "audience", "synthetic", "plan_hash", "terms_digest", "salt", "signoffs")


def write_members(
    measured: MeasuredRelease,
    table: NoisyTable,
    salt: str,
    signoffs: Iterable[SignOff],
    people: People,
    root: Path,
    *,
    signing_key: bytes,
    code_version: str,
    text_digest: str = "",
) -> Path:
    """Writes `<root>/<quarter>/v<N>/` whole or not at all: the terms that members may read, beside those that everyone may.

    The same again is found as it is. `publish.verify` verifies it: approvers signed it together with the release.

    Args:
        measured: the release that it belongs to; its `members_digest` is that of the table.
        table: `emerging_terms` with both audiences.
        salt: of the digest; hex. It stands in the folder, so that who has the folder can make the digest anew.
        signoffs: both sign-offs of the release.
        people: the registry that they are verified against.
        root: the folder `members/`.
        signing_key: 32 raw bytes; not the key of the releases.
        code_version: of the code that writes.
        text_digest: of staff's text, as both signed it with the release.

    Raises:
        NotApprovedError: a sign-off is missing or does not hold.
        InternalError: the table is not the one that was signed, or another or a damaged folder lies there.
    """
    given, rows = tuple(signoffs), sorted_rows(table, measured.plan.release_plan)
    if members_digest(rows, salt) != measured.members_digest:
        raise InternalError("The table for members is not the one that was signed with the release.")
    content = SignedContent.of(measured, text_digest)
    verify_signoffs(content, people, measured.plan.planner, given)
    facts: dict[str, Any] = {
        **origin(measured, given, people, signing_key, code_version),
        "audience": MEMBERS,
        "tables": {TERMS: {"rows": rows.num_rows, "path": TERMS_FILE}},
        "tables_digest": content.tables_digest,
        "text_digest": content.text_digest,
        "terms_digest": content.terms_digest,
        "salt": salt,
    }

    def files() -> Mapping[str, bytes]:
        listed = {TERMS_FILE: parquet_bytes(TERMS, rows, measured, MEMBERS), "README.md": _readme(measured, table).encode()}
        return signed_files(listed, facts, signing_key)

    folder = root / str(measured.quarter) / f"v{measured.version}"
    with only_writer(root):
        written_once(folder, files, facts, _IDENTITY)
        swap_synced(root / PUBLIC_KEY, public_key_text(public_key(signing_key)).encode())
    return folder


def _readme(measured: MeasuredRelease, table: NoisyTable) -> str:
    release, audiences = release_id(measured.quarter, measured.version), table.rows.column("audience").to_pylist()
    notice = f"> {SYNTHETIC_NOTICE}\n\n" if measured.plan.synthetic else ""
    return f"""{notice}# New words and phrasings, for members: {release}

**For members of the pool only.** Do not publish, forward or quote what is marked `{MEMBERS}`: a reviewer kept it from the public
release because it could be read as a method, or as a way around safeguards. Use it to mend safeguards, and delete it when it has
served.

`{TERMS_FILE}` holds {audiences.count(MEMBERS)} terms for members and the {audiences.count(PUBLIC)} public ones beside them, in the
columns of the public table `{TERMS}`. Every term was written by users of at least {measured.plan.privacy.companies.minimum} companies,
was found under the same ε as the release, and was seen by a reviewer. Terms that a reviewer rejected are in neither.

Both who approved release {release} signed this table with it. `commons verify` on this folder checks every hash and signature; the key
is `{PUBLIC_KEY}` in the folder above, which is not that of the public releases.
"""
