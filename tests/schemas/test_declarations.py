"""One declaration: the models, the Arrow schema, the code lists and the documents cannot drift apart."""

import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cli.documentation import stale
from flows.pool import packaged_config
from schemas.arrow import pool_schema, record_schema
from schemas.canonical import canonical_json, digest
from schemas.codes import OPEN_OUTCOMES, code_lists, domains
from schemas.errors import EXIT_MEANING, ExitCode, UsageError
from schemas.findings import FINDING_CODES, Finding, exit_code
from schemas.keys import KEYS, Scope
from schemas.parameters import PrivacyParameters, load_privacy_parameters
from schemas.periods import Quarter, period_bounds
from schemas.plan import Measure, ReleasePlan, load_release_plan
from schemas.record import RECORD_MODELS, InteractionRecord
from schemas.signing import new_private_key, public_key, sign, verify
from schemas.tables import TABLES, columns
from schemas.unit import BUCKETS, bucket_of, unit_id


def test_documents_are_not_stale() -> None:
    assert stale() == []


def test_the_arrow_schema_has_every_field_of_every_record() -> None:
    names = {name for model in RECORD_MODELS for name in model.model_fields}
    assert set(record_schema().names) == names
    assert set(pool_schema().names) == names - {"user_pseudonym"} | {
        "company", "submission", "pseudonym_unit", "selection_reason", "unit", "bucket", "content",
    }  # fmt: skip
    person = record_schema().field("person").type
    assert [person.field(i).name for i in range(person.num_fields)] == list(
        InteractionRecord.model_fields["person"].annotation.model_fields  # type: ignore[union-attr]
    )
    assert record_schema().field("started_at").type == pa.timestamp("us", tz="UTC")


def test_every_outcome_kind_is_open_ended() -> None:
    for domain in domains().values():
        assert all(set(OPEN_OUTCOMES) <= set(values) for values in domain.outcome_values.values())


def test_codes_are_snake_case_and_labelled() -> None:
    for name, codes in code_lists().items():
        for code, label in codes.items():
            assert code == code.lower() and " " not in code, name
            assert label, (name, code)


def test_every_exit_code_and_finding_is_documented() -> None:
    assert set(EXIT_MEANING) == set(ExitCode)
    for code, documented in FINDING_CODES.items():
        assert code == documented.code
        assert documented.cause and documented.remedy
    assert exit_code([]) is ExitCode.DONE
    assert exit_code([Finding("W301"), Finding("E201")]) is ExitCode.RECORDS_QUARANTINED
    assert exit_code([Finding("E201"), Finding("E105")]) is ExitCode.SUBMISSION_REFUSED


@given(st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2100, 1, 1)))
def test_a_moment_lies_in_its_quarter(moment: datetime) -> None:
    utc = moment.replace(tzinfo=UTC)
    quarter = Quarter.of(utc)
    assert quarter.start <= utc < quarter.end
    assert Quarter.parse(str(quarter)) == quarter
    assert quarter.next().previous() == quarter
    assert period_bounds(str(quarter)) == (quarter.start, quarter.end)


@pytest.mark.parametrize("text", ["2026Q5", "2026-13", "2026-W54", "2026-02-30", "", "2026", "2026q1", "２０２６Q1", "0000Q1"])
def test_what_is_no_period_has_no_bounds(text: str) -> None:
    assert period_bounds(text) is None


def test_the_weeks_of_a_quarter_are_all_it_touches() -> None:
    weeks = Quarter(2026, 1).weeks()
    assert (weeks[0], weeks[-1]) == ("2026-W01", "2026-W14")


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_units_are_told_apart(a: str, b: str, c: str, d: str) -> None:
    """Injective: no two pairs share a name, however they are cut."""
    try:
        one, other = unit_id(a, b), unit_id(c, d)
    except UnicodeEncodeError:
        return
    assert (one == other) == ((a, b) == (c, d))
    assert 0 <= bucket_of(one) < BUCKETS


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_a_signature_holds_for_its_bytes_only(data: bytes, other: bytes) -> None:
    key = new_private_key()
    signature = sign(key, data)
    assert verify(public_key(key), data, signature)
    assert verify(public_key(key), other, signature) == (data == other)
    assert not verify(public_key(new_private_key()), data, signature)
    assert not verify(public_key(key), data, "nonsense")


def test_canonical_json_does_not_depend_on_order_and_quotes_nothing() -> None:
    assert canonical_json({"b": 1, "a": [1.0, "é"]}) == b'{"a":[1,"\xc3\xa9"],"b":1}'
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    with pytest.raises(ValueError, match="no canonical JSON form") as raised:
        canonical_json({"canary": object()})
    assert raised.value.__context__ is None


def privacy_with(**changes: Any) -> dict[str, Any]:
    raw = tomllib.loads(packaged_config("privacy.toml").read_text())
    for path, value in changes.items():
        *steps, last = path.split("__")
        at = raw
        for step in steps:
            at = at[step]
        at[last] = value
    return raw


@pytest.mark.parametrize(
    "change",
    [
        {"budget__reserve_rho": "0.1"},
        {"budget__quarter_rho": "-1"},
        {"budget__quarter_rho": 0.02},
        {"budget__quarter_rho": "nan"},
        {"companies__minimum": 1},
        {"shares__estimates": "9/10"},
        {"companies__dominance_share": "1"},
        {"split__risk_profile": "9/10"},
        {"unit__weight_scale": 0},
        {"unknown_dial": 1},
        {"confidence": 1.0},
    ],
)
def test_privacy_parameters_that_break_a_rule_are_refused(change: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises((ValidationError, ValueError)):
        PrivacyParameters.model_validate(privacy_with(**change))


def test_a_missing_or_broken_configuration_says_so_without_quoting(tmp_path: Path) -> None:
    (tmp_path / "privacy.toml").write_text("canary = ")
    for name in ("privacy.toml", "nowhere.toml"):
        with pytest.raises(UsageError) as raised:
            load_privacy_parameters(tmp_path / name)
        assert "canary" not in str(raised.value)


MEASURE: dict[str, Any] = {
    "name": "m", "table": "risk_profile", "event": "record", "estimand": "most_severe_record", "marginals": [["ideation"]],
}  # fmt: skip
OUTCOME = {"event": "intervention_outcome", "outcome_kind": "user_reply", "window": "next_turn", "estimand": "share_of_user"}


@pytest.mark.parametrize(
    "change",
    [
        {"marginals": [["nonsense"]]},
        {"marginals": [["ideation"], ["ideation"]]},
        {"marginals": [["ideation", "ideation"]]},
        {"marginals": []},
        {"outcome_kind": "user_reply"},
        {**OUTCOME, "outcome_kind": "nonsense"},
        {**OUTCOME, "estimand": "most_severe_record"},
        {**OUTCOME, "estimand": "share_of_user_and_depth", "marginals": [["outcome"]]},
    ],
)
def test_a_measure_that_breaks_a_rule_is_refused(change: dict[str, Any]) -> None:
    assert Measure.model_validate(MEASURE)
    with pytest.raises(ValidationError):
        Measure.model_validate({**MEASURE, **change})


def test_the_packaged_plan_fits_the_split_and_its_tables(tmp_path: Path) -> None:
    privacy = load_privacy_parameters(packaged_config("privacy.toml"))
    plan = load_release_plan(packaged_config("release_plan.toml"), privacy)
    assert {measure.table for measure in plan.measures} == {name for name, spec in TABLES.items() if spec.of_cells}
    for table in (name for name, spec in TABLES.items() if spec.of_cells):
        names = [column.name for column in columns(table, plan)]
        assert len(names) == len(set(names))
        assert {"quarter", "estimate", "noise_stddev", "ci_low", "ci_high", "status"} <= set(names)
    other = privacy.model_copy(update={"split": {"risk_profile": privacy.split["risk_profile"]}})
    with pytest.raises(UsageError, match="split"):
        load_release_plan(packaged_config("release_plan.toml"), other)
    assert ReleasePlan.model_validate(plan.model_dump(mode="json", by_alias=True)) == plan


def test_a_plan_of_which_withheld_cells_might_follow_is_refused(tmp_path: Path) -> None:
    """With all pairs of three keys, or with both sides of a table and the table, cells alone in a line follow from the others."""
    privacy = load_privacy_parameters(packaged_config("privacy.toml"))
    packaged = packaged_config("release_plan.toml").read_text()
    for marginals in (
        '[["ideation"], ["imminence"], ["ideation", "imminence"]]',
        '[["ideation", "age_band"], ["ideation", "week"], ["age_band", "week"]]',
    ):
        changed = packaged.replace(
            '[["ideation", "age_band"], ["ideation", "imminence"], ["week"], ["language"], ["selection_reason"]]', marginals
        )
        assert changed != packaged
        (tmp_path / "release_plan.toml").write_text(changed)
        with pytest.raises(UsageError, match="nested"):
            load_release_plan(tmp_path / "release_plan.toml", privacy)


def test_every_key_has_a_public_domain_without_repeats() -> None:
    scope = Scope(Quarter(2026, 1), ("en",), ("US",), ("yes", "no"), ("classifier",))
    for key in KEYS.values():
        domain = key.domain(scope)
        assert domain and len(set(domain)) == len(domain), key.name
        assert "all" not in domain
