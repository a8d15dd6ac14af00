"""The promise of the schema version: what a reader of an earlier release asked, a later one of the same major version answers."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from release_fixtures import build_measured
from shipped import answers, opened, ship

from flows.pool import packaged_config
from publish.catalog import write_catalog
from schemas.keys import KEYS
from schemas.parameters import load_privacy_parameters
from schemas.periods import Quarter
from schemas.plan import load_release_plan
from schemas.tables import SCHEMA_VERSION, TABLES, Status, columns

RECORDED = Path(__file__).parents[2] / "docs" / "release" / "schemas"
Schema = dict[str, Any]


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def _earlier() -> list[Schema]:
    found = [json.loads(path.read_bytes()) for path in RECORDED.glob("*.json")]
    return sorted(found, key=lambda schema: _version(schema["schema_version"]))


def _current(macros: set[str]) -> Schema:
    plan = load_release_plan(packaged_config("release_plan.toml"), load_privacy_parameters(packaged_config("privacy.toml")))
    scope = plan.measures[0].scope(Quarter(2026, 3), plan)
    return {
        "schema_version": SCHEMA_VERSION,
        "tables": {name: {column.name: column.type for column in columns(name, plan)} for name in TABLES},
        "codes": {name: list(key.domain(scope)) for name, key in KEYS.items()} | {"status": [str(status) for status in Status]},
        "macros": sorted(macros),
    }


def _items(schema: Schema) -> set[tuple[str, ...]]:
    """Everything that a question can rest on."""
    listed = {("column", table, name, kind) for table, found in schema["tables"].items() for name, kind in found.items()}
    listed |= {("code", key, code) for key, codes in schema["codes"].items() for code in codes}
    return listed | {("table", table) for table in schema["tables"]} | {("macro", name) for name in schema["macros"]}


def broken_promise(earlier: Schema, current: Schema) -> str:
    """Why the version of the current schema does not say what changed since an earlier one; empty where it does."""
    before, now = _version(earlier["schema_version"]), _version(current["schema_version"])
    gone, new = _items(earlier) - _items(current), _items(current) - _items(earlier)
    added = {item for item in new if item[0] != "code" or item[1] in earlier["codes"]}
    if gone and now[0] <= before[0]:
        return f"{sorted(gone)[0]} was removed or changed: that takes a new major version"
    if added and now[:2] <= before[:2]:
        return f"{sorted(added)[0]} was added: that takes a new minor version"
    return ""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ship(build_measured(quarters=4), tmp_path_factory.mktemp("releases"))


@pytest.fixture(scope="module")
def current(folder: Path) -> Schema:
    named = answers(opened(folder), "SELECT DISTINCT function_name AS f FROM duckdb_functions() WHERE NOT internal")
    return _current({row["f"] for row in named if not row["f"].startswith("_")})


@pytest.mark.parametrize("earlier", _earlier(), ids=lambda schema: str(schema["schema_version"]))
def test_the_version_says_what_changed(earlier: Schema, current: Schema) -> None:
    assert not broken_promise(earlier, current)


@pytest.mark.parametrize("script", sorted(RECORDED.glob("1.*.sql")), ids=lambda path: str(path.stem))
def test_questions_of_earlier_releases_are_answered(script: Path, folder: Path, tmp_path: Path) -> None:
    for place, quarter in enumerate((Quarter(2026, 2), Quarter(2026, 3))):
        ship(build_measured(seed=place, quarter=quarter, users=10_000, quarters=4), tmp_path)
    write_catalog(tmp_path)
    one, all_ = opened(folder), opened(tmp_path)
    questions = [each for each in script.read_text().split(";") if each.strip()]
    assert len(questions) > 5
    for question in questions:
        rows = answers(one, question)
        assert rows and not any(name.startswith("_") for name in rows[0]), question
        if "'data/" not in question:
            assert len(answers(all_, question)) > len(rows) / 2


def test_each_kind_of_break_turns_it_red(current: Schema) -> None:
    earlier = _earlier()[0]

    def said(change: Any, version: str = earlier["schema_version"]) -> str:
        later = copy.deepcopy(earlier) | {"schema_version": version}
        change(later)
        return broken_promise(earlier, later)

    def rename(later: Schema) -> None:
        later["tables"]["risk_profile"]["users"] = later["tables"]["risk_profile"].pop("estimate")

    breaks = (
        rename,
        lambda later: later["tables"].pop("risk_profile"),
        lambda later: later["tables"]["risk_profile"].update(estimate="string"),
        lambda later: later["codes"]["intervention"].remove("direct_suicide_question"),
        lambda later: later["codes"]["status"].remove("too_noisy"),
        lambda later: later["macros"].remove("with_interval"),
    )
    for change in breaks:
        assert "major" in said(change) and "major" in said(change, "1.9.0") and not said(change, "2.0.0")
    for change in (
        lambda later: later["tables"]["risk_profile"].update(more="float"),
        lambda later: later["tables"].update(another={"quarter": "string"}),
        lambda later: later["codes"]["surface"].append("another"),
        lambda later: later["macros"].append("another"),
    ):
        assert "minor" in said(change) and "minor" in said(change, "1.0.7") and not said(change, "1.1.0")
    assert not said(lambda later: None) and not broken_promise(current, current)


def test_the_changelog_names_each_version() -> None:
    text = (RECORDED.parent / "CHANGELOG.md").read_text()
    for version in (SCHEMA_VERSION, *(schema["schema_version"] for schema in _earlier())):
        assert f"## {version}" in text
