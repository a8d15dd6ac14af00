"""The demonstration: every step of the way on synthetic data, each by the very function that its command calls."""

import json
import resource
import shutil
import time
from datetime import date
from pathlib import Path
from typing import Any

from flows.briefs import measured_release
from flows.changes import NAME as CHANGES
from flows.drops import drop_of, make_local_drops, public_keys, waiting
from flows.intake import intake
from flows.pool import Pool
from flows.progress import tell
from flows.querying import run_query
from flows.release import release
from flows.release_steps import approve_release, make_plan, person_of, registered_plan
from flows.runs import run_flow
from flows.scrubbing import pending_parts
from flows.terms import decide_terms, release_terms
from intake.manifest_checks import read_manifest
from intake.submission import submit
from publish.path import State, has_reached
from publish.store import state_of
from publish.term_reviews import Decision
from sample_data.emerging_plants import ChangePlant, GrowthPlant, TermPlant
from sample_data.outcome_plants import ModelRelease
from sample_data.parameters import PII_RATES, SimulationParameters
from sample_data.simulate import simulate
from schemas.derived_tables import GROWING, RECEDING
from schemas.errors import InternalError
from schemas.periods import Quarter
from schemas.signing import encode_key, new_private_key, public_key

QUERY = (
    "select intervention, round(rate, 3) as rate, round(rate_ci_low, 3) as low, round(rate_ci_high, 3) as high, "
    "round(estimate) as users, status from intervention_outcomes where outcome_kind = 'user_reply' and outcome = 'engaged' "
    "and intervention <> 'all' and rate is not null and quarter = (select max(quarter) from intervention_outcomes) "
    "order by estimate desc limit 5"
)
EMERGING = {
    "What is new": "select term, round(estimate) as users_at_least, round(ci_low) as low, round(ci_high) as high, audience "
    "from emerging_terms order by estimate desc",
    "What grows or recedes": "select codes, keys, direction, round(ratio, 2) as ratio, round(q_value, 4) as q from emerging_patterns "
    f"where direction in ('{GROWING}', '{RECEDING}') order by q_value, ratio desc limit 5",
    "What followed registered changes": "select change_class, design, outcome, round(effect, 3) as effect, round(ci_low, 3) as low, "
    "round(ci_high, 3) as high, reading from change_effects where effect is not null order by outcome",
}
LAST, CHANGED = "2026Q2", date(2026, 5, 11)
VOLUME_GROWTH = 0.5
WITH_TEXT = 2_000  # conversations: so many that a term can be found, and so few, each of two turns, that scrubbing stays short
PEOPLE = (("operator", "operator"), ("adviser", "clinical"), ("steward", "privacy"))


def run_demo(root: Path, seed: int, users: int, conversations: Path | None) -> dict[str, Any]:
    """Runs the demonstration below `root` and returns public facts. Whatever is done already is not done again."""
    start = time.monotonic()
    pool = Pool(root)
    made = root / "made"
    _simulate(made, seed, users, conversations)
    configure(pool, made)
    send(pool, made)
    if waiting(pool) or pending_parts(pool):
        run_flow(intake, str(root))
    quarters = sorted({submission.quarter for submission in pool.catalogue.accepted()})
    releases = [release_quarter(pool, quarter) for quarter in quarters]
    columns, rows = run_query(pool.releases, QUERY)
    receipts = [submission.receipt for submission in pool.catalogue.accepted()]
    return {
        "releases": releases,
        "records": sum(receipt["records"] for receipt in receipts),
        "quarantined": sum(receipt["quarantined"] for receipt in receipts),
        "years": [_year(pool, year) for year in sorted({quarter.year for quarter in quarters})],
        "query": QUERY,
        "columns": columns,
        "rows": [list(row) for row in rows],
        "emerging": {name: _answered(pool, query) for name, query in EMERGING.items()},
        "seconds": round(time.monotonic() - start, 1),
        "peak_mb": max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024,
    }


def _answered(pool: Pool, query: str) -> dict[str, Any]:
    columns, rows = run_query(pool.releases, query)
    return {"columns": columns, "rows": [list(row) for row in rows]}


def demonstration(seed: int, users: int) -> SimulationParameters:
    """Parameters of the demonstration: three quarters, the last with so many users, and all that is new in that one.

    A term that most users with text write, a decoy, a tactic that grows, and a model release that is registered. In life few
    users share a term and many send text; here few send text, since scrubbing is what takes time.
    """
    first = users / (1 + VOLUME_GROWTH) ** 2
    return SimulationParameters(
        seed=seed,
        first_quarter="2025Q4",
        quarters=3,
        users=max(1, round(first)),
        volume_growth=VOLUME_GROWTH,
        submissions_per_quarter=2,
        company_sizes=(1.0, 1.0, 1.0),
        text_quarters=(LAST,),
        text_share=min(1.0, WITH_TEXT / (2 * users)),
        text_turns=2,
        pii_rates={kind: rate / 5 for kind, rate in PII_RATES.items()},
        terms=(TermPlant(begins=LAST, share=0.95), TermPlant(begins=LAST, companies=("birch",), writers=1, repeats=150)),
        growing=(GrowthPlant(key="tactic", code="rephrase", factor=3, begins=LAST),),
        model_release=ModelRelease(first_day=CHANGED, change=0.0),  # its effect stands in `changes`
        changes=(ChangePlant(change_class="new_model_release", at=CHANGED, effect=-0.14),),
    )


def _simulate(made: Path, seed: int, users: int, conversations: Path | None) -> None:
    if (made / "truth.json").exists():
        return
    working = made.with_name(".made")
    shutil.rmtree(working, ignore_errors=True)
    simulate(working, demonstration(seed, users), conversations, tell)
    working.replace(made)


def configure(pool: Pool, made: Path) -> None:
    """Registers the synthetic companies and their changes, and three people with demonstration keys."""
    config = pool.root / "config"
    config.mkdir(parents=True, exist_ok=True)
    if not (config / "companies.toml").exists():
        shutil.copyfile(made / "companies.toml", config / "companies.toml")
    changes = pool.root / "changes" / CHANGES
    if (made / CHANGES).exists() and not changes.exists():
        changes.parent.mkdir(mode=0o700, exist_ok=True)
        shutil.copyfile(made / CHANGES, changes)
    if (config / "people.toml").exists():
        return
    entries = []
    for person, role in PEOPLE:
        key_file = key_of(pool, person)
        key_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        private_key = new_private_key()
        key_file.touch(mode=0o600)
        key_file.write_text(encode_key(private_key) + "\n", encoding="ascii")
        entries.append(f'[[person]]\nid = "{person}"\nrole = "{role}"\npublic_key = "{encode_key(public_key(private_key))}"\n')
    (config / "people.toml").write_text("\n".join(entries), encoding="utf-8")


def key_of(pool: Pool, person: str) -> Path:
    """Where the demonstration keeps a person's key."""
    return pool.root / "keys" / f"{person}.key"


def send(pool: Pool, made: Path) -> None:
    """Sends simulated submissions through their companies' drops, but what came in earlier."""
    make_local_drops(pool)
    for folder in sorted(path.parent for path in made.glob("*/*/manifest.json")):
        read, _ = read_manifest(folder, pool.door.limits)
        if read is None:
            raise InternalError("A simulated submission has no readable manifest.")
        earlier = pool.catalogue.find(read.manifest.company, read.manifest.submission_id)
        if earlier is None:
            keys = public_keys(pool)
            with drop_of(pool, read.manifest.company) as drop:
                submit(folder, drop, keys["pool_recipient"], pool_key=keys["pool_key"], told=tell)


def release_quarter(pool: Pool, quarter: Quarter) -> dict[str, Any]:
    """Plans, measures, checks, reviews, signs and publishes a quarter, where that is not done; returns public facts."""
    plan = make_plan(pool, quarter, key_of(pool, "operator"))
    if not has_reached(state_of(pool.engine, quarter, plan.version), State.PUBLISHED):
        if not has_reached(state_of(pool.engine, quarter, plan.version), State.CHECKED):
            run_flow(release, str(pool.root), str(quarter), "check")
            if _review(pool, quarter):
                run_flow(release, str(pool.root), str(quarter), "check")
        for person in ("adviser", "steward"):
            approve_release(pool, quarter, key_of(pool, person))
        run_flow(release, str(pool.root), str(quarter), "publish")
    measured = measured_release(pool, quarter)
    statuses = [status for table in measured.cell_tables for status in table.rows.column("status").to_pylist()]
    folder = pool.releases / str(quarter) / f"v{measured.version}"
    return {
        "quarter": str(quarter),
        "version": measured.version,
        "cells": len(statuses),
        "published": sum(status in ("ok", "too_noisy") for status in statuses),
        "epsilon": measured.spend.epsilon,
        "delta": measured.spend.delta,
        "folder": str(folder),
        "skipped": list(json.loads((folder / "MANIFEST.json").read_bytes()).get("skipped", {}).values()),
    }


def _review(pool: Pool, quarter: Quarter) -> int:
    """Decides on the terms that wait, by the demonstration's rule: what was planted is public, all else goes nowhere."""
    terms = release_terms(pool, registered_plan(pool, quarter))
    if not terms.waiting:
        return 0
    planted = {term["text"] for term in json.loads((pool.root / "made" / "truth.json").read_bytes())["terms"]}
    decisions = {each.key: Decision.PUBLIC if each.term in planted else Decision.REJECT for each in terms.waiting}
    return decide_terms(pool, terms, decisions, *person_of(pool, key_of(pool, "adviser")))


def _year(pool: Pool, year: int) -> dict[str, Any]:
    line = pool.ledger.line(year=year)
    return {"year": year, "epsilon": line.epsilon_spent, "delta": line.delta, "rho": str(float(line.rho_spent))}
