"""What a company is told of a submission: the receipt, every finding, and the same on a page for people."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from intake.report_page import render_report
from intake.validation import ValidationReport

RECEIPT_FILE = "receipt.json"
_UNKNOWN_COMPANY, _NO_DIGEST = "unknown", "unreadable"


def answer_files(report: ValidationReport, receipt: Mapping[str, Any]) -> dict[str, bytes]:
    """The files of an answer by name. None holds a value of a record."""
    return {
        RECEIPT_FILE: orjson.dumps(receipt, option=orjson.OPT_INDENT_2) + b"\n",
        "findings.jsonl": b"".join(orjson.dumps(finding.as_dict()) + b"\n" for finding in sorted(report.findings)),
        "report.html": render_report(report, receipt).encode(),
    }


def keep_answer(root: Path, company: str, digest: str, files: Mapping[str, bytes]) -> None:
    """Keeps an answer in the pool, whole, before it is delivered. `company` is a registered id, or empty."""
    folder = _folder(root, company, digest)
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        temporary = folder / f".{name}.{os.getpid()}"
        temporary.write_bytes(data)
        temporary.replace(folder / name)


def is_kept(root: Path, company: str, digest: str, name: str) -> bool:
    """Whether a file of an answer was kept for a submission."""
    return (_folder(root, company, digest) / name).exists()


def kept_answer(root: Path, company: str, digest: str) -> dict[str, bytes]:
    """The answer that was kept for a submission; empty where there is none."""
    folder = _folder(root, company, digest)
    names = [path.name for path in folder.iterdir() if not path.name.startswith(".")] if folder.is_dir() else []
    return {name: (folder / name).read_bytes() for name in sorted(names)}


def _folder(root: Path, company: str, digest: str) -> Path:
    return root / (company or _UNKNOWN_COMPANY) / (digest[:16] or _NO_DIGEST)
