"""Commands with which a company joins: make keys, and a folder with everything that it needs."""

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cli.output import Json, print_json, say
from schemas.errors import ExitCode, UsageError


def keygen(path: Path, *, pseudonym: Annotated[bool, Parameter(negative="")] = False, json: Json = False) -> int:
    """Make an Ed25519 key: the private key into PATH (readable by you alone), the public key printed.

    Example: `commons keygen keys/alder-1.key`

    Example: `commons keygen --pseudonym keys/pseudonym-2026Q4.key`

    Args:
        pseudonym: make a quarter's pseudonym key instead: 32 random bytes in hex. Keep a copy: without it, users of the
            quarter can be neither corrected nor withdrawn by their id.
    """
    import secrets

    from schemas.signing import encode_key, new_private_key, public_key

    private_key = new_private_key()
    text = secrets.token_hex(32) if pseudonym else encode_key(private_key)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        descriptor = -1
    if descriptor < 0:
        raise UsageError("There is a file of that name already.", "A key is never overwritten: choose another path.")
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text + "\n")
    if pseudonym:
        say(f"written: {path}")
        return ExitCode.DONE
    public = encode_key(public_key(private_key))
    if json:
        print_json({"public_key": public})
    else:
        say(f"public_key = {public}")
    return ExitCode.DONE


def init(company: str, *, into: Path | None = None, agreement: str = "to-be-agreed") -> int:
    """Make a folder with all that a company needs: keys, settings, manifest, mappings, a valid example, a schedule.

    Example: `commons init alder --agreement agr-alder-1`

    Args:
        company: the id under which you are, or will be, registered: [a-z0-9._-].
        into: the folder to make; without it, one of the company's name.
        agreement: id of your sharing agreement.
    """
    from intake.starting import start

    folder = into or Path(company)
    start(company, agreement, folder)
    say(f"{folder}/ is there. Next:")
    say(f"  cd {folder}")
    say("  commons validate example        # a small submission of yours that would be accepted")
    say("  README.md                       # the way from your warehouse to the first submission")
    say("  registration.toml               # send it to the convener: no secret is in it")
    say("keys/ holds secrets: keep a copy where your other secrets are. .gitignore leaves them out.")
    return ExitCode.DONE
