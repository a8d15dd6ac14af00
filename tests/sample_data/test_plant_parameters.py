"""Parameters: frozen, documented, checked when they are made."""

from datetime import date

import pytest
from pydantic import ValidationError

from sample_data.outcome_plants import ModelRelease, OutcomePlant
from sample_data.parameters import SimulationParameters
from schemas.codes import domains
from schemas.periods import Quarter


def test_every_plant_is_documented_and_has_a_default() -> None:
    for model in (SimulationParameters, OutcomePlant, ModelRelease):
        assert all(field.description for field in model.model_fields.values())
    assert not any(field.is_required() for field in SimulationParameters.model_fields.values())


def test_defaults() -> None:
    parameters = SimulationParameters()
    assert parameters.quarter_list == (Quarter(2026, 1), Quarter(2026, 2))
    assert parameters.company_ids == ("alder", "birch", "cedar")
    assert [round(size, 2) for size in parameters.sizes] == [0.38, 0.33, 0.29]
    assert {o.kind for o in parameters.outcomes} == set(domains()["suicide_self_harm"].outcome_values)


def test_volume_grows_by_quarter() -> None:
    parameters = SimulationParameters(users=1_000, quarters=3, volume_growth=0.1)
    assert [parameters.users_in(q) for q in parameters.quarter_list] == [1_000, 1_100, 1_210]


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": -1},
        {"companies": 0},
        {"companies": 2, "company_sizes": (1.0,)},
        {"malformed_share": 0.03},
        {"text_share": 1.5},
        {"formats": ("csv",)},
        {"strata": {"flagged-main": 1.0}},
        {"interventions": {"no_intervention": 1.0}},
        {"age_bands": {"adult": 1.0}},
        {"regions": {"en": {"US": 1.0}}},
        {"outcomes": (SimulationParameters().outcomes[0],) * 2},
        {"unheard_of": 1},
    ],
)
def test_wrong_parameters_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SimulationParameters.model_validate(wrong)


def test_an_outcome_names_each_known_value_once() -> None:
    right = SimulationParameters().outcomes[0].model_dump()
    for wrong in (
        {"leading": "rejected"},
        {"rest": {"silent": 1.0}},
        {"window": "1h"},
        {"unknown": 0.9, "pending": 0.2},
        {"after": ("x",)},
    ):
        with pytest.raises(ValidationError):
            OutcomePlant.model_validate(right | wrong)


def test_a_company_may_join_later() -> None:
    parameters = SimulationParameters(joining={"cedar": "2026Q2"})
    assert [round(size, 2) for size in parameters.sizes_in(Quarter(2026, 1))] == [0.53, 0.47, 0.0]
    assert parameters.sizes_in(Quarter(2026, 2)) == parameters.sizes
    with pytest.raises(ValidationError):
        SimulationParameters(joining={"nobody": "2026Q2"})


def test_parameters_are_frozen() -> None:
    with pytest.raises(ValidationError):
        SimulationParameters().seed = 2
    with pytest.raises(ValidationError):
        ModelRelease(first_day=date(2026, 4, 6)).change = 0.0
