"""The explorer as a file: what stands in it, and that no text can leave the place it is put in."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from release_fixtures import build_measured, change_rows

from publish.explorer import render_explorer
from schemas.keys import ALL
from schemas.stages import MeasuredRelease
from schemas.tables import key_columns

HELPLINES = [
    {"region": "US", "name": "988 Suicide & Crisis Lifeline", "contact": "call or text 988"},
    {"region": "NZ", "name": "1737, need to talk?", "contact": "1737"},
]


class _Page(HTMLParser):
    """Elements of a page by how often they occur, and the text of its data blocks."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.data: dict[str, str] = {}
        self.policy = self._block = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self._block = (given.get("id") or "") if tag == "script" and given.get("type") == "application/json" else ""
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"] or ""

    def handle_data(self, data: str) -> None:
        if self._block:
            self.data[self._block] = self.data.get(self._block, "") + data

    def handle_endtag(self, tag: str) -> None:
        self._block = ""


def _cells(table: dict[str, Any], columns: list[str]) -> list[dict[str, Any]]:
    """The rows that a data block holds, with their keys as codes."""
    rows = []
    for view in table["views"]:
        for at, status in enumerate(view["status"]):
            keys = dict.fromkeys(table["keys"], ALL) | view["fixed"]
            keys |= {key: table["keys"][key]["codes"][places[at]] for key, places in view["codes"].items()}
            rows.append(keys | {name: view["values"][name][at] for name in columns} | {"status": status})
    return rows


def test_every_row_of_every_table_is_in_it_exactly(measured: MeasuredRelease) -> None:
    blocks = _Page(render_explorer(measured, HELPLINES)).data
    statuses = [status["code"] for status in json.loads(blocks["meta"])["statuses"]]
    assert len(measured.cell_tables) > 3
    for table in measured.cell_tables:
        told = json.loads(blocks[f"data-{table.name}"])
        names = key_columns(table.name, measured.plan.release_plan)
        values = [name for reading in told["readings"] for name in (reading["value"], reading["low"], reading["high"])]
        wanted = [{name: row[name] for name in (*names, *values, "status")} for row in table.rows.to_pylist()]
        found = [row | {"status": statuses[row["status"]]} for row in _cells(told, values)]

        def order(row: dict[str, Any], names: tuple[str, ...] = names) -> list[str]:
            return [row[name] for name in names]

        assert sorted(found, key=order) == sorted(wanted, key=order)


def test_the_same_release_gives_the_same_bytes(measured: MeasuredRelease) -> None:
    reversed_rows = change_rows(measured, "risk_profile", lambda rows: rows.reverse())
    other = render_explorer(replace(reversed_rows, tables=reversed_rows.tables[::-1]), HELPLINES)
    assert other == render_explorer(measured, HELPLINES)


def test_it_begins_where_rates_are_published(measured: MeasuredRelease) -> None:
    assert json.loads(_Page(render_explorer(measured, HELPLINES)).data["meta"])["start"] == "intervention_outcomes"
    without = tuple(table for table in measured.tables if table.name in ("risk_profile", "noise_covariance"))
    assert json.loads(_Page(render_explorer(replace(measured, tables=without), [])).data["meta"])["start"] == "risk_profile"


@pytest.mark.parametrize("planted", ["</script><img src=x onerror=alert(1)>", "<!--<script>", "]]>&lt;\u2028</SCRIPT >"])
def test_no_text_becomes_markup(measured: MeasuredRelease, planted: str) -> None:
    def plant(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row["language"] = planted if row["language"] == "en" else row["language"]

    poisoned = change_rows(measured, "risk_profile", plant)
    poisoned = replace(poisoned, plan=poisoned.plan.model_copy(update={"reason": planted}))
    html = render_explorer(poisoned, [{"region": planted, "name": planted, "contact": planted}])
    plain = render_explorer(measured, [{"region": "XX", "name": "XX", "contact": "XX"}])
    page = _Page(html)
    assert page.tags == _Page(plain).tags
    assert planted in json.loads(page.data["data-risk_profile"])["keys"]["language"]["codes"]


def test_it_may_ask_nothing_of_anyone(measured: MeasuredRelease) -> None:
    html = render_explorer(measured, HELPLINES)
    policy = dict(part.strip().split(" ", 1) for part in _Page(html).policy.split(";"))
    assert (
        policy["default-src"] == "'none'" and policy["trusted-types"] == policy["base-uri"] == policy["form-action"] == "'none'"
    )
    assert all(re.fullmatch(r"'sha256-[A-Za-z0-9+/=]+'", policy[part]) for part in ("script-src", "style-src"))
    assert set(policy) <= set(
        "default-src script-src style-src img-src base-uri form-action require-trusted-types-for trusted-types".split()
    )
    assert not re.search(r"(?:src|href)=\"(?!#)", html.split("<script", 1)[0]) and "@import" not in html


def test_it_says_what_holds_of_all_of_it(measured: MeasuredRelease) -> None:
    html = render_explorer(measured, HELPLINES)
    meta = json.loads(_Page(html).data["meta"])
    assert meta["facts"] == [
        "ε = 0.89 at δ = 1e-07 for a user of one company in one quarter",
        "4 companies",
        "submitted conversations, not prevalence",
        "C-SSRS-informed, inferred from text",
    ]
    assert "SYNTHETIC" in meta["notice"] and html.count("1737, need to talk?") == 1 and "findahelpline.com" in html
    assert "SYNTHETIC" not in render_explorer(build_measured(synthetic=False), HELPLINES)


def test_a_release_of_which_nothing_can_be_told_still_opens(measured: MeasuredRelease) -> None:
    assert json.loads(_Page(render_explorer(replace(measured, tables=()), [])).data["meta"])["tables"] == []
