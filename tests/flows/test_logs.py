"""The log holds events of ours, with fields of a fixed form, and nothing that anybody else says."""

import ast
import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flows import logs
from flows.guard import guarded
from flows.logs import FIELDS, FILE, Event, LinesHandler, log, log_error
from flows.pool import Pool
from schemas.errors import InternalError, TransportError

CANARY = "canary-93be10"
ROOT = Path(__file__).resolve().parents[2]
SOUND: dict[str, Any] = {
    "company": "alder", "digest": "0" * 64, "quarter": "2026Q1", "decision": "accepted", "counts": {"E205": 3}, "rows": 10,
    "bytes": 5, "seconds": 1.5, "exit_code": 30, "error": "OutOfSpaceError", "place": "flows/guard.py:33 > intake/parts.py:9",
}  # fmt: skip


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    (tmp_path / "config").mkdir()
    shutil.copyfile(ROOT / "sample_data" / "sample" / "companies.toml", tmp_path / "config" / "companies.toml")
    return Pool(tmp_path)


def lines(pool: Pool) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted((pool.root / "logs").iterdir()) for line in path.read_text().splitlines()]


def test_an_event_is_one_line_with_its_fields(pool: Pool) -> None:
    log(pool, Event.SUBMISSION_DECIDED, **SOUND)
    (line,) = lines(pool)
    assert {name: line[name] for name in SOUND} == SOUND
    assert set(line) == {"at", "level", "event", *SOUND}
    assert set(SOUND) == {*FIELDS, "company"}
    assert (pool.root / "logs" / FILE).stat().st_mode & 0o777 == 0o640
    assert (pool.root / "logs").stat().st_mode & 0o007 == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"text": CANARY},
        {"message": CANARY},
        {"exc_info": CANARY},
        {"company": CANARY},
        {"company": ["alder"]},
        {"digest": CANARY},
        {"digest": "0" * 63 + "\n"},
        {"quarter": CANARY},
        {"decision": CANARY},
        {"counts": {CANARY: 1}},
        {"counts": {"E205": CANARY}},
        {"counts": CANARY},
        {"rows": CANARY},
        {"rows": True},
        {"rows": 1e300},
        {"seconds": float("nan")},
        {"exit_code": 71},
        {"error": CANARY},
        {"error": "ValueError"},
        {"place": CANARY},
        {"place": f"/home/{CANARY}/a.py:1"},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_what_is_not_on_the_list_or_not_of_its_form_is_left_out_and_counted(pool: Pool, fields: dict[str, Any]) -> None:
    log(pool, Event.CHECKED, quarter="2026Q1", **fields) if "quarter" not in fields else log(pool, Event.CHECKED, **fields)
    (line,) = lines(pool)
    assert line["dropped"] == 1
    assert not set(fields) & set(line)
    assert CANARY not in json.dumps(line)


def test_what_others_log_does_not_get_in(pool: Pool) -> None:
    handler = LinesHandler(pool.root / "logs", frozenset())
    library = logging.Logger("library")
    library.addHandler(handler)
    library.warning(CANARY)
    library.warning("%s", CANARY, extra={"quarter": CANARY})
    try:
        raise ValueError(CANARY)
    except ValueError:
        library.exception(CANARY)
    library.info(Event.MEASURED, extra={"commons_event": CANARY})
    assert not (pool.root / "logs").exists()
    library.info(Event.MEASURED, extra={"commons_event": {}})
    assert [(line["event"], line["dropped"]) for line in lines(pool)] == [("measured", 4)]
    logging.getLogger().warning(CANARY)
    assert CANARY not in (pool.root / "logs" / FILE).read_text()


def test_an_error_is_told_by_kind_and_place_only(pool: Pool) -> None:
    def fail() -> None:
        raise ValueError(CANARY)

    with pytest.raises(InternalError) as told:
        guarded(fail)
    log_error(pool, told.value)
    log_error(pool, TransportError(CANARY, CANARY))
    log_error(pool, InternalError(f"Something at {CANARY}."))
    first, second, third = lines(pool)
    assert (first["error"], first["exit_code"]) == ("InternalError", 70)
    assert first["place"].startswith("flows/guard.py:")
    assert (second["error"], second["exit_code"]) == ("TransportError", 20)
    assert "place" not in second
    assert "place" not in third
    assert CANARY not in json.dumps([first, second, third])


def test_every_call_tells_an_event_of_ours_and_every_event_is_told() -> None:
    told = set()
    for path in sorted(ROOT.glob("flows/*.py")) + sorted(ROOT.glob("cli/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "log"
                and path.name != "logs.py"
            ):
                event = node.args[1]
                assert isinstance(event, ast.Attribute), f"{path.name}:{node.lineno}"
                assert ast.unparse(event.value) == "Event"
                told.add(Event[event.attr])
                named = {keyword.arg for keyword in node.keywords if keyword.arg}
                assert named <= {*FIELDS, "company", "level"}
    assert told == set(Event) - {Event.ERROR}


def test_the_file_is_begun_anew_and_no_line_is_lost_or_torn(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LINES_BYTES", 2_000)
    for number in range(60):
        log(pool, Event.SCRUB_BATCH, rows=number)
    assert sorted(line["rows"] for line in lines(pool)) == list(range(60))
    for number in range(1_000):
        log(pool, Event.SCRUB_BATCH, rows=number)
    files = sorted((pool.root / "logs").iterdir())
    assert len(files) == logs.KEPT + 1
    assert all(path.stat().st_size <= 2_000 for path in files)


def test_processes_that_log_at_once_lose_nothing(pool: Pool) -> None:
    program = (
        "import sys; from pathlib import Path; from flows import logs; from flows.pool import Pool; logs.LINES_BYTES = 9000\n"
        "for n in range(100): logs.log(Pool(Path(sys.argv[1])), logs.Event.SCRUB_BATCH, rows=n)"
    )
    command = [sys.executable, "-c", program, str(pool.root)]
    started = [subprocess.Popen(command, cwd=ROOT) for _ in range(3)]
    assert [each.wait() for each in started] == [0] * 3
    assert sorted(line["rows"] for line in lines(pool)) == sorted(list(range(100)) * 3)


def test_a_log_that_cannot_be_written_stops_nothing(pool: Pool) -> None:
    (pool.root / "logs").write_text("a file where the folder should be")
    log(pool, Event.INGEST_STARTED)
