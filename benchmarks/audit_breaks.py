"""Breaks that are planted in copies of the pipeline's behaviour, and one run of it under a break with all that may see it.

`guards` are the pipeline's own refusals. They are on where a break is tried for whether it is refused, and taken off for the
others, which must see it all the same.
"""

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
from sqlalchemy import create_engine

from aggregate.answer import Answer
from aggregate.bounding import BoundedTable, MeasurementSettings, bounded_tables
from aggregate.ledger import Ledger
from aggregate.mechanisms import draw as mechanisms
from aggregate.mechanisms.conversion import epsilon_of
from aggregate.mechanisms.draw import PreparedDraw, prepare
from benchmarks.audit_canaries import MARGINALS, SECRET, Bools, Verdict, as_scrubbed, audit, coins, plan_of, pooled
from benchmarks.audit_detectors import answered_anew, costs_more, noise_is_not_as_stated, one_user_moves_more
from schemas.errors import BudgetRefusedError
from schemas.plan import RegisteredPlan

LOW = 0.98


@dataclass(frozen=True)
class Break:
    """A break: what it does to rows before bounding, to bounded tables and to what is about to be drawn; what it replaces."""

    name: str
    rows: Callable[[pa.Table], pa.Table] = lambda table: table
    tables: Callable[[Sequence[BoundedTable]], None] = lambda tables: None
    draw: Callable[[PreparedDraw], PreparedDraw] = lambda prepared: prepared
    replaced: Mapping[str, Any] | None = None
    unguarded: "Break | None" = None  # the same with the pipeline's guard taken off


def _nothing(*_: Any) -> None:
    return None


def _undivided(tables: Sequence[BoundedTable]) -> None:
    for table in tables:
        table.connection.execute(f"update {table.name} set w = {table.bound.mass}")


def _halved(name: str) -> Callable[..., float]:
    real = getattr(mechanisms, name)
    return lambda *arguments: real(*arguments) / 2


def _two_units(table: pa.Table) -> pa.Table:
    """Every record but a user's first goes under another unit: as after a change of the company's pseudonym key."""
    units = table.column("unit").to_pylist()
    first = [record.endswith("-0") for record in table.column("record_id").to_pylist()]
    split = [unit if own else unit[:2] + unit[:1:-1] for unit, own in zip(units, first, strict=True)]
    return table.set_column(table.schema.get_field_index("unit"), "unit", pa.array(split))


def _each_with_all(prepared: PreparedDraw) -> PreparedDraw:
    """Each marginal with the rho that all of them share."""
    return replace(prepared, queries=tuple(replace(q, scale=q.scale / math.sqrt(len(MARGINALS))) for q in prepared.queries))


def _each_with_all_unseen(prepared: PreparedDraw) -> PreparedDraw:
    return replace(_each_with_all(prepared), rho=prepared.rho * len(MARGINALS))


class _LowNoise(PreparedDraw):
    """Draws with a scale 2 % lower than the answer states."""

    map_too = False  # whether OpenDP's map is told so as well

    def draw(self) -> Answer:
        lower = tuple(replace(q, scale=LOW * q.scale, l2=(LOW if self.map_too else 1) * q.l2) for q in self.queries)
        answer = PreparedDraw(lower, self.rho, self.threshold_delta).draw()
        names = ("outside_scale", "dominance_scale", "squares_scale")
        return Answer(
            tuple(replace(r, scale=r.scale / LOW) for r in answer.residuals),
            tuple(replace(m, **{name: getattr(m, name) / LOW for name in names}) for m in answer.marginals),
        )


class _LowNoiseUnseen(_LowNoise):
    map_too = True


def _low(kind: type[_LowNoise]) -> Callable[[PreparedDraw], PreparedDraw]:
    return lambda prepared: kind(prepared.queries, prepared.rho, prepared.threshold_delta)


_STORED, _RESERVE, _STORE = (f"aggregate.ledger.book.Ledger.{name}" for name in ("stored_answer", "_reserve", "_store"))
_DRAW = "aggregate.mechanisms.draw"
_HALVED = {f"{_DRAW}.{name}": _halved(name) for name in ("residual_sensitivity", "vector_sensitivity", "squares_sensitivity")}
_UNCHECKED = {"aggregate.bounding.BoundedTable.check": _nothing}

RIGHT = Break("right")
SIGMA = Break("sigma_2_percent_low", draw=_low(_LowNoise), unguarded=Break("sigma_2_percent_low", draw=_low(_LowNoiseUnseen)))
BREAKS = (
    Break("no_clip", tables=_undivided, unguarded=Break("no_clip", tables=_undivided, replaced=_UNCHECKED)),
    Break("doubled_bound", replaced=_HALVED),
    Break("split_id", rows=_two_units),
    Break("marginal_booked_once", draw=_each_with_all, unguarded=Break("marginal_booked_once", draw=_each_with_all_unseen)),
    Break(
        "reused_release",
        replaced={_STORED: _nothing},
        unguarded=Break("reused_release", replaced={_STORED: _nothing, _RESERVE: _nothing, _STORE: _nothing}),
    ),
    SIGMA,
)


@dataclass(frozen=True)
class Measured:
    """What one measurement gave: what was about to be drawn, and the stored answers to the plan, asked twice."""

    prepared: PreparedDraw
    stored: tuple[bytes, ...]

    @property
    def answers(self) -> list[Answer]:
        return [Answer.from_bytes(each) for each in dict.fromkeys(self.stored)]


@contextmanager
def planted(fault: Break) -> Iterator[None]:
    """The break in place, for as long as it lasts."""
    with ExitStack() as stack:
        for target, other in (fault.replaced or {}).items():
            stack.enter_context(mock.patch(target, other))
        yield


@contextmanager
def prepared_under(fault: Break, included: Bools, plan: RegisteredPlan) -> Iterator[PreparedDraw]:
    """From scrubbed parts up to the draw, under a break."""
    with tempfile.TemporaryDirectory() as name, planted(fault):
        folder = Path(name)
        records = as_scrubbed(fault.rows(pooled(included)), folder)
        with bounded_tables(records, plan, SECRET, folder / "scratch", MeasurementSettings()) as tables:
            fault.tables(tables)
            yield fault.draw(prepare(tables, plan, records.companies))


@contextmanager
def measured_under(fault: Break, included: Bools, plan: RegisteredPlan) -> Iterator[Measured]:
    """The same, and the plan answered twice out of a ledger."""
    with prepared_under(fault, included, plan) as prepared:
        ledger = Ledger(create_engine("sqlite://"), plan.privacy.budget, epsilon_of)
        ledger.register(plan)
        stored = tuple(ledger.answer_once(plan, lambda: prepared.draw().to_bytes()) for _ in range(2))
        yield Measured(prepared, stored)


def refused(fault: Break, seed: int) -> bool:
    """Whether the pipeline itself refuses to answer under a break."""
    try:
        with measured_under(fault, coins(seed), plan_of()):
            return False
    except BudgetRefusedError:
        return True


@dataclass(frozen=True)
class Alarms:
    """Who raised the alarm in one run, and what the canaries told."""

    by: Mapping[str, bool]
    verdict: Verdict

    @property
    def any(self) -> bool:
        return any(self.by.values())


def run(fault: Break, seed: int, noise_draws: int = 3) -> Alarms:
    """One run of the pipeline, under a break with its guard taken off, past every detector.

    Args:
        noise_draws: further draws for the tests of noise, some 21,000 numbers each.
    """
    fault, plan, included = fault.unguarded or fault, plan_of(), coins(seed)
    rho, delta = Fraction(plan.rho), Fraction(plan.privacy.budget.delta)
    without = included & (np.arange(len(included)) > 0)
    one_in = without | (np.arange(len(included)) == 0)
    with measured_under(fault, included, plan) as measured:
        prepared = measured.prepared
        noisy = noise_is_not_as_stated(prepared, [*measured.answers, *(prepared.draw() for _ in range(noise_draws))])
        verdict = audit(measured.answers, plan, included)
        costly = costs_more(prepared, rho, delta)
        other = without if included[0] else one_in
        with prepared_under(fault, other, plan) as neighbour:
            moves = one_user_moves_more(neighbour, prepared, rho)
        anew = answered_anew(measured.stored)
    by = {"canaries": verdict.alarm, "neighbours": moves, "accountant": costly, "noise": noisy, "repeats": anew}
    return Alarms(by, verdict)
