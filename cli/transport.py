"""Commands at the drop: a company sends a submission and sees what became of its own; the operator sees what waits."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from cli.output import Json, existing_folder, local_folder, print_json, print_table, progress, say
from schemas.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from intake.settings import CompanySettings
    from intake.submission import Sending

To = Annotated[str, Parameter(help="Your drop: a folder, s3://bucket/prefix or sftp://user@host:port/path.")]
SettingsFile = Annotated[Path | None, Parameter(help="commons.toml; without it, the one found upward of the folder.")]


def submit(
    folder: str,
    *,
    to: To = "",
    settings: SettingsFile = None,
    recipient: str = "",
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    scrub: Annotated[bool, Parameter(negative="")] = False,
    strict: Annotated[bool, Parameter(negative="")] = False,
    again: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> int:
    """Check a submission, seal it to the pool and send it. Sent again, it counts once; cut off, it goes on where it stopped.

    Credentials come from the environment: AWS_… for S3, COMMONS_SFTP_KEY and COMMONS_SFTP_KNOWN_HOSTS for SFTP.

    Examples: `commons submit export/2026-07`,
    `commons submit s3://bucket/exports/2026-07 --settings commons.toml`

    Args:
        folder: the folder that holds manifest.json, or s3://bucket/prefix: that is copied to this machine first.
        recipient: the pool's age recipient, age1….
        dry_run: say what would be sent, and send nothing.
        scrub: scrub turn texts at home first, into FOLDER.scrubbed, signed anew; that is what is sent.
        strict: send nothing while a record would be quarantined.
        again: send anew what the pool refused before.
    """
    from flows.progress import tell
    from intake.drop import open_drop
    from intake.submission import submit as send

    mine, place = _settings(Path.cwd() if "://" in folder else existing_folder(Path(folder)), settings)
    url, key = to or _url(mine, place), recipient or (mine.pool_recipient or "" if mine else "")
    if not key:
        raise UsageError("The pool's recipient is not known.", "Set `pool_recipient` in commons.toml, or give --recipient age1…")
    with progress(), local_folder(folder) as here:
        if scrub:
            here = _scrubbed(here, mine)
        with open_drop(url) as drop:
            pool_key = (mine.pool_key or "") if mine else ""
            sending = send(here, drop, key, pool_key=pool_key, dry_run=dry_run, strict=strict, again=again, told=tell)
    return _print_sending(sending, json)


def _scrubbed(folder: Path, mine: "CompanySettings | None") -> Path:
    from flows.pool import packaged_config
    from flows.scrub_at_home import scrub_submission
    from intake.settings import read_signing_key

    if mine is None:
        raise UsageError(
            "What was scrubbed is signed anew.", "Give --settings with your signing key (`commons init` writes one)."
        )
    target = folder.resolve().with_name(f"{folder.resolve().name}.scrubbed")
    scrub_submission(folder, target, read_signing_key(mine), packaged_config("scrub.toml"), packaged_config("helplines.toml"))
    return target


def _print_sending(sending: "Sending", json: bool) -> int:
    from intake.submission import Outcome

    report = sending.report
    refused = sending.receipt is not None and sending.receipt.get("decision") == "refused"
    if json:
        facts: dict[str, Any] = {name: getattr(sending, name) for name in ("digest", "files", "parts", "bytes", "parts_there")}
        counts = dict(sorted(report.counts.items()))
        findings = [finding.as_dict() for finding in sorted(report.findings)]
        answer = {} if sending.receipt is None else {"decision": _shown(sending.receipt.get("decision", ""))}
        told = {"outcome": str(sending.outcome), **answer, **facts}
        print_json(told | {"records": report.records, "counts": counts, "findings": findings})
    else:
        from cli.company import print_report

        print_report(report)
        if sending.digest:
            size = f"{sending.files} files in {sending.parts} parts, {sending.bytes:,} bytes"
            there = f", {sending.parts_there} parts were there already" if sending.parts_there else ""
            say(f"{sending.outcome}: {sending.digest}" + (f" ({size}{there})" if sending.outcome in _MOVED else ""))
        else:
            say(str(sending.outcome))
        if sending.receipt is not None:
            _print_receipts([sending.receipt])
        if refused:
            say("The pool refused it: `commons status --save DIR` writes why. Correct it, prepare and send again.")
            say("Where nothing in it is wrong (a key registered since, a larger quota), `--again` sends it as it is.")
    if sending.outcome is Outcome.REFUSED or refused:
        return ExitCode.SUBMISSION_REFUSED
    return ExitCode.RECORDS_QUARANTINED if sending.outcome is Outcome.STRICT else ExitCode.DONE


_PLAIN = re.compile(r"[A-Za-z0-9 .:,×_+-]{0,300}")
_LARGEST = 6
_MOVED = ("sent", "would be sent")


def _print_receipts(receipts: list[Any]) -> None:
    columns = ("submission_id", "decision", "quarter", "records", "accepted", "quarantined", "received_at")
    print_table("", columns, ([_shown(receipt.get(name, "")) for name in columns] for receipt in receipts))


def _shown(value: object) -> str:
    """A field of a receipt for a terminal: a receipt whose signature was not checked may hold anything."""
    text = str(value)
    return text if _PLAIN.fullmatch(text) else "?"


def status(
    *,
    root: Annotated[Path | None, Parameter(name="--root", env_var="COMMONS_ROOT", help="The pool's root folder.")] = None,
    keys: Annotated[bool, Parameter(negative="")] = False,
    health: Annotated[bool, Parameter(negative="")] = False,
    to: To = "",
    settings: SettingsFile = None,
    save: Path | None = None,
    json: Json = False,
) -> int:
    """At a company: what became of its own submissions. At the pool: what waits, came in, was checked, was signed.

    The pool's form is shown with --root (or COMMONS_ROOT, or where there is a folder `pool`), the company's with --to,
    --settings or a commons.toml upward of here.

    Example: `commons status --to s3://bucket/drops/alder`

    Args:
        keys: at the pool, print only the keys that companies put into commons.toml.
        health: at the pool, print only whether all is well, one line a check; the exit code is that of the first that is not.
        save: at a company, write receipt, findings and report of every answered submission into this folder.
    """
    from intake.settings import find_company_settings

    if to or settings is not None or save is not None:
        return _company_status(to, settings, save, json)
    if root is None and Path("pool").is_dir():
        root = Path("pool")
    if root is not None:
        from cli.pool import pool_keys
        from cli.screen import pool_status
        from cli.watching import print_health

        if health:
            return print_health(root, json)
        return pool_keys(root, json) if keys else pool_status(root, json)
    if find_company_settings(Path.cwd()) is None:
        raise UsageError(
            "There is neither a pool nor a company's settings here.",
            "At the pool give --root; at a company give --to, or run it where commons.toml is (`commons init` writes one).",
        )
    return _company_status("", None, None, json)


def _company_status(to: str, settings: Path | None, save: Path | None, json: bool) -> int:
    from intake.drop import open_drop
    from intake.own_submissions import own_submissions, saved_answer

    mine, place = _settings(Path.cwd(), settings)
    pool_key = (mine.pool_key or "") if mine else ""
    with open_drop(to or _url(mine, place)) as drop:
        found = own_submissions(drop, pool_key)
        for each in found:
            if save is not None and each.state == "answered" and each.genuine is not False:
                (save / each.digest[:16]).mkdir(parents=True, exist_ok=True)
                for name, data in saved_answer(drop, each.digest).items():
                    (save / each.digest[:16] / name).write_bytes(data)
    forged = [each for each in found if each.genuine is False]
    if json:
        # Nothing of an answer that the pool did not sign is passed on.
        told = [
            {"digest": e.digest, "state": e.state, "genuine": e.genuine}
            | {"receipt": None if e in forged else e.receipt, "scrub": None if e in forged else e.scrub}
            for e in found
        ]
        print_json({"submissions": told})
    else:
        _print_own(found, bool(pool_key))
    return ExitCode.CHECK_FAILED if forged else ExitCode.DONE


def _print_own(found: list[Any], checked: bool) -> None:
    columns = ("submission_id", "decision", "records", "accepted", "quarantined", "findings", "received_at")
    rows = []
    for each in found:
        receipt = {} if each.genuine is False else dict(each.receipt or {})
        cells = [_counts(receipt.get(name)) if name == "findings" else _shown(receipt.get(name, "")) for name in columns]
        state = "SIGNATURE DOES NOT HOLD" if each.genuine is False else each.state
        rows.append([each.digest[:16], state, *cells])
    print_table("Your submissions", ("digest", "state", *columns), rows)
    if reports := [(each.digest[:16], each.scrub) for each in found if each.scrub and each.genuine is not False]:
        heads = ("digest", "turns", "masked", "withheld", "languages", "canaries caught")
        print_table("What the scrub did to their texts", heads, ([name, *_scrubbed_cells(told)] for name, told in reports))
    if any(each.genuine is False for each in found):
        say(
            "A RECEIPT WAS NOT SIGNED BY THE POOL'S KEY. Do not rely on it: ask the convener, by another way, for the pool's key."
        )
    elif not checked:
        say("Receipts were not checked: set `pool_key` in commons.toml.")


def _scrubbed_cells(told: Mapping[str, Any]) -> list[str]:
    recall = told.get("canary_recall")
    interval = [recall.get(name) for name in ("estimate", "ci_low", "ci_high")] if isinstance(recall, dict) else []
    shares = [f"{share:.3f}" for share in interval if isinstance(share, float)]
    caught = "{} ({} to {})".format(*shares) if len(shares) == 3 else "?"
    return [_shown(told.get("turns", "")), *(_counts(told.get(name)) for name in ("counts", "withheld", "languages")), caught]


def _counts(told: object) -> str:
    """The largest counts by name, of a receipt or a report."""
    counts = told if isinstance(told, dict) else {}
    largest = sorted(((n, name) for name, n in counts.items() if isinstance(n, int)), key=lambda each: (-each[0], each[1]))
    shown = [f"{name} × {n}" for n, name in largest[:_LARGEST]]
    return _shown(", ".join(shown + [f"{len(counts) - _LARGEST} others"] * (len(counts) > _LARGEST)))


def _settings(start: Path, given: Path | None) -> "tuple[CompanySettings | None, Path]":
    """The company's settings and the folder they lie in; None where none was given or found."""
    from intake.settings import find_company_settings, load_company_settings

    path = given or find_company_settings(start)
    return (None, start) if path is None else (load_company_settings(path), path.resolve().parent)


def _url(mine: "CompanySettings | None", place: Path) -> str:
    if mine is None or not mine.to:
        raise UsageError("Where to is not known.", "Set `to` in commons.toml, or give --to URL.")
    return mine.to if "://" in mine.to else str(place / mine.to)
