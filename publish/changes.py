"""What differs between a release and the one of the quarter before: what it asks, costs and can tell. Never what the numbers do.

Numbers of two quarters are compared by `emerging_patterns`, under a test of its own: side by side they would be read as change.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from publish.findings import Finding
from schemas.plan import RegisteredPlan
from schemas.stages import MeasuredRelease
from schemas.tables import Status


@dataclass(frozen=True)
class Change:
    """One thing that was one way in the earlier release and is another now; as readers see it."""

    what: str
    before: str
    now: str


def plan_changes(plan: RegisteredPlan, earlier: RegisteredPlan) -> list[Change]:
    """What two plans ask and promise differently."""
    return [Change(what, before, now) for what, before, now in _plans(plan, earlier) if before != now]


def release_changes(
    measured: MeasuredRelease, earlier: MeasuredRelease, claims: list[Finding], earlier_claims: list[Finding]
) -> list[Change]:
    """What two releases ask, cost and can tell differently."""
    pairs = [
        ("ε of the release", f"{earlier.spend.epsilon:.3g}", f"{measured.spend.epsilon:.3g}"),
        *_statuses(measured, earlier),
        ("supported claims", str(len(earlier_claims)), str(len(claims))),
    ]
    told = [Change(what, before, now) for what, before, now in pairs if before != now]
    return [*plan_changes(measured.plan, earlier.plan), *told]


def _plans(plan: RegisteredPlan, earlier: RegisteredPlan) -> Iterator[tuple[str, str, str]]:
    yield "companies", str(earlier.contributors), str(plan.contributors)
    yield "not collected", _listed(earlier.not_collected), _listed(plan.not_collected)
    yield "languages", _listed(earlier.release_plan.languages), _listed(plan.release_plan.languages)
    yield "regions", _listed(earlier.release_plan.regions), _listed(plan.release_plan.regions)
    measures = [{m.name: m for m in each.release_plan.measures} for each in (earlier, plan)]
    for name in sorted({*measures[0], *measures[1]}):
        before, now = (each.get(name) for each in measures)
        if before is None or now is None:
            yield f"measure {name}", "asked" if before else "not asked", "asked" if now else "not asked"
        elif before != now:
            yield f"measure {name}", "asked", "asked differently"
    if earlier.privacy != plan.privacy:
        yield "privacy parameters", f"plan {earlier.hash[:12]}", f"others, plan {plan.hash[:12]}"


def _statuses(measured: MeasuredRelease, earlier: MeasuredRelease) -> Iterator[tuple[str, str, str]]:
    counts = [
        Counter(status for table in each.cell_tables for status in table.rows.column("status").to_pylist())
        for each in (earlier, measured)
    ]
    for status in Status:
        yield (
            f"cells {'published' if status is Status.OK else status.value.replace('_', ' ')}",
            str(counts[0][status.value]),
            str(counts[1][status.value]),
        )


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "none"
