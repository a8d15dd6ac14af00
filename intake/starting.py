"""A company's first folder: keys, settings, manifest, mappings, a valid example and a schedule, from packaged templates."""

import os
import re
import secrets
import sys
import tempfile
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from intake.preparing import prepare
from intake.settings import SETTINGS_NAME, load_company_settings
from schemas.errors import InternalError, UsageError
from schemas.periods import Quarter
from schemas.signing import encode_key, new_private_key, public_key

_SLUG = re.compile(r"[a-z0-9][a-z0-9._-]{0,47}", re.ASCII)  # room for what is put behind it in ids
_RENAMED = {"gitignore": ".gitignore"}
_EXAMPLE_MANIFEST = "example.toml"
_VALIDITY = timedelta(days=365)


def start(company: str, agreement: str, folder: Path, today: date | None = None) -> None:
    """Makes `folder` with everything that a company needs, or leaves nothing.

    Secrets are readable by their owner only. Raises UsageError for an id that cannot be one, and where the folder holds
    anything: nothing is overwritten.
    """
    if not _SLUG.fullmatch(company) or not _SLUG.fullmatch(agreement):
        raise UsageError(
            "The company's or the agreement's id cannot be one.", "Write it with a-z, 0-9, point, hyphen and underscore."
        )
    if folder.is_symlink() or folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise UsageError("There is something of that name already.", "Nothing is overwritten: choose another folder with --into.")
    today = today or datetime.now(UTC).date()
    private_key, key_id = new_private_key(), f"{company}-1"
    words = {
        "company": company,
        "agreement": agreement,
        "key_id": key_id,
        "public_key": encode_key(public_key(private_key)),
        "valid_from": today.isoformat(),
        "valid_until": (today + _VALIDITY).isoformat(),
        "folder": str(folder.resolve()),
        "bin": str(Path(sys.executable).parent),
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".starting-") as scratch:
        made = Path(scratch) / "made"
        _write_templates(files("intake").joinpath("starter"), made, words)
        quarter = Quarter.of(datetime(today.year, today.month, today.day, tzinfo=UTC))
        _secret(made / "keys" / f"{key_id}.key", encode_key(private_key))
        _secret(made / "keys" / f"pseudonym-{quarter.previous()}.key", secrets.token_hex(32))
        _secret(made / "keys" / f"pseudonym-{quarter}.key", secrets.token_hex(32))
        (made / "keys" / f"{key_id}.pub").write_text(words["public_key"] + "\n")
        _sign_example(made, private_key)
        if folder.is_dir():
            folder.rmdir()
        made.replace(folder)


def _write_templates(source: Traversable, target: Path, words: dict[str, str]) -> None:
    target.mkdir()
    for entry in source.iterdir():
        if entry.name in ("__pycache__", "__init__.py"):
            continue
        place = target / _RENAMED.get(entry.name, entry.name)
        if entry.is_dir():
            _write_templates(entry, place, words)
            continue
        text = entry.read_text(encoding="utf-8")
        for name, word in words.items():
            text = text.replace(f"@{name}@", word)
        place.write_text(text, encoding="utf-8")
        if place.suffix == ".sh":
            place.chmod(0o755)


def _secret(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text + "\n")


def _sign_example(made: Path, private_key: bytes) -> None:
    source = made / _EXAMPLE_MANIFEST
    prepared, _ = prepare(made / "example", load_company_settings(made / SETTINGS_NAME), source, private_key)
    if prepared is None:
        raise InternalError("The packaged example is not a valid submission.")
    source.unlink()
