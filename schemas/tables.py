"""The public tables: their columns, documentation and statuses. The release, the data card and the docs are made from here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from schemas.columns import Column
from schemas.derived_tables import COVARIANCE, EFFECTS, OWN_COLUMNS, OWN_KEYS, PATTERNS, TERMS
from schemas.keys import ALL, KEYS
from schemas.plan import Estimand, ReleasePlan

SCHEMA_VERSION = "1.2.0"


class Status(StrEnum):
    """Why a number is there or not: a missing number always says why."""

    OK = "ok"
    TOO_NOISY = "too_noisy"
    TOO_FEW_COMPANIES = "too_few_companies"
    NOT_COLLECTED = "not_collected"
    NOT_COMPARABLE = "not_comparable"


STATUS_MEANING: Mapping[Status, str] = {
    Status.OK: "published",
    Status.TOO_NOISY: "published, but the estimate is small against its noise: draw no conclusion from it alone",
    Status.TOO_FEW_COMPANIES: "withheld: fewer than K companies stand behind it, or one has too large a share (each rule has a stated error rate); "
    "or it would give such a number away as the rest of a published sum",
    Status.NOT_COLLECTED: "fewer than K of the contributing companies collect it",
    Status.NOT_COMPARABLE: "there are too few earlier quarters, or groups, of the same companies to compare with",
}


@dataclass(frozen=True)
class TableSpec:
    """One public table: what a row is and which question it answers.

    A marginal that has one of `rate_keys` has rates over the codes of the first of them, of which `denominator` says what they
    are shares of. `has_curve`: its cells are last depth × ending, and a survival curve follows from them.
    """

    name: str
    title: str
    row: str
    question: str
    event: str
    denominator: str = ""
    rate_keys: tuple[str, ...] = ()
    has_curve: bool = False

    @property
    def of_cells(self) -> bool:
        """Whether its rows are cells of marginals, each with an estimate or a status."""
        return self.name not in OWN_COLUMNS

    @property
    def has_rates(self) -> bool:
        """Whether its rows have rates."""
        return bool(self.rate_keys)

    def rate_key(self, marginal: Iterable[str]) -> str:
        """The key over whose codes the rates of a marginal are shares; empty where it has none."""
        keys = set(marginal)
        return next((key for key in self.rate_keys if key in keys), "")


CHANGES = "change_outcomes"
"""The table that `change_effects` follows from."""

_KNOWN = "users-equivalent of the same row's keys with a known outcome value (neither unknown nor pending)"

TABLES: Mapping[str, TableSpec] = {
    spec.name: spec
    for spec in (
        TableSpec(
            "risk_profile",
            "Risk profile of submitted conversations",
            "one cell of a listed marginal; each user counts once, with the most severe record of the quarter",
            "Of what kind is the risk in submitted conversations, and for whom? Not prevalence: only submitted conversations are counted.",
            "the most severe record of a user (by ideation, behaviour, imminence), one a user",
        ),
        TableSpec(
            "intervention_outcomes",
            "Outcomes seen after interventions",
            "one outcome value after an intervention, in one marginal",
            "What was seen after which intervention, and for whom? An association, not an effect.",
            "one outcome of an intervention, of one kind and window; a user's events share that user's weight of one",
            _KNOWN,
            ("outcome",),
        ),
        TableSpec(
            "depth_of_conversation",
            "Outcomes by depth of the conversation",
            "one outcome value after interventions at a depth of the conversation",
            "At what depth of a conversation do safeguards fade? Who reaches a late turn differs from who does not.",
            "one outcome of an intervention; a user's events within one depth band share a weight of one, so a user may count once in each band",
            _KNOWN,
            ("outcome",),
        ),
        TableSpec(
            "depth_survival",
            "How far into a conversation an outcome is not seen",
            "one depth at which following a conversation ended, and how; a survival curve stands in the rows of ending `ended`",
            "Up to which depth of a conversation is the outcome not seen yet, and for whom? Who talks on differs from who does not.",
            "one conversation a user, chosen by a keyed hash among those with an outcome of this kind and window; followed from its start to "
            "the first intervention after which an outcome is seen that ends it (see the plan), or whose outcome is not known, or to its last turn",
            has_curve=True,
        ),
        TableSpec(
            "evasion",
            "Rephrasing around safeguards",
            "one tactic of rephrasing, in one marginal",
            "Which rephrasings get around safeguards? Of submitted conversations in which one was labelled, not of all that were tried.",
            "one tactic of a conversation; a user's tactics share that user's weight of one. `intervention` is the conversation's first "
            "(`no_intervention` where it has none), `depth_band` the turn of that one (of the last turn where it has none)",
            "users-equivalent of the same row's keys of which it is known whether a safeguard was got around",
            ("bypassed",),
        ),
        TableSpec(
            "failure_modes",
            "Failures seen in conversations",
            "one failure mode, in one marginal",
            "What goes wrong, and where? As labelled by those who submit.",
            "one failure of a conversation, or the conversation itself where none was seen; a user's events share that user's weight of one",
            "users-equivalent of the same row's keys, conversations without a failure among them",
            ("failure_mode",),
        ),
        TableSpec(
            "referral_funnel",
            "How far referrals get",
            "one stage that a referral is known to have reached, in one marginal",
            "Does pointing to help reach a person, and how did risk move? An association, not an effect.",
            "one intervention that points to help elsewhere, at the furthest stage known in any window, with the outcome of its kind and window; "
            "a user's referrals share that user's weight of one",
            "users-equivalent of the same row's keys of which the outcome (where it is a key, else the stage) is known",
            ("outcome", "stage"),
        ),
        TableSpec(
            CHANGES,
            "Outcomes around registered changes",
            "one outcome value after an intervention, before or after a registered change of a model or a product",
            "What was seen before and after changes of one class, and where nothing changed? `change_effects` compares them.",
            "one outcome of an intervention, once for each registered change that its company, or its time, is compared for; a user's "
            "events share that user's weight of one",
            _KNOWN,
            ("outcome",),
        ),
        TableSpec(
            EFFECTS,
            "What followed registered changes",
            "one class of changes, one way of comparing, one outcome value",
            "Did a change help or harm? Only where arms were assigned by chance is a difference an effect.",
            "as in `change_outcomes`, from which it follows without further budget",
        ),
        TableSpec(
            PATTERNS,
            "What grows and what recedes",
            "one cell of a table, compared with the same cell in earlier quarters of the same companies",
            "Which cells hold a larger or a smaller share than before? A test over all of them, with the rate of false discoveries that "
            "the plan registered.",
            "as in the table that the cell stands in, from which it follows without further budget",
        ),
        TableSpec(
            TERMS,
            "New words and phrasings",
            "one term that users of at least K companies wrote, new in this quarter or found in an earlier one",
            "Which words are new? Found under the same ε, and shown once a reviewer has seen each.",
            "one term of a user in a quarter; a user's terms share that user's weight",
        ),
        TableSpec(
            COVARIANCE,
            "Noise of cells that are added or compared",
            "one set of keys of one measure: the variance of the noise in what the sums over these keys tell beyond those over fewer keys",
            "With which noise do cells of one measure add up, and differ?",
            "none: a property of the mechanism, not of data",
        ),
    )
}

_VALUES = (
    Column("estimate", "float", "unbiased noisy estimate; may be negative; null only where status says why", "users-equivalent"),
    Column(
        "estimate_nonneg",
        "float",
        "the estimate, negative values shown as 0; for display only, it has no interval",
        "users-equivalent",
    ),
    Column("noise_stddev", "float", "standard deviation of the privacy noise in `estimate`", "users-equivalent"),
    Column(
        "sampling_factor",
        "float",
        "sampling variance of `estimate`, divided by its mean: Σw² / Σw over all users of the marginal, at most 1. Of a cell whose users have fewer events than the marginal's, the variance is larger, and its intervals are too narrow",
    ),
    Column("ci_low", "float", "lower end of the 95 % interval of `estimate`, noise and sampling", "users-equivalent"),
    Column("ci_high", "float", "upper end of the 95 % interval of `estimate`, noise and sampling", "users-equivalent"),
)
_RATES = (
    Column(
        "rate",
        "float",
        "estimate divided by its denominator; null where the code says that nothing is known, and where the denominator is too noisy",
        "share",
    ),
    Column("rate_ci_low", "float", "lower end of the 95 % interval of `rate`, noise and sampling (Fieller)", "share"),
    Column("rate_ci_high", "float", "upper end of the 95 % interval of `rate`, noise and sampling (Fieller)", "share"),
    Column(
        "unknown_share", "float", "share of what is not known (as unknown, pending) among all values of the row's keys", "share"
    ),
    Column("denominator", "string", "what `rate` is a share of"),
)
_CURVE = (
    Column(
        "hazard",
        "float",
        "share, of conversations followed to this depth, of which following ended here with the outcome seen; in rows of ending `ended`",
        "share",
    ),
    Column("hazard_ci_low", "float", "lower end of the 95 % interval of `hazard`, noise and sampling", "share"),
    Column("hazard_ci_high", "float", "upper end of the 95 % interval of `hazard`, noise and sampling", "share"),
    Column(
        "surviving",
        "float",
        "share of conversations in which the outcome would not be seen up to the end of this depth (Kaplan and Meier 1958)",
        "share",
    ),
    Column("surviving_ci_low", "float", "lower end of the 95 % interval of `surviving`, noise and sampling", "share"),
    Column("surviving_ci_high", "float", "upper end of the 95 % interval of `surviving`, noise and sampling", "share"),
)
_STATUS = Column("status", "string", "; ".join(f"`{s}`: {STATUS_MEANING[s]}" for s in Status))


def key_columns(table: str, plan: ReleasePlan) -> tuple[str, ...]:
    """Key columns of a table under a plan: outcome kind and window where it has outcomes, then its keys in declared order."""
    if table in OWN_KEYS:
        return OWN_KEYS[table]
    measures = [m for m in plan.measures if m.table == table]
    used = {key for m in measures for marginal in m.marginals for key in marginal}
    outcome = ("outcome_kind", "window") if any(m.outcome_kind for m in measures) else ()
    return (*outcome, *(key for key in KEYS if key in used))


def columns(table: str, plan: ReleasePlan) -> tuple[Column, ...]:
    """All columns of a table under a plan, in order."""
    quarter = Column("quarter", "string", "calendar quarter, UTC")
    if table in OWN_COLUMNS:
        return (quarter, *OWN_COLUMNS[table], *(() if table == COVARIANCE else (_STATUS,)))
    spec = TABLES[table]
    fixed = {
        "outcome_kind": Column("outcome_kind", "string", "kind of outcome"),
        "window": Column("window", "string", "window after the intervention in which the outcome was looked for"),
    }
    keys = tuple(
        fixed.get(name) or Column(name, "string", f"{KEYS[name].description}; `{ALL}` where summed over")
        for name in key_columns(table, plan)
    )
    return (quarter, *keys, *_VALUES, *(_RATES if spec.has_rates else ()), *(_CURVE if spec.has_curve else ()), _STATUS)


def shares_of(table: str) -> tuple[str, ...]:
    """Columns of a table that are shares with an interval: each has its ends in `<name>_ci_low` and `<name>_ci_high`."""
    spec = TABLES[table]
    return (*(("rate",) if spec.has_rates else ()), *(("hazard", "surviving") if spec.has_curve else ()))


ESTIMAND_MEANING: Mapping[Estimand, str] = {
    Estimand.MOST_SEVERE_RECORD: "number of users, each counted once with the most severe record",
    Estimand.ONE_RECORD: "number of users, each counted once with one conversation, chosen by a keyed hash",
    Estimand.SHARE_OF_USER: "users-equivalent: the events of one user share a total weight of one",
    Estimand.SHARE_OF_USER_AND_DEPTH: "users-equivalent within each depth band: the events of one user in one band share a weight of one",
}
