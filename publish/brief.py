"""The pattern brief as one HTML page: what was seen, how sure it is, and what cannot be told."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from publish.cells import Cell, ReleaseCells
from publish.charts import Point, interval_chart
from publish.claims import Difference, Kind, Trend, estimate_of, show
from publish.content import release_id
from publish.findings import (
    QUESTIONS,
    Finding,
    depth_cells,
    depth_measures,
    family_size,
    find,
    intervention_cells,
    intervention_measures,
    length_bands,
    open_family,
)
from publish.news import DESIGN_TITLES, effect_chart, news, pattern_chart
from publish.parquet import SYNTHETIC_NOTICE
from publish.regions import by_region
from publish.staff_text import StaffText
from publish.templating import render
from schemas.codes import domains
from schemas.derived_tables import EFFECTS, GROWING, PATTERNS, RECEDING, TERMS
from schemas.keys import ENDED, KEYS
from schemas.plan import Measure
from schemas.stages import MeasuredRelease
from schemas.tables import TABLES, Status

SECTIONS = (
    "What is new",
    "What was seen after which intervention",
    "Where safeguards fade",
    "What followed changes",
    "What we cannot yet tell",
    "Limits",
)
"""Titles under which staff's own paragraphs may stand."""
STATUS_WORDS: Mapping[str, str] = {
    Status.OK: "published",
    Status.TOO_NOISY: "published, too noisy to stand alone",
    Status.TOO_FEW_COMPANIES: "withheld, too few companies",
    Status.NOT_COLLECTED: "not collected",
    Status.NOT_COMPARABLE: "not comparable yet",
}
STAGES = ("shown", "opened", "handed_off")
SHOWN_SENTENCES = 2  # of each question in the reading part; the appendix has all
SHOWN_NEWS = 5  # of what is new: growing, receding, new and moving terms, each way of comparing changes
NAMED_GAPS = 4  # rows that a chart leaves out are named up to this many, then counted
SHOWN_LINES = 2  # help lines of each region of the plan in the reading part; the appendix has all


@dataclass(frozen=True)
class Brief:
    """The brief as one self-contained HTML page, and the claims that it makes."""

    html: str
    findings: tuple[Finding, ...]
    staff_claims: int = 0


@dataclass(frozen=True)
class Chart:
    """One chart with its caption and what it had to leave out."""

    svg: str
    caption: str
    left_out: str


def brief_claims(cells: ReleaseCells) -> list[Finding]:
    """The claims that the brief of a release makes: those of its pre-registered family that the cells support."""
    return find(cells)


def _points(cells: ReleaseCells, listed: Sequence[Cell], key: str, panel: str, share: str) -> tuple[list[Point], list[str]]:
    points, left_out = [], []
    for cell in listed:
        reading, label = cells.read(cell), KEYS[key].label(cell.code(key))
        ends = [getattr(reading, f"{share}{end}") for end in ("", "_ci_low", "_ci_high")]
        if None in ends:
            left_out.append(label)
        else:
            value, low, high = (min(max(end, 0.0), 1.0) for end in ends)
            points.append(Point(label, panel, value, low, high, reading.status))
    return points, left_out


def _chart(
    cells: ReleaseCells,
    panels: Sequence[tuple[str, Sequence[Cell]]],
    key: str,
    name: str,
    caption: str,
    across: bool,
    share: str = "rate",
    what: str = "share of known outcomes",
) -> Chart:
    points: list[Point] = []
    gaps = []
    for panel, listed in panels:
        found, left_out = _points(cells, listed, key, panel, share)
        points += found
        if left_out:
            few = len(left_out) <= NAMED_GAPS
            gaps.append(f"{panel}: {', '.join(left_out) if few else f'{len(left_out)} of {len(listed)} rows'}")
    order = {KEYS[key].label(cell.code(key)): place for place, cell in enumerate(c for _, listed in panels for c in listed)}
    points.sort(key=lambda point: order[point.label])  # a row that only one panel has keeps its place
    told = "; ".join(f"{p.panel}, {p.label}: {100 * p.value:.0f} % ({100 * p.low:.0f} to {100 * p.high:.0f})" for p in points)
    svg = ""
    if points:
        title = f"{what}, with interval" if across and len(panels) < 3 else what
        svg = interval_chart(points, title, f"{caption} {told}.", name, across)
    return Chart(svg, caption, "; ".join(gaps))


def _charts(cells: ReleaseCells) -> dict[str, Chart]:
    asked = intervention_measures(cells.plan)
    main = [m for m in asked if QUESTIONS[m.outcome_kind].compared]
    other = [m for m in asked if not QUESTIONS[m.outcome_kind].compared]
    depth = depth_measures(cells.plan)
    seen = "What was seen after each intervention: share of known outcomes with interval. In the contract's order, no ranking."

    def by_intervention(measures: Sequence[Measure]) -> list[tuple[str, list[Cell]]]:
        return [(QUESTIONS[m.outcome_kind].title, intervention_cells(cells, m)) for m in measures]

    whole = [(QUESTIONS[m.outcome_kind].title, depth_cells(m)) for m in depth]
    within = [(f"{band} turns", depth_cells(m, band)) for m in depth for band in length_bands(m)]
    return {
        "patterns": Chart(*pattern_chart(cells), ""),
        "effects": Chart(*effect_chart(cells), ""),
        "seen": _chart(cells, by_intervention(main), "intervention", "seen", seen, True),
        "other": _chart(cells, by_intervention(other), "intervention", "other", seen, True),
        "depth": _chart(
            cells, whole, "depth_band", "depth", "Engaged replies by turn of the intervention, over all conversations.", False
        ),
        "length": _chart(
            cells,
            within,
            "depth_band",
            "length",
            "Engaged replies by turn of the intervention (rows), within conversations of one length: short and long not mixed.",
            True,
        ),
    }


def _coded(cells: ReleaseCells, table: str, key: str, other: str, code: str) -> list[Cell]:
    """The cells of one code of a key, by another key; none where the plan does not ask for them."""
    found = [listed for m, marginal, listed in cells.marginals if m.table == table and set(marginal) == {key, other}]
    return [cell for listed in found[:1] for cell in listed if cell.code(other) == code]


def _more_charts(cells: ReleaseCells) -> list[tuple[str, Chart]]:
    """Charts of the appendix with their titles: of tables that the reading part says nothing of."""
    referrals = domains()[cells.plan.domain].referrals
    stages = [
        (
            KEYS["stage"].label(code).split(",")[0],
            [
                cell
                for cell in _coded(cells, "referral_funnel", "intervention", "stage", code)
                if cell.code("intervention") in referrals
            ],
        )
        for code in STAGES
    ]
    ends = [KEYS["outcome"].label(code) for m in cells.plan.measures if m.table == "depth_survival" for code in m.ends_at]
    followed = _coded(cells, "depth_survival", "depth_band", "ending", ENDED)
    around = "Of conversations in which somebody rephrased, as labelled: share in which a safeguard was got around, by "
    asked = [
        (
            TABLES["evasion"].title,
            [("", _coded(cells, "evasion", "tactic", "bypassed", "yes"))],
            ("tactic", "tactics", f"{around}tactic. Which tactics people try is not chance.", True, "rate", "share got around"),
        ),
        (
            "Rephrasing, by depth of the conversation",
            [("", _coded(cells, "evasion", "depth_band", "bypassed", "yes"))],
            ("depth_band", "around", f"{around}turn of the first intervention.", False, "rate", "share got around"),
        ),
        (
            TABLES["depth_survival"].title,
            [("", followed)],
            (
                *("depth_band", "survival"),
                f"Share of conversations in which none of this is seen up to the end of a depth (Kaplan and Meier): {', '.join(ends)}. "
                "Who talks on differs from who does not.",
                *(False, "surviving", "share not seen yet"),
            ),
        ),
        (
            TABLES["referral_funnel"].title,
            [panel for panel in stages if panel[1]],
            (
                "intervention",
                "funnel",
                "Furthest stage that a referral is known to have reached.",
                True,
                "rate",
                "share of known",
            ),
        ),
    ]
    drawn = ((title, _chart(cells, panels, *how)) for title, panels, how in asked if panels and panels[0][1])
    return [(title, chart) for title, chart in drawn if chart.svg or chart.left_out]


def cells_by_status(cells: ReleaseCells) -> list[dict[str, int | str]]:
    """Cells by status: of each table, and of all in the end."""
    counts = {TABLES[name].title: Counter(table.columns["status"]) for name, table in cells.tables.items()}
    counts["All tables"] = sum(counts.values(), Counter())
    return [{"title": title, **{status.value: found[status.value] for status in Status}} for title, found in counts.items()]


def _listing(cells: ReleaseCells) -> list[dict[str, Any]]:
    """The one-way marginals of measures without outcome, as rows of (label, number with interval, status)."""
    found = []
    for measure, marginal, listed in cells.marginals:
        if len(marginal) == 1 and not measure.outcome_kind and marginal[0] != "week":
            key, rows = KEYS[marginal[0]], []
            for cell in listed:
                reading = cells.read(cell)
                estimate = estimate_of(reading, "estimate")
                shown = show(estimate, "estimate") if estimate else "withheld"
                rows.append({"label": key.label(cell.code(key.name)), "shown": shown, "status": reading.status})
            found.append({"title": f"Users by {key.description.split(';')[0]}", "rows": rows})
    return found


def _sentences(findings: Sequence[Finding], topics: Sequence[str], most: int = SHOWN_SENTENCES) -> list[dict[str, Any]]:
    rows = []
    for topic in topics:
        listed = sorted((f for f in findings if f.topic == topic), key=lambda f: -f.size)
        rows.append({"shown": listed[:most], "more": len(listed[most:])})
    return rows


def _values(measured: MeasuredRelease, helplines: Sequence[Mapping[str, str]], earlier: Sequence[str]) -> dict[str, Any]:
    plan = measured.plan
    regions = by_region(helplines, plan.release_plan.regions)
    near = [region for region in regions if region.region in plan.release_plan.regions]
    return {
        "release": release_id(measured.quarter, measured.version),
        "quarter": f"{measured.quarter.year} Q{measured.quarter.number}",
        "version": measured.version,
        "reason": plan.reason,
        "notice": SYNTHETIC_NOTICE if plan.synthetic else "",
        "plan": plan,
        "privacy": plan.privacy,
        "spend": measured.spend,
        "earlier": tuple(earlier),
        "not_collected": plan.not_collected,
        "near": [(region.name, region.lines[:SHOWN_LINES]) for region in near],
        "regions": regions,
    }


def render_brief(
    measured: MeasuredRelease,
    helplines: Sequence[Mapping[str, str]],
    earlier: Sequence[str],
    charts: bool = True,
    text: StaffText | None = None,
    draft: bool = False,
) -> Brief:
    """The brief of a release. The same release and the same text give the same bytes.

    Args:
        measured: the release.
        helplines: help lines, each with `region`, `name`, `contact`.
        earlier: ids of the releases of earlier quarters, oldest first.
        charts: False leaves the charts out, where only the claims are to be checked.
        text: staff's own paragraphs.
        draft: says on every page that nobody has approved it.

    Raises:
        CheckFailedError: a claim is not supported by its cells, or staff's text breaks a rule.
    """
    cells = ReleaseCells(measured)
    findings = brief_claims(cells)
    text = text or StaffText()
    staff = text.html(cells)
    compared = [m.name for m in intervention_measures(cells.plan) if QUESTIONS[m.outcome_kind].compared]
    described = [m.name for m in intervention_measures(cells.plan) if not QUESTIONS[m.outcome_kind].compared]
    depth = [m.name for m in depth_measures(cells.plan)]
    html = render(
        "brief.html.j2",
        **_values(measured, helplines, earlier),
        draft=draft,
        sections=SECTIONS,
        staff=staff,
        staff_claims=[Finding(claim, sentence, "staff", 0.0) for claim, sentence in text.rendered(cells)],
        staff_comparisons=text.comparisons,
        open_family=open_family(cells),
        charts=_charts(cells) if charts else {},
        more=_more_charts(cells) if charts else [],
        seen=_sentences(findings, compared),
        described=_sentences(findings, described),
        depth=_sentences(findings, depth),
        length=_sentences(findings, [f"{name}/length" for name in depth]),
        patterns=news(cells, PATTERNS),
        growing=_sentences(findings, (GROWING, RECEDING), SHOWN_NEWS),
        told_patterns=sum(finding.topic in (GROWING, RECEDING) for finding in findings),
        terms=news(cells, TERMS),
        new_terms=_sentences(findings, (TERMS,), SHOWN_NEWS),
        moved_terms=_sentences(findings, (f"{TERMS}/growth",), SHOWN_NEWS),
        changes=news(cells, EFFECTS),
        followed=_sentences(findings, tuple(DESIGN_TITLES), SHOWN_NEWS),
        randomised=any(finding.claim.kind is Kind.RANDOMISED for finding in findings),
        findings=findings,
        family=family_size(cells),
        supported=sum(isinstance(a, Difference | Trend) for finding in findings for a in finding.claim.asserts),
        statuses=cells_by_status(cells),
        listing=_listing(cells),
        status_words=STATUS_WORDS,
    )
    return Brief(html, tuple(findings), len(text.claims))
