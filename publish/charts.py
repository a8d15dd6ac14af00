"""Charts of the brief: one style, one font, every point with its interval, as SVG that needs nothing else."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

FONT = "DejaVu Sans, Verdana, sans-serif"
WIDTH = 700  # of every chart, about, so that text comes out in one size
INK, SOFT, ACCENT = "#1a1a1a", "#6b6b6b", "#1b4965"


@dataclass(frozen=True)
class Point:
    """One point of a chart: a number with its interval, its row (of one or two lines), its panel, and how sure it is."""

    label: str
    panel: str
    value: float
    low: float
    high: float
    status: str


@dataclass(frozen=True)
class Scale:
    """An axis of numbers: its ticks, how they are written (an expression of Vega), whether it is one of ratios, and a line at no change.

    Without `domain` it holds all intervals.
    """

    ticks: tuple[float, ...] | None
    written: str
    domain: tuple[float, float] | None = None
    ratios: bool = False
    still: float | None = None


SHARE = Scale((0, 0.25, 0.5, 0.75, 1), "format(datum.value, '.0%')", (0, 1))
RATIO = Scale((1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16), "format(datum.value, '~g')", None, True, 1)
POINTS = Scale(None, "format(100 * datum.value, '+~r')", None, False, 0)


def styled(chart: Any) -> Any:
    """A chart in the one style of the project."""
    return chart.configure(
        font=FONT,
        aria=False,
        padding={"left": 8, "right": 16, "top": 8, "bottom": 8},
        axis={
            "labelFontSize": 11,
            "titleFontSize": 11,
            "titleFontWeight": "normal",
            "labelColor": INK,
            "titleColor": INK,
            "labelLimit": 260,
            "gridColor": "#dddddd",
            "domainColor": SOFT,
        },
        header={"labelFontSize": 12, "labelFontWeight": "bold", "labelColor": INK, "title": None},
        legend={"labelFontSize": 11, "title": None, "orient": "bottom", "labelLimit": 420, "symbolSize": 70},
        view={"stroke": "#cccccc"},
    )


def _layers(points: Sequence[Point], across: bool, title: str | None, size: tuple[int, int], of: Scale) -> Any:
    import altair as alt

    values = [asdict(point) | {"shown": "published" if point.status == "ok" else "too noisy to stand alone"} for point in points]
    order = list(dict.fromkeys(point.label for point in points))
    domain = of.domain or (min(p.low for p in points), max(p.high for p in points))
    if of.still is not None:
        domain = min(domain[0], of.still / 2 if of.ratios else -0.01), max(domain[1], 2 * of.still if of.ratios else 0.01)
    ticks = [tick for tick in of.ticks if domain[0] <= tick <= domain[1]] if of.ticks else None
    scale = alt.Scale(domain=list(domain), nice=False, type="log" if of.ratios else "linear")
    axis = (
        alt.Axis(title=title, labelExpr=of.written, values=ticks)
        if ticks
        else alt.Axis(title=title, labelExpr=of.written, tickCount=7)
    )
    labels = alt.Axis(
        title=None if across else "turn of the intervention", labelAngle=0, grid=False, labelExpr=_LINES, labelLimit=0
    )
    number, band = ("x", "y") if across else ("y", "x")
    along = {
        number: (alt.X if across else alt.Y)("low:Q", scale=scale, axis=axis),
        f"{number}2": (alt.X2 if across else alt.Y2)("high:Q"),
        band: (alt.Y if across else alt.X)("label:N", sort=order, axis=labels),
    }
    at = {number: (alt.X if across else alt.Y)("value:Q", scale=scale, axis=axis), band: along[band]}
    kinds = ["published", "too noisy to stand alone"]
    told = alt.Legend(title=None) if any(point.status != "ok" for point in points) else None  # nothing to tell apart
    fill = alt.Fill("shown:N", scale=alt.Scale(domain=kinds, range=[ACCENT, "#ffffff"]), legend=told)
    base = alt.Chart(alt.InlineData(values=values))
    rule = base.mark_rule(color=ACCENT, strokeWidth=1.6).encode(**along)
    point = base.mark_point(size=30, stroke=ACCENT, strokeWidth=1.4, opacity=1).encode(fill=fill, **at)
    layers = [rule, point]
    if of.still is not None:
        still = alt.Chart(alt.InlineData(values=[{"still": of.still}])).mark_rule(color=INK, strokeWidth=1)
        layers.insert(0, still.encode(x=alt.X("still:Q", scale=scale, axis=axis)))
    return alt.layer(*layers).properties(width=size[0], height=size[1])


_LINES = "split(datum.label, '\\n')"


def interval_chart(
    points: Sequence[Point], axis_title: str, alt_text: str, name: str, across: bool = True, scale: Scale = SHARE
) -> str:
    """Points with intervals as an SVG element with a title and a description.

    Args:
        points: in the order in which rows (`across`) or columns are to stand; panels side by side in order of appearance.
        axis_title: what the numbers are.
        alt_text: what a reader who cannot see it should know.
        name: prefix that keeps ids unique within the page.
        across: rates along x and labels down (True), or rates up and labels along x.
        scale: of the numbers; one with a line at no change stands across only.

    Returns:
        An `<svg role="img">` element. The same points give the same bytes.
    """
    import altair as alt
    import vl_convert

    panels = list(dict.fromkeys(point.panel for point in points))
    rows = len({point.label for point in points})
    lines = [line for point in points for line in point.label.split("\n")]
    labels, tall = 7 * max(map(len, lines)) + 10, 13 if len(lines) == len(points) else 27
    width = (WIDTH - labels) // len(panels) - 18 if across else WIDTH - 60
    size = (width, tall * rows + 6) if across else (width, 120)
    # Titles of many narrow panels would run into one another: there the caption says it.
    layered = _layers(points, across, axis_title if len(panels) < 3 else None, size, scale)
    if len(panels) > 1:
        layered = layered.facet(column=alt.Column("panel:N", sort=panels), spacing=18)
    svg: str = vl_convert.vegalite_to_svg(styled(layered).to_dict())
    return accessible(svg, alt_text, name)


def accessible(svg: str, alt_text: str, name: str) -> str:
    """Gives an SVG a role, title and description, ids of its own, and a size that fits its page."""
    svg = svg[svg.index("<svg") :]
    for identifier in dict.fromkeys(re.findall(r'\bid="([^"]+)"', svg)):
        svg = svg.replace(f'id="{identifier}"', f'id="{name}-{identifier}"').replace(
            f"url(#{identifier})", f"url(#{name}-{identifier})"
        )
    head, body = svg.split(">", 1)
    told = escape(alt_text)
    title = f'<title id="{name}-title">{told}</title>'
    return f'{head} role="img" aria-labelledby="{name}-title" aria-label="{told}">{title}<desc>{told}</desc>{body}'
