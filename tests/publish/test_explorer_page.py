"""The explorer as its readers open it: in a real browser, from disk, by mouse and by keyboard."""

import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from release_fixtures import RELEASE_KEY, both_sign, build_measured, change_rows, withhold

from publish import release as release_module
from publish.checks import run_checks
from publish.explorer import render_explorer
from publish.pdf import Pdf
from publish.release import write_release
from publish.signoff import People
from schemas.stages import MeasuredRelease, NoisyTable
from schemas.tables import Status

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
HELPLINES = [{"region": "US", "name": "988 Suicide & Crisis Lifeline", "contact": "call or text 988"}]
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="no chromium is installed: `make setup-system`")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def explored() -> MeasuredRelease:
    """A release of few users, so that there are cells of every status in it, and one outcome that is not collected."""
    measured = build_measured(users=6_000, not_collected=("resource_opened",), quarters=4)

    def some(rows: list[dict[str, Any]]) -> None:
        for row in [row for row in rows if row["estimate"] is not None][::7]:
            withhold(row, Status.TOO_FEW_COMPANIES)
        next(row for row in rows if row["rate"])["rate_ci_high"] = None  # which no release has: it must not be drawn

    return change_rows(measured, "intervention_outcomes", some)


@pytest.fixture(scope="module")
def folder(explored: MeasuredRelease, people: People, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The explored release as a folder. What stands in it was changed by hand, so the checks are those of another."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(release_module, "render_pdf", lambda *_: Pdf(None, "not in this test"))
        root = tmp_path_factory.mktemp("explored")
        checks, signoffs = run_checks(build_measured()), both_sign(explored, people)
        return write_release(
            explored, checks, signoffs, people, root, signing_key=RELEASE_KEY, code_version="0.1.0", helplines=HELPLINES
        ).folder


@dataclass
class Opened:
    """A page that was opened, and what it asked for or complained of since."""

    page: Page
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def text(self, selector: str) -> str:
        return self.page.inner_text(selector)

    def choose(self, label: str, option: str) -> None:
        self.page.get_by_label(label, exact=True).select_option(label=option)

    def count(self, selector: str) -> int:
        return self.page.locator(selector).count()


@contextmanager
def _open(browser: Browser, path: Path, fragment: str = "", **given: Any) -> Iterator[Opened]:
    context: BrowserContext = browser.new_context(**({"viewport": DESK, "accept_downloads": True} | given))
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened = Opened(context.new_page())
    opened.page.on("request", lambda request: opened.asked.append(request.url))
    opened.page.on("console", lambda message: opened.complaints.append(message.text))
    opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    opened.page.goto(f"{path.as_uri()}{fragment}")
    yield opened
    context.close()


@pytest.fixture
def opened(browser: Browser, folder: Path) -> Iterator[Opened]:
    with _open(browser, folder / "explorer.html") as page:
        yield page
        assert page.complaints == []
        assert [url for url in page.asked if not url.startswith(("file:", "blob:"))] == []


def _query(folder: Path, sql: str) -> list[dict[str, Any]]:
    """The rows of a query as someone gets them who runs it in the release folder."""
    with duckdb.connect() as connection:
        connection.execute(f"SET file_search_path = '{folder}'")
        return connection.sql(sql).to_arrow_table().to_pylist()


def _saved(opened: Opened, button: str) -> tuple[str, bytes]:
    with opened.page.expect_download() as waiting:
        opened.page.get_by_role("button", name=button).click()
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


def _csv(opened: Opened) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(_saved(opened, "Numbers (CSV)")[1].decode())))


def _agrees(opened: Opened, folder: Path) -> list[dict[str, Any]]:
    """Holds SQL, chart, table and CSV of the view that is open against each other. Returns its rows."""
    rows, told = _query(folder, opened.text("#sql")), _csv(opened)
    value, low, high = [name for name in rows[0] if isinstance(rows[0][name], float | None)][:3]
    drawn = [row for row in rows if None not in (row[value], row[low], row[high])]
    assert opened.count("#chart .point") == opened.count("#chart .interval") == len(drawn)
    assert opened.count("#chart .cell") == opened.count("#cells tbody tr") == len(rows)
    absent = opened.page.locator("#chart .absent").all_text_contents()
    assert len(absent) == len(rows) - len(drawn) and all(absent)

    def exact(row: dict[str, Any]) -> list[Any]:
        told = {name: None if row[name] in ("", None) else row[name] for name in rows[0]}
        return [float(value) if name in numbers and value is not None else value for name, value in told.items()]

    numbers = {name for row in rows for name in row if isinstance(row[name], float)}
    assert sorted(map(exact, told), key=str) == sorted(map(exact, rows), key=str)
    assert all(row["note"] for row in told if "" in (row[value], row[low], row[high])), "a missing number does not say why"
    return rows


def test_it_opens_on_rates_with_intervals(opened: Opened, folder: Path) -> None:
    assert opened.text("#title") == "Rate of “risk went down” by type of intervention"
    assert opened.count("#chart .interval") == opened.count("#chart .point") > 5
    assert re.fullmatch(r"19 cells: \d+ published, .*", opened.text("#summary"))
    _agrees(opened, folder)


@pytest.mark.parametrize("most", [1, pytest.param(1_000, marks=pytest.mark.long)])
def test_every_view_of_every_table_is_what_its_sql_gives(opened: Opened, folder: Path, most: int) -> None:
    """Of each question, one view and one number in the fast tests, and all of them in the long ones."""
    seen = 0
    for table in opened.page.locator("#table option").all_inner_texts():
        opened.choose("Table", table)
        for question in opened.page.locator("#question option").all_inner_texts():
            if opened.page.locator("#question").is_visible():
                opened.choose("Of what", question)
            for view in opened.page.locator("#view option").all_inner_texts()[-most:]:
                opened.choose("Broken down by", view)
                for number in opened.page.locator("#value option").all_inner_texts()[-most:]:
                    opened.choose("Number", number)
                    _agrees(opened, folder)
                    seen += 1
    assert seen > (10 if most == 1 else 40)


def test_what_is_new_and_what_followed_changes_is_explored(opened: Opened, folder: Path) -> None:
    opened.choose("Table", "What grows and what recedes")
    assert opened.text("#title") == "Ratio by cell"
    assert re.search(r"\d published: its share grew", opened.text("#summary")) and "its share fell" in opened.text("#cells")
    assert {"0.5", "1", "2"} <= set(opened.page.locator("#chart text").all_text_contents())  # an axis of ratios
    assert {row["q_value"] for row in _agrees(opened, folder)} >= {0.02, 0.6}
    opened.choose("Table", "New words and phrasings")
    opened.choose("Of what", "What users wrote")
    opened.choose("Number", "Growth")
    assert "quindle sarp" in opened.text("#cells") and len(_agrees(opened, folder)) == 4
    opened.choose("Table", "What followed registered changes")
    opened.choose(
        "Of what",
        "The arm with the change less the arm without, where users or sessions were assigned by chance, reply of the user, next turn",
    )
    assert "9.4 points (6.4 to 12.4)" in opened.text("#chart")
    _agrees(opened, folder)


def test_each_reason_for_a_missing_number_is_shown(opened: Opened) -> None:
    assert "withheld: too few companies: fewer than 3 companies stand behind it" in opened.text("#reasons")
    assert "withheld: too few companies" in opened.text("#cells")
    opened.choose("Value of the outcome", "unknown")
    assert "no rate: not known" in opened.text("#chart") and "no rate: not known" in opened.text("#cells")
    opened.choose("Of what", "Crisis resource opened, 24 hours")
    assert opened.text("#summary") == "19 cells: 19 not collected." and opened.count("#chart .point") == 0
    assert "not collected: fewer than 3 of the contributing companies collect it." in opened.text("#reasons")
    assert set(opened.page.locator("#chart .absent").all_text_contents()) == {"not collected"}


def test_too_noisy_cells_look_otherwise(opened: Opened) -> None:
    opened.choose("Number", "Users-equivalent")
    noisy, sure = ("#chart [data-status='too_noisy'] ", "#chart [data-status='ok'] ")
    assert opened.count(noisy + ".interval") == opened.count(noisy + ".interval[stroke-dasharray]") > 0
    assert opened.count(sure + ".interval") > 0 == opened.count(sure + ".interval[stroke-dasharray]")
    assert opened.page.locator(noisy + ".point").first.get_attribute("fill") == "var(--paper)"


def test_filters_and_small_multiples(opened: Opened, folder: Path) -> None:
    opened.choose("Table", "Risk profile of submitted conversations")
    assert opened.count("#chart .panel") == 6 and opened.count("#chart .cell") == 48
    opened.page.get_by_text("Age band: 6 of 6").click()
    opened.page.get_by_label("under 18").uncheck()
    opened.page.get_by_label("25 to 44").uncheck()
    assert opened.page.get_by_text("Age band: 4 of 6", exact=True).is_visible() and opened.count("#chart .panel") == 4
    assert "\"age_band\" IN ('18_24', '45_64', '65_plus', 'unknown')" in opened.text("#sql")
    assert len(_agrees(opened, folder)) == 32 and opened.text("#about").endswith("Age band: 4 of 6 are shown.")
    opened.page.get_by_role("button", name="None of Age band").click()
    assert opened.text("#summary") == "No cell is chosen: tick a code." and opened.count("#chart svg") == 0
    assert _query(folder, opened.text("#sql")) == [] and _csv(opened) == []
    opened.page.get_by_role("button", name="All of Age band").click()
    opened.choose("Rows", "Age band")
    assert opened.count("#chart .panel") == 8 and opened.text("#title") == "Users-equivalent by age band and peak ideation"
    opened.choose("Small multiples by", "none")
    opened.choose("Peak ideation", "wish to be dead")
    assert (
        opened.count("#chart .panel") == 1
        and opened.text("#title") == "Users-equivalent by age band, peak ideation “wish to be dead”"
    )
    assert len(_agrees(opened, folder)) == 6


def test_sql_is_copied_as_it_stands(opened: Opened, folder: Path) -> None:
    opened.page.get_by_role("button", name="Copy SQL").click()
    opened.page.get_by_text("SQL copied.").wait_for()
    copied = opened.page.evaluate("navigator.clipboard.readText()")
    assert copied == opened.text("#sql") and len(_query(folder, copied)) == 19
    assert all(told in copied for told in ("ε = 0.89", "4 companies", "not prevalence", "C-SSRS-informed", "SYNTHETIC"))


def test_csv_carries_what_holds_of_it(opened: Opened) -> None:
    name, data = _saved(opened, "Numbers (CSV)")
    assert name == "2026Q3-v1-intervention_outcomes-rate-synthetic.csv"
    lines = list(csv.DictReader(io.StringIO(data.decode())))
    assert all("not prevalence" in line["reading"] and "SYNTHETIC" in line["reading"] for line in lines) and len(lines) == 19


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_picture_says_by_itself_what_it_shows(browser: Browser, folder: Path, scheme: Any) -> None:
    with _open(browser, folder / "explorer.html", color_scheme=scheme) as opened:
        name, data = _saved(opened, "Picture (PNG)")
        with Image.open(io.BytesIO(data)) as picture:
            colours = {colour for _, colour in picture.convert("RGB").getcolors(1_000_000)}
            assert picture.format == "PNG" and picture.width == 2000 and picture.height > 800
            assert picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255)  # for paper, whatever the screen
            assert (0x1B, 0x5A, 0x85) in colours and (0x8A, 0x1C, 0x1C) in colours  # marks, and the notice
        told = {"title": opened.text("#title"), "about": "", "facts": opened.page.locator("#facts span").all_inner_texts()}
        written = opened.page.evaluate(
            "told => [...drawPicture(model.drawn, told).querySelectorAll('text')].map(t => t.textContent)", told
        )
        whole = " ".join(written)
        for fact in (
            opened.text("#title"),
            "ε = 0.89",
            "4 companies",
            "not prevalence",
            "C-SSRS-informed",
            "SYNTHETIC",
            "95 % intervals",
        ):
            assert fact in whole
        assert name.endswith("-synthetic.png") and opened.complaints == []


def _focused(opened: Opened) -> str:
    return str(opened.page.evaluate("document.activeElement.id || document.activeElement.textContent.trim().slice(0, 24)"))


def test_by_keyboard_alone(opened: Opened, folder: Path) -> None:
    keys = opened.page.keyboard
    order = []
    for _ in range(22):
        keys.press("Tab")
        order.append(_focused(opened))
        style = "(({outlineStyle, outlineWidth}) => outlineStyle + outlineWidth)(getComputedStyle(document.activeElement))"
        assert opened.page.evaluate(style) not in ("none0px", "solid0px"), order[-1]
    assert order[:4] == ["Skip to the chart", "theme", "help lines by region", "Choose what is shown"]
    assert order[4:10] == ["table", "question", "view", "value", "rows", "panels"]
    assert order[10:19] == [
        "Type of intervention: 19",
        "pin-outcome",
        "chart",
        "png",
        "csv",
        "copy",
        "The same in SQL",
        "sql",
        "The same as a table",
    ]

    opened.page.locator("#table").focus()
    keys.press("Home")  # the first of the list
    assert opened.text("#title").startswith("Users-equivalent by peak ideation") and _focused(opened) == "table"
    opened.page.locator("#filters summary").first.focus()
    keys.press("Enter")
    for press in ("Tab", "Tab", "Tab", "Space"):  # past All and None, to the first box
        keys.press(press)
    assert opened.count("#chart .cell") == 42 and "Peak ideation: 7 of 8" in opened.text("#filters")
    opened.page.locator("#copy").focus()
    keys.press("Enter")
    opened.page.get_by_text("SQL copied.").wait_for()
    assert len(_query(folder, opened.page.evaluate("navigator.clipboard.readText()"))) == 42


def test_the_chart_is_read_cell_by_cell(opened: Opened) -> None:
    opened.choose("Table", "Risk profile of submitted conversations")
    cells = opened.page.locator("#cells tbody tr").all_inner_texts()
    opened.page.locator("#chart").focus()
    heard = []
    for press in ("Home", "ArrowDown", "ArrowRight", "ArrowLeft", "ArrowUp", "End", "ArrowDown"):
        opened.page.keyboard.press(press)
        heard.append(opened.text("#readout"))
    assert heard[0].startswith("Age band “under 18”, peak ideation “no suicidal ideation seen”: ")
    assert "under 18”, peak ideation “wish to be dead" in heard[1] and "18 to 24”, peak ideation “wish to be dead" in heard[2]
    assert heard[3] == heard[1] and heard[4] == heard[0] and heard[5] == heard[6] and "ideation “unknown" in heard[5]
    assert cells[0].split("\t")[2] in heard[0] and opened.page.locator("#readout").get_attribute("aria-live") == "polite"
    assert opened.count("#chart .hit.at") == 1
    for part in (".point", ".hit"):
        place = opened.page.locator(f"#chart {part}").nth(3).bounding_box()
        assert place
        opened.page.mouse.move(place["x"] + 3, place["y"] + 3)
        assert opened.text("#readout") not in heard
        heard.append(opened.text("#readout"))


@pytest.mark.parametrize("given", [{"color_scheme": "light"}, {"color_scheme": "dark"}, {"viewport": PHONE}])
def test_accessibility_rules(browser: Browser, folder: Path, given: dict[str, Any]) -> None:
    from axe_playwright_python.sync_playwright import Axe

    with _open(browser, folder / "explorer.html", "#table=risk_profile", **given) as opened:
        opened.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        found = Axe().run(opened.page).response["violations"]
        assert [(rule["id"], [node["html"][:120] for node in rule["nodes"][:3]]) for rule in found] == []
        opened.page.evaluate("document.getElementById('chart').removeAttribute('aria-labelledby')")
        opened.page.evaluate("document.querySelector('label[for=table]').remove()")
        assert {rule["id"] for rule in Axe().run(opened.page).response["violations"]} >= {"select-name"}  # the alarm rings


def test_roles_and_names(opened: Opened) -> None:
    page = opened.page
    assert page.get_by_role("application", name="Rate of “risk went down” by type of intervention").count() == 1
    assert page.get_by_role("table", name="Rate of “risk went down” by type of intervention").get_by_role("row").count() == 20
    assert [page.get_by_role(role).count() for role in ("banner", "main", "contentinfo")] == [1, 1, 1]
    assert page.get_by_role("heading", level=1).inner_text() == "Explorer, 2026 Q3"
    assert page.locator("#summary").get_attribute("role") == "status"
    for name in ("Table", "Of what", "Broken down by", "Number", "Rows", "Small multiples by"):
        assert page.get_by_role("combobox", name=name, exact=True).count() == 1


def _background(opened: Opened) -> str:
    return str(opened.page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_dark_and_light(browser: Browser, folder: Path) -> None:
    with _open(browser, folder / "explorer.html", color_scheme="dark") as opened:
        assert _background(opened) == "rgb(18, 23, 30)"
        assert opened.page.evaluate("getComputedStyle(document.querySelector('#chart .interval')).stroke") == "rgb(140, 196, 234)"
        opened.page.get_by_role("button", name="Light colours").click()
        assert _background(opened) == "rgb(255, 255, 255)" and opened.text("#theme") == "Dark colours"
        assert opened.page.evaluate("getComputedStyle(document.querySelector('#chart .interval')).stroke") == "rgb(27, 90, 133)"


_CLASHES = """() => {
  const boxes = [...document.querySelectorAll('#chart text')].map(t => [t.textContent, t.getBoundingClientRect()]);
  const edge = document.querySelector('#chart').getBoundingClientRect(), found = [];
  for (const [n, [text, a]] of boxes.entries()) {
    if (a.left < edge.left - 1 || a.right > edge.right + 1) found.push(text + ' is cut');
    for (const [other, b] of boxes.slice(n + 1))
      if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 4 && b.top < a.bottom - 4) found.push(text + ' over ' + other);
  }
  return found;
}"""


@pytest.mark.parametrize("viewport", [DESK, {"width": 900, "height": 700}, PHONE, {"width": 320, "height": 640}])
def test_nothing_is_cut_and_no_text_lies_over_another(browser: Browser, folder: Path, viewport: dict[str, int]) -> None:
    with _open(browser, folder / "explorer.html", viewport=viewport) as opened:
        opened.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        for table in opened.page.locator("#table option").all_inner_texts():
            opened.choose("Table", table)
            for view in opened.page.locator("#view option").all_inner_texts():
                opened.choose("Broken down by", view)
                assert opened.page.evaluate(_CLASHES) == [], (table, view)
                assert opened.page.evaluate("document.documentElement.scrollWidth") == viewport["width"], (table, view)
        opened.page.evaluate("document.querySelector('#chart text').setAttribute('x', -300)")
        assert opened.page.evaluate(_CLASHES)  # the alarm rings


def test_a_view_has_an_address(browser: Browser, folder: Path) -> None:
    with _open(browser, folder / "explorer.html") as opened:
        opened.choose("Table", "Risk profile of submitted conversations")
        opened.choose("Small multiples by", "none")
        opened.choose("Age band", "18 to 24")
        opened.page.get_by_text("Peak ideation: 8 of 8").click()
        opened.page.get_by_label("wish to be dead").uncheck()
        title, sql, address = opened.text("#title"), opened.text("#sql"), opened.page.url
    with _open(browser, folder / "explorer.html", "#" + address.split("#")[1]) as again:
        assert (again.text("#title"), again.text("#sql")) == (title, sql)
    for odd in ("#table=__proto__", "#table=risk_profile&view=99&rows=x&pin.age_band=<b>&keep.ideation=none|<img>", "#&&=%"):
        with _open(browser, folder / "explorer.html", odd) as opened:
            assert opened.count("#chart .point") > 0 and opened.complaints == []


@contextmanager
def _listening() -> Iterator[tuple[str, list[str]]]:
    """A server of this machine, and the paths that it was asked for."""
    heard: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.path)
            self.send_response(204)
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", heard
    finally:
        server.shutdown()
        server.server_close()


_ASK = """async (url) => {
  const tries = [() => fetch(url + '/fetch', {mode: 'no-cors'}), () => navigator.sendBeacon(url + '/beacon', 'x') || Promise.reject(),
    () => new Promise((yes, no) => { const i = new Image(); i.onload = yes; i.onerror = no; i.src = url + '/image'; }),
    () => new Promise((yes, no) => { const s = document.createElement('link'); s.rel = 'stylesheet'; s.href = url + '/style'; s.onload = yes; s.onerror = no; document.head.append(s); }),
    () => { document.body.insertAdjacentHTML('beforeend', '<p>x</p>'); }];
  const results = [];
  for (const attempt of tries) { try { await attempt(); results.push('passed'); } catch { results.push('refused'); } }
  return results;
}"""


def test_nothing_can_be_asked_of_the_network_even_by_a_foreign_script(browser: Browser, folder: Path, tmp_path: Path) -> None:
    html = (folder / "explorer.html").read_text()
    bare = tmp_path / "bare.html"
    bare.write_text(re.sub(r"<meta http-equiv=[^>]*>", "", html))
    with _listening() as (url, heard):
        with _open(browser, folder / "explorer.html") as opened:
            results = opened.page.evaluate(_ASK, url)
            assert heard == [] and results[0] == results[2] == results[3] == results[4] == "refused"
        with _open(browser, bare) as opened:
            assert opened.page.evaluate(_ASK, url)[0] == "passed" and "/fetch" in heard and "/image" in heard  # the alarm rings


def test_planted_markup_stays_text(browser: Browser, explored: MeasuredRelease, tmp_path: Path) -> None:
    planted = "</script><img src=x onerror=window.hit=1>"

    def plant(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row["language"] = planted if row["language"] == "en" else row["language"]

    poisoned = change_rows(explored, "risk_profile", plant)
    poisoned = replace(poisoned, plan=poisoned.plan.model_copy(update={"reason": planted}))
    (tmp_path / "explorer.html").write_text(render_explorer(poisoned, [{"region": planted, "name": planted, "contact": planted}]))
    with _open(browser, tmp_path / "explorer.html", "#table=risk_profile&view=3") as opened:
        assert (
            planted in opened.text("#chart").replace("\n", " ")
            and planted in opened.text("#cells")
            and planted in opened.text("footer")
        )
        opened.page.locator("#chart").press("End")
        assert planted in opened.text("#readout") and opened.count("img") == 0
        assert opened.page.evaluate("window.hit") is None and opened.complaints == []


def test_a_marginal_of_1500_cells(browser: Browser, explored: MeasuredRelease, tmp_path: Path) -> None:
    """Codes that the contract does not list, and more cells than anybody looks at at once."""
    table = next(t for t in explored.tables if t.name == "risk_profile")
    row = next(row for row in table.rows.to_pylist() if row["status"] == "ok") | {
        "ideation": "all",
        "age_band": "all",
        "imminence": "all",
    }
    rows = [
        row | {"week": f"week {w:02}", "language": f"language {n:02}", "estimate": 60.0 + w} for w in range(60) for n in range(25)
    ]
    large = NoisyTable("risk_profile", pa.Table.from_pylist(rows, schema=table.rows.schema))
    (tmp_path / "explorer.html").write_text(render_explorer(replace(explored, tables=(large,)), []))
    with _open(browser, tmp_path / "explorer.html") as opened:
        assert opened.text("#summary") == "1,500 cells: 1,500 published."
        assert opened.count("#chart .point") == opened.count("#chart .interval") == 780 and opened.count("#cells tbody tr") == 200
        opened.page.get_by_role("button", name="Draw all 1,500 cells").click()
        opened.page.get_by_role("button", name="List all 1,500 rows").click()
        assert opened.count("#chart .point") == opened.count("#cells tbody tr") == 1500
        assert len(_csv(opened)) == 1500 and not opened.page.locator("#more").is_visible()
        assert opened.complaints == []
