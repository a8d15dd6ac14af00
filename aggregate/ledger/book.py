"""The ledger's own verbs: register, reserve, answer once; and what is spent and left."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, text
from sqlalchemy.exc import InterfaceError, OperationalError

from aggregate.ledger.tables import ANSWERS, ENTRIES, METADATA, PLANS
from aggregate.ledger.verification import Fault, StoredPlan, charge_faults, faults
from schemas.canonical import digest, sha256_bytes
from schemas.errors import BudgetRefusedError, UsageError
from schemas.parameters import BudgetParameters
from schemas.periods import Quarter
from schemas.plan import RegisteredPlan

STORE_SECONDS = 600.0
"""For how long a state database that is away is waited for, once an answer is drawn."""

_STORE_LOOK_SECONDS = 1.0

Epsilon = Callable[[Fraction, Fraction], float]
Entry = dict[str, Any]


@dataclass(frozen=True)
class BudgetLine:
    """What one quarter or one year has spent, what it may spend, in rho (exact) and in (ε, δ).

    Spent is everything that was charged. Reserved is the part of it that was charged for a draw of which no answer is
    stored: it is running, or it was lost and stays spent.
    """

    scope: str
    rho_spent: Fraction
    rho_reserved: Fraction
    rho_cap: Fraction
    first_release_rho_left: Fraction | None  # None for a year
    reserve_rho_left: Fraction | None
    threshold_delta_spent: Fraction  # of δ, by thresholded mechanisms
    threshold_delta_cap: Fraction
    epsilon_spent: float
    epsilon_reserved: float  # by how much ε would be lower without what is reserved
    epsilon_cap: float
    delta: float
    releases: int

    @property
    def rho_left(self) -> Fraction:
        """What is left in all."""
        return self.rho_cap - self.rho_spent

    @property
    def epsilon_left(self) -> float:
        """By how much ε may still rise."""
        return self.epsilon_cap - self.epsilon_spent


class Ledger:
    """The ledger on one transactional database. `to_epsilon` converts (rho, δ) to ε; it is handed in."""

    def __init__(self, engine: Engine, budget: BudgetParameters, to_epsilon: Epsilon) -> None:
        self._engine, self._budget, self._to_epsilon = engine, budget, to_epsilon
        METADATA.create_all(engine)

    def register(self, plan: RegisteredPlan) -> str:
        """Registers a plan before any data are read, and returns its hash. Again with the same plan: nothing changes.

        Raises BudgetRefusedError where another plan of that quarter and version stands in the ledger, or it could never spend.
        """
        self._spends(plan)
        with self._writing() as (connection, entries):
            registered = connection.execute(
                select(PLANS.c.hash).where((PLANS.c.quarter == plan.quarter) & (PLANS.c.version == plan.version))
            ).scalar()
            if registered is None:
                connection.execute(
                    insert(PLANS).values(
                        hash=plan.hash,
                        quarter=plan.quarter,
                        version=plan.version,
                        body=plan.model_dump(mode="json", by_alias=True),
                    )
                )
                _append(connection, entries, "plan", plan)
            elif registered != plan.hash:
                raise BudgetRefusedError(
                    "Another plan of this quarter and version is registered.", "Register a superseding version with its reason."
                )
        return plan.hash

    def refuse_unpayable(self, plan: RegisteredPlan) -> None:
        """Raises BudgetRefusedError where a plan could not be paid now: registered, it would stand in the way of the one before."""
        self._refuse_over_cap(self.entries(), plan, *self._spends(plan))

    def plan(self, quarter: Quarter, version: int | None = None) -> RegisteredPlan | None:
        """The registered plan of a quarter (the latest version, or the one asked for), or None."""
        query = select(PLANS.c.body, PLANS.c.hash).where(PLANS.c.quarter == str(quarter))
        if version is not None:
            query = query.where(PLANS.c.version == version)
        with self._engine.connect() as connection:
            row = connection.execute(query.order_by(PLANS.c.version.desc())).first()
        if row is None:
            return None
        if digest(row[0]) != row[1]:
            raise BudgetRefusedError(
                "A registered plan was changed after it was registered.", "Restore the ledger from a backup."
            )
        return RegisteredPlan.model_validate(row[0])

    def plan_by_hash(self, plan_hash: str) -> RegisteredPlan:
        """A registered plan by its hash. Raises BudgetRefusedError where it is not registered, or was changed since."""
        with self._engine.connect() as connection:
            body = connection.execute(select(PLANS.c.body).where(PLANS.c.hash == plan_hash)).scalar()
        if body is None or digest(body) != plan_hash:
            raise BudgetRefusedError(
                "A plan is not registered, or was changed after it was.", "Restore the ledger from a backup."
            )
        return RegisteredPlan.model_validate(body)

    def planned_at(self, plan_hash: str) -> str:
        """When a plan was registered, UTC, as the chain has it. Raises BudgetRefusedError where it is not registered."""
        where = (ENTRIES.c.plan == plan_hash) & (ENTRIES.c.kind == "plan")
        with self._engine.connect() as connection:
            moment = connection.execute(select(ENTRIES.c.at).where(where)).scalar()
        if moment is None:
            raise BudgetRefusedError("The plan is not registered.", "Register it with `commons plan`.")
        return str(moment)

    def stored_answer(self, plan_hash: str) -> bytes | None:
        """The answer that was given to a plan, byte for byte, or None. Raises BudgetRefusedError where it was altered."""
        with self._reading() as connection:
            body = connection.execute(select(ANSWERS.c.body).where(ANSWERS.c.plan == plan_hash)).scalar()
            where = (ENTRIES.c.plan == plan_hash) & (ENTRIES.c.kind == "answer")
            expected = connection.execute(select(ENTRIES.c.answer).where(where)).scalar()
        if body is None and expected is None:
            return None
        if body is None or sha256_bytes(body) != expected:
            raise BudgetRefusedError("A stored answer is missing or altered.", "Restore the ledger from a backup.")
        return bytes(body)

    def answer_once(self, plan: RegisteredPlan, draw: Callable[[], bytes]) -> bytes:
        """The answer of a plan: the stored one, or one drawn now, after its budget is reserved.

        Raises BudgetRefusedError where the plan is not registered, a cap would be exceeded, or a draw was begun before and
        its answer lost: that budget stays spent.
        """
        stored = self.stored_answer(plan.hash)
        if stored is not None:
            return stored
        self._reserve(plan)
        answer = draw()
        self._store(plan, answer)
        return answer

    def _reserve(self, plan: RegisteredPlan) -> None:
        rho, delta = self._spends(plan)
        with self._writing() as (connection, entries):
            if charge_faults(entries, _plans(connection)):
                raise BudgetRefusedError(
                    "The ledger is not as it was written: what is spent is not known.", "`commons budget --verify` says where."
                )
            registered = connection.execute(select(PLANS.c.hash).where(PLANS.c.hash == plan.hash)).scalar()
            if registered is None:
                raise BudgetRefusedError("The plan is not registered.", "Register it with `commons plan`.")
            if any(e["plan"] == plan.hash and e["kind"] == "reserve" for e in entries):
                raise BudgetRefusedError(
                    "A draw of this plan was begun: it is running now, or its answer is lost and its budget stays spent.",
                    "If nothing is running, register a superseding version; it spends from the quarter's reserve.",
                )
            self._refuse_over_cap(entries, plan, rho, delta)
            _append(connection, entries, "reserve", plan, rho=rho, delta=delta)

    def _spends(self, plan: RegisteredPlan) -> tuple[Fraction, Fraction]:
        rho, delta = _exact(plan.rho), _exact(plan.threshold_delta)
        if not 0 < rho <= self._budget.quarter_rho or not 0 <= delta <= self._budget.quarter_threshold_delta:
            raise BudgetRefusedError("A plan spends more than nothing, and no more than a quarter has.")
        return rho, delta

    def _store(self, plan: RegisteredPlan, answer: bytes) -> None:
        """Stores an answer. What was drawn is paid for: a server that is away for a while is waited for."""
        until = time.monotonic() + STORE_SECONDS
        while True:
            try:
                return self._store_now(plan, answer)
            except (OperationalError, InterfaceError):
                if time.monotonic() > until or self._engine.dialect.name == "sqlite":
                    raise
            time.sleep(_STORE_LOOK_SECONDS)

    def _store_now(self, plan: RegisteredPlan, answer: bytes) -> None:
        if self.stored_answer(plan.hash) == answer:  # the server went away once it had it
            return
        with self._writing() as (connection, entries):
            connection.execute(insert(ANSWERS).values(plan=plan.hash, body=answer))
            _append(connection, entries, "answer", plan, answer=sha256_bytes(answer))

    def _refuse_over_cap(self, entries: list[Entry], plan: RegisteredPlan, rho: Fraction, delta: Fraction) -> None:
        b, first, year = self._budget, plan.version == 1, Quarter.parse(plan.quarter).year
        quarter_entries = [e for e in entries if e["quarter"] == plan.quarter]
        same_part = [e for e in quarter_entries if (e["version"] == 1) == first]
        part_rho, part_delta = (
            (b.first_release_rho, b.first_release_threshold_delta) if first else (b.reserve_rho, b.reserve_threshold_delta)
        )
        scopes = (
            ("this part of the quarter", same_part, part_rho, part_delta, None),
            ("the quarter", quarter_entries, b.quarter_rho, b.quarter_threshold_delta, b.quarter_epsilon),
            ("the year", [e for e in entries if e["year"] == year], b.year_rho, b.year_threshold_delta, b.year_epsilon),
        )
        for scope, charged, rho_cap, delta_cap, epsilon_cap in scopes:
            total_rho, total_delta = _sum(charged, "rho") + rho, _sum(charged, "delta") + delta
            over_epsilon = epsilon_cap is not None and self.epsilon(total_rho, total_delta) > epsilon_cap
            if total_rho > rho_cap or total_delta > delta_cap or over_epsilon:
                raise BudgetRefusedError(
                    f"The budget of {scope} would be exceeded: asked for rho {rho}, left {rho_cap - total_rho + rho}.",
                    "`commons budget` shows what is left.",
                )

    def entries(self) -> list[Entry]:
        """All entries in order."""
        with self._engine.connect() as connection:
            return _entries(connection)

    def faults(self) -> list[Fault]:
        """What of the hash chain, the plans and the stored answers is not as it was written."""
        with self._reading() as connection:
            answers = {row.plan: bytes(row.body) for row in connection.execute(select(ANSWERS))}
            return faults(_entries(connection), _plans(connection), answers)

    def chain_holds(self) -> bool:
        """Whether the hash chain, every plan and every stored answer are as they were written."""
        return not self.faults()

    def line(self, quarter: Quarter | None = None, year: int | None = None) -> BudgetLine:
        """What a quarter, or a year, has spent and has left."""
        b = self._budget
        if (quarter is None) == (year is None):
            raise UsageError("Ask for a quarter or for a year.")
        charged = [e for e in self.entries() if (e["quarter"] == str(quarter) if quarter else e["year"] == year)]
        answered = {e["plan"] for e in charged if e["kind"] == "answer"}
        begun = [e for e in charged if e["plan"] not in answered]
        first = [e for e in charged if e["version"] == 1]
        rho, delta = _sum(charged, "rho"), _sum(charged, "delta")
        epsilon = self.epsilon(rho, delta)
        return BudgetLine(
            scope=str(quarter or year),
            rho_spent=rho,
            rho_reserved=_sum(begun, "rho"),
            rho_cap=b.quarter_rho if quarter else b.year_rho,
            first_release_rho_left=b.first_release_rho - _sum(first, "rho") if quarter else None,
            reserve_rho_left=b.reserve_rho - rho + _sum(first, "rho") if quarter else None,
            threshold_delta_spent=delta,
            threshold_delta_cap=b.quarter_threshold_delta if quarter else b.year_threshold_delta,
            epsilon_spent=epsilon,
            epsilon_reserved=epsilon - self.epsilon(rho - _sum(begun, "rho"), delta - _sum(begun, "delta")),
            epsilon_cap=float(b.quarter_epsilon if quarter else b.year_epsilon),
            delta=float(b.delta),
            releases=sum(e["kind"] == "reserve" for e in charged),
        )

    def epsilon(self, rho: Fraction, threshold_delta: Fraction, delta: Fraction | None = None) -> float:
        """ε of a rho at a δ (the pool's, where none is given), of which thresholded mechanisms have taken `threshold_delta`."""
        whole = self._budget.delta if delta is None else delta
        # The stated δ is the whole: what thresholded mechanisms took of it is not there for the conversion.
        if threshold_delta >= whole:
            return math.inf
        return self._to_epsilon(rho, whole - threshold_delta)

    def quarters(self) -> list[Quarter]:
        """Quarters that stand in the ledger, in order."""
        return sorted({Quarter.parse(e["quarter"]) for e in self.entries()})

    @contextmanager
    def _writing(self) -> Iterator[tuple[Connection, list[Entry]]]:
        """One serialised write transaction, and the ledger as it stands: two processes cannot both win the last of a budget.

        An entry is numbered from what was read here, and numbers are unique: were there no lock, who read a ledger that has
        moved on could still not append to it.
        """
        with self._engine.connect() as connection:
            if self._engine.dialect.name == "sqlite":
                connection.exec_driver_sql("begin immediate")
            else:  # a lock on the table would need the right to change it, which nobody has
                connection.execute(text("select pg_advisory_xact_lock(hashtext('ledger'))"))
            yield connection, _entries(connection)
            connection.commit()  # left without, it is rolled back

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """The ledger at one moment, whatever is written meanwhile."""
        with self._engine.connect() as connection:
            if self._engine.dialect.name == "sqlite":
                connection.exec_driver_sql("begin")
            else:
                connection.execute(text("set transaction isolation level repeatable read"))
            yield connection


def _entries(connection: Connection) -> list[Entry]:
    return [dict(row) for row in connection.execute(select(ENTRIES).order_by(ENTRIES.c.number)).mappings()]


def _plans(connection: Connection) -> dict[str, StoredPlan]:
    return {row.hash: StoredPlan(row.quarter, row.version, row.body) for row in connection.execute(select(PLANS))}


def _append(
    connection: Connection,
    entries: list[Entry],
    kind: str,
    plan: RegisteredPlan,
    rho: Fraction = Fraction(0),
    delta: Fraction = Fraction(0),
    answer: str = "",
) -> None:
    entry: Entry = {
        "number": len(entries) + 1,
        "kind": kind,
        "plan": plan.hash,
        "quarter": plan.quarter,
        "year": Quarter.parse(plan.quarter).year,
        "version": plan.version,
        "rho": str(rho),
        "delta": str(delta),
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "answer": answer,
        "previous": entries[-1]["hash"] if entries else "",
    }
    connection.execute(insert(ENTRIES).values(**entry, hash=digest(entry)))


def _sum(entries: list[Entry], column: str) -> Fraction:
    return sum((Fraction(e[column]) for e in entries), Fraction(0))


def _exact(number: str) -> Fraction:
    exact: Fraction | None
    try:
        exact = Fraction(number)
    except (ValueError, ZeroDivisionError):  # whose text quotes it
        exact = None
    if exact is None:
        raise BudgetRefusedError("A plan's budget is an exact, finite number.")
    return exact
