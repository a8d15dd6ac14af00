"""Effects of registered changes, told from the published cells of `change_outcomes` alone: post-processing, no budget.

Each group's rate is one cell over the sum of the known outcomes of its line; an effect is a signed sum of two or four rates. Its
variance has the noise, with the covariance of all cells that it uses, and the sampling of each rate. Users who answer both before
and after are counted as if they were others: as a user's answers are alike rather than opposite, that errs on the wide side.
Companies are taken as they are: intervals speak of users of these companies, not of other companies.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from aggregate.intervals import z_value
from aggregate.planning import POWER
from aggregate.tabulation import as_table
from aggregate.workload import Floats, Workload
from schemas.derived_tables import BEFORE_AFTER, COVARIANCE, DIFFERENCE, EFFECTS, RANDOMISED, READINGS
from schemas.keys import (
    ALL,
    ARM_WITH,
    ARM_WITHOUT,
    CHANGE_GROUPS,
    CHANGED_AFTER,
    CHANGED_BEFORE,
    KEYS,
    OTHERS_AFTER,
    OTHERS_BEFORE,
)
from schemas.periods import Quarter
from schemas.plan import CHANGE_KEYS, Event, Measure, Names, RegisteredPlan
from schemas.stages import NoisyTable
from schemas.tables import CHANGES, Status

_RATES = ("rate_after", "rate_before", "others_after", "others_before")
_SIGNS = (1, -1, -1, 1)


_DESIGNS: Mapping[str, Names] = {
    BEFORE_AFTER: (CHANGED_AFTER, CHANGED_BEFORE),
    DIFFERENCE: (CHANGED_AFTER, CHANGED_BEFORE, OTHERS_AFTER, OTHERS_BEFORE),
    RANDOMISED: (ARM_WITH, ARM_WITHOUT),
}
"""The groups whose rates are added and taken off in turn."""

_TRENDS_APART = 0.1
"""What moved the others is taken off to within this deviation, as a share of it: no two trends are parallel (Rambachan and Roth 2023)."""

_WITHHELD = (Status.NOT_COLLECTED, Status.NOT_COMPARABLE, Status.TOO_FEW_COMPANIES)


def change_effects(tables: Iterable[NoisyTable], plan: RegisteredPlan) -> NoisyTable:
    """`change_effects` of a release: one row for each class of changes, design and known outcome, a number or why there is none.

    Args:
        tables: the release's own tables, among them `change_outcomes` and `noise_covariance`.
        plan: its plan.
    """
    rows = {table.name: table.rows.to_pylist() for table in tables if table.name in (CHANGES, COVARIANCE)}
    measures = (measure for measure in plan.release_plan.measures if measure.event is Event.CHANGE_OUTCOME)
    return as_table(EFFECTS, [row for measure in measures for row in _Outcomes.of(measure, plan, rows).effects()], plan)


@dataclass(frozen=True)
class _Outcomes:
    """The published cells of one measure. `covariance` is of the noise of a class's cells, by group and outcome, flat."""

    measure: Measure
    plan: RegisteredPlan
    cells: Mapping[Names, Mapping[str, Any]]
    codes: Names
    covariance: Floats

    @classmethod
    def of(cls, measure: Measure, plan: RegisteredPlan, rows: Mapping[str, list[dict[str, Any]]]) -> "_Outcomes":
        scope = measure.scope(Quarter.parse(plan.quarter), plan.release_plan)
        outcome = (measure.outcome_kind, measure.window)
        cells = {
            tuple(row[key] for key in CHANGE_KEYS): row
            for row in rows[CHANGES]
            if (row["outcome_kind"], row["window"]) == outcome
        }
        scales = {
            tuple(row["keys"].split(",")) if row["keys"] != ALL else (): math.sqrt(row["variance"])
            for row in rows[COVARIANCE]
            if (row["of_table"], row["outcome_kind"], row["window"]) == (measure.table, *outcome)
        }
        size = len(CHANGE_GROUPS) * len(scope.outcome_values)
        none = np.zeros((size, size))
        covariance = Workload.of(measure, scope).covariance(CHANGE_KEYS, CHANGE_KEYS[1:], scales) if scales else none
        return cls(measure, plan, cells, scope.outcome_values, covariance)

    def effects(self) -> Iterator[dict[str, Any]]:
        known = [code for code in self.codes if code not in KEYS["outcome"].open_codes]
        for change_class in self.plan.release_plan.change_classes:
            for design, groups in _DESIGNS.items():
                for outcome in known:
                    yield {
                        "change_class": change_class,
                        "design": design,
                        "outcome_kind": self.measure.outcome_kind,
                        "window": self.measure.window,
                        "outcome": outcome,
                        "reading": READINGS[design],
                        **self._told(change_class, groups, outcome, known),
                    }

    def _told(self, change_class: str, groups: Names, outcome: str, known: list[str]) -> dict[str, Any]:
        used = [self.cells[change_class, group, code] for group in groups for code in known]
        statuses = {cell["status"] for cell in used}
        withheld = next((status for status in _WITHHELD if status in statuses), None)
        if withheld is not None:
            return {"status": str(withheld)}
        z, effect, sampling, rates = z_value(self.plan.privacy.confidence), 0.0, 0.0, []
        gradient = np.zeros(len(self.covariance))
        for sign, group in zip(_SIGNS, groups, strict=False):
            line = {code: self.cells[change_class, group, code]["estimate"] for code in known}
            places = [list(CHANGE_GROUPS).index(group) * len(self.codes) + self.codes.index(code) for code in known]
            whole = sum(line.values())
            if whole <= z * math.sqrt(self.covariance[np.ix_(places, places)].sum()):
                return {"status": str(Status.NOT_COMPARABLE)}  # no rate is known over what cannot be told from 0
            rate = line[outcome] / whole
            gradient[places] = [sign * ((code == outcome) - rate) / whole for code in known]
            shown = min(max(rate, 0.0), 1.0)
            effect, sampling = effect + sign * rate, sampling + used[0]["sampling_factor"] * shown * (1 - shown) / whole
            rates.append(shown)
        unlike = _TRENDS_APART * (rates[2] - rates[3]) if len(rates) == len(_RATES) else 0.0
        deviation = math.sqrt(float(gradient @ self.covariance @ gradient) + sampling + unlike**2)
        return {
            **dict(zip(_RATES, rates, strict=False)),
            "effect": effect,
            "ci_low": effect - z * deviation,
            "ci_high": effect + z * deviation,
            "detectable": (z + NormalDist().inv_cdf(POWER)) * deviation,
            "status": str(Status.OK),
        }
