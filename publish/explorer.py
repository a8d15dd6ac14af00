"""`explorer.html`: the tables of a release in one page that needs nothing else, opened by a double click."""

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from importlib.resources import files
from typing import Any, cast

from publish.claims import UNCHANGED, MeasuredColumn
from publish.content import ordered_tables, release_id
from publish.derived import Row, shown
from publish.parquet import SYNTHETIC_NOTICE
from publish.regions import by_region
from publish.templating import render
from publish.views import data_path
from schemas.codes import label
from schemas.columns import Column
from schemas.derived_tables import COVARIANCE, DIRECTIONS, EFFECTS, PATTERNS, TERMS
from schemas.keys import ALL, KEYS
from schemas.plan import RegisteredPlan
from schemas.stages import MeasuredRelease, NoisyTable
from schemas.tables import STATUS_MEANING, TABLES, Status, columns, key_columns

STATUS_SHORT: Mapping[Status, str] = {
    Status.OK: "published",
    Status.TOO_NOISY: "too noisy to stand alone",
    Status.TOO_FEW_COMPANIES: "withheld: too few companies",
    Status.NOT_COLLECTED: "not collected",
    Status.NOT_COMPARABLE: "not comparable yet",
}
_BESIDE = {"estimate": "noise_stddev", "rate": "unknown_share", "ratio": "q_value", "effect": "detectable"}
"""What a reader needs beside a number."""
_ASKED: Mapping[str, tuple[str, ...]] = {
    PATTERNS: ("of_table", "outcome_kind", "window", "keys"),
    TERMS: ("speaker",),
    EFFECTS: ("outcome_kind", "window", "design"),
}
"""Of derived tables the key columns that tell what is asked; the others tell its rows."""
_ENOUGH = 5  # points that make a picture
_SCRIPTS = ("explorer_data.js", "explorer_chart.js", "explorer.js")


def _embedded(value: object) -> str:
    """JSON that no HTML parser takes for anything else, wherever a text came from."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _source(*names: str) -> str:
    folder = files("publish").joinpath("templates")
    return "".join(folder.joinpath(name).read_text(encoding="utf-8") for name in names)


def _source_hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _policy(script: str, style: str) -> str:
    """A policy under which the page can ask nothing of anyone and run nothing but what stands in it."""
    return (
        f"default-src 'none'; script-src {_source_hash(script)}; style-src {_source_hash(style)}; img-src blob:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _readings(listed: Mapping[str, Column]) -> Iterator[dict[str, Any]]:
    """What can be drawn of a table: each number that has an interval, with its ends and what is to be read beside it."""
    for name, column in listed.items():
        ends = ("ci_low", "ci_high") if name in ("estimate", "effect") else (f"{name}_ci_low", f"{name}_ci_high")
        if all(end in listed for end in ends):
            share = column.unit == "share"
            beside = _BESIDE.get(name, "unknown_share" if share else "")
            told = {"value": name, "low": ends[0], "high": ends[1], "beside": beside if beside in listed else "", "share": share}
            # A change has a value at which nothing changed: 1 of a ratio, on an axis of ratios, else 0.
            still = UNCHANGED.get(cast(MeasuredColumn, name))
            yield {**told, "still": still, "unit": column.unit, "description": column.description}


def _key(name: str, description: str, codes: Sequence[str], named: Mapping[str, str]) -> dict[str, Any]:
    told = KEYS[name].label if name in KEYS else lambda code: named.get(code) or label(name, code)
    full = KEYS[name].description if name in KEYS else {"codes": "cell", "term": "term"}.get(name, description)
    unknown = KEYS[name].open_codes if name in KEYS else ()
    return {
        "name": full.replace(";", ",").split(",")[0],
        "codes": codes,
        "labels": [told(code) for code in codes],
        "open": [place for place, code in enumerate(codes) if code in unknown],
    }


def _domain(name: str, table: NoisyTable, measured: MeasuredRelease) -> dict[str, int]:
    """Place of each code of a key column in the order of the contract; codes that the contract does not list come last."""
    plan = measured.plan.release_plan
    measures = [m for m in plan.measures if m.table == table.name] if name in KEYS else []
    listed = [code for m in measures for code in KEYS[name].domain(m.scope(measured.quarter, plan))]
    found = {str(code) for code in table.rows.column(name).unique().to_pylist()}
    order = dict.fromkeys([*(c for c in dict.fromkeys(listed) if c in found), *sorted(found - {*listed, ALL})])
    return {code: place for place, code in enumerate(order)}


def _named(name: str, rows: Sequence[Row]) -> dict[str, str]:
    """What readers see for the codes of a key column of a derived table; of a cell's codes their labels, without the keys."""
    if name == "codes":
        return {row["codes"]: ", ".join(_labels(row)) for row in rows}
    return {row[name]: shown(row, name).split(":")[0] for row in rows if row[name] != ALL}


def _labels(row: Row) -> Iterator[str]:
    return (KEYS[key].label(code) for key, code in zip(row["keys"].split(","), row["codes"].split(","), strict=True))


def _planned(
    plan: RegisteredPlan, table: str, fixed: Sequence[str]
) -> dict[tuple[tuple[str, ...], frozenset[str]], tuple[str, ...]]:
    """The marginals of a table in the order of the plan, each with its keys in the plan's order."""
    return {
        (tuple(getattr(measure, name, ALL) for name in fixed), frozenset(marginal)): marginal
        for measure in plan.release_plan.measures
        if measure.table == table
        for marginal in measure.marginals
    }


def _table(table: NoisyTable, measured: MeasuredRelease) -> dict[str, Any]:
    """One table as the page reads it: its marginals in the plan's order, each with its cells in the contract's order."""
    plan, spec, values = measured.plan, TABLES[table.name], table.rows.to_pydict()
    listed = {column.name: column for column in columns(table.name, plan.release_plan)}
    readings = list(_readings(listed))
    names = key_columns(table.name, plan.release_plan)
    fixed = (
        [name for name in names if name in _ASKED[table.name]] if table.name in _ASKED else [n for n in names if n not in KEYS]
    )
    free = [name for name in names if name not in fixed]
    derived = table.rows.to_pylist() if table.name in _ASKED else []
    place = {name: _domain(name, table, measured) for name in names}
    shown = list(dict.fromkeys(c for r in readings for c in (r["value"], r["low"], r["high"], r["beside"]) if c))
    status = {s.value: number for number, s in enumerate(Status)}

    order = _planned(plan, table.name, fixed)
    views: dict[Any, list[int]] = {key: [] for key in order}
    for row in range(table.rows.num_rows):
        asked = tuple(values[name][row] for name in fixed), frozenset(name for name in free if values[name][row] != ALL)
        views.setdefault(asked, []).append(row)

    marginals = []
    for asked, rows in views.items():
        keys = order.get(asked) or tuple(name for name in free if name in asked[1])
        rows = sorted(rows, key=lambda row: [place[key][values[key][row]] for key in keys])
        if rows and keys:
            cells = {key: [place[key][values[key][row]] for row in rows] for key in keys}
            numbers = {name: [values[name][row] for row in rows] for name in shown}
            why = [status[values["status"][row]] for row in rows]
            of = {"fixed": dict(zip(fixed, asked[0], strict=True)), "keys": keys, "of": spec.rate_key(keys)}
            if "direction" in values:
                of["said"] = [DIRECTIONS.get(values["direction"][row] or "", "").split(" that ")[0] for row in rows]
            marginals.append({**of, "codes": cells, "values": numbers, "status": why})
    return {
        "name": table.name,
        "title": spec.title,
        "question": spec.question,
        "row": spec.row,
        "event": spec.event,
        "denominator": spec.denominator,
        "path": data_path(table.name),
        "readings": readings,
        "fixed": fixed,
        "free": free,
        "keys": {name: _key(name, listed[name].description, list(place[name]), _named(name, derived)) for name in names},
        "views": marginals,
    }


def _published(table: Mapping[str, Any], shares: bool) -> int:
    """How many numbers of a table are published without a caveat: its shares, or all."""
    names = [reading["value"] for reading in table["readings"] if reading["share"] or not shares]
    return sum(
        value is not None and why == 0
        for view in table["views"]
        for name in names
        for value, why in zip(view["values"][name], view["status"], strict=True)
    )


def _start(tables: Sequence[Mapping[str, Any]]) -> str:
    """The table to begin with: the first with shares enough for a picture, else the one that tells most."""
    told = [table for table in tables if TABLES[table["name"]].of_cells]
    enough = next((table for table in told if _published(table, shares=True) >= _ENOUGH), None)
    best = enough or max(tables, key=lambda table: _published(table, shares=False), default=None)
    return str(best["name"]) if best else ""


def _meaning(status: Status, minimum: int) -> str:
    """What a status means, with the K of this release, to be read after its short name."""
    return STATUS_MEANING[status].removeprefix("withheld: ").replace("fewer than K", f"fewer than {minimum}")


def _meta(measured: MeasuredRelease, tables: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    plan, spend = measured.plan, measured.spend
    return {
        "release": release_id(measured.quarter, measured.version),
        "notice": SYNTHETIC_NOTICE if plan.synthetic else "",
        "facts": [
            f"ε = {spend.epsilon:.3g} at δ = {spend.delta:.3g} for a {plan.privacy.unit.name}",
            f"{plan.contributors} companies",
            "submitted conversations, not prevalence",
            "C-SSRS-informed, inferred from text",
        ],
        "confidence": f"{100 * plan.privacy.confidence:.0f} %",
        "statuses": [
            {"code": s.value, "short": STATUS_SHORT[s], "meaning": _meaning(s, plan.privacy.companies.minimum)} for s in Status
        ],
        "tables": [{"name": table["name"], "title": table["title"]} for table in tables],
        "start": _start(tables),
    }


def render_explorer(measured: MeasuredRelease, helplines: Sequence[Mapping[str, str]]) -> str:
    """The explorer of a release as one self-contained page. The same release gives the same bytes.

    It is made from the tables of the release and their declarations alone: whatever table has keys, statuses and numbers with
    an interval can be explored. Nothing in it can ask the network for anything, and no text from data becomes HTML.

    Args:
        measured: the release.
        helplines: help lines, each with `region`, `name`, `contact`.
    """
    plan = measured.plan
    tables = [_table(table, measured) for table in ordered_tables(measured) if table.name != COVARIANCE]
    tables = [table for table in tables if table["views"] and table["readings"]]
    script, style = _source(*_SCRIPTS), _source("explorer.css")
    regions = by_region(helplines, plan.release_plan.regions)
    meta = _meta(measured, tables)
    return render(
        "explorer.html.j2",
        policy=_policy(script, style),
        script=script,
        style=style,
        meta=meta,
        meta_json=_embedded(meta),
        tables=[(table["name"], _embedded(table)) for table in tables],
        quarter=f"{measured.quarter.year} Q{measured.quarter.number}",
        plan=plan,
        privacy=plan.privacy,
        spend=measured.spend,
        near=[region for region in regions if region.region in plan.release_plan.regions],
        regions=regions,
    )
