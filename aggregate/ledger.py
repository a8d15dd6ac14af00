"""The privacy ledger: what was planned, charged and answered. Append-only, hash-chained, exact.

Reserve, then draw, then store the answer, then publish: a crash at any point loses budget at worst, never privacy.
A plan is the key of what it spends: asked again, the stored answer comes back byte for byte.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from sqlalchemy import JSON, Column, Connection, Engine, Integer, LargeBinary, MetaData, String, Table, insert, select, text

from schemas.canonical import digest, sha256_bytes
from schemas.errors import BudgetRefusedError, UsageError
from schemas.parameters import BudgetParameters
from schemas.periods import Quarter
from schemas.plan import RegisteredPlan

METADATA = MetaData()

PLANS = Table(
    "plans",
    METADATA,
    Column("hash", String(64), primary_key=True),
    Column("quarter", String(6), nullable=False),
    Column("version", Integer, nullable=False),
    Column("body", JSON, nullable=False),
)

ENTRIES = Table(
    "ledger",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),  # plan, reserve, answer
    Column("plan", String(64), nullable=False),
    Column("quarter", String(6), nullable=False),  # the data quarter that is charged
    Column("year", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("rho", String, nullable=False),  # exact rationals as text
    Column("delta", String, nullable=False),
    Column("at", String(20), nullable=False),
    Column("answer", String(64), nullable=False),  # digest of the stored answer, or empty
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)

ANSWERS = Table(
    "answers",
    METADATA,
    Column("plan", String(64), primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

Epsilon = Callable[[Fraction, Fraction], float]


@dataclass(frozen=True)
class BudgetLine:
    """What one quarter or one year has spent, what it may spend, in rho (exact) and in (ε, δ)."""

    scope: str
    rho_spent: Fraction
    rho_cap: Fraction
    first_release_rho_left: Fraction | None  # None for a year
    reserve_rho_left: Fraction | None
    epsilon_spent: float
    epsilon_cap: float
    delta: float
    releases: int

    @property
    def rho_left(self) -> Fraction:
        """What is left in all."""
        return self.rho_cap - self.rho_spent


class Ledger:
    """The ledger on one transactional database. `to_epsilon` converts (rho, δ) to ε; it is handed in."""

    def __init__(self, engine: Engine, budget: BudgetParameters, to_epsilon: Epsilon) -> None:
        self._engine, self._budget, self._to_epsilon = engine, budget, to_epsilon
        METADATA.create_all(engine)

    def register(self, plan: RegisteredPlan) -> str:
        """Registers a plan before any data are read, and returns its hash. Again with the same plan: nothing changes.

        Raises BudgetRefusedError where another plan of that quarter and version stands in the ledger.
        """
        with self._writing() as connection:
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
                self._append(connection, "plan", plan, Fraction(0), Fraction(0), "")
            elif registered != plan.hash:
                raise BudgetRefusedError(
                    "Another plan of this quarter and version is registered.", "Register a superseding version with its reason."
                )
        return plan.hash

    def plan(self, quarter: Quarter, version: int | None = None) -> RegisteredPlan | None:
        """The registered plan of a quarter (the latest version, or the one asked for), or None."""
        query = select(PLANS.c.body, PLANS.c.hash).where(PLANS.c.quarter == str(quarter))
        if version is not None:
            query = query.where(PLANS.c.version == version)
        with self._engine.connect() as connection:
            row = connection.execute(query.order_by(PLANS.c.version.desc())).first()
        if row is None:
            return None
        plan = RegisteredPlan.model_validate(row[0])
        if plan.hash != row[1]:
            raise BudgetRefusedError(
                "A registered plan was changed after it was registered.", "Restore the ledger from a backup."
            )
        return plan

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
        with self._engine.connect() as connection:
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
        with self._writing() as connection:
            connection.execute(insert(ANSWERS).values(plan=plan.hash, body=answer))
            self._append(connection, "answer", plan, Fraction(0), Fraction(0), sha256_bytes(answer))
        return answer

    def _reserve(self, plan: RegisteredPlan) -> None:
        rho, delta = Fraction(plan.rho), Fraction(plan.threshold_delta)
        if not 0 < rho <= self._budget.quarter_rho or not 0 <= delta <= self._budget.quarter_threshold_delta:
            raise BudgetRefusedError("A plan spends more than nothing, and no more than a quarter has.")
        with self._writing() as connection:
            registered = connection.execute(select(PLANS.c.hash).where(PLANS.c.hash == plan.hash)).scalar()
            if registered is None:
                raise BudgetRefusedError("The plan is not registered.", "Register it with `commons plan`.")
            entries = self._entries(connection)
            if any(e["plan"] == plan.hash and e["kind"] == "reserve" for e in entries):
                raise BudgetRefusedError(
                    "A draw of this plan was begun: it is running now, or its answer is lost and its budget stays spent.",
                    "If nothing is running, register a superseding version; it spends from the quarter's reserve.",
                )
            self._refuse_over_cap(entries, plan, rho, delta)
            self._append(connection, "reserve", plan, rho, delta, "")

    def _refuse_over_cap(self, entries: list[dict[str, Any]], plan: RegisteredPlan, rho: Fraction, delta: Fraction) -> None:
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
            total_rho = sum((Fraction(e["rho"]) for e in charged), rho)
            total_delta = sum((Fraction(e["delta"]) for e in charged), delta)
            over_epsilon = epsilon_cap is not None and self.epsilon(total_rho, total_delta) > epsilon_cap
            if total_rho > rho_cap or total_delta > delta_cap or over_epsilon:
                raise BudgetRefusedError(
                    f"The budget of {scope} would be exceeded: asked for rho {rho}, left {rho_cap - total_rho + rho}.",
                    "`commons budget` shows what is left.",
                )

    def _append(
        self, connection: Connection, kind: str, plan: RegisteredPlan, rho: Fraction, delta: Fraction, answer: str
    ) -> None:
        last = connection.execute(select(ENTRIES.c.number, ENTRIES.c.hash).order_by(ENTRIES.c.number.desc()).limit(1)).first()
        entry: dict[str, Any] = {
            "number": (last[0] if last else 0) + 1,
            "kind": kind,
            "plan": plan.hash,
            "quarter": plan.quarter,
            "year": Quarter.parse(plan.quarter).year,
            "version": plan.version,
            "rho": str(rho),
            "delta": str(delta),
            "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "answer": answer,
            "previous": last[1] if last else "",
        }
        connection.execute(insert(ENTRIES).values(**entry, hash=digest(entry)))

    def _entries(self, connection: Connection) -> list[dict[str, Any]]:
        return [dict(row) for row in connection.execute(select(ENTRIES).order_by(ENTRIES.c.number)).mappings()]

    def entries(self) -> list[dict[str, Any]]:
        """All entries in order."""
        with self._engine.connect() as connection:
            return self._entries(connection)

    def chain_holds(self) -> bool:
        """Whether the hash chain, every plan and every stored answer are as they were written."""
        previous = ""
        entries = self.entries()
        for number, entry in enumerate(entries, start=1):
            body = {name: value for name, value in entry.items() if name != "hash"}
            if entry["number"] != number or entry["previous"] != previous or entry["hash"] != digest(body):
                return False
            previous = entry["hash"]
        answered = {e["plan"]: e["answer"] for e in entries if e["kind"] == "answer"}
        with self._engine.connect() as connection:
            answers = {plan: sha256_bytes(body) for plan, body in connection.execute(select(ANSWERS.c.plan, ANSWERS.c.body))}
            plans = connection.execute(select(PLANS.c.hash, PLANS.c.body)).all()
        unchanged = all(RegisteredPlan.model_validate(body).hash == name for name, body in plans)
        return answers == answered and unchanged and {p for p, _ in plans} == {e["plan"] for e in entries}

    def line(self, quarter: Quarter | None = None, year: int | None = None) -> BudgetLine:
        """What a quarter, or a year, has spent and has left."""
        b = self._budget
        if (quarter is None) == (year is None):
            raise UsageError("Ask for a quarter or for a year.")
        charged = [e for e in self.entries() if (e["quarter"] == str(quarter) if quarter else e["year"] == year)]
        rho = sum((Fraction(e["rho"]) for e in charged), Fraction(0))
        first = sum((Fraction(e["rho"]) for e in charged if e["version"] == 1), Fraction(0))
        delta = sum((Fraction(e["delta"]) for e in charged), Fraction(0))
        return BudgetLine(
            scope=str(quarter or year),
            rho_spent=rho,
            rho_cap=b.quarter_rho if quarter else b.year_rho,
            first_release_rho_left=b.first_release_rho - first if quarter else None,
            reserve_rho_left=b.reserve_rho - (rho - first) if quarter else None,
            epsilon_spent=self.epsilon(rho, delta),
            epsilon_cap=float(b.quarter_epsilon if quarter else b.year_epsilon),
            delta=float(b.delta),
            releases=sum(e["kind"] == "reserve" for e in charged),
        )

    def epsilon(self, rho: Fraction, threshold_delta: Fraction) -> float:
        """ε of a rho at the stated δ, of which thresholded mechanisms have taken `threshold_delta`."""
        # The stated δ is the whole: what thresholded mechanisms took of it is not there for the conversion.
        if threshold_delta >= self._budget.delta:
            return math.inf
        return self._to_epsilon(rho, self._budget.delta - threshold_delta)

    def quarters(self) -> list[Quarter]:
        """Quarters that stand in the ledger, in order."""
        return sorted({Quarter.parse(e["quarter"]) for e in self.entries()})

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """One serialised write transaction: two processes cannot both win the last of a budget."""
        with self._engine.connect() as connection:
            if self._engine.dialect.name == "sqlite":
                connection.exec_driver_sql("begin immediate")
            else:
                connection.execute(text("lock table ledger in exclusive mode"))
            try:
                yield connection
                connection.commit()
            except BaseException:
                connection.rollback()
                raise
