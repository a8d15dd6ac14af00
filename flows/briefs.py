"""The brief of a pool's quarter: staff's own text, drafts of it before anybody signs, and what may stand in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aggregate.measurement import answered
from flows.pool import Pool
from flows.terms import with_terms
from publish.brief import SECTIONS, Brief, render_brief
from publish.catalog import earlier_releases
from publish.cells import ReleaseCells
from publish.claim_syntax import written
from publish.findings import find
from publish.pdf import reading_pages, render_pdf
from publish.staff_text import Objection, StaffText
from publish.wording import HouseRules
from schemas.errors import NotApprovedError, UsageError
from schemas.periods import Quarter
from schemas.stages import CheckResult, MeasuredRelease

WITHHELD_WORDS = "withheld_words.txt"
READING_PAGES = 3
_MOST_BYTES = 1 << 20


def text_path(pool: Pool, quarter: Quarter) -> Path:
    """Where staff's text of a quarter's brief is, if they wrote one."""
    return pool.root / "brief" / f"{quarter}.md"


def staff_text(pool: Pool, quarter: Quarter) -> StaffText:
    """Staff's text of a quarter's brief, with the rules that hold for it. Raises UsageError where it cannot be read."""
    path = text_path(pool, quarter)
    if not path.exists():
        return StaffText(headings=SECTIONS)
    try:
        data = path.read_bytes()
        source = data.decode("utf-8") if len(data) <= _MOST_BYTES and b"\r" not in data else None
    except (OSError, ValueError):
        source = None
    if source is None:
        raise UsageError("Staff's text cannot be read.", f"brief/{quarter}.md is UTF-8 with plain line ends, of at most 1 MiB.")
    return StaffText(source, _house_rules(pool), SECTIONS)


def _house_rules(pool: Pool) -> HouseRules:
    """What staff's text may not say here. The pool's own list of words is its own: none comes with the project."""
    path = pool.root / "config" / WITHHELD_WORDS
    withheld = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [name for company in pool.registry.companies.values() for name in (company.id, company.agreement_id)]
    lines = tuple(
        {"name": line.name, "contact": ", ".join((*line.numbers, *line.vanity, *line.urls))}
        for line in pool.scrub_settings.helplines
    )
    words = tuple(word.strip() for word in withheld if word.strip() and not word.startswith("#"))
    return HouseRules(tuple(names), words, lines)


def helplines(pool: Pool) -> list[dict[str, str]]:
    """The pool's help lines, each with `region`, `name`, and `contact` as one would say it."""
    return [
        {"region": line.region, "name": line.name, "contact": _contact(line.numbers, line.vanity)}
        for line in pool.scrub_settings.helplines
    ]


def _contact(numbers: Sequence[str], written: Sequence[str]) -> str:
    """Numbers to call, what else is written for them, and which word to text where: each once."""
    texts = [f"text {each}" for each in written if " to " in each]
    plain = [number for number in numbers if not any(each.endswith(f" to {number}") for each in texts)]
    digits = {"".join(filter(str.isdigit, number)) for number in plain}
    others = [each for each in written if " to " not in each and "".join(filter(str.isalnum, each)) not in digits]
    return ", ".join((*plain, *others, *texts))


def measured_release(pool: Pool, quarter: Quarter) -> MeasuredRelease:
    """The measured release of a quarter's latest plan, with the terms that reviewers made public.

    Raises UsageError or NotApprovedError where there is none.
    """
    plan = pool.ledger.plan(quarter)
    if plan is None:
        raise UsageError(f"No plan of {quarter} is registered.", f"Register one with `commons plan {quarter}`.")
    measured = answered(plan, pool.ledger)
    if measured is None:
        raise NotApprovedError(f"{quarter} has not been measured.", f"Run `commons measure {quarter}`.")
    return with_terms(pool, measured)


def text_result(text: StaffText, measured: MeasuredRelease) -> CheckResult:
    """The check of staff's text, beside those of the release. It stops."""
    found = text.objections(ReleaseCells(measured))
    if found:
        told = "; ".join(f"line {objection.line}: {objection.reason}" for objection in found)
    else:
        told = f"{len(text.claims)} claims of staff are supported by their cells." if text.source else "Staff wrote no text."
    return CheckResult("staff_text", not found, True, told)


def text_objections(pool: Pool, quarter: Quarter) -> list[Objection]:
    """Why staff's text of a measured quarter cannot stand, by line; empty where it can."""
    return staff_text(pool, quarter).objections(ReleaseCells(measured_release(pool, quarter)))


def claim_blocks(pool: Pool, quarter: Quarter) -> list[str]:
    """What the cells support of the brief's own family, each as a block that staff can take over."""
    return [written(finding.claim) for finding in find(ReleaseCells(measured_release(pool, quarter)))]


@dataclass(frozen=True)
class Draft:
    """A draft as it was written: its files, how many claims it makes, and over how many pages its reading part runs."""

    files: tuple[Path, ...]
    brief: Brief
    pages: int | None


def write_draft(pool: Pool, quarter: Quarter, out: Path) -> Draft:
    """Writes the brief as it would be published now, marked as a draft, as HTML and (where the system can) PDF.

    Raises:
        CheckFailedError: staff's text, or a claim, is not supported; the message names the lines.
    """
    measured = measured_release(pool, quarter)
    brief = render_brief(
        measured, helplines(pool), earlier_releases(pool.releases, quarter), text=staff_text(pool, quarter), draft=True
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(brief.html, encoding="utf-8")
    pdf = render_pdf(brief.html, quarter.end)
    if pdf.data is None:
        return Draft((out,), brief, None)
    out.with_suffix(".pdf").write_bytes(pdf.data)
    return Draft((out, out.with_suffix(".pdf")), brief, reading_pages(brief.html))
