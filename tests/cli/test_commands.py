"""The command line: exit codes, help with an example, light start, errors without a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.main import build_app, run
from schemas.errors import ExitCode

SAMPLE = Path(__file__).resolve().parents[2] / "sample_data" / "sample"
SUBMISSION = sorted(path.parent for path in SAMPLE.glob("*/*/manifest.json"))[0]
COMMANDS = sorted(name for name in build_app() if not name.startswith("-"))
HEAVY = ("prefect", "presidio_analyzer", "spacy", "opendp", "duckdb", "sqlalchemy", "altair", "numpy.random")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"]) == 0
    assert f"commons {command}" in capsys.readouterr().out.replace("\n", " ")


def test_help_lists_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(str(int(code)) in shown for code in ExitCode)


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["validate"], ["validate", "nowhere"], ["plan", "summer", "--key", "k"], ["query"]]
)
def test_a_wrong_call_is_a_usage_error(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == ExitCode.USAGE


def test_interrupted_it_says_so_and_is_no_bug(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("intake.validation.validate_submission", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    assert run(["validate", str(SUBMISSION)]) == 130
    assert "Interrupted" in capsys.readouterr().err


def test_a_purge_of_nobody_or_nowhere_is_a_wrong_call(tmp_path: Path) -> None:
    assert run(["purge", "--due", "--dry-run", "--root", str(tmp_path / "nowhere")]) == ExitCode.USAGE
    pool = tmp_path / "pool"
    (pool / "config").mkdir(parents=True)
    (pool / "config" / "companies.toml").write_text((SAMPLE / "companies.toml").read_text())
    assert run(["purge", "--company", "brich", "--dry-run", "--root", str(pool)]) == ExitCode.USAGE
    assert run(["purge", "--company", "birch", "--dry-run", "--root", str(pool)]) == ExitCode.DONE


def test_validate_tells_all_findings_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["validate", str(SUBMISSION), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert code == (ExitCode.RECORDS_QUARANTINED if told["quarantined"] else ExitCode.DONE)
    assert told["records"] > 0
    assert all(set(finding) == {"code", "file", "row", "field", "hint"} for finding in told["findings"])


def test_validate_loads_nothing_heavy() -> None:
    program = (
        "import sys; from cli.main import run; code = run(['validate', sys.argv[1], '--json']); "
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    lines = next(path.parent for path in sorted(SAMPLE.glob("*/*/manifest.json")))
    done = subprocess.run([sys.executable, "-c", program, str(lines)], capture_output=True, text=True, check=True)
    loaded = done.stderr.strip().splitlines()[-1]
    assert "prefect" not in loaded
    assert loaded in ("[]", "['numpy.random']")  # PyArrow brings NumPy where a file is Parquet


def test_scrub_gives_spans_over_the_input(tmp_path: Path) -> None:
    text = "My name is Anna Karlsson, write to anna.k@example.org or call 988."
    (tmp_path / "in.jsonl").write_text(json.dumps({"text": text}) + "\n")
    assert run(["scrub", str(tmp_path / "in.jsonl"), str(tmp_path / "out.jsonl")]) == 0
    out = json.loads((tmp_path / "out.jsonl").read_text())
    found = {text[span["start"] : span["end"]] for span in out["spans"]}
    assert {"Anna Karlsson", "anna.k@example.org"} <= found
    assert "988" in out["text"]
    assert "Anna" not in out["text"]


def test_scrub_names_the_line_and_not_its_content(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "fine"}\n{"canary-88d1": 1}\n')
    assert run(["scrub", str(tmp_path / "in.jsonl"), str(tmp_path / "out.jsonl")]) == ExitCode.USAGE
    assert not (tmp_path / "out.jsonl").exists()
    shown = capsys.readouterr()
    assert "Line 2" in shown.err
    assert "canary" not in shown.err + shown.out


def test_a_key_is_never_overwritten_and_is_its_owners_only(tmp_path: Path) -> None:
    assert run(["keygen", str(tmp_path / "a.key")]) == 0
    before = (tmp_path / "a.key").read_bytes()
    assert run(["keygen", str(tmp_path / "a.key")]) == ExitCode.USAGE
    assert (tmp_path / "a.key").read_bytes() == before
    assert (tmp_path / "a.key").stat().st_mode & 0o777 == 0o600


def test_an_empty_pool_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["query", "select 1", "--root", str(tmp_path)]) == ExitCode.USAGE
    assert "commons demo" in capsys.readouterr().err
    assert run(["budget", "--root", str(tmp_path), "--json"]) == 0
    assert run(["status", "--root", str(tmp_path), "--json"]) == 0


@pytest.mark.parametrize("arguments", [["plan", "2026Q1", "--explain", "--users", "9"], ["status"]])
def test_a_reader_that_leaves_is_no_bug(arguments: list[str], tmp_path: Path) -> None:
    """`commons … | head`: long output and short, which is written only at the end."""
    read, write = os.pipe()
    os.close(read)
    call = [sys.executable, "-c", "from cli.main import main; main()", *arguments, "--root", str(tmp_path)]
    done = subprocess.run(call, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert done.stderr == ""
    assert done.returncode in (0, 141)
