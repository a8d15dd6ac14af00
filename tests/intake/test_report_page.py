"""The report as a page: one verdict, every code told with its cause and remedy, nothing fetched, everything escaped."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from test_preparing import prepared

from intake.limits import DEFAULT_LIMITS
from intake.manifest_checks import read_manifest
from intake.report_page import render_report
from intake.validation import ValidationReport
from schemas.findings import FINDING_CODES, Finding
from schemas.periods import Quarter

ACCEPTED = {"decision": "accepted", "received_at": "2026-08-02T04:15:11Z"}


def report_of(*findings: Finding, **counts: int) -> ValidationReport:
    report = ValidationReport(quarter=Quarter(2026, 3), **counts)  # type: ignore[arg-type]
    for finding in findings:
        report.add(finding, DEFAULT_LIMITS)
    return report


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", page, flags=re.S)).replace("&#39;", "'").split())


@pytest.mark.parametrize(
    ("report", "receipt", "verdict"),
    [
        (report_of(records=5), None, "All is well: 5 records would enter."),
        (report_of(records=1), ACCEPTED, "All is well: 1 record entered."),
        (report_of(records=1200, quarantined=7), None, "1,193 of 1,200 records would enter; 7 would be quarantined."),
        (report_of(records=100, quarantined=1), ACCEPTED, "99 of 100 records entered; 1 was quarantined."),
        (report_of(records=10, repeated=3), ACCEPTED, "All is well: 7 records entered; 3 sent before count once."),
        (report_of(Finding("E101")), None, "The submission would be refused as a whole."),
        (report_of(Finding("E105"), records=5), {"decision": "refused"}, "The submission was refused: nothing of it entered."),
    ],
)
def test_the_verdict_is_one_sentence(report: ValidationReport, receipt: dict[str, str] | None, verdict: str) -> None:
    page = render_report(report, receipt)
    assert re.findall(r"<h1[^>]*>(.*?)</h1>", page) == [verdict]
    assert f"<title>{verdict}</title>" in page


@pytest.mark.parametrize("code", FINDING_CODES)
def test_every_code_is_told_with_cause_and_remedy(code: str) -> None:
    shown = _words(text_of(render_report(report_of(Finding(code, "a.jsonl", 3, "risk.ideation"), records=3), None)))
    known = FINDING_CODES[code]
    for text in (code, known.title, known.cause, known.remedy):
        assert _words(text) in shown


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text))


def test_findings_are_gathered_by_code_and_file_with_the_first_rows() -> None:
    findings = [Finding("E205", "a.jsonl", row, "risk.ideation") for row in range(40, 0, -1)]
    findings += [Finding("E205", "b.jsonl", 7, f"interventions[{n}].type") for n in range(20)]
    page = render_report(report_of(*findings, Finding("W304", "a.jsonl", 9, "turns"), records=900, quarantined=41), None)
    shown = text_of(page)
    assert "60 times · quarantines a record" in shown
    assert "1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 30 more" in shown
    assert "and 8 more" in shown
    assert page.index('id="E205"') < page.index('id="W304"')  # what costs records first


def test_what_is_counted_but_not_listed_is_said() -> None:
    report = report_of(Finding("E205", "a.jsonl", 1, "risk.ideation"), records=9000, quarantined=300)
    report.counts["E205"] = 300
    assert "299 more of them are counted, not listed." in text_of(render_report(report, None))


def test_a_part_of_the_bar_is_drawn_even_where_it_is_one_in_a_million() -> None:
    page = render_report(report_of(records=1_000_000, quarantined=1), None)
    widths = [float(width) for width in re.findall(r'style="width: ([\d.]+)%"', page)]
    assert len(widths) == 2
    assert min(widths) > 1
    assert sum(widths) == pytest.approx(100, abs=0.01)


def test_everything_is_escaped(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    report = report_of(Finding("E205", evil, 1, evil), records=9, quarantined=1)
    page = render_report(report, {"decision": evil, "company": evil, "digest": evil, "received_at": evil})
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 4


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def tags_of(page: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = _Tags()
    parser.feed(page)
    return parser.tags


@pytest.fixture
def page(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "a.jsonl").write_text("{}\n")
    prepared(tmp_path / "export")
    report = report_of(Finding("E205", "a.jsonl", 1, "risk.ideation"), Finding("W303"), records=100, quarantined=1, repeated=2)
    report.read, _ = read_manifest(tmp_path / "export", DEFAULT_LIMITS)
    yield render_report(report, ACCEPTED)


def test_nothing_is_fetched_and_nothing_is_run(page: str) -> None:
    tags = tags_of(page)
    assert not {tag for tag, _ in tags} & {"script", "link", "img", "iframe", "object", "form"}
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on") or name in ("src", "href")]
    assert "url(" not in page and "@import" not in page


def test_it_is_built_for_all_readers(page: str) -> None:
    tags = tags_of(page)
    names = [tag for tag, _ in tags]
    assert (names.count("h1"), names.count("main")) == (1, 1)
    assert dict(tags)["html"]["lang"] == "en"
    assert all(attributes.get("scope") in ("row", "col") for tag, attributes in tags if tag == "th")
    assert any(attributes.get("role") == "img" and attributes.get("aria-label") for _, attributes in tags)
    assert "prefers-color-scheme: dark" in page and "@media print" in page


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_contrast_is_enough_in_light_and_dark(page: str) -> None:
    """WCAG 2.2: 4.5 for text."""
    schemes = re.findall(r":root \{ (?:color-scheme: light dark; )?(--ink.*?)\}", page, flags=re.S)
    assert len(schemes) == 2
    for scheme in schemes:
        colour = dict(re.findall(r"--(\w+): (#\w{6})", scheme))
        pairs = [(ink, paper) for ink in ("ink", "soft") for paper in ("paper", "panel")]
        pairs += [("on", tone) for tone in ("partly", "refused", "calm")]
        for a, b in pairs:
            light, dark = sorted((_luminance(colour[a]), _luminance(colour[b])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (a, b)
