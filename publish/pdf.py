"""The brief as tagged PDF, where the system has what that needs."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

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
    try:
        import weasyprint  # type: ignore[import-untyped]
        from weasyprint.urls import FatalURLFetchingError, URLFetcher  # type: ignore[import-untyped]
    except (ImportError, OSError):
        return Pdf(None, SKIPPED)

    nothing = URLFetcher(allowed_protocols=(), fail_on_errors=True)
    try:
        with _fixed_clock(moment):
            return Pdf(bytes(weasyprint.HTML(string=html, url_fetcher=nothing).write_pdf(pdf_variant="pdf/ua-1")))
    except FatalURLFetchingError:
        pass
    raise InternalError("A page of the release refers to something outside it.")
