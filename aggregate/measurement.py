"""The measurement: plan in, noisy tables out, charged once."""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

from aggregate.answer import Answer
from aggregate.bounding import MeasurementSettings, bounded_tables
from aggregate.comparing import changes_commitment, compared_of, groups_of
from aggregate.effects import change_effects
from aggregate.ledger import Ledger
from aggregate.patterns import emerging_patterns, panels_of
from aggregate.tabulation import tabulate
from aggregate.terms.collecting import user_terms
from schemas.errors import BudgetRefusedError
from schemas.periods import Quarter
from schemas.plan import RegisteredPlan
from schemas.stages import MeasuredRelease, NoisyTable, ScrubbedRecords, Spend
from schemas.tables import CHANGES


def commitment(secret: bytes, quarter: Quarter) -> str:
    """Public commitment to the sampling secret of a quarter; it reveals nothing of the secret."""
    return hashlib.sha256(b"sampling commitment\x00" + str(quarter).encode() + b"\x00" + secret).hexdigest()


def panel_of(secret: bytes, companies: Iterable[str]) -> str:
    """Salted digest of a set of companies: equal for equal sets, and it names nobody to who does not hold the secret."""
    named = "\x00".join(sorted(companies)).encode()
    return hmac.new(secret, b"panel\x00" + named, hashlib.sha256).hexdigest()


def earlier(plan: RegisteredPlan, ledger: Ledger) -> list[tuple[RegisteredPlan, Answer]]:
    """The plans of earlier quarters that a plan goes on from, newest first, each with what was drawn for it.

    Raises BudgetRefusedError where one is not in the ledger as it was written, or has no answer.
    """
    found = []
    for name in plan.history:
        stored = ledger.stored_answer(name)
        if stored is None:
            raise BudgetRefusedError("A plan goes on from a quarter that was not measured.", "Register a superseding version.")
        found.append((ledger.plan_by_hash(name), Answer.from_bytes(stored)))
    return found


def known_terms(plan: RegisteredPlan, before: Iterable[tuple[RegisteredPlan, Answer]]) -> dict[str, set[str]]:
    """By search, the terms that were found in earlier quarters: they are followed, and not found again."""
    found: dict[str, set[str]] = {search.name: set() for search in plan.searched()}
    for _, answer in before:
        told = [(one.search, one.words) for one in answer.rounds] + [(one.search, one.words) for one in answer.tracked]
        for search, words in told:
            found.setdefault(search, set()).update(words)
    return found


def measure(
    plan: RegisteredPlan,
    records: ScrubbedRecords,
    ledger: Ledger,
    secret: bytes,
    scratch: Path,
    settings: MeasurementSettings | None = None,
) -> MeasuredRelease:
    """Answers a registered plan from scrubbed records, or gives the stored answer where it was answered before.

    Budget is charged before noise is drawn; bounding, checks and exact sums come before the charge, so that what can
    fail fails for free. Raises BudgetRefusedError (see `Ledger.answer_once`), or where fewer than K companies contribute.
    """
    if commitment(secret, Quarter.parse(plan.quarter)) != plan.secret_commitment:
        raise BudgetRefusedError("The sampling secret is not the one that the plan committed to.")
    stored = ledger.stored_answer(plan.hash)
    if stored is None:
        stored = _draw(plan, records, ledger, secret, scratch, settings or MeasurementSettings())
    return _measured(plan, Answer.from_bytes(stored), ledger)


def answered(plan: RegisteredPlan, ledger: Ledger) -> MeasuredRelease | None:
    """The measured release of a plan from its stored answer, or None where it has not been measured. Reads no data."""
    stored = ledger.stored_answer(plan.hash)
    return None if stored is None else _measured(plan, Answer.from_bytes(stored), ledger)


def _draw(
    plan: RegisteredPlan,
    records: ScrubbedRecords,
    ledger: Ledger,
    secret: bytes,
    scratch: Path,
    settings: MeasurementSettings,
) -> bytes:
    from aggregate.mechanisms.draw import Panel, prepare  # OpenDP is loaded only where noise is drawn
    from aggregate.mechanisms.terms import prepare_search

    if records.quarter != Quarter.parse(plan.quarter) or len(records.companies) != plan.contributors:
        raise BudgetRefusedError(
            "The records are not of the quarter or the number of companies that the plan was registered for.",
            "A company has withdrawn since: register a superseding version.",
        )
    _refuse_another_panel(plan, records, ledger, secret)
    _refuse_other_changes(plan, records, secret)
    if not plan.measured():
        raise BudgetRefusedError("Fewer companies contribute than the company rule asks for: nothing is measured or spent.")
    companies: Sequence[str] = records.companies
    before = earlier(plan, ledger)
    known = known_terms(plan, before)
    panel = Panel(frozenset(companies) - set(records.newcomers), panels_of(plan, [other for other, _ in before]))
    with (
        bounded_tables(records, plan, secret, scratch, settings) as tables,
        user_terms(records, plan, known, secret, scratch, settings) as terms,
    ):
        prepared = prepare(tables, plan, companies, [prepare_search(one, plan) for one in terms], panel)
        return ledger.answer_once(plan, lambda: prepared.draw().to_bytes())


def _refuse_another_panel(plan: RegisteredPlan, records: ScrubbedRecords, ledger: Ledger, secret: bytes) -> None:
    """What is told of growth rests on which companies are the same as before: as many as before must not be others."""
    new, own = set(records.newcomers), set(records.companies)
    before = ledger.plan_by_hash(plan.history[0]) if plan.history else None
    fits = new <= own and len(new) == plan.newcomers and (before is not None or not new)
    if plan.panel:
        fits = fits and panel_of(secret, own) == plan.panel
    if before is not None and before.panel and plan.panel and plan.contributors - plan.newcomers == before.contributors:
        fits = fits and panel_of(secret, own - new) == before.panel
    if not fits:
        raise BudgetRefusedError(
            "The records are not of the companies that the plan was registered for.", "Register a superseding version."
        )


def _refuse_other_changes(plan: RegisteredPlan, records: ScrubbedRecords, secret: bytes) -> None:
    """What is compared is fixed before the data are read: the registry must be as it was then."""
    found = groups_of(compared_of(plan, records.changes, records.companies))
    if (plan.changes or plan.compared) and (
        found != plan.compared or plan.changes != changes_commitment(records.changes, Quarter.parse(plan.quarter), secret)
    ):
        raise BudgetRefusedError(
            "The registered changes are not those that the plan committed to.",
            "Put changes.toml back as it was, or register a superseding version.",
        )


@lru_cache(maxsize=32)
def _tables(plan: str, answer: Answer) -> tuple[NoisyTable, ...]:
    """Tables follow from a plan (as JSON) and its answer alone, and a release asks for those of its history: made once."""
    return tabulate(answer, RegisteredPlan.model_validate_json(plan))


def _measured(plan: RegisteredPlan, answer: Answer, ledger: Ledger) -> MeasuredRelease:
    quarter = Quarter.parse(plan.quarter)
    year = ledger.line(year=quarter.year)
    own = [e for e in ledger.entries() if e["plan"] == plan.hash]
    delta = plan.privacy.budget.delta  # the plan's own: the pool's may have been set anew since
    spend = Spend(
        rho=plan.rho,
        epsilon=ledger.epsilon(Fraction(plan.rho), Fraction(plan.threshold_delta), delta),
        delta=float(delta),
        year=quarter.year,
        year_rho=str(year.rho_spent),
        year_epsilon=year.epsilon_spent,
        year_delta=year.delta,
        entries=tuple(e["hash"] for e in own),
    )
    tables = _tables(plan.model_dump_json(by_alias=True), answer)
    if any(table.name == CHANGES for table in tables):
        tables = (*tables, change_effects(tables, plan))
    if tables and plan.release_plan.patterns is not None:
        before = [(other, _tables(other.model_dump_json(by_alias=True), told)) for other, told in earlier(plan, ledger)]
        tables = (*tables, emerging_patterns(plan, tables, before, answer.panels))
    return MeasuredRelease(quarter, plan.version, plan, tables, spend)
