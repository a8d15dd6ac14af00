"""Verification catches every change of a folder."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from release_fixtures import PRIVATE_KEYS, RELEASE_KEY, both_sign

from publish import release as release_module
from publish import verify as verify_module
from publish.checks import run_checks
from publish.minisign import read_public_key, signature_text
from publish.release import write_release
from publish.signoff import People
from publish.verify import verify_release
from schemas.canonical import sha256_bytes
from schemas.errors import InternalError, UsageError
from schemas.signing import encode_key, public_key
from schemas.stages import MeasuredRelease, Release


@pytest.fixture(scope="module")
def original(measured: MeasuredRelease, people: People, tmp_path_factory: pytest.TempPathFactory) -> Release:
    signoffs = both_sign(measured, people)
    root = tmp_path_factory.mktemp("releases")
    return write_release(measured, run_checks(measured), signoffs, people, root, signing_key=RELEASE_KEY, code_version="0.1.0")


@pytest.fixture
def folder(original: Release, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original.folder, tmp_path / "v1"))


def _failed(folder: Path) -> set[str]:
    return {result.name for result in verify_release(folder) if not result.passed}


def _rehash(folder: Path) -> None:
    """Makes manifest and sums fit whatever lies there, as a forger would."""
    manifest = json.loads((folder / "MANIFEST.json").read_bytes())
    for entry in manifest["files"]:
        data = (folder / entry["path"]).read_bytes()
        entry |= {"sha256": sha256_bytes(data), "bytes": len(data)}
    (folder / "MANIFEST.json").write_text(json.dumps(manifest))
    paths = [entry["path"] for entry in manifest["files"]] + ["MANIFEST.json"]
    (folder / "SHA256SUMS").write_text("".join(f"{sha256_bytes((folder / p).read_bytes())}  {p}\n" for p in paths))


def _edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    manifest = json.loads((folder / "MANIFEST.json").read_bytes())
    change(manifest)
    (folder / "MANIFEST.json").write_text(json.dumps(manifest))
    _rehash(folder)


def test_an_honest_copy_verifies(folder: Path) -> None:
    assert not _failed(folder)
    _rehash(folder)
    assert _failed(folder) == {"signature"}


FLIPS = (0x01, 0x07, 0x80)  # 0x07 makes a carriage return of a newline


def test_a_flipped_byte_in_any_file_is_caught(folder: Path) -> None:
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        honest = path.read_bytes()
        path.write_bytes(honest[: len(honest) // 2] + bytes([honest[len(honest) // 2] ^ 1]) + honest[len(honest) // 2 + 1 :])
        assert _failed(folder), path
        path.write_bytes(honest)
    assert not _failed(folder)


def test_a_flipped_byte_anywhere_is_caught(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hashes and signature alone, so that many bytes can be tried: each third of what is signed, and some of the other files."""
    monkeypatch.setattr(verify_module, "_VERIFICATIONS", verify_module._VERIFICATIONS[:2])
    random, tried = Random(1), 0
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        honest = path.read_bytes()
        small = path.name in ("SHA256SUMS.minisig", "SHA256SUMS")
        places = range(0, len(honest), 3) if small else {0, len(honest) - 1, random.randrange(len(honest))}
        for place in places:
            flip = FLIPS[place % len(FLIPS)]
            path.write_bytes(honest[:place] + bytes([honest[place] ^ flip]) + honest[place + 1 :])
            tried += 1
            assert _failed(folder), (path, place)
        for cut in (b"", honest[:-1], honest + b"\n"):
            path.write_bytes(cut)
            assert _failed(folder), path
        path.write_bytes(honest)
    assert tried > 300 and not _failed(folder)


def test_every_newline_of_the_signature_counts(folder: Path) -> None:
    path = folder / "SHA256SUMS.minisig"
    honest = path.read_bytes()
    for place in (n for n, byte in enumerate(honest) if byte == 10):
        path.write_bytes(honest[:place] + b"\r\n" + honest[place + 1 :])
        assert _failed(folder) == {"signature"}
        path.write_bytes(honest[:place] + b"\r" + honest[place + 1 :])
        assert _failed(folder) == {"signature"}


def test_a_whole_forgery_is_told_by_the_key(folder: Path) -> None:
    forger = bytes([77]) * 32
    _edit(folder, lambda manifest: manifest.update(release_key=encode_key(public_key(forger))))
    sums = (folder / "SHA256SUMS").read_bytes()
    signed = signature_text(forger, public_key(forger), sums, "Incident Commons 2026Q3/v1 (synthetic)")
    (folder / "SHA256SUMS.minisig").write_text(signed)
    assert not _failed(folder)  # it hangs together: only the key from elsewhere tells
    told = {result.name: result.passed for result in verify_release(folder, public_key(RELEASE_KEY))}
    assert not told["key"]


def test_the_key_from_elsewhere_is_compared(folder: Path, original: Release) -> None:
    key = read_public_key((original.folder.parents[1] / "minisign.pub").read_text())
    assert all(result.passed for result in verify_release(folder, key))
    assert not all(result.passed for result in verify_release(folder, public_key(PRIVATE_KEYS["olu"])))


def test_minisign_itself_verifies(original: Release) -> None:
    if shutil.which("minisign") is None:
        pytest.skip("no minisign: `make setup-system`")
    command = ["minisign", "-Vm", original.folder / "SHA256SUMS", "-p", original.folder.parents[1] / "minisign.pub"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "Trusted comment: Incident Commons 2026Q3/v1 (synthetic)" in done.stdout


def test_minisign_itself_refuses_a_changed_file(folder: Path, original: Release) -> None:
    if shutil.which("minisign") is None:
        pytest.skip("no minisign: `make setup-system`")
    (folder / "SHA256SUMS").write_bytes((folder / "SHA256SUMS").read_bytes().replace(b"0", b"1", 1))
    command = ["minisign", "-Vm", folder / "SHA256SUMS", "-p", original.folder.parents[1] / "minisign.pub"]
    assert subprocess.run(command, capture_output=True).returncode != 0


def test_unlisted_missing_and_linked_files_are_caught(folder: Path) -> None:
    (folder / "data" / "more.csv").write_text("x")
    assert "hashes" in _failed(folder)
    (folder / "data" / "more.csv").unlink()
    card = folder / "README.md"
    kept = folder.parent / "README.md"
    card.rename(kept)
    assert "hashes" in _failed(folder)
    card.symlink_to(kept)
    assert "hashes" in _failed(folder)


def test_a_forger_without_keys_is_caught(folder: Path, measured: MeasuredRelease) -> None:
    def other_tables(manifest: dict[str, Any]) -> None:
        source = folder / "data/risk_profile/risk_profile.parquet"
        shutil.copy(source, folder / "data/intervention_outcomes/intervention_outcomes.parquet")

    _edit(folder, other_tables)
    assert {"tables", "signoffs"} <= _failed(folder)


def _wrong_plan(manifest: dict[str, Any]) -> None:
    manifest["plan"]["contributors"] = 99


def _wrong_flag(manifest: dict[str, Any]) -> None:
    manifest["synthetic"] = False


def _one_signature(manifest: dict[str, Any]) -> None:
    manifest["signoffs"].pop()


def _swapped_roles(manifest: dict[str, Any]) -> None:
    a, b = manifest["signoffs"]
    a["role"], b["role"] = b["role"], a["role"]


def _planner_signs(manifest: dict[str, Any]) -> None:
    manifest["signoffs"][0]["person"] = manifest["planner"]["person"]


def _one_key(manifest: dict[str, Any]) -> None:
    for entry in manifest["signoffs"]:
        entry["public_key"] = encode_key(public_key(PRIVATE_KEYS["carmen"]))


def _other_planner(manifest: dict[str, Any]) -> None:
    manifest["planner"]["person"] = "someone"


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (_wrong_plan, "manifest"),
        (_wrong_flag, "manifest"),
        (_one_signature, "signoffs"),
        (_swapped_roles, "signoffs"),
        (_planner_signs, "signoffs"),
        (_one_key, "signoffs"),
        (_other_planner, "signoffs"),
    ],
)
def test_a_forged_manifest_is_caught(folder: Path, change: Callable[[dict[str, Any]], None], name: str) -> None:
    _edit(folder, change)
    assert name in _failed(folder)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"files": 3}', b"\xff\xfe"])
def test_a_malformed_manifest_fails_and_does_not_raise(folder: Path, content: bytes) -> None:
    (folder / "MANIFEST.json").write_bytes(content)
    assert {"hashes", "signature", "manifest", "tables", "signoffs"} == _failed(folder)


def test_no_folder_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        verify_release(tmp_path / "nowhere")


def test_a_damaged_release_is_not_returned(
    measured: MeasuredRelease, people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release_module, "_pages", lambda _: ({"README.md": b"SYNTHETIC"}, {}))
    arguments = (measured, run_checks(measured), both_sign(measured, people), people, tmp_path)
    release = write_release(*arguments, signing_key=RELEASE_KEY, code_version="0.1.0")
    (release.folder / "README.md").write_text("other")
    with pytest.raises(InternalError):
        write_release(*arguments, signing_key=RELEASE_KEY, code_version="0.1.0")
