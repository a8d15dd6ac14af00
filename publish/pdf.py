"""The brief as tagged PDF, where the system has what that needs."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from schemas.errors import InternalError

SKIPPED = (
    "brief.pdf was skipped: WeasyPrint or the Pango library that it needs is missing (on Debian: apt-get install libpango-1.0-0)."
)


@dataclass(frozen=True)
class Pdf:
    """The PDF, or why there is none."""

    data: bytes | None
    skipped: str = ""


@contextmanager
def _fixed_clock(moment: datetime) -> Iterator[None]:
    """Font subsetting stamps the time unless this variable says which: without it no two PDFs are alike."""
    before = os.environ.get("SOURCE_DATE_EPOCH")
    os.environ["SOURCE_DATE_EPOCH"] = str(int(moment.timestamp()))
    try:
        yield
    finally:
        if before is None:
            del os.environ["SOURCE_DATE_EPOCH"]
        else:
            os.environ["SOURCE_DATE_EPOCH"] = before


def render_pdf(html: str, moment: datetime) -> Pdf:
    """A page of ours as PDF/UA-1. The same page and moment give the same bytes.

    Args:
        html: a self-contained page: nothing is fetched.
        moment: the time that stands in the file, such as that of the last sign-off.

    Returns:
        The PDF, or a message where a library of the system is missing.

    Raises:
        InternalError: the page refers to something outside it; nothing is ever fetched.
    """
    with _fixed_clock(moment):
        document = _laid_out(html)
        return Pdf(None, SKIPPED) if document is None else Pdf(bytes(document.write_pdf(pdf_variant="pdf/ua-1")))


def reading_pages(html: str) -> int | None:
    """Over how many pages a brief runs before its appendix; None where a library of the system is missing."""
    document = _laid_out(html)
    if document is None:
        return None
    return next((number for number, page in enumerate(document.pages) if "appendix" in page.anchors), len(document.pages))


def _laid_out(html: str) -> Any:
    """A page of ours laid out on paper; None where a library of the system is missing."""
    try:
        import weasyprint  # type: ignore[import-untyped]
        from weasyprint.urls import FatalURLFetchingError, URLFetcher  # type: ignore[import-untyped]
    except (ImportError, OSError):
        return None

    nothing = URLFetcher(allowed_protocols=(), fail_on_errors=True)
    try:
        return weasyprint.HTML(string=html, url_fetcher=nothing).render(pdf_variant="pdf/ua-1")
    except FatalURLFetchingError:
        pass
    raise InternalError("A page of the release refers to something outside it.")
