"""`commons budget` and `commons migrate`: what is shown, what is found broken, and the entry for the deployments registry."""

import json
import shutil
import sqlite3
from fractions import Fraction
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pooled import QUARTER, privacy, registered

from cli.documentation import DOCS
from cli.main import run
from flows.migrations import HEAD
from flows.pool import Pool, packaged_config
from flows.release_steps import measure_release
from schemas.errors import BudgetRefusedError, ExitCode

BUDGET = privacy().budget


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    """A pool with one answered release, and one of the next quarter whose answer was lost."""
    made = Pool(tmp_path)
    plans = [registered(), registered(quarter=QUARTER.next())]
    for plan in plans:
        made.ledger.register(plan)
    made.ledger.answer_once(plans[0], lambda: b"noise")
    made.ledger._reserve(plans[1])
    return made


def publish(pool: Pool, *entries: str) -> None:
    """A published release, as far as the budget reads it."""
    folder = pool.releases / "2026Q1" / "v1"
    folder.mkdir(parents=True)
    signed = [{"signed_at": "2026-05-06T10:00:00+00:00"}, {"signed_at": "2026-05-07T23:00:00+00:00"}]
    (folder / "MANIFEST.json").write_text(json.dumps({"signoffs": signed, "spend": {"ledger_entries": entries}}))


def shown(pool: Pool, capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, Any]:
    capsys.readouterr()
    code = run(["budget", "--json", "--root", str(pool.root), *map(str, arguments)])
    return code, json.loads(capsys.readouterr().out)


def tamper(pool: Pool, *statements: str) -> None:
    pool.engine.dispose()
    connection = sqlite3.connect(pool.root / "state" / "state.db")
    for (name,) in connection.execute("select name from sqlite_master where type = 'trigger'").fetchall():
        connection.execute(f"drop trigger {name}")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_spent_reserved_and_left_add_up_by_quarter_and_year(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = shown(pool, capsys)
    lines = {line["scope"]: line for line in found["lines"]}
    first = BUDGET.first_release_rho
    assert code == 0 and list(lines) == ["2026Q1", "2026Q2", "2026"]
    told = {
        scope: [Fraction(line[f"rho_{name}_exact"]) for name in ("spent", "reserved", "left", "cap")]
        for scope, line in lines.items()
    }
    assert told == {
        "2026Q1": [first, 0, BUDGET.quarter_rho - first, BUDGET.quarter_rho],
        "2026Q2": [first, first, BUDGET.quarter_rho - first, BUDGET.quarter_rho],
        "2026": [2 * first, first, BUDGET.year_rho - 2 * first, BUDGET.year_rho],
    }
    for line in lines.values():
        assert line["epsilon_spent"] + line["epsilon_left"] == pytest.approx(line["epsilon_cap"])
        assert 0 < line["epsilon_spent"] <= line["epsilon_cap"] and line["delta"] == 1e-7
    assert lines["2026Q1"]["epsilon_reserved"] == 0
    assert lines["2026Q2"]["epsilon_reserved"] == lines["2026Q2"]["epsilon_spent"]
    assert 0 < lines["2026"]["epsilon_reserved"] < lines["2026"]["epsilon_spent"]


def test_a_picture_tells_spent_from_reserved(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["budget", "--root", str(pool.root)]) == 0
    bars = [line for line in capsys.readouterr().out.splitlines() if "·" in line]
    assert [(bar.count("█"), bar.count("▒"), bar.count("·")) for bar in bars] == [(24, 0, 6), (0, 24, 6), (6, 6, 18)]


def test_an_untouched_ledger_verifies(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    publish(pool, *(entry["hash"] for entry in pool.ledger.entries()))
    assert shown(pool, capsys, "--verify")[0] == 0
    assert run(["budget", "--verify", "--root", str(pool.root)]) == 0


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("update ledger set rho = '0', at = 'canary-7f3a' where number = 4", [("chain", 4)]),
        ("update answers set body = x'63616e617279'", [("answer", 4)]),
        ("update plans set body = '{\"quarter\": \"canary-7f3a\"}' where quarter = '2026Q2'", [("plan", 2)]),
        (
            "delete from ledger where number = 1",
            [("chain", 1), ("chain", 2), ("chain", 3), ("chain", 4), ("order", 2), ("plan", 0)],
        ),
    ],
)
def test_what_is_broken_is_named_without_a_value(
    statement: str, expected: list[tuple[str, int]], pool: Pool, capsys: pytest.CaptureFixture[str]
) -> None:
    tamper(pool, statement)
    code, found = shown(pool, capsys, "--verify")
    assert code == ExitCode.CHECK_FAILED
    assert found == {"verified": False, "faults": [{"part": p, "entry": n} for p, n in found_parts(found)], "lines": []}
    assert set(expected) <= set(found_parts(found))
    assert run(["budget", "--verify", "--root", str(pool.root)]) == ExitCode.CHECK_FAILED
    told = capsys.readouterr()
    assert all(part in told.err for part, _ in expected) and "canary" not in told.out + told.err


def found_parts(found: Any) -> list[tuple[str, int]]:
    return [(fault["part"], fault["entry"]) for fault in found["faults"]]


def test_a_chain_that_was_written_anew_is_told_by_what_was_published(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever owns the database can write another chain that holds by itself; the published hashes are out of its reach."""
    publish(pool, *(entry["hash"] for entry in pool.ledger.entries()[:3]))
    tamper(pool, "delete from ledger", "delete from answers", "delete from plans")
    anew = Pool(pool.root)
    anew.ledger.register(registered(rho="1/1000"))
    anew.ledger.answer_once(registered(rho="1/1000"), lambda: b"other")
    assert anew.ledger.faults() == []
    code, found = shown(pool, capsys, "--verify")
    assert (code, found["faults"]) == (ExitCode.CHECK_FAILED, [{"part": "release", "entry": 0}])


def test_an_earlier_ledger_put_in_its_place_spends_nothing(pool: Pool) -> None:
    """A deleted or restored database would have budget left, and fresh noise for what was answered already."""
    publish(pool, *(entry["hash"] for entry in pool.ledger.entries()))
    pool.engine.dispose()
    shutil.rmtree(pool.root / "state")
    empty = Pool(pool.root)
    empty.ledger.register(registered())
    with pytest.raises(BudgetRefusedError, match="published releases"):
        measure_release(empty, QUARTER)
    assert empty.ledger.line(quarter=QUARTER).rho_spent == 0


def test_the_entry_for_the_registry_holds_by_its_schema(pool: Pool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish(pool)
    file = tmp_path / "incident_commons.yaml"
    assert run(["budget", "--export", str(file), "--root", str(pool.root)]) == 0
    entry = yaml.safe_load(file.read_text())
    schema = json.loads((DOCS / "release" / "deployment.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
    validator.validate(entry)
    loss = entry["deployment"]["privacy_loss"]
    assert loss["privacy_parameters"] == {"epsilon": 1.0, "delta": 1e-7, "rho": 0.02002}
    assert "2026Q1: rho = 1001/62500" in loss["privacy_parameters_details"]
    assert entry["deployment"]["basic"]["publication_date"] == "2026-05-07"
    assert "number_of_privacy_units" not in file.read_text()
    broken = {**entry, "url_slug": "No Slug"}
    assert not validator.is_valid(broken) and not validator.is_valid({**entry, "more": 1})


def test_without_a_release_there_is_no_deployment_to_tell_of(pool: Pool, tmp_path: Path) -> None:
    assert run(["budget", "--export", str(tmp_path / "entry.yaml"), "--root", str(pool.root)]) == ExitCode.USAGE
    assert not (tmp_path / "entry.yaml").exists()


def test_settings_of_the_entry_that_break_a_rule_are_refused(pool: Pool, tmp_path: Path) -> None:
    publish(pool)
    (pool.root / "config").mkdir()
    text = packaged_config("deployment.toml").read_text()
    (pool.root / "config" / "deployment.toml").write_text(text.replace('sector = "Technology"', 'sector = "Space"'))
    assert run(["budget", "--export", str(tmp_path / "entry.yaml"), "--root", str(pool.root)]) == ExitCode.USAGE


def test_migrating_sqlite_says_that_there_is_nothing_to_do(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["migrate", "--json", "--root", str(pool.root)]) == 0
    assert json.loads(capsys.readouterr().out) == {"before": HEAD, "after": HEAD}
    assert run(["migrate", "--root", str(pool.root / "new")]) == 0
    assert f"version {HEAD}, from none" in capsys.readouterr().out
