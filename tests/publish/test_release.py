"""The release folder: whole, reproducible, marked, and verified from what lies in it."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from release_fixtures import RELEASE_KEY, SIGNED_AT, both_sign, build_measured, change_rows

from publish import catalog as catalog_module
from publish import folder as folder_module
from publish import release as release_module
from publish.checks import run_checks
from publish.pdf import Pdf
from publish.release import write_release
from publish.signoff import People
from publish.verify import verify_release
from schemas.errors import CheckFailedError, InternalError, NotApprovedError
from schemas.periods import Quarter
from schemas.stages import CheckResult, MeasuredRelease, Release, SignOff
from schemas.tables import columns, key_columns

HELPLINES = [{"region": "US", "name": "988 Suicide & Crisis Lifeline", "contact": "call or text 988"}]


def _write(measured: MeasuredRelease, people: People, root: Path, **changes: Any) -> Release:
    given: dict[str, Any] = {
        "checks": run_checks(measured),
        "signoffs": both_sign(measured, people),
        "signing_key": RELEASE_KEY,
        "code_version": "0.1.0",
        "helplines": HELPLINES,
        "canary_recall": {"EMAIL": 0.99},
    }
    return write_release(measured, folder_root=root, people=people, **(given | changes))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of the folder alone: pages that take no time to draw."""
    monkeypatch.setattr(release_module, "_pages", lambda _: ({"README.md": b"SYNTHETIC"}, {}))


@pytest.fixture(scope="module")
def written(measured: MeasuredRelease, people: People, tmp_path_factory: pytest.TempPathFactory) -> Release:
    return _write(measured, people, tmp_path_factory.mktemp("releases"))


def _files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_two_builds_are_byte_identical(written: Release, measured: MeasuredRelease, people: People, tmp_path: Path) -> None:
    reversed_rows = change_rows(measured, "risk_profile", lambda rows: rows.reverse())
    other = _write(replace(reversed_rows, tables=reversed_rows.tables[::-1]), people, tmp_path)
    assert _files(other.folder) == _files(written.folder)
    assert (tmp_path / "catalog.json").read_bytes() == (written.folder.parents[1] / "catalog.json").read_bytes()


def test_the_folder_verifies_with_ours_and_with_coreutils(written: Release) -> None:
    assert all(result.passed for result in verify_release(written.folder))
    subprocess.run(["sha256sum", "-c", "--strict", "--quiet", "SHA256SUMS"], cwd=written.folder, check=True)


def test_again_is_found_as_it_is(written: Release, measured: MeasuredRelease, people: People, monkeypatch: Any) -> None:
    before = {p: p.stat().st_mtime_ns for p in written.folder.rglob("*")}
    monkeypatch.setattr(release_module, "release_files", lambda *_: pytest.fail("built again"))
    again = _write(measured, people, written.folder.parents[1], code_version="0.2.0")
    assert again == written and {p: p.stat().st_mtime_ns for p in written.folder.rglob("*")} == before


@pytest.mark.usefixtures("quick")
def test_another_release_in_its_place_is_refused(written: Release, measured: MeasuredRelease, people: People) -> None:
    before = _files(written.folder)
    other = change_rows(measured, "risk_profile", lambda rows: rows[0].update(estimate=rows[0]["estimate"] + 0.001))
    later = tuple(replace(s, signed_at=SIGNED_AT.replace(hour=13)) for s in both_sign(measured, people))
    for changed, signoffs in ((other, both_sign(other, people)), (measured, later)):
        with pytest.raises(InternalError):
            _write(changed, people, written.folder.parents[1], signoffs=signoffs, checks=run_checks(measured))
    assert _files(written.folder) == before


def test_every_file_says_synthetic(written: Release) -> None:
    for path, data in _files(written.folder).items():
        if path.endswith(".parquet"):
            assert pq.read_schema(written.folder / path).metadata[b"synthetic"] == b"true"
        elif not path.endswith(".pdf"):
            assert b"synthetic" in data.lower(), path
    catalog = json.loads((written.folder.parents[1] / "catalog.json").read_bytes())
    assert all(entry["synthetic"] is True for entry in catalog["releases"])


def test_real_data_are_not_called_synthetic(people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release_module, "render_pdf", lambda *_: Pdf(None, "not in this test"))
    real = _write(build_measured(synthetic=False), people, tmp_path)
    assert not any(b"SYNTHETIC" in data for data in _files(real.folder).values())


def test_parquet_is_sorted_documented_and_in_its_release(written: Release, measured: MeasuredRelease) -> None:
    for table in measured.tables:
        file = pq.ParquetFile(written.folder / f"data/{table.name}/{table.name}.parquet")
        schema, group = file.schema_arrow, file.metadata.row_group(0)
        declared = columns(table.name, measured.plan.release_plan)
        for column in declared:
            told = schema.field(column.name).metadata or {}
            assert told[b"description"].decode() == column.description and told.get(b"unit", b"").decode() == column.unit
        assert group.column(0).compression == "ZSTD" and group.sorting_columns
        assert group.column(0).is_stats_set or not group.num_rows  # a quarter may find no term
        told = schema.metadata or {}
        assert told[b"release"] == b"2026Q3/v1" and told[b"epsilon"] == b"0.89"
        names = key_columns(table.name, measured.plan.release_plan)
        keys = [tuple(row[name] for name in names) for row in file.read().to_pylist()]
        assert keys == sorted(keys) and len(keys) == table.rows.num_rows


def test_a_missing_library_skips_the_pdf_and_says_so(
    measured: MeasuredRelease, people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    release = _write(measured, people, tmp_path)
    assert not (release.folder / "brief.pdf").exists() and "Pango" in release.manifest["skipped"]["brief.pdf"]
    monkeypatch.undo()
    assert _write(measured, people, tmp_path) == release  # what is published stays as it was published


def test_a_later_quarter_knows_the_earlier_one(people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release_module, "render_pdf", lambda *_: Pdf(None, "not in this test"))
    _write(build_measured(quarter=Quarter(2026, 2)), people, tmp_path)
    later = _write(build_measured(), people, tmp_path)
    assert later.manifest["earlier_releases"] == ["2026Q2/v1"]
    assert "Earlier releases: 2026Q2/v1. Do not read differences" in (later.folder / "brief.html").read_text()


def test_views_run_in_duckdb_from_anywhere(written: Release) -> None:
    connection = duckdb.connect()
    connection.execute(f"SET file_search_path = '{written.folder}'")
    connection.execute((written.folder / "views.sql").read_text())
    shown = connection.execute(
        "SELECT rate_with_interval(rate, rate_ci_low, rate_ci_high) FROM intervention_outcomes "
        "WHERE outcome_kind = 'user_reply' AND outcome = 'engaged' AND intervention = 'no_intervention'"
    ).fetchall()
    assert len(shown) == 1 and "%" in shown[0][0] and " to " in shown[0][0]
    noise = connection.execute("SELECT noise_interval(estimate, noise_stddev) FROM risk_profile WHERE week <> 'all'").fetchall()
    assert all(row[0]["low"] < row[0]["high"] for row in noise)
    comments = connection.execute("SELECT count(*) FROM duckdb_columns() WHERE comment IS NOT NULL AND NOT internal").fetchone()
    assert comments is not None and comments[0] > 30


def test_the_card_says_what_it_must(written: Release) -> None:
    card = (written.folder / "README.md").read_text()
    for said in (
        "ε = 0.89",
        "ε = 1.29",
        "user of one company in one quarter",
        "4 contributed",
        "Submitted conversations, not prevalence",
        "C-SSRS-informed, inferred from text",
        "Association, not effect",
        "Late turns are selected",
        "CC BY 4.0",
        "SYNTHETIC DATA",
        "How to cite",
        "| EMAIL | 0.990 |",
    ):
        assert said in card


@pytest.mark.usefixtures("quick")
def test_unapproved_or_unchecked_is_not_written(
    measured: MeasuredRelease, people: People, signoffs: tuple[SignOff, ...], tmp_path: Path
) -> None:
    stopped = [CheckResult("complete", False, True, "no")]
    for changes, error in (
        ({"signoffs": signoffs[:1]}, NotApprovedError),
        ({"signoffs": ()}, NotApprovedError),
        ({"signoffs": (signoffs[0], replace(signoffs[1], signature=signoffs[0].signature))}, NotApprovedError),
        ({"checks": stopped}, CheckFailedError),
        ({"checks": []}, CheckFailedError),
    ):
        with pytest.raises(error):
            _write(measured, people, tmp_path, **changes)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("quick")
def test_a_crash_leaves_nothing_and_the_next_run_finishes(
    measured: MeasuredRelease, people: People, tmp_path: Path, monkeypatch: Any
) -> None:
    real = catalog_module.write_synced
    written = 0

    def dies(path: Path, data: bytes) -> None:
        nonlocal written
        written += 1
        if written == 4:
            raise KeyboardInterrupt
        real(path, data)

    monkeypatch.setattr(folder_module, "write_synced", dies)
    with pytest.raises(KeyboardInterrupt):
        _write(measured, people, tmp_path)
    assert not (tmp_path / "2026Q3" / "v1").exists() and not (tmp_path / "catalog.json").exists()
    monkeypatch.setattr(folder_module, "write_synced", real)
    finished = _write(measured, people, tmp_path)
    assert all(result.passed for result in verify_release(finished.folder))
    assert [p.name for p in (tmp_path / "2026Q3").iterdir()] == ["v1"]


@pytest.mark.usefixtures("quick")
def test_a_crash_before_the_catalogue_is_mended(measured: MeasuredRelease, people: People, tmp_path: Path) -> None:
    _write(measured, people, tmp_path)
    (tmp_path / "catalog.json").unlink()
    _write(measured, people, tmp_path)
    catalog = json.loads((tmp_path / "catalog.json").read_bytes())
    assert catalog["latest"] == {"2026Q3": "2026Q3/v1"}


@pytest.mark.usefixtures("quick")
def test_the_catalogue_names_the_latest(written: Release, people: People, tmp_path: Path) -> None:
    for version in (1, 2):
        _write(build_measured(version=version), people, tmp_path)
    catalog = json.loads((tmp_path / "catalog.json").read_bytes())
    assert catalog["latest"] == {"2026Q3": "2026Q3/v2"} and len(catalog["releases"]) == 2
