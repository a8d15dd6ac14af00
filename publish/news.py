"""What the brief says of derived tables: what is new, what followed changes, and what could not have been seen."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf, log

from publish.cells import Cell, ReleaseCells
from publish.charts import POINTS, RATIO, Point, Scale, interval_chart
from publish.claims import Claim, Estimate, Kind, MeasuredColumn, Moved, Quantity, estimate_of, show
from publish.derived import Row, shown
from publish.wording import Direction
from schemas.codes import label
from schemas.derived_tables import BEFORE_AFTER, DIFFERENCE, EFFECTS, GROWING, PATTERNS, RANDOMISED, RECEDING, TERMS
from schemas.keys import ALL, KEYS
from schemas.tables import TABLES, Status

CALLED: Mapping[str, Direction] = {GROWING: Direction.HIGHER, RECEDING: Direction.LOWER}
DESIGN_TITLES: Mapping[str, str] = {
    RANDOMISED: "chance decided",
    DIFFERENCE: "set against companies without the change",
    BEFORE_AFTER: "before and after alone",
}
_CHANGES: Mapping[str, tuple[MeasuredColumn, str]] = {
    PATTERNS: ("ratio", "detectable_ratio"),
    TERMS: ("growth", ""),
    EFFECTS: ("effect", "detectable"),
}
"""Of each table the number that tells a change, and the column of the smallest one that would have been seen."""
_MOVED: Mapping[Direction, str] = {Direction.HIGHER: "grew", Direction.LOWER: "fell"}
_OFTEN: Mapping[Direction, str] = {Direction.HIGHER: "more", Direction.LOWER: "less"}
_MOST_DRAWN = 24


@dataclass(frozen=True)
class News:
    """What a derived table tells beside its claims, in numbers of rows.

    `compared` have a number that tells a change, `called` were called growing or receding, `new` terms are of this quarter.
    `seen` is the least, the middle and the most of the smallest changes that would have been seen, as readers see them.
    """

    compared: int
    called: int
    new: int
    not_comparable: int
    withheld: int
    seen: tuple[str, ...]


def news(cells: ReleaseCells, table: str) -> News | None:
    """What a table tells; None where the release has none."""
    if table not in cells.derived:
        return None
    change, detectable = _CHANGES[table]
    rows = [row for _, row in cells.rows(table)]
    statuses = Counter(row["status"] for row in rows)
    known = sorted((row for row in rows if detectable and row[detectable] is not None), key=lambda row: float(row[detectable]))
    return News(
        # A cell is compared, too, where no ratio is told of it.
        sum(row["direction" if table == PATTERNS else change] is not None for row in rows),
        sum(row.get("direction") in CALLED for row in rows),
        sum(row.get("first_seen") == row["quarter"] and row["status"] == Status.OK for row in rows),
        statuses[Status.NOT_COMPARABLE],
        statuses[Status.TOO_FEW_COMPANIES] + statuses[Status.NOT_COLLECTED],
        tuple(shown(known[place], detectable) for place in (0, len(known) // 2, -1)) if known else (),
    )


def news_candidates(cells: ReleaseCells) -> Iterator[tuple[str, Claim, float]]:
    """What could be claimed of rows that tell a change or a new term: topic, claim, and how large it is."""
    for cell, row in cells.rows(PATTERNS):
        if row["direction"] in CALLED:
            direction = CALLED[row["direction"]]
            of = " ({a.outcome_kind}, {a.window})" if row["outcome_kind"] != ALL else ""
            text = f"“{{a.of_table}}”{of}: the share of {{a.codes}} {_MOVED[direction]}"
            if row["ratio"]:
                text += ", to {a} times what it was over {a.quarters_before} earlier quarters (q = {a.q_value})."
                yield row["direction"], _moved(cell, "ratio", text, direction), abs(log(row["ratio"]))
            elif row["q_value"] is not None:
                text += " from a share that could not be told from none (q = {a.q_value})."
                yield row["direction"], _moved(cell, "direction", text, direction), inf
            else:
                text += " in the companies that were there before."
                yield row["direction"], _moved(cell, "direction", text, direction), 0.0
    for cell, row in cells.rows(TERMS):
        if row["status"] == Status.OK and row["first_seen"] == row["quarter"]:
            text = "“{a.term}” is new in {a.speaker}: {a} users-equivalent."
            yield TERMS, Claim(Kind.DESCRIPTIVE, text, {"a": Quantity(cell, "estimate")}), row["estimate"]
        elif row["growth"] is not None and row["growth"] > 0:
            direction = Direction.HIGHER if row["growth"] > 1 else Direction.LOWER
            text = (
                f"“{{a.term}}”, first found in {{a.first_seen}} in {{a.speaker}}, {_MOVED[direction]}: "
                "to {a} times what it was in the quarter before."
            )
            yield f"{TERMS}/growth", _moved(cell, "growth", text, direction), abs(log(row["growth"]))
    for cell, row in cells.rows(EFFECTS):
        if row["effect"]:
            direction = Direction.HIGHER if row["effect"] > 0 else Direction.LOWER
            kind = Kind.RANDOMISED if row["design"] == RANDOMISED else Kind.ASSOCIATION
            claim = _moved(cell, "effect", _sentence(row["design"], _OFTEN[direction]), direction, kind)
            yield row["design"], claim, abs(row["effect"])


def _moved(cell: Cell, column: MeasuredColumn, text: str, direction: Direction, kind: Kind = Kind.ASSOCIATION) -> Claim:
    return Claim(kind, text, {"a": Quantity(cell, column)}, (Moved("a", direction),))


def _sentence(design: str, word: str) -> str:
    of = "“{a.outcome}” ({a.outcome_kind}, {a.window})"
    if design == RANDOMISED:
        return f"Where chance decided who had it, “{{a.change_class}}” made {of} {word} frequent: {{a}}."
    if design == DIFFERENCE:
        return (
            f"After “{{a.change_class}}” {of} was seen {word} often than before, set against companies without the change: {{a}}."
        )
    return f"Before and after alone: after “{{a.change_class}}” {of} was seen {word} often than before: {{a}}."


def pattern_chart(cells: ReleaseCells) -> tuple[str, str]:
    """The cells that are called, the largest changes first, and its caption; both empty where there is none to draw."""
    rows = [row for _, row in cells.rows(PATTERNS) if row["direction"] in CALLED and _ratio_stands(row)]
    rows.sort(key=lambda row: -row["ratio"])
    few = rows if len(rows) <= _MOST_DRAWN else sorted(rows, key=lambda row: -abs(log(row["ratio"])))[:_MOST_DRAWN]
    points = [
        Point(_cell_label(row), "", row["ratio"], row["ratio_ci_low"], row["ratio_ci_high"], row["status"])
        for row in sorted(few, key=lambda row: -row["ratio"])
    ]
    caption = (
        "Cells that are called growing or receding: present share over earlier share, with interval; right of the line its share grew. "
        "What is called is chosen for standing out, so the next quarter tends to show less."
    )
    if len(few) < len(rows):
        caption += f" The {len(few)} largest of {len(rows)}."
    return _drawn(points, "present share over earlier share", caption, "patterns", RATIO)


def _ratio_stands(row: Row) -> bool:
    return all(row[name] is not None and row[name] > 0 for name in ("ratio", "ratio_ci_low", "ratio_ci_high"))


def effect_chart(cells: ReleaseCells) -> tuple[str, str]:
    """What followed changes, as differences by design, and its caption; both empty where there is none to draw."""
    points = []
    for design, title in DESIGN_TITLES.items():
        for cell, row in cells.rows(EFFECTS):
            told = estimate_of(cells.read(cell), "effect")
            if row["design"] == design and told:
                name = f"{label('change_class', row['change_class'])}\n{KEYS['outcome'].label(row['outcome'])}, {title}"
                points.append(Point(name, "", told.value, told.low, told.high, row["status"]))
    caption = "What followed registered changes: difference of rates in points, with interval. Only where chance decided is it an effect."
    return _drawn(points, "difference of rates, in points", caption, "effects", POINTS)


def _cell_label(row: Row) -> str:
    codes = " · ".join(KEYS[key].label(code) for key, code in zip(row["keys"].split(","), row["codes"].split(","), strict=True))
    return f"{codes}\n{TABLES[row['of_table']].title}"


def _drawn(points: list[Point], title: str, caption: str, name: str, scale: Scale) -> tuple[str, str]:
    if not points:
        return "", ""
    column: MeasuredColumn = "effect" if scale is POINTS else "ratio"
    told = "; ".join(f"{p.label.replace(chr(10), ', ')}: {show(Estimate(p.value, p.low, p.high), column)}" for p in points)
    return interval_chart(points, title, f"{caption} {told}.", name, True, scale), caption
