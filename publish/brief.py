"""The pattern brief: for now a page that says what it will hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from publish.cells import ReleaseCells
from publish.parquet import SYNTHETIC_NOTICE
from schemas.stages import MeasuredRelease


@dataclass(frozen=True)
class Brief:
    """The brief as one HTML page."""

    html: str


@dataclass(frozen=True)
class Pdf:
    """The brief as PDF, or why it was skipped."""

    data: bytes | None
    skipped: str = ""


def brief_claims(cells: ReleaseCells) -> list[str]:
    """The claims that the brief makes."""
    return []


def render_brief(measured: MeasuredRelease, helplines: Sequence[Mapping[str, str]], earlier: Sequence[str]) -> Brief:
    """The brief of a release."""
    return Brief(f"<!doctype html><title>Pattern brief</title><p>{SYNTHETIC_NOTICE if measured.plan.synthetic else ''}</p>")


def render_pdf(html: str, at: datetime) -> Pdf:
    """The same as PDF."""
    return Pdf(None, "not yet made")
