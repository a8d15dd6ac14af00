"""Metrics: right, in the form that monitors read, by the names that they expect, and nothing private among them."""

import json
import re
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from filled_pool import QUARTER, key, until_checked
from prefect_server import own_environment
from prometheus_client.parser import text_string_to_metric_families
from stores import send

from cli.main import run
from flows.drops import make_local_drops, waiting
from flows.health import CHECKS, Condition, health
from flows.intake_steps import take_in_submission
from flows.logs import FILE, Event, log, log_lines
from flows.metrics import STAGES, PoolCollector, metrics_text, serve_metrics, write_metrics
from flows.pool import Pool
from flows.release_steps import make_plan, measure_release
from flows.status import pool_status
from intake.sealing import MANIFEST_PART
from publish.path import State
from schemas.errors import ExitCode, TransportError
from schemas.findings import FINDING_CODES

COMMONS = Path(sys.executable).parent / "commons"

Found = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def found(text: str) -> Found:
    """Every sample, by its name and labels."""
    families = list(text_string_to_metric_families(text))
    assert families
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def of(text: str, name: str, **labels: str) -> float:
    return found(text).get((name, tuple(sorted(labels.items()))), 0.0)


def test_what_came_in_and_was_scrubbed_is_what_the_screen_shows(pool: Pool) -> None:
    text, shown = metrics_text(pool), pool_status(pool)
    decided = Counter(row["decision"] for row in pool.catalogue.audit_rows())
    assert decided["accepted"] == of(text, "commons_stage_runs_total", stage="intake", outcome="accepted")
    assert sum(of(text, "commons_findings_total", code=code) for code in FINDING_CODES if code.startswith("E2")) == sum(
        row["quarantined"] for row in shown["submissions"]
    )
    manifests = [json.loads(path.read_text()) for path in pool.root.glob("made/*/*/manifest.json")]
    sizes = sum(file["bytes"] for manifest in manifests for file in manifest["files"])
    assert of(text, "commons_stage_bytes_total", stage="intake", outcome="accepted") == sizes > 0
    assert of(text, "commons_stage_seconds_total", stage="intake", outcome="accepted") > 0
    assert of(text, "commons_submissions_waiting") == of(text, "commons_parts_waiting") == 0
    assert of(text, "commons_health", check="ledger") == 1


def test_the_queue_is_counted_and_aged(pool: Pool) -> None:
    folder = Path(pool.drop_url("birch"), "in", "1" * 64)
    make_local_drops(pool)
    folder.mkdir()
    (folder / MANIFEST_PART).write_bytes(b"junk")
    shutil.rmtree(next((pool.root / "scrubbed" / str(QUARTER)).glob("alder/*")))
    text = metrics_text(pool)
    assert of(text, "commons_submissions_waiting") == 1 and of(text, "commons_parts_waiting") > 0
    assert 0 <= of(text, "commons_submissions_waiting_oldest_seconds") < 3600
    assert of(text, "commons_exports_missed") == len(pool_status(pool)["missed"])
    for arrival in waiting(pool):
        take_in_submission(pool, *arrival)
    text = metrics_text(pool)
    assert of(text, "commons_submissions_waiting") == 0
    assert of(text, "commons_stage_runs_total", stage="intake", outcome="refused") == 1


def test_budget_is_the_ledgers(pool: Pool) -> None:
    make_plan(pool, QUARTER, key(pool, "olga"))
    assert of(metrics_text(pool), "commons_budget_rho", period="2026Q1", kind="spent") == 0
    measure_release(pool, QUARTER)
    text = metrics_text(pool)
    for scope, line in (("2026Q1", pool.ledger.line(quarter=QUARTER)), ("2026", pool.ledger.line(year=2026))):
        for kind in ("spent", "reserved", "left", "cap"):
            assert of(text, "commons_budget_rho", period=scope, kind=kind) == float(getattr(line, f"rho_{kind}"))
            assert of(text, "commons_budget_epsilon", period=scope, kind=kind) == getattr(line, f"epsilon_{kind}")
    assert of(text, "commons_releases", state="measured") == 1 and of(text, "commons_releases", state="planned") == 0
    assert of(text, "commons_stage_seconds_total", stage="measure", outcome="done") > 0
    assert of(text, "commons_stage_last_timestamp_seconds", stage="measure", outcome="done") > datetime.now(UTC).timestamp() - 600


def test_the_last_run_is_of_the_company_whose_is_the_longest_ago(pool: Pool) -> None:
    moment = datetime.now(UTC)
    for days, company in enumerate(sorted(pool.registry.companies), start=1):
        log(pool, Event.INGEST_ENDED, company=company)
        path = pool.root / "logs" / FILE
        lines = path.read_text().splitlines()
        last = json.loads(lines[-1]) | {"at": (moment - timedelta(days=days)).isoformat()}
        path.write_text("\n".join([*lines[:-1], json.dumps(last)]) + "\n")
    ended = of(metrics_text(pool), "commons_run_last_success_timestamp_seconds", deployment="intake")
    assert ended == pytest.approx((moment - timedelta(days=len(pool.registry.companies))).timestamp())


def test_a_line_that_a_kill_cut_off_is_left_out(pool: Pool) -> None:
    before = len(list(log_lines(pool)))
    with (pool.root / "logs" / FILE).open("ab") as stream:
        stream.write(b'{"at":"2026-01-01T00:00:00Z","event":"measu')
    log(pool, Event.CHECKED)  # is written behind it, and is lost with it
    log(pool, Event.CHECKED)
    assert len(list(log_lines(pool))) == before + 1


NAME = re.compile(r"commons(_[a-z]+)+")


def test_names_and_units_are_prometheus_own(pool: Pool) -> None:
    until_checked(pool)
    for family in text_string_to_metric_families(metrics_text(pool)):
        assert NAME.fullmatch(family.name) and family.documentation
        if family.type == "counter":
            assert all(sample.name == f"{family.name}_total" and sample.value >= 0 for sample in family.samples)
        else:
            assert family.type == "gauge" and not family.name.endswith("_total")
        assert not re.search(r"_(ms|mb|mib|hours|minutes|percent)(_|$)", family.name)
        if "timestamp" in family.name:
            assert family.name.endswith("_timestamp_seconds")


CANARY = "canary-5f0c71"


def test_labels_are_of_fixed_lists_and_nothing_private_is_among_them(pool: Pool, tmp_path: Path) -> None:
    """Company ids, what their records and files are called, digests and people: of a pool in which all of them are canaries."""
    config = pool.root / "config" / "companies.toml"
    config.write_text(config.read_text().replace('"alder', f'"{CANARY}').replace('"agr-', f'"{CANARY}'))
    new = Pool(tmp_path / "new")
    shutil.copytree(pool.root / "config", new.root / "config")
    for source in sorted(pool.root.glob("made/birch/*/manifest.json"))[:1]:
        send(new, source.parent)
    folder = Path(new.drop_url(CANARY), "in", "2" * 64)
    make_local_drops(new)
    folder.mkdir(parents=True)
    (folder / MANIFEST_PART).write_text(CANARY)
    (folder / CANARY).write_text(CANARY)
    for arrival in waiting(new):
        take_in_submission(new, *arrival)
    digests = {row["digest"][:12] for each in (pool, new) for row in each.catalogue.audit_rows()}
    assert len(digests) > 2
    for text in (metrics_text(pool), metrics_text(new)):
        assert CANARY not in text and not any(digest in text for digest in digests)
        for person in ("olga", "carl", "petra", "birch", "cedar", str(pool.root)):
            assert person not in text
    allowed = {
        "stage": set(STAGES.values()),
        "outcome": {"accepted", "refused", "replayed", "answered_by_another_run", "done", "stopped"},
        "code": set(FINDING_CODES),
        "exit_code": {str(int(code)) for code in ExitCode},
        "deployment": {"intake", "release", "retention"},
        "kind": {"spent", "reserved", "left", "cap"},
        "state": set(State),
        "check": set(CHECKS),
    }
    for family in text_string_to_metric_families(metrics_text(new)):
        for sample in family.samples:
            for label, value in sample.labels.items():
                if label in allowed:
                    assert value in allowed[label]
                else:
                    assert label in ("version", "period", "folder") and re.fullmatch(r"[a-z0-9.Q]{1,12}", value)


def test_the_file_is_whole_or_not_there_and_is_for_its_owner_and_group(pool: Pool, tmp_path: Path) -> None:
    path = tmp_path / "commons.prom"
    write_metrics(pool, path)
    assert found(path.read_text()) and path.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith("commons")] == ["commons.prom"]
    assert run(["metrics", "--root", str(pool.root), "--out", str(tmp_path / "no" / "commons.prom")]) != 0
    assert not (tmp_path / "no").exists()


def test_they_are_served_until_they_are_not(pool: Pool) -> None:
    port = free_port()
    end = serve_metrics(pool, "127.0.0.1", port)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    assert of(text, "commons_build_info", version=_version()) == 1
    with pytest.raises(TransportError):
        serve_metrics(pool, "127.0.0.1", port)
    end()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.long
def test_commons_serve_serves_them_beside_the_server(pool: Pool) -> None:
    ports = free_port(), free_port()
    command = [COMMONS, "serve", "--root", pool.root, "--port", str(ports[0]), "--metrics-port", str(ports[1])]
    process = subprocess.Popen(command, env=own_environment())
    try:
        text = ""
        while not text:
            assert process.poll() is None, "commons serve ended"
            with suppress(urllib.error.URLError), urllib.request.urlopen(f"http://127.0.0.1:{ports[1]}/metrics") as answer:
                text = answer.read().decode()
    finally:
        process.terminate()
        process.wait(120)
    assert of(text, "commons_health", check="state") == 1


def _version() -> str:
    from importlib.metadata import version

    return version("incident-commons")


def test_what_cannot_be_told_is_left_out_and_the_rest_is_told(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMMONS_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    text = metrics_text(Pool(pool.root))
    names = {name for name, _ in found(text)}
    assert "commons_disk_free_bytes" in names and "commons_stage_runs_total" in names
    assert "commons_budget_rho" not in names
    assert of(text, "commons_health", check="state") == 0 and of(text, "commons_health", check="disk") == 1


def test_the_commands_print_them(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["metrics", "--root", str(pool.root)]) == 0
    assert found(capsys.readouterr().out)
    assert run(["metrics", "--root", str(pool.root / "nothing")]) == 2
    assert run(["metrics", "--root", str(pool.root), "--out", str(pool.root / "nothing" / "commons.prom")]) == ExitCode.USAGE
    assert run(["status", "--health", "--root", str(pool.root / "made")]) == 2
    assert not (pool.root / "made" / "state").exists()


def test_health_for_machines(pool: Pool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def asked() -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = run(["status", "--health", "--json", "--root", str(pool.root)])
        return code, json.loads(capsys.readouterr().out)

    code, told = asked()
    assert (code, told["healthy"], told["exit_code"]) == (0, True, 0)
    assert [each["check"] for each in told["checks"]] == list(CHECKS)
    assert {each["condition"] for each in told["checks"]} == {"ok"}
    monkeypatch.setenv("COMMONS_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    code, told = asked()
    assert (code, told["healthy"], told["exit_code"]) == (20, False, 20)
    by_name = {each["check"]: each for each in told["checks"]}
    assert by_name["state"]["condition"] == "FAILED" and by_name["state"]["next_step"]
    assert {name for name, each in by_name.items() if each["condition"] == "not known"} == set(CHECKS) - {
        "configuration", "disk", "memory", "state",
    }  # fmt: skip


def test_looking_changes_nothing(pool: Pool) -> None:
    def tree() -> dict[str, bytes | None]:
        left_alone = ("state.db-wal", "state.db-shm")  # SQLite's own
        paths = (path for path in pool.root.rglob("*") if path.name not in left_alone)
        return {str(path): path.read_bytes() if path.is_file() else None for path in paths}

    pool.engine.dispose()
    shutil.rmtree(pool.root / "drops" / "cedar")
    before = tree()
    assert all(each.condition is Condition.WELL for each in health(Pool(pool.root)))
    assert metrics_text(Pool(pool.root))
    assert tree() == before


def test_what_rests_on_a_broken_configuration_is_not_known(pool: Pool) -> None:
    (pool.root / "config" / "pool.toml").write_text("nothing = 1\n")
    first, *others = health(Pool(pool.root))
    assert (first.check, first.condition, first.exit_code) == ("configuration", Condition.FAILED, 2)
    assert {each.condition for each in others} == {Condition.UNKNOWN}


def test_a_collector_holds_nothing_between_two_looks(pool: Pool) -> None:
    collector = PoolCollector(pool.root)
    first = {family.name for family in collector.collect()}
    until_checked(pool)
    assert first | {"commons_stage_last_timestamp_seconds"} == {family.name for family in collector.collect()}
    (releases,) = [family for family in collector.collect() if family.name == "commons_releases"]
    assert {sample.labels["state"]: sample.value for sample in releases.samples}["checked"] == 1
