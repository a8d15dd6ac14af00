"""Interventions in each conversation, and what follows them, with the probability of every value that could have followed."""

from dataclasses import dataclass

import numpy as np

from sample_data.draws import Bools, Floats, Ints, pick, pick_by, stream
from sample_data.outcome_plants import MAX_CHANCE, MIN_CHANCE, OutcomePlant
from sample_data.parameters import SimulationParameters
from sample_data.population import Records, Users, coded, codes
from sample_data.product_changes import changed, seconds_until
from schemas.keys import DEPTH_BANDS
from schemas.periods import Quarter

BAND_STARTS = np.array([start for _, start in DEPTH_BANDS])
_LAYERS = {
    "crisis_resource_referral": "product_ui", "break_nudge": "product_ui", "ai_disclosure": "product_ui",
    "content_refusal": "policy", "model_reroute": "policy", "conversation_paused": "policy", "conversation_ended": "policy",
    "account_action": "policy", "warm_handoff": "human", "trusted_contact_notified": "human", "parent_notified": "human",
}  # fmt: skip


@dataclass(frozen=True)
class Interventions:
    """Interventions of one quarter, ordered by record and turn. `record` is the index of the record."""

    record: Ints
    turn: Ints
    type: Ints
    layer: Ints
    ideation_at: Ints
    imminence_at: Ints
    earlier: Ints  # interventions before it in the same conversation


@dataclass(frozen=True)
class OutcomeBlock:
    """All outcomes of one plant: `probabilities[i]` is the vector over `plant.values` from which `value[i]` was drawn."""

    plant: OutcomePlant
    intervention: Ints
    value: Ints
    basis: Ints
    probabilities: Floats


def depth_band(turn: Ints) -> Ints:
    """Index of the depth band of a turn."""
    return np.searchsorted(BAND_STARTS, turn, side="right").astype(np.int64) - 1


def draw_interventions(p: SimulationParameters, quarter: Quarter, users: Users, records: Records) -> Interventions:
    """Interventions at growing turns: none where there is no risk, `no_intervention` alone where nothing was done."""
    rng, n = stream(p.seed, quarter, "interventions"), len(records.user)
    nothing = records.at_risk & (rng.random(n) < p.no_intervention_share)
    mean = p.further_interventions + records.n_turns / p.turns_per_intervention
    count = np.where(records.at_risk, np.where(nothing, 1, 1 + np.minimum(rng.poisson(mean), 9)), 0)
    record = np.repeat(np.arange(n), count)
    turn = _turns(rng, records, record, nothing)
    order = np.lexsort((turn, record))
    record, turn = record[order], turn[order]
    start = np.concatenate([[0], np.cumsum(count)[:-1]])
    earlier = np.arange(len(record)) - start[record]
    drawn = coded(rng, p, quarter, "intervention", p.interventions, users.company[records.user[record]])
    kind = _types(drawn, users, records, record, nothing, last=earlier == count[record] - 1)
    usual = np.array([codes("layer").index(_LAYERS.get(t, "model")) for t in codes("intervention")])[kind]
    layer = np.where(rng.random(len(kind)) < 0.15, codes("layer").index("model"), usual)
    ideation, imminence = _levels_before(rng, records, record, turn, nothing)
    return Interventions(record, turn, kind, layer, ideation, imminence, earlier)


def _turns(rng: np.random.Generator, records: Records, record: Ints, nothing: Bools) -> Ints:
    first, length = records.first_turn[record], records.n_turns[record]
    turn = first + np.floor((length - first + 1) * rng.random(len(record))).astype(np.int64)
    turn = np.where((turn % 2 == 1) & (turn < length), turn + 1, turn)  # the assistant's turns are the even ones
    return np.where(nothing[record], records.peak_turn[record], turn)


def _types(kind: Ints, users: Users, records: Records, record: Ints, nothing: Bools, last: Bools) -> Ints:
    """Types as drawn, but for those that cannot be where they were drawn."""
    names = codes("intervention")
    minors = np.isin(users.age[records.user[record]], [codes("age_band").index(a) for a in ("under_13", "13_15", "16_17")])
    kind = np.where((kind == names.index("parent_notified")) & ~minors, names.index("trusted_contact_notified"), kind)
    # Nothing follows the end of a conversation.
    kind = np.where((kind == names.index("conversation_ended")) & ~last, names.index("conversation_paused"), kind)
    return np.where(nothing[record], names.index("no_intervention"), kind)


def _levels_before(rng: np.random.Generator, records: Records, record: Ints, turn: Ints, nothing: Bools) -> tuple[Ints, Ints]:
    """Levels just before an intervention: the peak from its turn on, often less before it."""
    ideation, imminence = records.ideation[record], records.imminence[record]
    before_peak = (turn < records.peak_turn[record]) & ~nothing[record]
    lower = before_peak & (rng.random(len(record)) < 0.6)
    wish, none = codes("ideation").index("wish_to_be_dead"), codes("ideation").index("none")
    milder = np.where((ideation > wish) & (rng.random(len(record)) < 0.6), wish, none)
    calm = codes("imminence").index("not_imminent")
    return np.where(lower, milder, ideation), np.where(lower, calm, imminence)


def released(p: SimulationParameters, quarter: Quarter, users: Users, records: Records) -> Bools:
    """Which records are answered by the model after the release."""
    if p.model_release is None:
        return np.zeros(len(records.user), dtype=np.bool_)
    release = p.model_release
    names = release.companies or p.company_ids
    takes_part = np.array([company in names for company in p.company_ids])
    return takes_part[users.company[records.user]] & (records.second >= seconds_until(quarter, release.first_day))


def draw_outcomes(
    p: SimulationParameters, quarter: Quarter, users: Users, records: Records, interventions: Interventions
) -> tuple[OutcomeBlock, ...]:
    """One block for each planted outcome."""
    after_release = released(p, quarter, users, records)[interventions.record]
    return tuple(_block(p, quarter, users, records, interventions, after_release, plant) for plant in p.outcomes)


def _block(
    p: SimulationParameters,
    quarter: Quarter,
    users: Users,
    records: Records,
    interventions: Interventions,
    after_release: Bools,
    plant: OutcomePlant,
) -> OutcomeBlock:
    rng, names = stream(p.seed, quarter, "outcome", plant.kind, plant.window), codes("intervention")
    n = len(interventions.record)
    seen = rng.random(n) < plant.presence
    if plant.after:
        seen &= np.isin(interventions.type, [names.index(t) for t in plant.after])
    owner = users.company[records.user[interventions.record]]
    silent = [i for i, company in enumerate(p.company_ids) if plant.kind in p.not_collected.get(company, ())]
    seen &= ~np.isin(owner, silent)
    chosen = np.flatnonzero(seen)
    record = interventions.record[chosen]
    kind = interventions.type[chosen]
    chance = np.array([plant.chance.get(t, plant.otherwise) for t in names])[kind]
    chance = chance - plant.fading * depth_band(interventions.turn[chosen])
    chance = chance + np.array([plant.by_age.get(a, 0.0) for a in codes("age_band")])[users.age[records.user[record]]]
    if p.model_release is not None and p.model_release.kind == plant.kind:
        hit = after_release[chosen] & (kind == names.index(p.model_release.intervention))
        chance = chance + np.where(hit, p.model_release.change, 0.0)
    for change in p.changes:
        if change.kind == plant.kind:
            hit = changed(p, quarter, users, records, change)[record]
            hit &= np.isin(kind, [i for i, name in enumerate(names) if change.intervention in ("", name)])
            chance = chance + np.where(hit, change.effect, 0.0)
    probabilities = _vectors(plant, np.clip(chance, MIN_CHANCE, MAX_CHANCE))
    uniform = _uniform(p, quarter, rng, plant, len(users.company), records.user[record])
    value = pick_by(uniform, probabilities)
    basis = pick(rng, codes("basis"), {"observed": 0.7, "inferred": 0.25, "user_reported": 0.05}, len(chosen))
    return OutcomeBlock(plant, chosen, value, basis, probabilities)


def _uniform(
    p: SimulationParameters, quarter: Quarter, rng: np.random.Generator, plant: OutcomePlant, users: int, user: Ints
) -> Floats:
    """One uniform number for each outcome; some share that of their user, which leaves each one's distribution as it is."""
    own = rng.random(len(user))
    if not p.user_correlation:
        return own
    shared = stream(p.seed, quarter, "disposition", plant.kind, plant.window)
    together = shared.random(len(user)) < p.user_correlation
    return np.where(together, shared.random(users)[user], own)


def _vectors(plant: OutcomePlant, chance: Floats) -> Floats:
    """Probability vectors over `plant.values`, one row each; rows add up to 1."""
    known = 1 - plant.unknown - plant.pending
    columns = {"unknown": np.full(len(chance), plant.unknown), "pending": np.full(len(chance), plant.pending)}
    columns[plant.leading] = known * chance
    whole = sum(plant.rest.values())
    for value, share in plant.rest.items():
        columns[value] = known * (1 - chance) * share / whole
    return np.stack([columns[value] for value in plant.values], axis=1)
