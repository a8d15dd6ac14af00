"""The exact sums of every measure, computed again in plain Python from the records: the other half of a comparison."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from schemas.keys import DEPTH_BANDS, PUBLIC_AGE_BANDS
from schemas.plan import Estimand, Event, Measure, ReleasePlan

Cells = dict[tuple[str, tuple[str, ...]], Counter[tuple[str, ...]]]


def band(turn: int) -> str:
    return [name for name, low in DEPTH_BANDS if turn >= low][-1]


def listed(code: str, shown: Iterable[str]) -> str:
    return code if code in (*shown, "unknown") else "other"


def record_keys(row: dict[str, Any], plan: ReleasePlan) -> dict[str, str]:
    started = row["started_at"]
    moment = started if isinstance(started, datetime) else datetime.fromisoformat(started)
    year, week, _ = moment.isocalendar()
    return {
        "week": f"{year}-W{week:02d}",
        "ideation": row["risk"]["ideation"],
        "imminence": row["risk"]["imminence"],
        "selection_reason": row["selection_reason"],
        "age_band": PUBLIC_AGE_BANDS[row["person"]["age_band"]],
        "language": listed(row["person"]["language"], plan.languages),
        "region": listed(row["person"]["region"], plan.regions),
        "surface": row["deployment"]["surface"],
        "length_band": band(row["n_turns"]),
    }


def events(row: dict[str, Any], measure: Measure, plan: ReleasePlan) -> list[dict[str, str]]:
    keys = record_keys(row, plan)
    if measure.event is Event.RECORD:
        return [keys]
    found = []
    for position, intervention in enumerate(row["interventions"]):
        for outcome in intervention["outcomes"]:
            if (outcome["kind"], outcome["window"]) == (measure.outcome_kind, measure.window):
                own = {
                    "intervention": intervention["type"],
                    "layer": intervention["layer"],
                    "ideation_before": intervention["ideation_at"],
                    "imminence_before": intervention["imminence_at"],
                    "depth_band": band(intervention["turn"]),
                    "earlier_interventions": str(position) if position < 3 else "3+",
                    "outcome": outcome["value"],
                }
                found.append(keys | own)
    return found


def sums(rows: list[dict[str, Any]], plan: ReleasePlan, scale: int, one_record: dict[str, str]) -> Cells:
    """Sums by (measure, marginal). `one_record` names the record of each unit that stands for it (most severe)."""
    by_unit: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_unit[row["unit"]].append(row)
    cells: Cells = {}
    for measure in plan.measures:
        for marginal in measure.marginals:
            cells[measure.name, marginal] = Counter()
        for unit, own in by_unit.items():
            if measure.estimand is Estimand.MOST_SEVERE_RECORD:
                own = [row for row in own if row["record_id"] == one_record[unit]]
            seen = [event for row in own for event in events(row, measure, plan)]
            in_band = Counter(event.get("depth_band") for event in seen)
            for event in seen:
                k = in_band[event["depth_band"]] if measure.estimand is Estimand.SHARE_OF_USER_AND_DEPTH else len(seen)
                weight = scale if measure.estimand is Estimand.MOST_SEVERE_RECORD else scale // k
                for marginal in measure.marginals:
                    cells[measure.name, marginal][tuple(event[key] for key in marginal)] += weight
    return cells
