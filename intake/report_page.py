"""The validation report as one HTML page that a trust-and-safety lead can read: what happened, why, what to do next."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from intake.validation import ValidationReport
from schemas.findings import FINDING_CODES, Finding, FindingCode

_SHOWN_ROWS = 10  # of each file and code; the page is for reading, findings.jsonl has the rest
_SHOWN_FILES = 20
_SHOWN_FIELDS = 12
_ORDER = {"E1": 0, "E2": 1, "W3": 2}
_KIND = {"E1": "refuses the submission", "E2": "quarantines a record", "W3": "warning"}


@dataclass(frozen=True)
class FilePart:
    """Findings of one code in one file: how many are listed, in which fields, the first rows."""

    file: str
    times: int
    fields: tuple[str, ...]
    more_fields: int
    rows: tuple[int, ...]
    more_rows: int


@dataclass(frozen=True)
class CodePart:
    """Everything of one code."""

    code: FindingCode
    kind: str
    level: str
    times: int
    files: tuple[FilePart, ...]
    more_files: int
    unlisted: int


@dataclass(frozen=True)
class Share:
    """One part of the bar: records, and per cent of all to draw (a part that is not empty is never too thin to see)."""

    name: str
    label: str
    records: int
    percent: float


def render_report(report: ValidationReport, receipt: Mapping[str, Any] | None) -> str:
    """One self-contained page: no script, nothing fetched, light and dark, fit to print. It holds no value of a record.

    With a receipt it tells what the pool did, else what it would do. Everything is escaped.
    """
    refused = receipt["decision"] != "accepted" if receipt is not None else report.refused
    manifest = report.read.manifest if report.read else None
    parts = _by_code(report)
    return _template().render(  # type: ignore[no-any-return]
        verdict=_verdict(report, receipt, refused),
        tone="refused" if refused else "partly" if report.quarantined else "good",
        refused=refused,
        answered=receipt is not None,
        facts=_facts(report, receipt),
        records=report.records,
        listed=sum(file.records for file in manifest.files) if manifest else 0,
        shares=[] if refused else _shares(report),
        parts=parts,
        next_steps=_next_steps(report, refused, receipt is not None),
        counts=sum(report.counts.values()),
    )


@cache
def _template() -> Any:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(undefined=StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"grouped": lambda number: f"{number:,}", "marked": _marked, "breakable": _breakable}
    return environment.from_string(files("intake").joinpath("templates", "report.html.j2").read_text(encoding="utf-8"))


def _marked(text: str) -> Any:
    """Our own fixed text with `code` in it, escaped."""
    from markupsafe import Markup, escape

    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped just now


def _breakable(path: str) -> Any:
    """A field's path that may break at its points only, escaped."""
    from markupsafe import Markup, escape

    return Markup(str(escape(path)).replace(".", ".<wbr>"))  # noqa: S704 - escaped just now


def _verdict(report: ValidationReport, receipt: Mapping[str, Any] | None, refused: bool) -> str:
    if refused:
        return "The submission was refused: nothing of it entered." if receipt else "The submission would be refused as a whole."
    entered = "entered" if receipt else "would enter"
    if report.quarantined:
        held = "was" if report.quarantined == 1 else "were"
        kept = f"{held} quarantined" if receipt else "would be quarantined"
        return f"{report.accepted:,} of {_records(report.records)} {entered}; {report.quarantined:,} {kept}."
    if report.repeated:
        once = "count once" if report.repeated > 1 else "counts once"
        return f"All is well: {_records(report.accepted)} {entered}; {report.repeated:,} sent before {once}."
    return f"All is well: {_records(report.records)} {entered}."


def _records(number: int) -> str:
    return f"{number:,} record" + ("" if number == 1 else "s")


def _facts(report: ValidationReport, receipt: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    told = dict(receipt or {})
    facts: list[tuple[str, str]] = []
    if report.read is not None:
        manifest = report.read.manifest
        facts += [
            ("Company", manifest.company),
            ("Submission", manifest.submission_id),
            ("Period", manifest.period),
            ("Quarter", str(report.quarter or "")),
            ("Files", f"{len(manifest.files):,}"),
            ("Digest", report.read.digest),
        ]
    elif told:
        facts += [("Company", str(told.get("company", ""))), ("Digest", str(told.get("digest", "")))]
    facts += [("Received", str(told.get("received_at", ""))), ("Decision", str(told.get("decision", "")))]
    return [(name, value) for name, value in facts if value]


def _shares(report: ValidationReport) -> list[Share]:
    entered = Share("accepted", "entered" if report.accepted else "none entered", report.accepted, 0)
    parts = [
        entered,
        Share("quarantined", "quarantined", report.quarantined, 0),
        Share("repeated", "sent before", report.repeated, 0),
    ]
    parts = [part for part in parts if part.records]
    drawn = [max(100 * part.records / max(report.records, 1), 1.5) for part in parts]
    return [
        Share(part.name, part.label, part.records, round(100 * width / sum(drawn), 3))
        for part, width in zip(parts, drawn, strict=True)
    ]


def _by_code(report: ValidationReport) -> list[CodePart]:
    listed: dict[str, list[Finding]] = {}
    for finding in report.findings:
        listed.setdefault(finding.code, []).append(finding)
    codes = sorted(report.counts, key=lambda code: (_ORDER[code[:2]], -report.counts[code], code))
    return [_code_part(code, report.counts[code], listed.get(code, [])) for code in codes]


def _code_part(code: str, times: int, findings: list[Finding]) -> CodePart:
    by_file: dict[str, list[Finding]] = {}
    for finding in findings:
        by_file.setdefault(finding.file, []).append(finding)
    parts = []
    for file, mine in sorted(by_file.items()):
        if not any(f.file or f.field or f.row for f in mine):
            continue  # of the submission as a whole: there is nothing to list
        fields = [field for field, _ in Counter(f.field for f in mine if f.field).most_common()]
        rows = sorted({f.row for f in mine if f.row})
        parts.append(
            FilePart(
                file, len(mine), tuple(fields[:_SHOWN_FIELDS]), len(fields[_SHOWN_FIELDS:]), tuple(rows[:_SHOWN_ROWS]),
                len(rows[_SHOWN_ROWS:]),
            )
        )  # fmt: skip
    return CodePart(
        FINDING_CODES[code], _KIND[code[:2]], code[:2], times, tuple(parts[:_SHOWN_FILES]), len(parts[_SHOWN_FILES:]),
        times - len(findings),
    )  # fmt: skip


def _next_steps(report: ValidationReport, refused: bool, answered: bool) -> list[str]:
    codes = report.counts
    if codes.keys() & {"E104", "E105"}:
        steps = ["Compare company, agreement and key with what the convener registered; then prepare and send again."]
    elif "E113" in codes:
        steps = [
            "Correct the mapping: where many rows have one fault, it is one place in the SQL.",
            "Export into a new folder, then `commons prepare` and `commons validate` until no finding of E2… is left.",
        ]
    elif refused:
        steps = [
            "Do what stands at each finding that refuses the submission.",
            "Then `commons prepare`, `commons validate` and `commons submit` again.",
        ]
    elif report.quarantined:
        steps = [
            "The records without a finding go on: nothing needs to be sent a second time for their sake.",
            "Correct what the findings name, and send the quarantined records as new ones in a further submission of the period."
            if answered
            else "Correct what the findings name before you send; or send as it is, and the rest goes on.",
        ]
    else:
        steps = ["Nothing: wait for the release of the quarter." if answered else "Send it: `commons submit`."]
    if "W303" in codes:
        steps.append("The quarter has been measured: what entered waits for a superseding release, if the convener makes one.")
    return steps
