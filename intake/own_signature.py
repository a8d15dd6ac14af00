"""Whether a company's submission bears the signature that the pool will ask for, so far as its own folder can tell."""

from contextlib import suppress
from pathlib import Path

from intake.manifest_checks import ReadManifest
from intake.registry import load_registry
from intake.settings import load_company_settings, read_signing_key
from schemas.errors import UsageError
from schemas.findings import Finding
from schemas.manifest import MANIFEST_NAME, Manifest
from schemas.signing import decode_key, public_key, verify

REGISTRATION_NAME = "registration.toml"


def own_signature_findings(read: ReadManifest, settings: Path) -> list[Finding]:
    """W312 where the signature does not fit the key that was sent for registration, or else the one that `commons.toml` names.

    `settings` is the path of `commons.toml`. Nothing is found where neither knows the manifest's key id.
    """
    key = _registered(read.manifest, settings.with_name(REGISTRATION_NAME)) or _used(read.manifest, settings)
    fits = key is None or verify(key, read.signed, read.manifest.signature)
    return [] if fits else [Finding("W312", MANIFEST_NAME, 0, "signature")]


def _registered(manifest: Manifest, path: Path) -> bytes | None:
    with suppress(UsageError):  # none is there, or it was altered: it is the convener's to complain
        company = load_registry(path).companies.get(manifest.company)
        key = company.key(manifest.key_id) if company else None
        return decode_key(key.public_key) if key else None
    return None


def _used(manifest: Manifest, path: Path) -> bytes | None:
    with suppress(UsageError):
        settings = load_company_settings(path)
        if (settings.company, settings.key_id) == (manifest.company, manifest.key_id):
            return public_key(read_signing_key(settings))
    return None
