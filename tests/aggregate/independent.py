"""The exact sums of every measure, computed again in plain Python from the records: the other half of a comparison."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from schemas.keys import DEPTH_BANDS, PUBLIC_AGE_BANDS
from schemas.plan import Estimand, Event, Measure, RegisteredPlan, ReleasePlan

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
        "behavior": row["risk"]["behavior"],
        "imminence": row["risk"]["imminence"],
        "selection_reason": row["selection_reason"],
        "age_band": PUBLIC_AGE_BANDS[row["person"]["age_band"]],
        "language": listed(row["person"]["language"], plan.languages),
        "region": listed(row["person"]["region"], plan.regions),
        "surface": row["deployment"]["surface"],
        "length_band": band(row["n_turns"]),
        "bypassed": row["evasion"]["bypassed"],
    }


def intervention_keys(intervention: dict[str, Any], position: int) -> dict[str, str]:
    return {
        "intervention": intervention["type"],
        "layer": intervention["layer"],
        "ideation_before": intervention["ideation_at"],
        "imminence_before": intervention["imminence_at"],
        "depth_band": band(intervention["turn"]),
        "earlier_interventions": str(position) if position < 3 else "3+",
    }


def outcomes_of(intervention: dict[str, Any], measure: Measure) -> list[str]:
    wanted = (measure.outcome_kind, measure.window)
    return [o["value"] for o in intervention["outcomes"] if (o["kind"], o["window"]) == wanted]


def stage(intervention: dict[str, Any]) -> str:
    seen = {(o["kind"], o["value"]) for o in intervention["outcomes"]}
    if ("handoff_completed", "yes") in seen:
        return "handed_off"
    if ("resource_opened", "yes") in seen:
        return "opened"
    return "shown" if seen & {("handoff_completed", "no"), ("resource_opened", "no")} else "unknown"


REFERRALS = (
    "crisis_resource_referral", "warm_handoff", "trusted_contact_notified", "parent_notified", "emergency_services_referral",
)  # fmt: skip


def followed(row: dict[str, Any], measure: Measure) -> dict[str, str] | None:
    told = [(i["turn"], value) for i in row["interventions"] for value in outcomes_of(i, measure)]
    if not told:
        return None
    for turn, value in told:
        if value in measure.ends_at:
            return {"depth_band": band(turn), "ending": "ended"}
        if value in ("unknown", "pending"):
            return {"depth_band": band(turn), "ending": "followed_to_end"}
    return {"depth_band": band(row["n_turns"]), "ending": "followed_to_end"}


def events(row: dict[str, Any], measure: Measure, plan: ReleasePlan) -> list[dict[str, str]]:
    keys, interventions = record_keys(row, plan), list(enumerate(row["interventions"]))
    match measure.event:
        case Event.RECORD:
            return [keys]
        case Event.INTERVENTION_OUTCOME:
            return [
                keys | intervention_keys(i, position) | {"outcome": value}
                for position, i in interventions
                for value in outcomes_of(i, measure)
            ]
        case Event.EVASION_TACTIC:
            first = row["interventions"][0] if row["interventions"] else {"type": "no_intervention", "turn": row["n_turns"]}
            own = {"intervention": first["type"], "depth_band": band(first["turn"])}
            return [keys | own | {"tactic": tactic} for tactic in row["evasion"]["tactics"]]
        case Event.FAILURE_MODE:
            return [keys | {"failure_mode": mode} for mode in row["failure_modes"] or ["none_seen"]]
        case Event.REFERRAL:
            return [
                keys | intervention_keys(i, position) | {"stage": stage(i), "outcome": (*outcomes_of(i, measure), "unknown")[0]}
                for position, i in interventions
                if i["type"] in REFERRALS
            ]
        case Event.FOLLOWED_CONVERSATION:
            end = followed(row, measure)
            return [] if end is None else [keys | end]
        case Event.CHANGE_OUTCOME:
            raise ValueError("it needs the registry: test_comparing.py")


def counting(rows: list[dict[str, Any]], plan: RegisteredPlan) -> list[dict[str, Any]]:
    """The records that count, one user after the other, by the words of decision 0005."""
    by_unit: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_unit[row["unit"]].append(row)
    return [row for own in by_unit.values() for row in _counting(own) if _asked_for(row, plan)]


def _counting(own: list[dict[str, Any]]) -> list[dict[str, Any]]:
    records = [row for row in own if row["record_status"] in ("new", "correction")]
    corrections = [row for row in own if row["record_status"] == "correction"]
    withdrawals = [row for row in own if row["record_status"] == "withdrawal"]
    if any(row["scope"] == "user" for row in withdrawals):
        return []
    here = {row["record_id"] for row in records}
    gone = {row["supersedes"] for row in withdrawals} | {row["supersedes"] for row in corrections} - here
    while more := {row["record_id"] for row in corrections if row["supersedes"] in gone} - gone:
        gone |= more
    replaced = {row["supersedes"] for row in corrections}
    once = {row["record_id"]: row for row in sorted(records, key=lambda row: row["content"], reverse=True)}
    by_target = sorted((row for row in once.values() if row["supersedes"]), key=lambda row: row["content"], reverse=True)
    chosen = {row["supersedes"]: row["record_id"] for row in by_target}
    return [row for name, row in once.items() if name not in gone | replaced and chosen.get(row["supersedes"], name) == name]


def _asked_for(row: dict[str, Any], plan: RegisteredPlan) -> bool:
    kind = row["origin"] == "synthetic" if plan.synthetic else row["origin"] not in ("synthetic", "adversarial_test")
    return kind and row["domain"] == plan.release_plan.domain and row["pseudonym_unit"] in plan.privacy.unit.pseudonym_units


def sums(rows: list[dict[str, Any]], plan: ReleasePlan, scale: int, order: Callable[[Estimand, dict[str, Any]], Any]) -> Cells:
    """Sums by (measure, marginal). `order` sorts a unit's records: of those that have an event the first is the one that stands."""
    by_unit: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_unit[row["unit"]].append(row)
    cells: Cells = {}
    for measure in (m for m in plan.measures if m.event is not Event.CHANGE_OUTCOME):
        one = measure.estimand in (Estimand.MOST_SEVERE_RECORD, Estimand.ONE_RECORD)
        for marginal in measure.marginals:
            cells[measure.name, marginal] = Counter()
        for own in by_unit.values():
            if one:
                having = [row for row in own if events(row, measure, plan)]
                own = sorted(having, key=lambda row: order(measure.estimand, row))[:1]
            seen = [event for row in own for event in events(row, measure, plan)]
            in_band = Counter(event.get("depth_band") for event in seen)
            for event in seen:
                k = in_band[event["depth_band"]] if measure.estimand is Estimand.SHARE_OF_USER_AND_DEPTH else len(seen)
                weight = scale if one else scale // k
                for marginal in measure.marginals:
                    cells[measure.name, marginal][tuple(event[key] for key in marginal)] += weight
    return cells
