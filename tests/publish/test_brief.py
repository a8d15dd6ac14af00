"""The brief: what it must say, in which order, to whom, and that nothing in it is typed by hand."""

import logging
import re
import shutil
import subprocess
from datetime import UTC, datetime
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest
from release_fixtures import build_measured, change_rows, withhold

from publish.brief import SECTIONS, render_brief
from publish.pdf import reading_pages, render_pdf
from publish.staff_text import StaffText
from publish.wording import is_causal
from schemas.errors import InternalError
from schemas.stages import MeasuredRelease
from schemas.tables import Status

HELPLINES = [
    {"region": "US", "name": "988 Suicide & Crisis Lifeline", "contact": "988"},
    {"region": "GB", "name": "Samaritans", "contact": "116 123"},
    {"region": "JP", "name": "TELL Lifeline", "contact": "03 5774 0992"},
    {"region": "ZZ", "name": "Line without number", "contact": ""},
]


@pytest.fixture(scope="module")
def html(measured: MeasuredRelease) -> str:
    return render_brief(measured, HELPLINES, ()).html


def test_it_leads_with_what_is_new(html: str) -> None:
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", html)
    assert headings == [
        "What is new",
        "What was seen after which intervention",
        "Where safeguards fade",
        "What followed changes",
        "What we cannot yet tell",
        "Limits",
        "Help lines",
        "Appendix",
    ]


def test_it_says_what_every_page_must_say(html: str) -> None:
    for said in (
        "ε = 0.89",
        "ε = 1.29",
        "user of one company in one quarter",
        "4, none named",
        "C-SSRS-informed, inferred from text",
        "submitted conversations, not prevalence",
        "SYNTHETIC DATA",
        "nothing to compare with yet",
        "association",
    ):
        assert said in html


def test_later_releases_do_not_claim_news(measured: MeasuredRelease) -> None:
    later = render_brief(measured, (), ("2026Q2/v1",), charts=False).html
    assert "Nothing can be compared yet" in later and "Earlier releases: 2026Q2/v1" in later and "nothing to compare" not in later


def test_help_lines_stand_by_region(html: str) -> None:
    assert html.index("United States") < html.index("United Kingdom") < html.index("Japan")
    assert "116 123" in html and "03 5774 0992" in html and "Line without number" not in html
    assert html.index("#help") < html.index("What is new")


def test_little_data_say_so() -> None:
    brief = render_brief(build_measured(users=60), HELPLINES, (), charts=True)
    assert not brief.findings and brief.html.count("Not enough data to tell") >= 3 and "Nothing to draw" in brief.html


def test_real_data_carry_no_synthetic_banner() -> None:
    assert "synthetic" not in render_brief(build_measured(synthetic=False), (), (), charts=False).html.lower()


def test_not_collected_is_named() -> None:
    html = render_brief(build_measured(not_collected=("resource_opened",)), (), (), charts=False).html
    assert "so not measured: resource opened." in html


def test_the_template_holds_no_number() -> None:
    source = files("publish").joinpath("templates", "brief.html.j2").read_text()
    text = re.sub(r"<style.*?</style>|\{\{.*?\}\}|\{%.*?%\}|<[^>]*>", " ", source, flags=re.S)
    assert not re.search(r"\d", text.replace("CC BY 4.0", ""))


def test_words_are_careful(html: str) -> None:
    text = re.sub(r"<style.*?</style>|<[^>]*>", " ", html, flags=re.S).lower()
    for word in ("committed suicide", "commit suicide", "successful", "failed attempt", "overdose", "victim", "epidemic"):
        assert word not in text


class _Page(HTMLParser):
    """What a page refers to, and what its elements are called."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.outside: list[str] = []
        self.drawings: list[dict[str, str | None]] = []
        self.headers_without_scope = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if named.get("id"):
            self.ids.append(str(named["id"]))
        self.outside += [str(v) for k, v in attrs if k in ("src", "href", "xlink:href") and not str(v).startswith("#")]
        if tag == "svg":
            self.drawings.append(named)
        self.headers_without_scope += tag == "th" and "scope" not in named


def test_it_is_one_file_and_speaks_to_a_screen_reader(html: str) -> None:
    page = _Page()
    page.feed(html)
    assert not page.outside and "<script" not in html and "@import" not in html
    assert len(page.ids) == len(set(page.ids)) and not page.headers_without_scope
    assert len(page.drawings) == 8 and '<html lang="en">' in html
    for drawing in page.drawings:
        assert drawing["role"] == "img" and "%" in str(drawing["aria-label"]) and drawing["aria-labelledby"] in page.ids
    assert html.count("<title id=") == 8


def test_every_point_has_its_interval(html: str) -> None:
    seen = html[html.index("<svg") : html.index("</svg>")]
    points, rules = seen.count('transform="translate('), seen.count("<line")
    assert points > 30 and rules > 30


def _pdf(html: str) -> bytes:
    found = render_pdf(html, datetime(2026, 11, 20, tzinfo=UTC))
    if found.data is None:
        pytest.skip(found.skipped)
    return found.data


def test_the_pdf_is_tagged_and_marked_on_every_page(html: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("weasyprint").addHandler(caplog.handler)
    data = _pdf(html)
    assert not caplog.records  # style that it does not know, or a picture without a text
    (tmp_path / "brief.pdf").write_bytes(data)
    if shutil.which("pdftotext") is None or shutil.which("pdfinfo") is None:
        pytest.skip("poppler-utils is not installed")
    told = subprocess.run(["pdfinfo", str(tmp_path / "brief.pdf")], capture_output=True, text=True, check=True).stdout
    assert re.search(r"Tagged:\s+yes", told) and "CreationDate" not in told
    text = subprocess.run(["pdftotext", "-layout", str(tmp_path / "brief.pdf"), "-"], capture_output=True, text=True, check=True)
    pages = text.stdout.rstrip("\f").split("\f")
    assert len(pages) >= 3
    for page in pages:
        for said in ("SYNTHETIC DATA", "ε = 0.89", "4 companies", "C-SSRS-informed", "submitted conversations, not prevalence"):
            assert said in page
    reading = next(number for number, page in enumerate(pages) if "Appendix" in page)
    assert reading == 2  # two pages of reading


def test_two_pages_are_read_and_more_are_told(measured: MeasuredRelease) -> None:
    _pdf('<html lang="en"><title>x</title><p>text</p></html>')  # skips where there is no PDF
    calm = "Labels come from people who disagree at times. "
    short, long = (
        render_brief(measured, HELPLINES, (), text=StaffText(calm * words, headings=SECTIONS)).html for words in (6, 200)
    )
    assert reading_pages(short) == 2 and (reading_pages(long) or 0) > 2


def test_the_same_release_gives_the_same_pdf(html: str) -> None:
    assert _pdf(html) == _pdf(html)


def test_what_is_not_measured_yet_is_said_and_the_text_names_no_cause(html: str) -> None:
    text = " ".join(re.sub(r"<style.*?</style>|<svg.*?</svg>|<[^>]*>", " ", html, flags=re.S).split())
    assert "What followed changes Nothing can be compared" in text
    sentences = re.findall(r'<span class="claim"[^>]*>(.*?)</span>', html)
    assert sentences and not any(is_causal(sentence) for sentence in sentences)


def test_withheld_numbers_say_why(measured: MeasuredRelease) -> None:
    def lose(rows: list[dict[str, object]]) -> None:
        for row in rows:
            if row["language"] == "es":
                withhold(row, Status.TOO_FEW_COMPANIES)

    html = render_brief(change_rows(measured, "risk_profile", lose), (), (), charts=False).html
    assert re.search(r"es</th><td class=\"number\">withheld</td><td>withheld, too few companies</td>", html)


def test_a_page_that_refers_outside_is_our_bug() -> None:
    _pdf('<html lang="en"><title>x</title><p>text</p></html>')
    with pytest.raises(InternalError):
        _pdf('<html lang="en"><title>x</title><img alt="x" src="http://127.0.0.1:9/x.png"></html>')
