"""Commands of a company: make keys, check an export, scrub at home, send it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cli.output import Json, existing_folder, print_json, print_table, say
from schemas.errors import ExitCode, UsageError
from schemas.findings import FINDING_CODES, exit_code

if TYPE_CHECKING:
    from intake.validation import ValidationReport


def keygen(path: Path, *, json: Json = False) -> int:
    """Make an Ed25519 key: the private key into PATH (readable by you alone), the public key printed.

    Example: `commons keygen keys/alder-1.key`
    """
    from schemas.signing import encode_key, new_private_key, public_key

    if path.exists():
        raise UsageError("There is a file of that name already.", "A key is never overwritten: choose another path.")
    private_key = new_private_key()
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(encode_key(private_key) + "\n")
    public = encode_key(public_key(private_key))
    if json:
        print_json({"public_key": public})
    else:
        say(f"public_key = {public}")
    return ExitCode.DONE


def validate(folder: Path, *, json: Json = False) -> int:
    """Check a submission as the pool will: every finding, never a value. Needs no server and no network.

    What only the pool knows (registration, signature, earlier submissions) is checked when it arrives there.

    Example: `commons validate export/2026-07`
    """
    from intake.validation import validate_submission

    report = validate_submission(existing_folder(folder))
    if json:
        print_json(
            {
                "refused": report.refused,
                "records": report.records,
                "quarantined": report.quarantined,
                "quarter": str(report.quarter or ""),
                "counts": dict(sorted(report.counts.items())),
                "findings": [finding.as_dict() for finding in sorted(report.findings)],
            }
        )
    else:
        _print_report(report)
    return exit_code(report.findings)


def _print_report(report: "ValidationReport") -> None:
    if report.findings:
        shown = sorted(report.findings)[:50]
        rows = ((f.code, f.file, f.row or "", f.field, FINDING_CODES[f.code].title) for f in shown)
        print_table("", ("code", "file", "row", "field", "what is wrong"), rows)
        if sum(report.counts.values()) > len(shown):
            say(f"{len(shown)} of {sum(report.counts.values())} findings shown; --json lists them.")
        counts = ((code, n, FINDING_CODES[code].remedy) for code, n in sorted(report.counts.items()))
        print_table("", ("code", "times", "what to do"), counts)
    verdict = "REFUSED as a whole" if report.refused else "would be accepted"
    say(f"{report.records} records, {report.quarantined} would be quarantined: the submission {verdict}.")


def scrub(source: Path, target: Path, *, language: str = "en", config: Path | None = None) -> int:
    """Scrub a JSON Lines file of `{"text"}` into one of `{"text", "spans"}`.

    Spans lie over the input text: `{"start", "end", "entity", "score"}`; `text` is the scrubbed one.

    Example: `commons scrub in.jsonl out.jsonl`

    Args:
        source: JSON Lines with a `text` each.
        target: JSON Lines to write.
        language: language of the texts.
        config: folder with scrub.toml and helplines.toml, in place of the packaged ones.
    """
    from anonymize.lines import scrub_lines
    from anonymize.settings import load_scrub_settings
    from flows.pool import packaged_config

    def where(name: str) -> Path:
        return config / name if config else packaged_config(name)

    scrub_lines(source, target, load_scrub_settings(where("scrub.toml"), where("helplines.toml")), language)
    return ExitCode.DONE


def submit(folder: Path, *, to: Annotated[Path, Parameter(help="The pool's inbox, a folder.")], json: Json = False) -> int:
    """Send a submission to the pool's inbox. Sent again, it counts once.

    Example: `commons submit export/2026-07 --to pool/inbox`
    """
    from intake.submission import submit as send

    digest = send(existing_folder(folder), to)
    if json:
        print_json({"digest": digest})
    else:
        say(f"sent: {digest}")
    return ExitCode.DONE
