"""`prepare`: counts, hashes, signs; the same data give the same submission; nothing is signed while anything is wrong."""

import gzip
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from intake.limits import DEFAULT_LIMITS
from intake.manifest_checks import read_manifest
from intake.preparing import PreparedSubmission, find_manifest_source, prepare
from intake.settings import CompanySettings
from intake.validation import validate_submission
from schemas.errors import UsageError
from schemas.findings import Finding
from schemas.manifest import signed_bytes
from schemas.signing import public_key, verify

KEY = b"k" * 32
SETTINGS = CompanySettings(company="alder", agreement_id="agr-1", key_id="alder-1", signing_key=Path("alder-1.key"))
SOURCE = """
period = "2026-01"
pseudonym_key_id = "alder-{quarter}"
pseudonym_unit = "account"
tier = "records"
[[selection]]
stratum = "flagged-main"
reason = "flagged"
rule = "flagged"
classifier_version = "risk-1"
sampling_rate = 1
[attestations]
redacted_by_company = true
opt_outs_removed = true
restricted_records_excluded = true
redaction_tool = "none"
"""


@pytest.fixture
def export(tmp_path: Path) -> Path:
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "a.jsonl").write_text('{"n": 1}\n{"n": 2}\n')
    (folder / "b.jsonl").write_text('{"n": 1}\n{"n": 2}\n{"n": 3}')  # the last line without its end
    with gzip.open(folder / "c.jsonl.gz", "wb") as stream:
        stream.write(b'{"n": 1}\n' * 70_000)  # several reads long
    with pa.output_stream(str(folder / "d.jsonl.zst"), compression="zstd") as sink:
        sink.write(b"{}\n" * 5)
    pq.write_table(pa.table({"n": [1, 2, 3, 4]}), folder / "e.parquet")
    return folder


def source(folder: Path, text: str = SOURCE) -> Path:
    path = folder.parent / "manifest.toml"
    path.write_text(text)
    return path


def prepared(folder: Path, text: str = SOURCE, **more: str) -> tuple[PreparedSubmission | None, list[Finding]]:
    return prepare(folder, SETTINGS, source(folder, text), KEY, **more)  # type: ignore[arg-type]


def test_files_are_counted_hashed_and_signed(export: Path) -> None:
    done, findings = prepared(export)
    assert (findings, done is not None) == ([], True)
    raw = json.loads((export / "manifest.json").read_text())
    assert {f["path"]: (f["records"], f["format"]) for f in raw["files"]} == {
        "a.jsonl": (2, "jsonl"), "b.jsonl": (3, "jsonl"), "c.jsonl.gz": (70_000, "jsonl.gz"), "d.jsonl.zst": (5, "jsonl.zst"),
        "e.parquet": (4, "parquet"),
    }  # fmt: skip
    assert verify(public_key(KEY), signed_bytes(raw), raw["signature"])
    assert raw["pseudonym_key_id"] == "alder-2026q1"
    read, problems = read_manifest(export, DEFAULT_LIMITS)
    assert read is not None and done is not None
    assert (problems, read.digest) == ([], done.digest)
    assert "E106" not in validate_submission(export).counts


def test_the_same_data_are_the_same_submission_and_other_data_another(export: Path, tmp_path: Path) -> None:
    shutil.copytree(export, tmp_path / "copies" / "export")
    first, _ = prepared(export)
    again, _ = prepared(export)  # over its own manifest
    copied, _ = prepared(tmp_path / "copies" / "export")
    assert first == again == copied
    assert first is not None and first.submission_id.startswith("alder-2026-01-")
    (export / "a.jsonl").write_text('{"n": 2}\n')
    other, _ = prepared(export)
    assert other is not None and other.submission_id != first.submission_id


def test_period_and_id_of_the_call_go_before_those_of_the_file(export: Path) -> None:
    done, _ = prepared(export, period="2026Q2", submission_id="mine-1")
    raw = json.loads((export / "manifest.json").read_text())
    assert (raw["period"], raw["submission_id"], raw["pseudonym_key_id"]) == ("2026Q2", "mine-1", "alder-2026q2")
    assert done is not None and done.submission_id == "mine-1"


@pytest.mark.parametrize("name", ["redacted_by_company", "opt_outs_removed", "restricted_records_excluded"])
def test_nothing_is_signed_that_is_not_attested(export: Path, name: str) -> None:
    done, findings = prepared(export, SOURCE.replace(f"{name} = true", f"{name} = false"))
    assert done is None
    assert [(f.code, f.field, f.file) for f in findings] == [("E109", f"attestations.{name}", "manifest.toml")]
    assert not (export / "manifest.json").exists()


@pytest.mark.parametrize(
    ("old", "new", "code", "field"),
    [
        ("sampling_rate = 1", "sampling_rate = 11.5", "E102", "selection[0].sampling_rate"),
        ("sampling_rate = 1", "sampling_rate = inf", "E102", "selection[0].sampling_rate"),
        ("sampling_rate = 1", f"sampling_rate = {10**30}", "E102", ""),
        ('reason = "flagged"', 'reason = "canary-5"', "E102", "selection[0].reason"),
        ('rule = "flagged"', 'rule = "flagged"\ncanary-5 = 1', "E102", "selection[0].?"),
        ('tier = "records"', 'tier = "aggregates"', "E111", "tier"),
        ('tier = "records"', 'tier = "records"\nsignature = "canary-5"', "E102", "signature"),
        ('tier = "records"', 'tier = "records"\ncanary-5 = 1', "E102", "?"),
        ('period = "2026-01"', "", "E102", "period"),
        ('period = "2026-01"', 'period = "canary-5"', "E110", "period"),
        ('period = "2026-01"', "period = 7", "E110", "period"),
        ("redacted_by_company = true", 'redacted_by_company = "canary-5"', "E102", "attestations.redacted_by_company"),
        ("redaction_tool", "# redaction_tool", "E102", "attestations.redaction_tool"),
    ],
)
def test_a_problem_of_the_manifest_is_a_finding_without_its_value(
    export: Path, old: str, new: str, code: str, field: str
) -> None:
    assert old in SOURCE
    done, findings = prepared(export, SOURCE.replace(old, new))
    assert done is None
    assert (code, field) in [(f.code, f.field) for f in findings]
    assert "canary" not in repr(findings)
    assert not (export / "manifest.json").exists()


def test_a_day_may_stand_as_toml_writes_days(export: Path) -> None:
    done, _ = prepared(export, SOURCE.replace('"2026-01"', "2026-01-30"))
    assert done is not None and done.period == "2026-01-30"


def test_a_manifest_that_is_no_toml_is_told_by_its_line(export: Path) -> None:
    with pytest.raises(UsageError) as told:
        prepared(export, SOURCE.replace('tier = "records"', "tier = canary"))
    assert "line 5" in told.value.message
    assert "canary" not in str(told.value)


def test_what_is_no_data_file_or_cannot_be_read_is_found_and_not_named(export: Path) -> None:
    (export / "canary.csv").write_text("x")
    (export / "cut.jsonl.gz").write_bytes(gzip.compress(b"{}\n" * 99)[:-9])
    (export / "cut.parquet").write_bytes((export / "e.parquet").read_bytes()[:-9])
    done, findings = prepared(export)
    assert done is None
    assert sorted({(f.code, f.field) for f in findings}) == [("E106", "files"), ("E107", "files")]
    assert "canary" not in repr(findings)
    assert sorted(f.file for f in findings if f.code == "E107") == ["cut.jsonl.gz", "cut.parquet"]


def test_a_folder_without_data_says_so(tmp_path: Path) -> None:
    (tmp_path / "manifest.toml").write_text(SOURCE)
    done, findings = prepared(tmp_path)
    assert done is None
    assert [(f.code, f.field, f.hint[:23]) for f in findings] == [("E102", "files", "There is no data file i")]


def test_a_link_is_no_data_file(export: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.jsonl").write_text("{}\n")
    (export / "f.jsonl").symlink_to(tmp_path / "elsewhere.jsonl")
    done, findings = prepared(export)
    assert (done, [f.code for f in findings]) == (None, ["E106"])


def test_an_empty_folder_is_no_submission(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done, findings = prepared(tmp_path / "empty")
    assert (done, [(f.code, f.field) for f in findings]) == (None, [("E102", "files")])


def test_what_a_killed_run_left_is_cleared(export: Path) -> None:
    (export / ".manifest.json.123").write_text("half")
    done, _ = prepared(export)
    assert done is not None
    assert not list(export.glob(".*"))


def test_an_export_may_have_a_manifest_of_its_own(export: Path) -> None:
    outer = source(export)
    assert find_manifest_source(export, export.parent / "commons.toml") == outer
    inner = export / "manifest.toml"
    inner.write_text(SOURCE)
    assert find_manifest_source(export, export.parent / "commons.toml") == inner
    done, _ = prepare(export, SETTINGS, inner, KEY)
    assert done is not None
    assert "E106" not in validate_submission(export).counts
