"""Small pools of one record a user, each in a random cell, and what is published of them: for attacks on published files."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
from pooled import SECRET, as_scrubbed, registered
from scipy.stats import norm

from aggregate.bounding import MeasurementSettings, bounded_tables
from aggregate.counts import public_cells
from aggregate.mechanisms.draw import PreparedDraw, prepare
from aggregate.tabulation import tabulate
from benchmarks.audit_canaries import COMPANIES, QUARTER, privacy_of, record
from schemas.arrow import pool_schema
from schemas.keys import PUBLIC_AGE_BANDS
from schemas.plan import Names, RegisteredPlan
from schemas.unit import bucket_of, unit_id

KEYS: Names = ("ideation", "behavior", "age_band")
RHO = "1001/62500"
"""As the packaged first release, but all of it on the tables that are attacked."""
NOISELESS = "1000000000000"
"""The break: a release of so large a rho is of exact numbers."""


def plan_of(marginals: tuple[Names, ...], rho: str = RHO) -> RegisteredPlan:
    """One measure, the most severe record of a user, on these marginals of KEYS."""
    measure = {
        "name": "canaries",
        "table": "risk_profile",
        "event": "record",
        "estimand": "most_severe_record",
        "marginals": marginals,
    }
    parameters = privacy_of(rho).model_dump(mode="json")
    plan = {**registered().plan, "measure": [measure], "terms": [], "patterns": None}
    return registered(rho=rho, parameters=parameters, plan=plan)


def joint_cells(plan: RegisteredPlan) -> list[tuple[str, ...]]:
    """Every combination of the three keys."""
    return public_cells(KEYS, plan.release_plan.measures[0].scope(QUARTER, plan.release_plan))


def population(users: int, seed: int, cells: list[tuple[str, ...]]) -> tuple[pa.Table, np.ndarray]:
    """Records of a pool, and how many of its users are in each joint cell: every cell is as likely for every user."""
    rng = np.random.default_rng(seed)
    places = rng.integers(0, len(cells), users)
    ages = {public: code for code, public in PUBLIC_AGE_BANDS.items()}
    rows = []
    for user, place in enumerate(places):
        ideation, behavior, age = cells[place]
        sent: dict[str, Any] = record(0, 0, f"user-{user}")
        company = COMPANIES[user % len(COMPANIES)]
        unit = unit_id(company, sent.pop("user_pseudonym"))
        own = {"company": company, "submission": "0" * 64, "pseudonym_unit": "account", "selection_reason": "flagged"}
        named = {"unit": unit, "bucket": bucket_of(unit), "content": unit_id(unit, "record"), "record_id": f"record-{user}"}
        known = {
            "risk": sent["risk"] | {"ideation": ideation, "behavior": behavior},
            "person": sent["person"] | {"age_band": ages[age]},
        }
        rows.append({**sent, **own, **named, **known, "started_at": datetime.fromisoformat(sent["started_at"])})
    return pa.Table.from_pylist(rows, schema=pool_schema()), np.bincount(places, minlength=len(cells))


@contextmanager
def prepared_from(rows: pa.Table, plan: RegisteredPlan, folder: Path) -> Iterator[PreparedDraw]:
    """Up to the draw."""
    records = as_scrubbed(rows, folder)
    with bounded_tables(records, plan, SECRET, folder / "scratch", MeasurementSettings()) as tables:
        yield prepare(tables, plan, records.companies)


def published(prepared: PreparedDraw, plan: RegisteredPlan) -> list[dict[str, Any]]:
    """The rows of the published table, of an answer drawn now."""
    return next(table for table in tabulate(prepared.draw(), plan) if table.name == "risk_profile").rows.to_pylist()


@contextmanager
def company_rules_off() -> Iterator[None]:
    """Every estimate is published: what the noise alone protects."""
    with mock.patch("aggregate.withholding.CompanyRules.hold", staticmethod(lambda cells: True)):
        yield


def mu_of(plan: RegisteredPlan) -> float:
    """µ of Gaussian differential privacy for which a plan is charged."""
    return float((2 * Fraction(plan.rho)) ** 0.5)


def most_told(share: float, plan: RegisteredPlan) -> float:
    """The most to which a chance of `share` of being right about one user can rise by a release (Dong, Roth, Su 2022)."""
    return float(norm.cdf(norm.ppf(share) + mu_of(plan)))
