"""Releases elsewhere: copied into a real S3 server whole or not at all, and verified there and over the web."""

import json
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import duckdb
import pytest
from release_fixtures import RELEASE_KEY, both_sign, build_measured

from cli.main import run
from flows.mirroring import copy_release, store_at, verify_place
from publish import release as release_module
from publish.checks import run_checks
from publish.minisign import public_key_text
from publish.mirror import mirror_release
from publish.places import StorePlace
from publish.release import write_release
from publish.signoff import People
from schemas.errors import CheckFailedError, InternalError, TransportError, UsageError
from schemas.periods import Quarter
from schemas.signing import public_key
from schemas.stages import CheckResult

QUARTERS = (Quarter(2026, 1), Quarter(2026, 2), Quarter(2026, 3))


@pytest.fixture(scope="module")
def releases(people: People, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three releases with pages that take no time to draw."""
    root = tmp_path_factory.mktemp("pool") / "releases"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(release_module, "_pages", lambda _: ({"README.md": b"SYNTHETIC"}, {}))
        for quarter in QUARTERS:
            measured = build_measured(quarter=quarter, users=5_000)
            write_release(
                measured,
                run_checks(measured),
                both_sign(measured, people),
                people,
                root,
                signing_key=RELEASE_KEY,
                code_version="0.1.0",
            )
    return root


@pytest.fixture
def bucket(store_of: Any) -> Iterator[str]:
    """The URL of an empty place in a real S3 server, as the pool's operator."""
    running = store_of("s3")
    with running.person("pool"):
        place = store_at("s3://pool/releases")
        if names := place.names():
            place._filesystem.rm([f"pool/releases/{name}" for name in names])
        yield "s3://pool/releases"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        return


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _failed(results: list[CheckResult]) -> set[str]:
    return {result.name for result in results if not result.passed}


def _catalog(place: StorePlace) -> dict[str, Any]:
    found = place.read("catalog.json")
    return {} if found is None else dict(json.loads(found))


def test_a_release_on_the_web_is_verified_here(releases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = tmp_path / "minisign.pub"
    key.write_text(public_key_text(public_key(RELEASE_KEY)))
    with _served(releases) as address:
        assert run(["verify", f"{address}/2026Q1/v1", "--public-key", str(key), "--json"]) == 0
        told = {entry["name"]: entry["passed"] for entry in json.loads(capsys.readouterr().out)}
        assert told["key"] and all(told.values())
        key.write_text(public_key_text(public_key(bytes([3]) * 32)))
        assert run(["verify", f"{address}/2026Q1/v1", "--public-key", str(key)]) == 14
        with pytest.raises(UsageError):
            verify_place(f"{address}/2026Q1")
    with pytest.raises(TransportError):
        verify_place(f"{address}/2026Q1/v1")


def test_a_flipped_byte_on_the_web_is_caught(releases: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(releases / "2026Q1" / "v1", tmp_path / "v1"))
    with _served(tmp_path) as address:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            honest = path.read_bytes()
            path.write_bytes(bytes([honest[0] ^ 1]) + honest[1:])
            try:
                assert _failed(verify_place(f"{address}/v1")), path
            except CheckFailedError:
                assert path.name == "SHA256SUMS"
            path.write_bytes(honest)
        (folder / "README.md").unlink()
        assert "hashes" in _failed(verify_place(f"{address}/v1"))


@pytest.mark.parametrize("line", ["../../x", "/etc/x", "a/../../x", "a//b", "a b", "C:\\x"])
def test_no_listed_path_leads_out_of_the_folder(tmp_path: Path, line: str) -> None:
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  {line}\n")
    with _served(tmp_path) as address, pytest.raises(CheckFailedError):
        verify_place(address)


def test_a_release_is_copied_whole_and_read_back(releases: Path, bucket: str, tmp_path: Path) -> None:
    for quarter in QUARTERS:
        catalog = copy_release(releases, f"{quarter}/v1", bucket)
    assert catalog == json.loads((releases / "catalog.json").read_bytes())
    place = store_at(bucket)
    local = {p.relative_to(releases).as_posix() for p in releases.rglob("*") if p.is_file()} - {".lock"}
    assert set(place.names()) - {".conditions"} == local
    assert all(place.read(name) == (releases / name).read_bytes() for name in local)
    assert not _failed(verify_place(f"{bucket}/2026Q2/v1"))
    assert copy_release(releases, "2026Q2/v1", bucket) == catalog  # again changes nothing
    for name in local:  # what lies there answers as the local one does
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(place.read(name) or b"")
    connection = duckdb.connect()
    connection.execute(f"SET file_search_path = '{tmp_path}'")
    connection.execute((tmp_path / "views.sql").read_text())
    assert len(connection.execute("FROM sum_of('risk_profile', language = 'en')").fetchall()) == 3


def test_publish_copies_what_it_has_written(
    releases: Path, bucket: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The flow itself is tested elsewhere; here only that its folder goes into the store, and into no place that is none."""
    written = {"publish": {"folder": str(releases / "2026Q2" / "v1"), "skipped": []}}
    monkeypatch.setattr("cli.releasing.run_release", lambda *_: written)
    command = ["publish", "2026Q2", "--root", str(releases.parent), "--to"]
    assert releases.name == "releases"
    assert run([*command, "https://example.org/releases"]) == 2
    assert run([*command, bucket, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["copied_to"] == bucket
    assert not _failed(verify_place(f"{bucket}/2026Q2/v1"))


class _Killed(BaseException):
    pass


def test_stopped_anywhere_the_store_names_whole_releases_only(releases: Path, bucket: str) -> None:
    place, steps = store_at(bucket), list[str]()
    copy_release(releases, "2026Q1/v1", bucket)
    mirror_release(releases, "2026Q2/v1", place, steps.append)
    assert steps[-2:] == ["verified", "catalog.json"]
    for stop in (steps[len(steps) // 2], "verified", "catalog.json"):
        place._filesystem.rm([f"pool/releases/{name}" for name in place.names() if name.startswith("2026Q2/")])
        catalog = _catalog(place)
        catalog["releases"] = [entry for entry in catalog["releases"] if entry["quarter"] == "2026Q1"]
        catalog["latest"] = {"2026Q1": "2026Q1/v1"}
        place._filesystem.pipe_file("pool/releases/catalog.json", json.dumps(catalog).encode())

        def dies(step: str, at: str = stop) -> None:
            if step == at:
                raise _Killed

        with pytest.raises(_Killed):
            mirror_release(releases, "2026Q2/v1", place, dies)
        named = [entry["release"] for entry in _catalog(place)["releases"]]
        assert named == (["2026Q1/v1", "2026Q2/v1"] if stop == "catalog.json" else ["2026Q1/v1"])
        assert all(not _failed(verify_place(f"{bucket}/{release}")) for release in named)
        copy_release(releases, "2026Q2/v1", bucket)
        assert [entry["release"] for entry in _catalog(place)["releases"]] == ["2026Q1/v1", "2026Q2/v1"]
        assert b"2026Q2/v1" in (place.read("views.sql") or b"")


def test_several_at_once_lose_no_release(releases: Path, bucket: str) -> None:
    place = store_at(bucket)
    with ThreadPoolExecutor(3) as workers:
        list(workers.map(lambda quarter: mirror_release(releases, f"{quarter}/v1", store_at(bucket)), QUARTERS))
    assert [entry["release"] for entry in _catalog(place)["releases"]] == [f"{quarter}/v1" for quarter in QUARTERS]
    assert place.read("views.sql") == (releases / "views.sql").read_bytes()


def test_what_was_published_is_never_changed(releases: Path, bucket: str) -> None:
    place = store_at(bucket)
    copy_release(releases, "2026Q1/v1", bucket)
    place._filesystem.pipe_file("pool/releases/2026Q1/v1/README.md", b"another")
    assert "hashes" in _failed(verify_place(f"{bucket}/2026Q1/v1"))
    with pytest.raises(InternalError):
        copy_release(releases, "2026Q1/v1", bucket)
    assert place.read("2026Q1/v1/README.md") == b"another"


def test_an_object_beside_a_release_is_seen(releases: Path, bucket: str) -> None:
    copy_release(releases, "2026Q1/v1", bucket)
    store_at(bucket)._filesystem.pipe_file("pool/releases/2026Q1/v1/data/more.csv", b"x")
    assert "hashes" in _failed(verify_place(f"{bucket}/2026Q1/v1"))


def test_a_store_without_conditions_is_refused(releases: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = store_at(bucket)

    def overwrites(self: StorePlace, path: str, data: bytes, tag: str | None) -> bool:
        self._filesystem.pipe_file(f"pool/{self._prefix}{path}", data)
        return True

    monkeypatch.setattr(StorePlace, "swap", overwrites)
    with pytest.raises(UsageError):
        copy_release(releases, "2026Q1/v1", bucket)
    assert place.names() == [".conditions"]


def test_a_damaged_release_is_not_copied(releases: Path, bucket: str, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(releases, tmp_path / "releases"))
    (copy / "2026Q1/v1/README.md").write_bytes(b"other")
    with pytest.raises(InternalError):
        copy_release(copy, "2026Q1/v1", bucket)
    assert store_at(bucket).names() == []


def test_a_stranger_reads_nothing_and_no_secret_is_said(
    releases: Path, store_of: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    running = store_of("s3")
    with running.person("stranger"):
        assert run(["verify", "s3://pool/releases/2026Q1/v1"]) == 20
    said = "".join(capsys.readouterr())
    assert not any(secret in said for secret in running.secrets)
    for url in ("ftp://x/y", "s3://", "s3://user:password@pool/x"):
        with pytest.raises(UsageError):
            verify_place(url)
