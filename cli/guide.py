"""Draws the pictures of `docs/guides/questions.md` from a pool of synthetic data: `python -m cli.guide demo`."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.querying import run_query
from publish.charts import ACCENT, SOFT, accessible, styled
from publish.parquet import SYNTHETIC_NOTICE
from schemas.errors import UsageError
from schemas.keys import KEYS
from schemas.tables import Status

GUIDE = Path(__file__).resolve().parent.parent / "docs" / "guides" / "questions.md"
_QUESTION = re.compile(r"^## \d+\. (?P<title>.+)$", re.M)
_SQL = re.compile(r"^```sql\n(.+?)^```$", re.M | re.S)
_PICTURE = re.compile(r"^<!-- picture: (?P<columns>.+) -->\n!\[(?P<alt>.+)\]\((?P<path>.+)\)$", re.M)

Row = Mapping[str, Any]
_LEAST = 0.05  # where an interval of a ratio that reaches down to 0 ends on an axis of ratios


@dataclass(frozen=True)
class Question:
    """One question of the guide: its title, its SQL, and which columns of the answer its picture shows."""

    title: str
    sql: str
    columns: Mapping[str, str]
    alt: str
    path: str


def questions() -> Iterator[Question]:
    """The questions of the guide, in order."""
    parts = _QUESTION.split(GUIDE.read_text(encoding="utf-8"))[1:]
    for title, text in zip(parts[::2], parts[1::2], strict=True):
        sql, picture = _SQL.search(text), _PICTURE.search(text)
        if sql is None or picture is None:
            raise UsageError("A question of the guide has no query or no picture.")
        columns = dict(pair.split("=", 1) for pair in picture["columns"].split())
        yield Question(title, sql[1], columns, picture["alt"], picture["path"])


def picture(question: Question, rows: Sequence[Row]) -> str:
    """An SVG with each number and its interval; a number that is missing says why in its place."""
    import altair as alt
    import vl_convert

    names, key = question.columns, KEYS.get(question.columns["label"])
    values = [
        {
            "label": key.label(row[names["label"]]) if key else row[names["label"]],
            "panel": str(row[names["panel"]]) if "panel" in names else "",
            **{end: row[names[end]] for end in ("value", "low", "high")},
            "why": "" if row[names["value"]] is not None else _why(row["status"]),
            "shown": "published" if row["status"] == Status.OK else "too noisy to stand alone",
        }
        for row in rows
    ]
    shares, ratios = names.get("axis", "share") == "share", names.get("axis") == "ratio"
    if ratios:
        for value in values:
            value["low"] = max(value["low"], _LEAST) if value["low"] is not None else None
    order = list(dict.fromkeys(value["label"] for value in values))
    kinds = ["published", "too noisy to stand alone"]
    base = alt.Chart().encode(y=alt.Y("label:N", sort=order, title=None))
    present, missing = "datum.value !== null", "datum.value === null"
    written, ticks = f"format(datum.value, '{'~%' if shares else ',~r'}')", [1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8]
    axis = alt.Axis(labelExpr=written, title=None, **({"values": ticks} if ratios else {"tickCount": 5}))
    scale = alt.Scale(type="log" if ratios else "linear")
    low, at = alt.X("low:Q", axis=axis, scale=scale), alt.X("value:Q", axis=axis, scale=scale)
    rule = base.transform_filter(present).mark_rule(color=ACCENT, strokeWidth=2.4).encode(x=low, x2="high:Q")
    fill = alt.Fill("shown:N", scale=alt.Scale(domain=kinds, range=[ACCENT, "#ffffff"]))
    point = base.transform_filter(present).mark_point(size=16, stroke=ACCENT, opacity=1).encode(x=at, fill=fill)
    gap = base.transform_filter(missing).mark_text(align="left", color=SOFT, fontSize=10).encode(x=alt.value(4), text="why:N")
    panels = list(dict.fromkeys(value["panel"] for value in values))
    labels = 7 * max(len(label) for label in order) + 10
    width = (700 - labels) // len(panels) - 18
    chart = alt.layer(rule, point, gap, data=alt.InlineData(values=values)).properties(width=width, height=20 * len(order) + 6)
    if len(panels) > 1:
        chart = chart.facet(column=alt.Column("panel:N", sort=panels, title=None), spacing=18)
    notice = {
        "text": question.title,
        "subtitle": SYNTHETIC_NOTICE,
        "anchor": "start",
        "offset": 12,
        "fontSize": 13,
        "subtitleFontSize": 10,
    }
    svg: str = vl_convert.vegalite_to_svg(styled(chart.properties(title=notice)).to_dict())
    return accessible(svg, question.alt, Path(question.path).stem)


def _why(status: str) -> str:
    return "no rate" if status == Status.OK else status.replace("_", " ")


def main(root: str) -> int:
    """Asks every question of a pool of synthetic data and writes the pictures."""
    releases = Path(root).resolve() / "releases"
    _, synthetic = run_query(releases, "select bool_and(synthetic) from releases")
    if synthetic != [(True,)]:
        raise UsageError("The pictures of the guide are drawn from synthetic data only.", "Use the pool of `commons demo`.")
    for question in questions():
        columns, rows = run_query(releases, question.sql)
        path = GUIDE.parent / question.path
        path.parent.mkdir(exist_ok=True)
        path.write_text(picture(question, [dict(zip(columns, row, strict=True)) for row in rows]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "demo"))
