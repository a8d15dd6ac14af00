"""Users and their conversations, drawn column by column: one array entry is one user or one record."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from sample_data.draws import Bools, Floats, Ints, name_of, pick, pick_by, stream
from sample_data.parameters import SimulationParameters
from sample_data.rates import SECOND_CODE, shares_of, varies, vary_pairs
from schemas.codes import code_lists
from schemas.periods import Quarter

# Rules of the strata as they stand in every manifest: reason, public words, sampling rate.
STRATA: Mapping[str, tuple[str, str, float]] = {
    "flagged-main": ("flagged", "conversations that the risk classifier flagged", 1.0),
    "comparison": ("comparison_sample", "a random sample of all conversations", 0.01),
    "fp-review": ("false_positive_review", "flagged conversations in which a reviewer saw no risk", 0.25),
    "user-report": ("user_report", "conversations that a user reported", 1.0),
}

_IDEATION_AT_RISK = {
    "none": 0.05, "wish_to_be_dead": 0.30, "active_nonspecific": 0.26, "active_method_no_intent": 0.09,
    "active_intent_no_plan": 0.06, "active_plan_intent": 0.03, "present_level_unknown": 0.21,
}  # fmt: skip
_BEHAVIOR_AT_RISK = {
    "none": 0.81, "preparatory": 0.04, "aborted": 0.01, "interrupted": 0.01, "attempt_disclosed": 0.06, "unknown": 0.07,
}  # fmt: skip
_NSSI_AT_RISK = {"none": 0.80, "urge": 0.06, "recent": 0.05, "historic": 0.04, "present_timing_unknown": 0.02, "unknown": 0.03}
_NSSI_ALONE = {"urge": 0.4, "recent": 0.3, "historic": 0.2, "present_timing_unknown": 0.1}
_NO_LEVEL = {"none": 0.9, "unknown": 0.1}
_IMMINENCE_AT_RISK = {"not_imminent": 0.84, "imminent": 0.07, "in_progress": 0.01, "unknown": 0.08}
_TACTIC_SHARE, _FAILURE_SHARE = 0.18, 0.12
_RECENCY = {"past_3_months": 0.35, "earlier": 0.40, "unknown": 0.25}
_SURFACES = (
    {"general_assistant": 0.8, "voice": 0.1, "api_third_party": 0.1},
    {"companion": 0.6, "embedded_social": 0.4},
    {"general_assistant": 0.5, "wellness_app": 0.4, "voice": 0.1},
)


@cache
def codes(list_name: str) -> tuple[str, ...]:
    """The codes of a list in declared order: what index arrays of the simulation refer to."""
    return tuple(code_lists()[list_name])


@dataclass(frozen=True)
class Users:
    """Users of one quarter. Index arrays refer to the code lists, `language` and `region` to the tuples beside them."""

    company: Ints
    conversations: Ints
    age: Ints
    age_source: Ints
    language: Ints
    region: Ints
    surface: Ints
    arm: Ints  # -1: in no experiment
    languages: tuple[str, ...]
    regions: tuple[str, ...]
    pseudonyms: tuple[str, ...]


@dataclass(frozen=True)
class Records:
    """Records of one quarter, ordered by user. Index arrays refer to the code lists; turns are numbers, 0 where null."""

    user: Ints
    ids: tuple[str, ...]
    second: Ints  # seconds since the start of the quarter
    stratum: Ints
    ideation: Ints
    behavior: Ints
    recency: Ints
    nssi: Ints
    imminence: Ints
    at_risk: Bools
    n_turns: Ints
    first_turn: Ints
    peak_turn: Ints
    tactics: Ints  # (n, 2), -1 where there is none
    speech: Ints  # (n, 2), -1 where there is none
    failures: Ints  # (n, 2), -1 where there is none
    bypassed: Ints
    subject: Ints
    label_source: Ints
    confidence: Ints
    review: Ints
    event_class: Ints
    basis: Ints


def draw_users(p: SimulationParameters, quarter: Quarter) -> Users:
    """Users of a quarter: company by size, skewed number of conversations, age band, language and region."""
    n = p.users_in(quarter)
    edges = np.round(np.cumsum(p.sizes_in(quarter)) * n).astype(np.int64)
    company = np.searchsorted(edges, np.arange(n), side="right").astype(np.int64)
    uniform = stream(p.seed, quarter, "conversations").random(n)
    conversations = np.minimum((1 - uniform) ** (-1 / p.pareto_exponent), p.max_conversations).astype(np.int64)
    who = stream(p.seed, quarter, "person")
    languages = tuple(p.languages)
    language = pick(who, languages, p.languages, n)
    regions = tuple(dict.fromkeys(region for weights in p.regions.values() for region in weights))
    shares = np.array([[p.regions.get(lang, p.regions[""]).get(r, 0.0) for r in regions] for lang in languages])
    region = pick_by(who.random(n), shares[language])
    age = coded(who, p, quarter, "age_band", p.age_bands, company)
    age_source = pick(who, codes("age_source"), {"declared": 0.6, "estimated": 0.3, "verified": 0.1}, n)
    age_source[age == codes("age_band").index("unknown")] = codes("age_source").index("unknown")
    surface_shares = np.array([[_SURFACES[c % 3].get(s, 0.0) for s in codes("surface")] for c in range(p.companies)])
    surface = pick_by(who.random(n), surface_shares[company])
    arm = np.where(who.random(n) < 0.06, (who.random(n) < 0.5).astype(np.int64), -1)
    pseudonyms = tuple("u" + name_of(p.seed, quarter, "user", i) for i in range(n))
    return Users(company, conversations, age, age_source, language, region, surface, arm, languages, regions, pseudonyms)


def _pair(rng: np.random.Generator, list_name: str, share: float, n: int) -> Ints:
    """Up to two different codes of a list for each record: one with probability `share`, a second in a fifth of those."""
    size = len(codes(list_name))
    first = rng.integers(0, size, n)
    second = (first + rng.integers(1, size, n)) % size
    has_first = rng.random(n) < share
    has_second = has_first & (rng.random(n) < SECOND_CODE)
    return np.stack([np.where(has_first, first, -1), np.where(has_second, second, -1)], axis=1)


def coded(
    rng: np.random.Generator, p: SimulationParameters, quarter: Quarter, key: str, weights: Mapping[str, float], company: Ints
) -> Ints:
    """Codes of a key by weight, which may vary by quarter and grow at some companies."""
    if not varies(p, quarter, key):
        return pick(rng, codes(key), weights, len(company))
    return pick_by(rng.random(len(company)), shares_of(p, quarter, key, weights)[company])


def _where(
    at_risk: Bools, rng: np.random.Generator, list_name: str, risky: Mapping[str, float], other: Mapping[str, float]
) -> Ints:
    n = len(at_risk)
    return np.where(at_risk, pick(rng, codes(list_name), risky, n), pick(rng, codes(list_name), other, n))


def draw_records(p: SimulationParameters, quarter: Quarter, users: Users) -> Records:
    """Conversations of a quarter's users: when, how long, which risk, who labelled them."""
    user = np.repeat(np.arange(len(users.company)), users.conversations)
    n = len(user)
    seconds = int((quarter.end - quarter.start).total_seconds())
    second = stream(p.seed, quarter, "moment").integers(0, seconds, n)
    risk = stream(p.seed, quarter, "risk")
    strata = tuple(p.strata)
    stratum = pick(risk, strata, p.strata, n)
    at_risk = risk.random(n) < np.array([p.risk_by_stratum[s] for s in strata])[stratum]
    owner = users.company[user]
    ideation = coded(risk, p, quarter, "ideation", _IDEATION_AT_RISK, owner)
    ideation = np.where(at_risk, ideation, pick(risk, codes("ideation"), _NO_LEVEL, n))
    behavior = coded(risk, p, quarter, "behavior", _BEHAVIOR_AT_RISK, owner)
    behavior = np.where(at_risk, behavior, pick(risk, codes("behavior"), _NO_LEVEL, n))
    nssi = _where(at_risk, risk, "nssi", _NSSI_AT_RISK, _NO_LEVEL)
    alone = at_risk & (ideation == codes("ideation").index("none"))
    nssi = np.where(alone, pick(risk, codes("nssi"), _NSSI_ALONE, n), nssi)
    recency = pick(risk, codes("behavior_recency"), _RECENCY, n)
    recency[behavior == codes("behavior").index("none")] = codes("behavior_recency").index("not_applicable")
    recency[behavior == codes("behavior").index("unknown")] = codes("behavior_recency").index("unknown")
    imminence = _where(at_risk, risk, "imminence", _IMMINENCE_AT_RISK, {"not_imminent": 0.95, "unknown": 0.05})
    n_turns, first, peak = _turns(p, quarter, at_risk)
    labels = stream(p.seed, quarter, "labels")
    tactics = vary_pairs(p, quarter, "tactic", _TACTIC_SHARE, _pair(labels, "tactic", _TACTIC_SHARE, n), owner)
    tried = {"yes": 0.12, "partly": 0.2, "no": 0.58, "unknown": 0.1}
    bypassed = _where(tactics[:, 0] >= 0, labels, "bypassed", tried, {"not_attempted": 1.0})
    speech = np.where(at_risk[:, None], _pair(labels, "speech_form", 0.9, n), -1)
    failures = _pair(labels, "failure_mode", _FAILURE_SHARE, n)
    return Records(
        user=user,
        ids=tuple("r" + name_of(p.seed, quarter, "record", i) for i in range(n)),
        second=second,
        stratum=stratum,
        ideation=ideation,
        behavior=behavior,
        recency=recency,
        nssi=nssi,
        imminence=imminence,
        at_risk=at_risk,
        n_turns=n_turns,
        first_turn=first,
        peak_turn=peak,
        tactics=tactics,
        speech=speech,
        failures=vary_pairs(p, quarter, "failure_mode", _FAILURE_SHARE, failures, owner),
        bypassed=bypassed,
        subject=pick(labels, codes("subject"), {"self": 0.86, "third_party": 0.06, "fictional": 0.04, "unclear": 0.04}, n),
        label_source=pick(
            labels,
            codes("label_source"),
            {
                "classifier": 0.7,
                "classifier_human_confirmed": 0.22,
                "clinician": 0.03,
                "user_report": 0.04,
                "external_report": 0.01,
            },
            n,
        ),
        confidence=pick(labels, codes("confidence"), {"high": 0.45, "medium": 0.35, "low": 0.15, "unknown": 0.05}, n),
        review=pick(
            labels, codes("human_review"), {"none": 0.8, "moderator": 0.15, "clinician": 0.04, "lived_experience_panel": 0.01}, n
        ),
        event_class=_where(
            at_risk,
            labels,
            "event_class",
            {"harm_reported": 0.02, "no_harm_known": 0.72, "near_miss": 0.08, "unsafe_condition": 0.18},
            {"no_harm_known": 1.0},
        ),
        basis=pick(
            labels, codes("sharing_basis"), {"explicit_consent": 0.5, "scientific_research": 0.3, "legal_obligation": 0.2}, n
        ),
    )


def _turns(p: SimulationParameters, quarter: Quarter, at_risk: Bools) -> tuple[Ints, Ints, Ints]:
    """Length of each conversation, and the turns in which risk first showed and was at its peak (0 where there is none)."""
    rng, n = stream(p.seed, quarter, "turns"), len(at_risk)
    length: Floats = p.turns_median * np.exp(p.turns_sigma * rng.standard_normal(n))
    n_turns = np.clip(np.round(length), 2, p.max_turns).astype(np.int64)
    first = 1 + np.floor(n_turns * rng.random(n) ** 2).astype(np.int64)
    peak = first + np.floor((n_turns - first + 1) * rng.random(n) ** 1.5).astype(np.int64)
    return n_turns, np.where(at_risk, first, 0), np.where(at_risk, peak, 0)
