"""The picture of a plan: the smallest differences of rates that each marginal could tell."""

from collections.abc import Sequence

from publish.charts import ACCENT, SOFT, accessible, styled

Row = tuple[str, str, tuple[float | None, float | None, float | None]]
"""Measure, marginal, and the smallest difference (a share): as planned, with ε doubled, with half of the measures."""

_CASES = ("as planned", "with half of the measures", "with ε doubled")
_PLACES = (0, 2, 1)  # of the cases in a row's numbers
_TELLS = "Smallest difference of two rates that is told with a power of 0.8, in percentage points; smaller is better."


def plan_chart(rows: Sequence[Row]) -> str:
    """An SVG element: a row a marginal with rates, a mark a case. Where no difference could be told there is no mark."""
    import altair as alt
    import vl_convert

    values = [
        {"measure": measure, "marginal": f"{measure}: {marginal}", "case": case, "points": 100 * share}
        for measure, marginal, differences in rows
        for case, place in zip(_CASES, _PLACES, strict=True)
        if (share := differences[place]) is not None
    ]
    order = list(dict.fromkeys(f"{measure}: {marginal}" for measure, marginal, found in rows if found[0] is not None))
    chart = (
        alt.Chart(alt.InlineData(values=values))
        .mark_point(size=70, filled=True, opacity=1)
        .encode(
            x=alt.X("points:Q", scale=alt.Scale(zero=True), axis=alt.Axis(title="percentage points")),
            y=alt.Y("marginal:N", sort=order, axis=alt.Axis(title=None, labelLimit=420)),
            color=alt.Color("case:N", sort=list(_CASES), scale=alt.Scale(domain=list(_CASES), range=[ACCENT, "#c1121f", SOFT])),
            shape=alt.Shape(
                "case:N", sort=list(_CASES), scale=alt.Scale(domain=list(_CASES), range=["circle", "diamond", "square"])
            ),
        )
        .properties(width=420, height=24 * max(len(order), 1), title="Smallest difference of rates that can be told")
    )
    svg: str = vl_convert.vegalite_to_svg(styled(chart).to_dict())
    return accessible(svg, _TELLS, "plan")
