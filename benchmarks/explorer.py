"""`make bench-explorer`: size of explorer.html and the time to its first chart, for the plan as it is and for 100,000 rows."""

import statistics
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
from playwright.sync_api import Browser, sync_playwright

from benchmarks.report import report
from publish.explorer import render_explorer
from schemas.stages import MeasuredRelease, NoisyTable

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "publish"))

from release_fixtures import build_measured

ROWS, TIMES, CHROMIUM = 100_000, 7, "/usr/bin/chromium"
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
# From the start of navigation to the first frame that has the chart; the page draws it before it is first painted.
PAINTED = """() => new Promise(done => {
  const look = () => document.querySelector('#chart .point') ? requestAnimationFrame(() => done(performance.now())) : requestAnimationFrame(look);
  look();
})"""
CHANGED = """() => new Promise(done => {
  const before = performance.now(), select = document.getElementById('pin-outcome');
  select.selectedIndex = (select.selectedIndex + 1) % 3;
  select.dispatchEvent(new Event('change'));
  requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - before)));
})"""


def enlarged(measured: MeasuredRelease, rows: int) -> MeasuredRelease:
    """The same release with so many rows: those of outcomes over and over, each time under another age band."""
    other = sum(table.rows.num_rows for table in measured.cell_tables if table.name != "intervention_outcomes")
    tables = []
    for table in measured.tables:
        if table.name == "intervention_outcomes":
            asked = pa.compute.and_(
                pa.compute.not_equal(table.rows["intervention"], "all"),
                pa.compute.equal(table.rows["outcome_kind"], "risk_trajectory"),
            )
            once = table.rows.filter(asked)
            at = table.rows.schema.get_field_index("age_band")
            many = -(-(rows - other) // once.num_rows)
            copies = [once.set_column(at, "age_band", pa.array([f"band {n:05}"] * once.num_rows)) for n in range(many)]
            table = NoisyTable(table.name, pa.concat_tables(copies).slice(0, rows - other).combine_chunks())
        tables.append(table)
    return replace(measured, tables=tuple(tables))


def opened(browser: Browser, page: Path) -> tuple[float, float]:
    """Median milliseconds to the first chart, each time in a browser context of its own, and to another view of it."""
    first, other = [], []
    for _ in range(TIMES):
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        tab = context.new_page()
        tab.goto(page.as_uri(), wait_until="commit")
        first.append(tab.evaluate(PAINTED))
        other.append(tab.evaluate(CHANGED))
        context.close()
    return statistics.median(first), statistics.median(other)


def figures() -> Mapping[str, float]:
    """Kilobytes, rows and milliseconds of both explorers."""
    measured = build_measured()
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for name, release in (("explorer", measured), ("explorer_100k", enlarged(measured, ROWS))):
            page = Path(folder) / f"{name}.html"
            page.write_text(render_explorer(release, []), encoding="utf-8")
            found[f"{name}_rows"] = sum(table.rows.num_rows for table in release.cell_tables)
            found[f"{name}_kb"] = page.stat().st_size / 1000
            found[f"{name}_first_chart_ms"], found[f"{name}_other_view_ms"] = opened(browser, page)
        browser.close()
    return found


if __name__ == "__main__":
    if Path(CHROMIUM).exists():
        report("explorer", figures())
    else:
        sys.stdout.write("no chromium is installed (`make setup-system`): nothing is measured\n")
