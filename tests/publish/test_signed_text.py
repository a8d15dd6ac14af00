"""Signatures cover staff's text: it is published as it was signed, or not at all."""

import json
from pathlib import Path

import pytest
from release_fixtures import PRIVATE_KEYS, RELEASE_KEY, SIGNED_AT

from publish.brief import SECTIONS
from publish.checks import run_checks
from publish.release import write_release
from publish.signoff import People, SignedContent, sign_off, verify_signoffs
from publish.staff_text import StaffText
from publish.verify import STAFF_TEXT, verify_release
from schemas.canonical import sha256_bytes
from schemas.errors import CheckFailedError, NotApprovedError
from schemas.stages import CheckResult, MeasuredRelease, SignOff

TEXT = StaffText("Silence is not calm.\n", headings=SECTIONS)
OTHER = StaffText("Silence is calm.\n", headings=SECTIONS)


def signed(measured: MeasuredRelease, people: People, text: StaffText) -> tuple[SignOff, ...]:
    return tuple(
        sign_off(measured, people, name, PRIVATE_KEYS[name], SIGNED_AT, text_digest=text.digest) for name in ("carmen", "piet")
    )


@pytest.fixture(scope="module")
def checks(measured: MeasuredRelease) -> list[CheckResult]:
    return run_checks(measured)


def test_another_text_is_refused_and_so_is_none(measured: MeasuredRelease, people: People) -> None:
    given = signed(measured, people, TEXT)
    verify_signoffs(SignedContent.of(measured, TEXT.digest), people, measured.plan.planner, given)
    for text in (OTHER, StaffText()):
        with pytest.raises(NotApprovedError, match="text"):
            verify_signoffs(SignedContent.of(measured, text.digest), people, measured.plan.planner, given)


def test_whoever_signs_second_signs_what_the_first_signed(measured: MeasuredRelease, people: People) -> None:
    first = signed(measured, people, TEXT)[:1]
    with pytest.raises(NotApprovedError, match="text"):
        sign_off(measured, people, "piet", PRIVATE_KEYS["piet"], SIGNED_AT, first, OTHER.digest)
    sign_off(measured, people, "piet", PRIVATE_KEYS["piet"], SIGNED_AT, first, TEXT.digest)


def test_the_release_holds_the_signed_text(
    measured: MeasuredRelease, people: People, checks: list[CheckResult], tmp_path: Path
) -> None:
    given = signed(measured, people, TEXT)
    for text in (OTHER, None):
        with pytest.raises(NotApprovedError):
            write_release(measured, checks, given, people, tmp_path, signing_key=RELEASE_KEY, code_version="0.1.0", text=text)
    folder = write_release(
        measured, checks, given, people, tmp_path, signing_key=RELEASE_KEY, code_version="0.1.0", text=TEXT
    ).folder
    assert (folder / STAFF_TEXT).read_text() == TEXT.source
    assert TEXT.source.strip() in (folder / "brief.html").read_text()
    assert all(result.passed for result in verify_release(folder))
    for change in (lambda path: path.write_text(OTHER.source), lambda path: path.unlink()):
        _change(folder, change)
        failed = {result.name for result in verify_release(folder) if not result.passed}
        assert "signoffs" in failed  # also by one who makes all hashes anew


def _change(folder: Path, change: object) -> None:
    assert callable(change)
    change(folder / STAFF_TEXT)
    manifest = json.loads((folder / "MANIFEST.json").read_text())
    files = {entry["path"]: folder / entry["path"] for entry in manifest["files"]}
    kept = {path: file.read_bytes() for path, file in files.items() if file.exists()}
    manifest["files"] = [{"path": p, "sha256": sha256_bytes(d), "bytes": len(d)} for p, d in sorted(kept.items())]
    (folder / "MANIFEST.json").write_text(json.dumps(manifest))
    kept["MANIFEST.json"] = (folder / "MANIFEST.json").read_bytes()
    (folder / "SHA256SUMS").write_text("".join(f"{sha256_bytes(d)}  {p}\n" for p, d in sorted(kept.items())))


def test_a_text_that_the_data_do_not_support_is_not_written(
    measured: MeasuredRelease, people: People, checks: list[CheckResult], tmp_path: Path
) -> None:
    wrong = StaffText("Replies rose.\n", headings=SECTIONS)
    with pytest.raises(CheckFailedError, match="line 1"):
        write_release(
            measured,
            checks,
            signed(measured, people, wrong),
            people,
            tmp_path,
            signing_key=RELEASE_KEY,
            code_version="0.1.0",
            text=wrong,
        )
    assert not list(tmp_path.glob("2026Q3/v1"))
