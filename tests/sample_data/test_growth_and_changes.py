"""What grows, what varies by chance and what a change does: checked on counts and on the probabilities of outcomes."""

import tomllib
from datetime import date
from pathlib import Path

import numpy as np
import orjson
import pytest
from pydantic import ValidationError
from record_rules import broken_rules

from sample_data.columnar import pool_table
from sample_data.emerging_plants import ChangePlant, GrowthPlant, TermPlant
from sample_data.generate import SimulatedPool, SimulatedQuarter, generate, generate_quarter
from sample_data.outcome_plants import MIN_CHANCE
from sample_data.parameters import SimulationParameters
from sample_data.population import codes
from sample_data.product_changes import changed, registered, registry_text
from sample_data.rates import chance_factors
from sample_data.simulate import simulate
from schemas.codes import code_lists
from schemas.emerging import ProductChange
from schemas.periods import Quarter

BASE = SimulationParameters(seed=31, users=12_000, quarters=2, model_release=None)
CLASS = next(iter(code_lists().get("change_class", {"new_model_release": ""})))
GROWING = {"tactic": 3.0, "failure_mode": 0.25, "ideation": 2.0, "intervention": 1.5, "age_band": 2.0}


def _growth(key: str, **wanted: object) -> GrowthPlant:
    code = {"age_band": "16_17", "intervention": "coping_skill", "ideation": "active_nonspecific"}.get(key, codes(key)[1])
    return GrowthPlant.model_validate({"key": key, "code": code, "factor": GROWING[key], "begins": "2026Q2", **wanted})


def _counts(simulated: SimulatedQuarter, key: str, company: int | None = None) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """How often each code of a key occurs."""
    c = simulated.columns
    users = c.users.company if key == "age_band" else c.users.company[c.records.user]
    found = {"age_band": c.users.age, "tactic": c.records.tactics, "failure_mode": c.records.failures}.get(
        key, c.records.ideation
    )
    if key == "intervention":
        found, users = c.interventions.type, users[c.interventions.record]
    elif key == "ideation":
        found, users = found[c.records.at_risk], users[c.records.at_risk]
    here = found if company is None else found[users == company]
    return np.bincount(here[here >= 0].ravel(), minlength=len(codes(key)))


@pytest.fixture(scope="module")
def plain() -> SimulatedPool:
    return generate(BASE)


@pytest.fixture(scope="module")
def grown() -> SimulatedPool:
    return generate(BASE.model_copy(update={"growing": tuple(_growth(key) for key in GROWING)}))


@pytest.mark.parametrize("key", sorted(GROWING))
def test_a_code_grows_by_its_factor_from_its_quarter_on(plain: SimulatedPool, grown: SimulatedPool, key: str) -> None:
    plant = _growth(key)
    np.testing.assert_array_equal(_counts(grown.quarters[0], key), _counts(plain.quarters[0], key))
    before, after = _counts(plain.quarters[1], key), _counts(grown.quarters[1], key)
    at = codes(key).index(plant.code)
    deviation = 4 * np.sqrt(after[at] + plant.factor**2 * before[at])
    assert abs(after[at] - plant.factor * before[at]) < deviation < abs(after[at] - before[at])
    others = np.delete(np.arange(len(before)), at)
    if key in ("tactic", "failure_mode"):  # of these a record may have none: the others keep their rates
        assert (np.abs(after - before)[others] <= 5 * np.sqrt(before + after)[others] + 5).all()
    else:
        usual, kept = before[others] / before[others].sum(), after[others] / after[others].sum()
        np.testing.assert_allclose(kept, usual, atol=0.02)


def test_a_code_grows_at_the_companies_that_are_named_alone(before: SimulatedQuarter) -> None:
    plant = _growth("tactic", companies=("birch",))
    grown = generate_quarter(BASE.model_copy(update={"growing": (plant,)}), before.quarter)
    at = codes("tactic").index(plant.code)
    for company in (0, 2):
        np.testing.assert_array_equal(_counts(grown, "tactic", company), _counts(before, "tactic", company))
    assert _counts(grown, "tactic", 1)[at] > 2 * _counts(before, "tactic", 1)[at]


def test_rates_vary_by_the_given_coefficient() -> None:
    parameters = BASE.model_copy(update={"overdispersion": 0.3, "quarters": 16})
    drawn = np.concatenate([chance_factors(parameters, q, key) for q in parameters.quarter_list for key in GROWING])
    assert drawn.mean() == pytest.approx(1, abs=0.03)
    assert drawn.std() == pytest.approx(0.3, abs=0.03)
    assert (chance_factors(BASE, Quarter(2026, 1), "tactic") == 1).all()


def test_counts_follow_the_factors_that_the_truth_tells(tmp_path: Path) -> None:
    parameters = BASE.model_copy(update={"overdispersion": 0.6, "users": 3_000, "quarters": 1, "malformed_share": 0.0})
    simulate(tmp_path / "out", parameters)
    told = orjson.loads((tmp_path / "out/truth.json").read_bytes())["chance_factors"]["2026Q1"]
    varied, plain = generate(parameters).quarters[0], generate(parameters.model_copy(update={"overdispersion": 0.0})).quarters[0]
    for key in ("tactic", "failure_mode"):
        factors = np.array([told[key][code] for code in codes(key)])
        after, before = _counts(varied, key), _counts(plain, key)
        assert (np.abs(after - factors * before) <= 4 * np.sqrt(after + factors**2 * before) + 4).all()
        assert (np.abs(after - before) > 4 * np.sqrt(after + before)).any()


WHOLE = ChangePlant(change_class=CLASS, at=date(2026, 5, 1), companies=("alder", "birch"), effect=-0.14)
STAGED = ChangePlant(change_class=CLASS, at=date(2026, 4, 11), settled=date(2026, 6, 10), kind="risk_trajectory", effect=0.1)
TRIAL = ChangePlant(
    change_class=CLASS, at=date(2026, 5, 1), settled=date(2026, 6, 1), companies=("cedar",), experiment="hold-3", arm_share=0.25
)
CHANGED = BASE.model_copy(update={"changes": (WHOLE, STAGED, TRIAL)})


@pytest.fixture(scope="module")
def after() -> SimulatedQuarter:
    return generate_quarter(CHANGED, Quarter(2026, 2))


@pytest.fixture(scope="module")
def before(plain: SimulatedPool) -> SimulatedQuarter:
    return plain.quarters[1]


@pytest.mark.parametrize("change", CHANGED.changes, ids=["whole", "staged", "trial"])
def test_a_change_moves_its_outcome_by_its_effect_and_nothing_else(
    before: SimulatedQuarter, after: SimulatedQuarter, change: ChangePlant
) -> None:
    c = after.columns
    for one, two in zip(before.columns.outcomes, c.outcomes, strict=True):
        known = 1 - one.plant.unknown - one.plant.pending
        lead = one.plant.values.index(one.plant.leading)
        moved = (two.probabilities[:, lead] - one.probabilities[:, lead]) / known
        record = c.interventions.record[two.intervention]
        theirs = CHANGED.companies_of(change)[c.users.company[c.records.user[record]]]
        hit = changed(CHANGED, after.quarter, c.users, c.records, change)[record] & theirs
        if one.plant.kind != change.kind:
            assert not moved.any() or one.plant.kind in {other.kind for other in CHANGED.changes}
            continue
        assert not moved[theirs & ~hit].any()
        clipped = one.probabilities[:, lead] / known < MIN_CHANCE - change.effect + 1e-9
        clipped |= one.probabilities[:, lead] / known > 0.97 - change.effect - 1e-9
        np.testing.assert_allclose(moved[hit & ~clipped], change.effect, atol=1e-12)
        assert (hit & ~clipped).sum() > 100


def test_only_those_whom_a_change_has_reached_have_it(after: SimulatedQuarter) -> None:
    c = after.columns
    day = c.records.second // 86_400 + 1  # the first of April is day 1
    owner = c.users.company[c.records.user]
    whole, staged, trial = (changed(CHANGED, after.quarter, c.users, c.records, change) for change in CHANGED.changes)
    np.testing.assert_array_equal(whole, (owner < 2) & (day > 30))
    assert not staged[day < 11].any() and staged[day > 70].all()
    for first in (21, 41, 61):
        here = (day >= first) & (day < first + 5)
        assert staged[here].mean() == pytest.approx((first + 2.5 - 11) / 60, abs=0.05)
    during = (owner == 2) & (day > 30) & (day < 62)
    assert not trial[~during].any() and trial[during].mean() == pytest.approx(0.25, abs=0.05)


def test_arms_stand_in_the_records_of_their_users(after: SimulatedQuarter) -> None:
    start, end = after.quarter.start, after.quarter.end
    arms: dict[str, set[str]] = {}
    c = after.columns
    has_it = changed(CHANGED, after.quarter, c.users, c.records, TRIAL)
    for index, valid in zip(c.valid.tolist(), after.records(), strict=True):
        record, experiment = valid.record, valid.record["deployment"]["experiment"]
        on_trial = valid.company == "cedar" and "2026-05-01" <= record["started_at"] < "2026-06-01"
        assert (experiment is not None and experiment["id"] == "hold-3") == on_trial
        if on_trial:
            assert experiment == {"id": "hold-3", "arm": "new" if has_it[index] else "old", "assigned": "randomised_user"}
            arms.setdefault(record["user_pseudonym"], set()).add(experiment["arm"])
            assert broken_rules(record, set(CHANGED.strata), start, end) == set()
    assert len(arms) > 500 and all(len(found) == 1 for found in arms.values())


def test_the_arrow_table_names_the_same_arms() -> None:
    simulated = generate(CHANGED.model_copy(update={"users": 900})).quarters[1]
    rows = pool_table(simulated).column("deployment").to_pylist()
    assert rows == [valid.record["deployment"] for valid in simulated.records()]
    assert {row["experiment"]["id"] for row in rows if row["experiment"]} == {"hold-3", "tone-1"}


def test_the_registry_holds_an_entry_for_each_company(tmp_path: Path) -> None:
    parameters = CHANGED.model_copy(update={"users": 60, "quarters": 1})
    simulate(tmp_path / "out", parameters)
    text = (tmp_path / "out/changes.toml").read_text(encoding="utf-8")
    entries = tomllib.loads(text)["change"]
    assert text == registry_text(parameters)
    assert [ProductChange.model_validate(entry) for entry in entries] == list(registered(parameters))
    assert [entry["company"] for entry in entries] == ["alder", "birch", "alder", "birch", "cedar", "cedar"]
    assert entries[-1]["arm"] == "new" and entries[-1]["experiment"] == "hold-3" and "experiment" not in entries[0]
    told = orjson.loads((tmp_path / "out/truth.json").read_bytes())
    assert [ChangePlant.model_validate_json(orjson.dumps(effect)) for effect in told["effects"]] == list(parameters.changes)
    assert [entry["company"] for entry in told["changes"]] == [entry["company"] for entry in entries]


def test_a_company_may_leave() -> None:
    pool = generate(SimulationParameters(users=600, quarters=3, leaving={"birch": "2026Q2"}, joining={"cedar": "2026Q2"}))
    companies = [{v.company for v in simulated.records()} for simulated in pool.quarters]
    assert companies == [{"alder", "birch"}, {"alder", "birch", "cedar"}, {"alder", "cedar"}]


def test_what_is_not_planted_is_not_told() -> None:
    plants = {"text_quarters", "terms", "overdispersion", "growing", "changes", "leaving"}
    assert plants <= set(SimulationParameters.model_fields)
    assert not plants & set(SimulationParameters().model_dump(mode="json"))
    full = CHANGED.model_copy(update={"growing": (_growth("tactic"),), "text_quarters": ("2026Q2",)})
    assert SimulationParameters.model_validate_json(full.model_dump_json()) == full


def test_only_some_quarters_carry_text(tmp_path: Path) -> None:
    told = simulate(tmp_path / "out", SimulationParameters(users=90, text_share=0.5, text_quarters=("2026Q2",)))
    assert [sum(c.conversations_with_text for c in by.values()) > 0 for by in told.counts.values()] == [False, True]


@pytest.mark.parametrize(
    "wrong",
    [
        {"terms": ({"begins": "2026"},)},
        {"terms": ({"begins": "2026Q1", "companies": ("zelkova",)},)},
        {"terms": ({"begins": "2026Q1", "kind": "slang"},)},
        {"growing": ({"key": "tactic", "code": "none", "factor": 2, "begins": "2026Q1"},)},
        {"growing": ({"key": "week", "code": "2026-W01", "factor": 2, "begins": "2026Q1"},)},
        {"changes": ({"change_class": CLASS, "at": date(2026, 2, 1), "settled": date(2026, 2, 1)},)},
        {"changes": ({"change_class": CLASS, "at": date(2026, 2, 1), "arm_share": 0.2},)},
        {"changes": ({"change_class": CLASS, "at": date(2026, 2, 1), "kind": "mood"},)},
        {"changes": ({"change_class": CLASS, "at": date(2026, 2, 1), "experiment": "a"},) * 2},
        {"leaving": {"zelkova": "2026Q1"}},
        {"leaving": {"alder": "2026Q1", "birch": "2026Q1", "cedar": "2026Q1"}},
        {"overdispersion": -0.1},
        {"text_quarters": ("2026",)},
    ],
)
def test_wrong_plants_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SimulationParameters.model_validate(wrong)


def test_plants_are_documented() -> None:
    for model in (TermPlant, GrowthPlant, ChangePlant):
        assert all(field.description for field in model.model_fields.values())
