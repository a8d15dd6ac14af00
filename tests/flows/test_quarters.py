"""Each quarter on the operator's screen: what is missing, what changed, and the command that is next, which is one that works."""

import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from filled_pool import QUARTER, fill, key

import flows.quarters
from cli.main import build_app, run
from flows.pool import Pool, packaged_config
from flows.quarters import quarters
from flows.release_steps import approve_release, check_release, make_plan, measure_release, publish_release
from publish.path import PATH
from schemas.errors import ExitCode
from schemas.signing import encode_key, new_private_key, public_key


def only(pool: Pool) -> dict[str, Any]:
    (quarter,) = quarters(pool)
    return quarter


def test_it_says_at_each_step_what_comes_next(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    steps = (
        lambda: make_plan(pool, QUARTER, key(pool, "olga")),
        lambda: measure_release(pool, QUARTER),
        lambda: check_release(pool, QUARTER),
        lambda: [approve_release(pool, QUARTER, key(pool, person)) for person in ("carl", "petra")],
        lambda: publish_release(pool, QUARTER),
    )
    for step, transition in zip(steps, PATH, strict=False):
        found = only(pool)
        assert found["next"] == transition.call(QUARTER)
        assert found["state"] == (transition.before or "not planned")
        step()
    found = only(pool)
    assert (found["state"], found["next"], found["missing"]) == ("published", "", [])
    assert [each["role"] for each in found["signed"]] == ["clinical", "privacy"] and found["not_holding"] == []
    assert 0.8 < found["epsilon_spent"] <= found["epsilon_cap"] == 1.0
    assert run(["status", "--root", str(pool.root)]) == ExitCode.DONE
    shown = capsys.readouterr().out
    for part in ("2026Q1, version 1: published", "3 of 3 sent records", "carl (clinical", "2026 so far", " hold"):
        assert part in shown


def test_every_step_of_the_path_is_a_command() -> None:
    commands = {name for name in build_app() if not name.startswith("-")}
    for step in PATH:
        program, command, *_ = shlex.split(step.command)
        assert program == "commons" and command in commands


def test_who_sent_nothing_is_named(pool: Pool) -> None:
    path = pool.root / "config" / "companies.toml"
    path.write_text(
        f'{path.read_text()}\n[[company]]\nid = "dogwood"\nagreement_id = "agr-dogwood-1"\nsynthetic = true\n'
        f'[[company.key]]\nkey_id = "dogwood-1"\npublic_key = "{encode_key(public_key(new_private_key()))}"\n'
        "valid_from = 2026-01-01\nvalid_until = 2027-12-31\n"
    )
    assert only(Pool(pool.root))["not_sent"] == ["dogwood"]


def test_an_open_quarter_waits_and_an_unscrubbed_one_is_scrubbed_first(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    next(pool.scrubbed.rglob("*.parquet")).unlink()
    assert only(pool)["next"] == "commons ingest" and not only(pool)["scrubbed"]

    class Early(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return datetime(2026, 4, 20, tzinfo=UTC)

    monkeypatch.setattr(flows.quarters, "datetime", Early)
    assert only(pool)["next"] == f"wait: outcomes still come in until {(QUARTER.end + timedelta(days=35)).date()}"


def test_failed_checks_stand_before_the_next_command(pool: Pool) -> None:
    make_plan(pool, QUARTER, key(pool, "olga"))
    measure_release(pool, QUARTER)
    (pool.root / "brief").mkdir()
    (pool.root / "brief" / f"{QUARTER}.md").write_text("Replies rose.\n")
    check_release(pool, QUARTER)
    found = only(pool)
    assert found["failed"] == ["staff_text"] and found["next"].startswith(
        "mend what these checks found: staff_text; then commons check"
    )


@pytest.mark.long
def test_what_changed_since_the_quarter_before_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path, quarters=2)
    pool = Pool(tmp_path)
    make_plan(pool, QUARTER, key(pool, "olga"))
    measure_release(pool, QUARTER)
    changed = packaged_config("release_plan.toml").read_text().replace('languages = ["en", "es", "fr"]', 'languages = ["en"]')
    (tmp_path / "config" / "release_plan.toml").write_text(changed)
    pool = Pool(tmp_path)
    make_plan(pool, QUARTER.next(), key(pool, "olga"))
    measure_release(pool, QUARTER.next())
    check_release(pool, QUARTER.next())
    first, second = quarters(pool)
    assert first["changed"] == [] and second["changed"] == ["languages: en, es, fr → en"]
    call = ["approve", str(QUARTER.next()), "--root", str(tmp_path), "--show", "--key", str(key(pool, "carl"))]
    assert run(call) == ExitCode.DONE
    shown = capsys.readouterr().out
    assert "Changed since 2026Q1/v1" in shown and "en, es, fr" in shown
