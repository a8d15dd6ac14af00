"""Sending a submission: from a company's folder into the pool's inbox."""

import os
import shutil
from pathlib import Path

from intake.limits import DEFAULT_LIMITS
from intake.manifest_checks import file_findings, read_manifest
from schemas.errors import SubmissionRefusedError, TransportError
from schemas.manifest import MANIFEST_NAME


def submit(folder: Path, inbox: Path) -> str:
    """Copies a submission into the inbox and returns its digest. Idempotent by digest; a copy cut off half way is not seen.

    Raises SubmissionRefusedError where the manifest or its files are not sound, TransportError where copying failed.
    """
    read, findings = read_manifest(folder, DEFAULT_LIMITS)
    if read is not None and not findings:
        findings = file_findings(folder, read.manifest, lambda done: None)
    if read is None or findings:
        raise SubmissionRefusedError("The submission cannot be sent as it is.", "Run `commons validate` on it for all findings.")
    target, temporary = inbox / read.digest, inbox / f".{read.digest}.{os.getpid()}"
    try:
        inbox.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        for name in (*(file.path for file in read.manifest.files), MANIFEST_NAME):
            shutil.copyfile(folder / name, temporary / name, follow_symlinks=False)
        if target.exists():
            shutil.rmtree(temporary)
        else:
            temporary.replace(target)
    except OSError:
        failed = True
    else:
        failed = False
    if failed:
        raise TransportError("The submission could not be copied into the inbox.", "Check space and rights, then send it again.")
    return read.digest
