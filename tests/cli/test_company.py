"""A company's commands as its engineer runs them: every command of the guide and of the folder's README, and the schedule."""

import fcntl
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from pyrage import x25519
from warehouse import FACTS, KEY, as_postgres

from cli.company import print_report
from cli.main import run
from intake.limits import DEFAULT_LIMITS
from intake.starting import start
from intake.validation import ValidationReport
from schemas.errors import ExitCode
from schemas.findings import Finding
from schemas.signing import encode_key, public_key

PROJECT = Path(__file__).resolve().parents[2]
GUIDE = PROJECT / "docs" / "guides" / "submitting.md"
README = PROJECT / "intake" / "starter" / "README.md"
BIN = Path(sys.executable).parent


def commands(page: Path) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", page.read_text(), flags=re.S | re.M)


def shell(block: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("COMMONS", "PREFECT"))}
    environment["PATH"] = f"{BIN}:{environment['PATH']}"
    return subprocess.run(["sh", "-eu", "-c", block], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def fill_in(home: Path) -> None:
    """What a person does between the commands: registration's answer, attestations, the warehouse's tables."""
    (home / "drop").mkdir()
    settings = (home / "commons.toml").read_text()
    for name, value in {
        "to": "drop",
        "pool_recipient": str(x25519.Identity.generate().to_public()),
        "pool_key": encode_key(public_key(b"p" * 32)),
    }.items():
        settings, filled = re.subn(rf"^# {name} = .*$", f'{name} = "{value}"', settings, flags=re.M)
        assert filled == 1
    (home / "commons.toml").write_text(settings)
    manifest = home / "manifest.toml"
    manifest.write_text(manifest.read_text().replace(" = false ", " = true "))
    for tables in ("tables/2026-07", "tables/2026-07-closed", "warehouse"):
        (home / tables).mkdir(parents=True)
        as_postgres(FACTS, home / tables)
    (home / "keys" / "pseudonym-2026Q3.key").unlink(missing_ok=True)  # the pages make it


@pytest.mark.long
def test_every_command_of_the_guide(tmp_path: Path) -> None:
    first, *others = commands(GUIDE)
    done = shell(first, tmp_path)
    assert done.returncode == 0, done.stderr
    home = tmp_path / "alder"
    fill_in(home)
    said = ""
    for block in others:
        done = shell(block, home)
        said += done.stdout
        assert done.returncode == 0, block + done.stdout + done.stderr
    assert "101" not in said  # the user ids of the withdrawals
    digests = list((home / "drop" / "in").iterdir())
    assert len(digests) == 3  # the export, its corrections, one submission of withdrawals
    report = (home / "reports" / "2026-07.html").read_text()
    assert "All is well: 5 records would enter." in report


@pytest.mark.long
def test_every_command_of_the_folders_readme(tmp_path: Path) -> None:
    home = tmp_path / "alder"
    start("alder", "agr-alder-1", home)
    fill_in(home)
    (home / "keys" / "pseudonym-2026Q3.key").write_text(KEY.hex() + "\n")
    for block in commands(home / "README.md"):
        done = shell(block, home)
        assert done.returncode == 0, block + done.stdout + done.stderr
    assert len(list((home / "drop" / "in").iterdir())) == 1


def test_the_pages_show_every_command_of_a_company() -> None:
    shown = "\n".join(commands(GUIDE))
    for name in ("init", "keygen", "export", "prepare", "validate", "submit", "status", "withdraw"):
        assert f"commons {name}" in shown


def test_a_broken_command_of_a_page_would_be_noticed(tmp_path: Path) -> None:
    assert shell("commons validate nowhere\ntrue", tmp_path).returncode == ExitCode.USAGE


@pytest.fixture
def scheduled(tmp_path: Path) -> Path:
    """A company's folder with its warehouse export written, and a `commons` that notes its calls and answers as told."""
    home = tmp_path / "alder"
    start("alder", "agr-alder-1", home)
    warehouse = home / "schedule" / "warehouse.sh"
    warehouse.write_text('#!/bin/sh\necho "$1" >> warehouse.log\ntouch "$2/chat_messages.csv"\n')
    fake = tmp_path / "commons"
    fake.write_text(
        '#!/bin/sh\necho "$*" >> calls.log\n'
        'if [ "$1" = export ]; then while [ "$1" != --into ]; do shift; done; mkdir -p "$2"; exit ${EXPORT:-0}; fi\n'
        "case $1 in prepare) exit ${PREPARE:-0} ;; validate) exit ${VALIDATE:-0} ;; submit) exit ${SUBMIT:-0} ;; esac\n"
    )
    fake.chmod(0o755)
    return home


def run_schedule(home: Path, *arguments: str, **codes: int) -> tuple[int, list[str]]:
    (home / "calls.log").unlink(missing_ok=True)
    environment = {**os.environ, "COMMONS": str(home.parent / "commons"), **{k: str(v) for k, v in codes.items()}}
    done = subprocess.run(
        [str(home / "schedule" / "run.sh"), *arguments], cwd="/", env=environment, capture_output=True, text=True, check=False
    )
    log = home / "calls.log"
    return done.returncode, [line.split()[0] for line in log.read_text().splitlines()] if log.exists() else []


ALL = ["export", "prepare", "validate", "submit"]


@pytest.mark.parametrize(
    ("codes", "code", "called"),
    [
        ({}, 0, ALL),
        ({"EXPORT": 2}, 2, ALL[:1]),
        ({"EXPORT": 30}, 30, ALL[:1]),
        ({"PREPARE": 10}, 10, ALL[:2]),
        ({"VALIDATE": 10}, 10, ALL[:3]),
        ({"VALIDATE": 11}, 11, ALL),
        ({"VALIDATE": 70}, 70, ALL[:3]),
        ({"SUBMIT": 20}, 20, ALL),
        ({"VALIDATE": 11, "SUBMIT": 20}, 20, ALL),
        ({"SUBMIT": 11}, 0, ALL),
    ],
)
def test_the_schedule_stops_where_a_step_does_and_hands_its_code_on(
    scheduled: Path, codes: dict[str, int], code: int, called: list[str]
) -> None:
    assert run_schedule(scheduled, "2026-07", **codes) == (code, called)


def test_the_schedule_takes_up_where_it_stopped(scheduled: Path) -> None:
    assert run_schedule(scheduled, "2026-07", SUBMIT=20) == (20, ALL)
    assert run_schedule(scheduled, "2026-07") == (0, ALL[1:])  # what is exported is not exported again
    assert (scheduled / "warehouse.log").read_text() == "2026-07\n"
    assert not list((scheduled / "tables").iterdir())  # raw tables do not stay


def test_raw_tables_do_not_stay_where_a_step_fails(scheduled: Path) -> None:
    assert run_schedule(scheduled, "2026-07", EXPORT=30)[0] == 30
    warehouse = scheduled / "schedule" / "warehouse.sh"
    warehouse.write_text(warehouse.read_text() + "exit 7\n")
    assert run_schedule(scheduled, "2026-08") == (7, [])
    assert not list((scheduled / "tables").iterdir())


def test_the_schedule_touches_no_table_that_was_put_there_by_hand(scheduled: Path) -> None:
    mine = scheduled / "tables" / "2026-07" / "chat_messages.csv"
    mine.parent.mkdir(parents=True)
    mine.write_text("kept")
    assert run_schedule(scheduled, "2026-07") == (0, ALL)
    assert mine.read_text() == "kept"


def test_two_runs_of_the_schedule_do_not_meet(scheduled: Path) -> None:
    if shutil.which("flock") is None:
        pytest.skip("flock is not installed")
    with (scheduled / ".run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run_schedule(scheduled, "2026-07") == (20, [])
    assert run_schedule(scheduled, "2026-07") == (0, ALL)


def test_the_schedule_knows_the_month_that_has_ended(scheduled: Path, tmp_path: Path) -> None:
    for year, month, wanted in (
        ("2026", "01", "2025-12"),
        ("2026", "08", "2026-07"),
        ("2026", "10", "2026-09"),
        ("2026", "12", "2026-11"),
    ):
        clock = tmp_path / f"clock-{month}"
        clock.mkdir()
        (clock / "date").write_text(f"#!/bin/sh\ncase $2 in +%Y) echo {year} ;; +%m) echo {month} ;; esac\n")
        (clock / "date").chmod(0o755)
        environment = {**os.environ, "COMMONS": str(tmp_path / "commons"), "PATH": f"{clock}:{os.environ['PATH']}"}
        subprocess.run([str(scheduled / "schedule" / "run.sh")], env=environment, check=True, capture_output=True)
        assert (scheduled / "warehouse.log").read_text().splitlines()[-1] == wanted


def test_corrections_are_compared_with_the_export_of_the_month(scheduled: Path) -> None:
    run_schedule(scheduled, "2026-07")
    code, called = run_schedule(scheduled, "2026-07", "corrections")
    assert (code, called) == (0, ALL)
    call = (scheduled / "calls.log").read_text().splitlines()[0]
    assert "--into exports/2026-07-closed --corrects exports/2026-07" in call


def test_init_says_what_is_next_and_never_overwrites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["init", "alder"]) == ExitCode.DONE
    said = capsys.readouterr().out
    for word in ("commons validate example", "README.md", "registration.toml", "keys/"):
        assert word in said
    assert (tmp_path / "alder" / "README.md").exists()
    assert run(["init", "alder"]) == ExitCode.USAGE
    assert run(["init", "alder", "--into", "elsewhere"]) == ExitCode.DONE
    assert run(["init", "Not An Id"]) == ExitCode.USAGE


def test_a_pseudonym_key_is_32_bytes_its_owners_only_and_not_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.key"
    assert run(["keygen", "--pseudonym", str(path)]) == ExitCode.DONE
    key = path.read_text().strip()
    assert (len(bytes.fromhex(key)), stat.S_IMODE(path.stat().st_mode)) == (32, 0o600)
    assert key not in capsys.readouterr().out
    assert run(["keygen", "--pseudonym", str(path)]) == ExitCode.USAGE
    assert path.read_text().strip() == key


def test_a_quarter_without_a_key_says_how_to_make_one(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["export", home / "mappings" / "postgres.sql", "--tables", home / "mappings" / "example_tables"]
    assert run([str(word) for word in [*call, "--period", "2026-01", "--into", home / "x"]]) == ExitCode.USAGE
    assert "commons keygen --pseudonym keys/pseudonym-2026Q1.key" in capsys.readouterr().err


@pytest.mark.parametrize("moment", ["2026-08-10", "yesterday", "2026-08-10T00:00:00"])
def test_a_moment_without_its_zone_is_not_guessed(home: Path, moment: str) -> None:
    run(["keygen", "--pseudonym", str(home / "keys" / "trial.key")])
    call = ["export", home / "mappings" / "postgres.sql", "--tables", home / "mappings" / "example_tables", "--period", "2026-01"]
    call += ["--into", home / "x", "--key", home / "keys" / "trial.key", "--as-of"]
    assert run([str(word) for word in [*call, moment]]) == ExitCode.USAGE
    assert run([str(word) for word in [*call, "2026-02-10T01:00:00+01:00"]]) == ExitCode.DONE


def test_prepare_tells_people_and_machines_what_is_wrong(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = home / "manifest.toml"
    manifest.write_text(manifest.read_text().replace("opt_outs_removed = true", "opt_outs_removed = false"))
    assert run(["prepare", str(home / "example"), "--period", "2026-01"]) == ExitCode.SUBMISSION_REFUSED
    said = capsys.readouterr().out
    assert "attestations.opt_outs_removed" in said and "Nothing was signed." in said
    assert run(["prepare", str(home / "example"), "--period", "2026-01", "--json"]) == ExitCode.SUBMISSION_REFUSED
    told = json.loads(capsys.readouterr().out)
    assert [f["code"] for f in told["findings"]] == ["E109"]


def test_prepare_with_another_key_of_the_companys(home: Path) -> None:
    other = home / "keys" / "alder-2.key"
    run(["keygen", str(other)])
    before = json.loads((home / "example" / "manifest.json").read_text())["signature"]
    assert run(["prepare", str(home / "example"), "--period", "2026-01", "--key", str(other)]) == ExitCode.DONE
    assert json.loads((home / "example" / "manifest.json").read_text())["signature"] != before


def test_validate_writes_the_page_beside_not_into_the_submission(home: Path) -> None:
    example = home / "example"
    assert run(["validate", str(example), "--html", str(example / "report.html")]) == ExitCode.USAGE
    assert not (example / "report.html").exists()
    assert run(["validate", str(example), "--html", str(home / "reports" / "a.html")]) == ExitCode.DONE
    assert "All is well" in (home / "reports" / "a.html").read_text()
    lines = (example / "part-1.jsonl").read_text().replace('"under_13"', '"canary"')
    (example / "part-1.jsonl").write_text(lines)
    assert run(["prepare", str(example), "--period", "2026-01"]) == ExitCode.DONE
    assert run(["validate", str(example), "--html", str(home / "reports" / "b.html")]) == ExitCode.SUBMISSION_REFUSED
    page = (home / "reports" / "b.html").read_text()
    assert "E205" in page and "canary" not in page


def test_the_exit_code_counts_findings_that_are_not_listed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def validated(*_: object, **__: object) -> ValidationReport:
        report = ValidationReport(records=100_000, quarantined=1)
        report.counts.update({"W304": 50_000, "E205": 1})
        return report

    monkeypatch.setattr("intake.validation.validate_submission", validated)
    assert run(["validate", str(home / "example")]) == ExitCode.RECORDS_QUARANTINED


def test_one_thing_is_withdrawn_at_a_time(home: Path, tmp_path: Path) -> None:
    settings = ["--settings", str(home / "commons.toml"), "--into", str(tmp_path / "w")]
    assert run(["withdraw", *settings]) == ExitCode.USAGE
    assert run(["withdraw", "--submission", "a-2026Q3", "--user", "u", *settings]) == ExitCode.USAGE
    assert run(["withdraw", "--from", "nowhere.csv", *settings]) == ExitCode.USAGE
    assert not (tmp_path / "w").exists()
    assert run(["withdraw", "--user", "103", "--quarter", "2026Q3", *settings]) == ExitCode.USAGE  # an id of its own
    assert not (tmp_path / "w").exists()
    assert run(["withdraw", "--user", "u" * 64, "--quarter", "2026Q3", *settings]) == ExitCode.DONE
    assert run(["validate", str(tmp_path / "w")]) == ExitCode.DONE


def test_a_command_without_settings_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "export").mkdir()
    shutil.copy(PROJECT / "intake" / "starter" / "example" / "part-1.jsonl", tmp_path / "export")
    assert run(["prepare", "export"]) == ExitCode.USAGE
    assert "commons init" in capsys.readouterr().err


def test_what_concerns_a_whole_file_is_shown_before_its_rows(capsys: pytest.CaptureFixture[str]) -> None:
    report = ValidationReport()
    for row in range(1, DEFAULT_LIMITS.listed_findings + 9):
        report.add(Finding("E209", "a.jsonl", row, "started_at"), DEFAULT_LIMITS)
    report.add(Finding("W308", "a.jsonl", 0, "started_at"), DEFAULT_LIMITS)
    print_report(report)
    assert "same fault in most rows" in capsys.readouterr().out
