"""The quick check says yes only where the declared model does, and it does say yes to sound records."""

import copy
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from intake.quick_check import quick_check
from schemas.record import RECORD_MODELS, InteractionRecord, model_for

SAMPLE = Path(__file__).parents[2] / "sample_data" / "sample"


def _sample() -> list[dict[str, Any]]:
    lines = [line for path in sorted(SAMPLE.glob("*/*/*.jsonl")) for line in path.read_bytes().splitlines()]
    rows = []
    for line in lines:
        try:
            raw = orjson.loads(line)
        except ValueError:
            continue
        if isinstance(raw, dict) and model_for(raw) is not None:
            rows.append(raw)
    return rows


ROWS = _sample()


def model_accepts(model: type[BaseModel], raw: dict[str, Any]) -> bool:
    try:
        model.model_validate(copy.deepcopy(raw))
    except ValidationError:
        return False
    return True


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(deeper for key, inner in items for deeper in paths(inner, (*path, key)))]


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 200_000),
    st.floats(allow_nan=False),
    st.text(max_size=80),
    st.sampled_from(["unknown", "none", "self", "en", "US", "2026-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "a\n", "x" * 65]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
)


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_yes_only_where_the_model_accepts(data: st.DataObject) -> None:
    raw = copy.deepcopy(data.draw(st.sampled_from(ROWS)))
    for _ in range(data.draw(st.integers(1, 2))):
        *way, last = data.draw(st.sampled_from(paths(raw)[1:]))
        place: Any = raw
        for step in way:
            place = place[step]
        if data.draw(st.booleans()) and isinstance(place, dict):
            del place[last]
        elif data.draw(st.booleans()) and isinstance(place, dict):
            place[data.draw(st.text(max_size=5))] = 1
        else:
            place[last] = data.draw(scalars)
    for model in RECORD_MODELS:
        before = copy.deepcopy(raw)
        if quick_check(model)(before):
            assert model_accepts(model, raw)


def test_yes_to_every_sound_record_of_the_sample() -> None:
    sound = [raw for raw in ROWS if model_accepts(model_for(raw) or InteractionRecord, raw)]
    assert len(sound) > 100
    assert all(quick_check(model_for(raw) or InteractionRecord)(copy.deepcopy(raw)) for raw in sound)


def test_a_parsed_timestamp_is_still_what_the_model_accepts() -> None:
    """A record that fails after its timestamp was parsed is judged by the model as it would have been before."""
    raw = copy.deepcopy(next(raw for raw in ROWS if raw.get("record_status") == "new"))
    quick_check(InteractionRecord)(raw)
    assert not isinstance(raw["started_at"], str)
    assert model_accepts(InteractionRecord, raw)


def test_a_declaration_that_cannot_be_compiled_is_a_bug() -> None:
    class Unknown(BaseModel):
        something: bytes

    with pytest.raises(TypeError):
        quick_check(Unknown)
