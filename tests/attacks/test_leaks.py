"""Planted values are found nowhere but where they belong; and where one leaks, it is found."""

import base64
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from leaking import KINDS, TOLD_ITS_COMPANY, Leak, Runs, Search, canary, find_leaks, forms

from schemas.errors import ExitCode

VALUE = canary("text", 7)


def test_a_few_values_of_each_kind_leak_nowhere(tmp_path: Path) -> None:
    leaks, codes = find_leaks(tmp_path, 2, failing=False)
    assert leaks == set()
    assert codes["ingest"] == ExitCode.SUBMISSION_REFUSED
    decided = [json.loads(line) for line in (tmp_path / "pool" / "logs" / "commons.jsonl").read_text().splitlines()]
    decisions = [line["decision"] for line in decided if line["event"] == "submission_decided"]
    assert sorted(decisions) == ["accepted"] * 4 + ["refused"] * 5


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_twenty_values_of_each_kind_leak_nowhere_also_where_runs_fail(tmp_path: Path) -> None:
    leaks, codes = find_leaks(tmp_path, 20, failing=True)
    assert leaks == set()
    assert codes["ingest, step fails"] == ExitCode.INTERNAL
    assert codes["ingest, worker fails"] == ExitCode.SUBMISSION_REFUSED
    assert codes["ingest, scrub fails"] == ExitCode.SCRUB_STOPPED
    assert codes["ingest, disk is full"] in (ExitCode.OUT_OF_SPACE, -1)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_guard_that_quotes_what_it_caught_is_found_out(tmp_path: Path) -> None:
    leaks, _ = find_leaks(tmp_path, 2, failing=False, plant="told")
    assert {leak.place for leak in leaks} >= {"standard error of ingest", "prefect"}


WAYS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda value: value,
    "base64": base64.b64encode,
    "base64 behind others": lambda value: base64.b64encode(b"x" + value + b"yz"),
    "base64 behind two": lambda value: base64.b64encode(b"xy" + value + b"z"),
    "hexadecimal": lambda value: value.hex().encode(),
    "upper hexadecimal": lambda value: value.hex().upper().encode(),
    "UTF-16": lambda value: value.decode().encode("utf-16"),
    "URL": lambda value: "".join(f"%{c:02X}" for c in value).encode(),
    "JSON": lambda value: "".join(f"\\u{c:04x}" for c in value).encode(),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_value_is_found_in_every_form(way: str) -> None:
    search = Search()
    search.look(b"before " + WAYS[way](VALUE.encode()) + b" after", "somewhere")
    assert len(search.leaks) == 1
    search = Search()
    search.look(b"before " + WAYS[way](b"nothing of the kind") + b" after", "somewhere")
    assert search.leaks == set()


def test_what_only_the_company_is_told_counts_elsewhere() -> None:
    search = Search()
    for kind in KINDS:
        search.look(canary(kind, 3).encode(), "answers", TOLD_ITS_COMPANY)
    assert {leak.kind for leak in search.leaks} == set(KINDS) - TOLD_ITS_COMPANY


PLACES = (
    "logs/commons.jsonl", "prefect/prefect.db", "state/state.db-wal", "staging/file-00000", "answers/alder/x/report.html",
    "drops/alder/out/x/findings.jsonl", "releases/2026Q1/brief.html", "scratch/some.tmp", "accepted/2026Q1/alder/x/plain.txt",
    "../temporary/left-over", "../home/.cache/thing", "../cwd/core.123", f"staging/{VALUE}",
)  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_a_value_is_found_in_every_place(place: str, tmp_path: Path) -> None:
    search = Search()
    runs = Runs(tmp_path, search)
    runs.root.mkdir()
    path = runs.root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    runs.look_around()
    assert search.leaks == set()
    path.write_bytes(b"\0" * 5000 + (b"" if VALUE in place else VALUE.encode()))
    try:
        runs.look_around()
    except sqlite3.DatabaseError:  # that file is no database; its bytes were looked at before
        assert place.endswith(".db")
    assert search.leaks
    assert all(leak.kind in ("text", path.name) for leak in search.leaks)


def test_a_value_is_found_in_a_cell_of_a_database(tmp_path: Path) -> None:
    search = Search()
    runs = Runs(tmp_path, search)
    (runs.root / "state").mkdir(parents=True)
    with sqlite3.connect(runs.root / "state" / "state.db") as connection:
        connection.execute("create table audit (note text)")
        connection.execute("insert into audit values (?)", (VALUE,))
    connection.close()
    runs.look_around()
    assert Leak("table audit of state.db", "text", "07") in search.leaks


def test_the_forms_are_many() -> None:
    assert len(set(forms("kzq").values())) == len(forms("kzq")) >= 12
