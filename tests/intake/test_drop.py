"""Drops on real stores: whole or not there, errors by kind without a credential, and a hostile company in its own `in/`."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from stores import COMPANIES, Store, free_port

from intake import store_s3
from intake.arrival import answer, arrivals, clear
from intake.drop import Drop, open_drop
from schemas import store_errors
from schemas.errors import TransportError, UsageError

DIGEST = "ab" * 32
KINDS = ("local", "s3", "sftp")


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, store_of: Callable[[str], Store]) -> Store:
    return store_of(request.param)


@pytest.fixture
def drop(store: Store) -> Iterator[Drop]:
    with store.person("alder"), open_drop(store.url("alder")) as opened:
        yield opened


def test_what_is_written_is_read_listed_replaced_and_removed(drop: Drop) -> None:
    assert drop.entries("in", 10) == []
    assert drop.look(f"in/{DIGEST}/a") is None
    assert drop.read(f"in/{DIGEST}/a", 10) is None
    drop.write(f"in/{DIGEST}/a", b"first")
    drop.write(f"in/{DIGEST}/a", b"second")
    drop.write(f"in/{DIGEST}/empty", b"")
    assert drop.read(f"in/{DIGEST}/a", 6) == b"second"
    assert drop.read(f"in/{DIGEST}/a", 5) is None
    assert drop.read(f"in/{DIGEST}/empty", 5) == b""
    assert {(e.name, e.size, e.is_file) for e in drop.entries(f"in/{DIGEST}", 10)} == {("a", 6, True), ("empty", 0, True)}
    assert [(e.name, e.is_folder) for e in drop.entries("in", 10)] == [(DIGEST, True)]
    assert len(drop.entries(f"in/{DIGEST}", 1)) == 1
    drop.remove(f"in/{DIGEST}", ["a", "never-was"])
    assert [e.name for e in drop.entries(f"in/{DIGEST}", 10)] == ["empty"]


def test_a_large_file_comes_back_as_it_went(drop: Drop) -> None:
    data = os.urandom(1 << 20) * 9
    drop.write(f"in/{DIGEST}/large", data)
    assert drop.read(f"in/{DIGEST}/large", len(data)) == data


def test_an_answer_is_written_and_a_submission_cleared(drop: Drop) -> None:
    for name in ("00000-00000.age", "manifest.json.age", "something-else"):
        drop.write(f"in/{DIGEST}/{name}", b"x")
    assert arrivals(drop, 5) == [DIGEST]
    answer(drop, DIGEST, {"receipt.json": b"{}", "findings.jsonl": b""})
    clear(drop, DIGEST)
    clear(drop, DIGEST)
    assert arrivals(drop, 5) == []
    assert drop.entries(f"in/{DIGEST}", 5) == []
    assert {e.name for e in drop.entries(f"out/{DIGEST}", 5)} == {"receipt.json", "findings.jsonl"}


def test_arrivals_are_complete_named_like_submissions_the_oldest_first_and_no_more_than_asked_for(store: Store) -> None:
    names = [f"{number:x}" * 64 for number in (9, 3, 5)]
    with store.person("alder"), open_drop(store.url("alder")) as drop:
        drop.write(f"in/{'0' * 64}/00000-00000.age", b"no manifest yet")
        drop.write("in/not-a-digest/manifest.json.age", b"x")
        drop.write(f"in/{'F' * 64}/manifest.json.age", b"upper case")
        drop.write("in/" + "e" * 64, b"a file in place of a folder")
        for name in names:
            drop.write(f"in/{name}/manifest.json.age", b"x")
            wait_for_a_tick(drop, name)
        assert arrivals(drop, 5) == names
        assert arrivals(drop, 2) == names[:2]


def wait_for_a_tick(drop: Drop, name: str) -> None:
    before = drop.look(f"in/{name}/manifest.json.age")
    while before:
        drop.write("in/.sending-probe", b"")
        now = drop.look("in/.sending-probe")
        if now and now.modified > before.modified:
            return


def test_of_a_thousand_entries_no_more_are_looked_at_than_asked_for(store: Store) -> None:
    if store.folder is None:
        pytest.skip("names of an S3 store are paged by the server: see the page test")
    (store.folder / "alder" / "in").mkdir()
    for number in range(1_500):
        (store.folder / "alder" / "in" / f"{number:064x}").mkdir()
    with store.person("pool"), open_drop(store.url("alder")) as drop:
        assert len(drop.entries("in", 40)) == 40
        assert len(drop.entries("in", 10_000)) == 1_500  # and what was left unread of the first list harms nothing


def test_pages_of_an_s3_store_are_followed_to_the_limit(store_of: Callable[[str], Store]) -> None:
    store = store_of("s3")
    with store.person("alder"), open_drop(store.url("alder")) as drop:
        for number in range(7):
            drop.write(f"in/{number}", b"")
        whole, store_s3._PAGE = store_s3._PAGE, 3
        try:
            assert len(drop.entries("in", 100)) == 7
            assert len(drop.entries("in", 5)) == 5
        finally:
            store_s3._PAGE = whole


def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of an S3 server from now on."""
    asked, call = list[str](), store_s3.S3Drop._call

    def counted(self: store_s3.S3Drop, method: str, **named: object) -> object:
        asked.append(method)
        return call(self, method, **named)

    monkeypatch.setattr(store_s3.S3Drop, "_call", counted)
    return asked


def test_an_s3_drop_full_of_submissions_is_listed_and_not_asked_for_each(
    store_of: Callable[[str], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of("s3")
    complete = [f"{number:x}" * 64 for number in range(2, 14, 2)]
    with store.person("alder"), open_drop(store.url("alder")) as drop:
        drop.write("in/.sending-0123", b"x")
        for number in range(14):
            digest = f"{number:x}" * 64
            for part in range(9 if number == 4 else 2):
                drop.write(f"in/{digest}/00000-{part:05d}.age", b"x")
            if digest in complete:
                drop.write(f"in/{digest}/manifest.json.age", b"x" * number)
                drop.write(f"in/{digest}/notes", b"x")
        drop.write(f"in/{'F' * 64}/manifest.json.age", b"x")
        for page in (1, 2, 3, 5, 7, 1_000):
            monkeypatch.setattr(store_s3, "_PAGE", page)
            monkeypatch.setattr(store_s3, "_FOLDERS_A_PAGE", 1)
            found = drop.of_each("in", "manifest.json.age", 1_000)
            assert {digest: entry.size for digest, entry in found.items()} == {d: int(d[0], 16) for d in complete}
        asked = calls(monkeypatch)
        assert arrivals(drop, 100) == [d for _, d in sorted((found[d].modified, d) for d in complete)]
        assert asked == ["list_objects_v2"]
        assert list(drop.of_each("in", "manifest.json.age", 4)) == complete[:1]  # .sending, 0, 1 and 2
        monkeypatch.setattr(store_s3, "_PAGE", 1)
        monkeypatch.setattr(store_s3, "_FOLDERS_A_PAGE", 2)
        asked.clear()
        drop.of_each("in", "manifest.json.age", 30)
        assert len(asked) == 15


def test_a_submission_of_very_many_parts_costs_two_pages(
    store_of: Callable[[str], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of("s3")
    with store.person("alder"), open_drop(store.url("alder")) as drop:
        for part in range(40):
            drop.write(f"in/{DIGEST}/00000-{part:05d}.age", b"x")
        drop.write(f"in/{DIGEST}/manifest.json.age", b"x")
        drop.write(f"in/{'c' * 64}/manifest.json.age", b"x")
        monkeypatch.setattr(store_s3, "_PAGE", 5)
        asked = calls(monkeypatch)
        assert sorted(arrivals(drop, 100)) == [DIGEST, "c" * 64]
        assert asked == ["list_objects_v2"] * 2


@pytest.mark.parametrize("kind", ["s3", "sftp"])
def test_wrong_credentials_are_not_permitted_and_not_quoted(kind: str, store_of: Callable[[str], Store]) -> None:
    store = store_of(kind)
    with store.person("stranger"), pytest.raises(TransportError) as raised, open_drop(store.url("alder")) as drop:
        drop.entries("in", 1)
    assert raised.value.message == store_errors.NOT_PERMITTED[0]
    assert raised.value.__context__ is None
    assert not any(secret in repr(raised.value) for secret in store.secrets)


def test_no_credentials_at_all_are_told_as_such(store_of: Callable[[str], Store]) -> None:
    store = store_of("s3")
    with store.person("pool"), pytest.MonkeyPatch.context() as patched:
        patched.delenv("AWS_ACCESS_KEY_ID")
        patched.delenv("AWS_SECRET_ACCESS_KEY")
        with pytest.raises(TransportError) as raised, open_drop(store.url("alder")) as drop:
            drop.entries("in", 1)
    assert raised.value.message == store_errors.NOT_PERMITTED[0]


ACTS: dict[str, Callable[[Drop], object]] = {
    "list": lambda drop: drop.entries("in", 5),
    "list answers": lambda drop: drop.entries(f"out/{DIGEST}", 5),
    "look": lambda drop: drop.look(f"in/{DIGEST}/manifest.json.age"),
    "read": lambda drop: drop.read(f"in/{DIGEST}/manifest.json.age", 100),
    "read an answer": lambda drop: drop.read(f"out/{DIGEST}/receipt.json", 100),
    "write": lambda drop: drop.write(f"in/{DIGEST}/manifest.json.age", b"forged"),
    "forge an answer": lambda drop: drop.write(f"out/{DIGEST}/receipt.json", b"forged"),
    "remove": lambda drop: drop.remove(f"in/{DIGEST}", ["manifest.json.age"]),
}


@pytest.mark.parametrize("act", ACTS)
def test_one_company_reaches_nothing_of_another_in_an_s3_store(act: str, store_of: Callable[[str], Store]) -> None:
    store = store_of("s3")
    with store.person("pool"), open_drop(store.url("birch")) as drop:
        drop.write(f"in/{DIGEST}/manifest.json.age", b"theirs")
        drop.write(f"out/{DIGEST}/receipt.json", b"theirs")
    with store.person("alder"):
        with open_drop(store.url("alder")) as own:
            ACTS[act](own)  # what may be done at home
        with pytest.raises(TransportError) as raised, open_drop(store.url("birch")) as drop:
            ACTS[act](drop)
    assert raised.value.message == store_errors.NOT_PERMITTED[0]
    with store.person("pool"), open_drop(store.url("birch")) as drop:
        assert drop.read(f"in/{DIGEST}/manifest.json.age", 100) == b"theirs"
        assert drop.read(f"out/{DIGEST}/receipt.json", 100) == b"theirs"


@pytest.mark.parametrize("person", ["deceived", "newcomer"])
def test_an_unknown_host_key_is_refused(person: str, store_of: Callable[[str], Store]) -> None:
    store = store_of("sftp")
    with store.person(person), pytest.raises(TransportError) as raised:
        open_drop(store.url("alder"))
    assert raised.value.message == store_errors.UNKNOWN_HOST[0]


def test_a_place_that_is_not_there_is_no_new_drop(store: Store) -> None:
    url = "s3://nowhere-at-all/alder" if store.kind == "s3" else store.url("nowhere-at-all")
    with store.person("pool"):
        for act in (
            ("list",) if store.kind == "s3" else ("list", "look", "write")
        ):  # this server makes a bucket at the first write
            with pytest.raises(TransportError) as raised, open_drop(url) as drop:
                ACTS[act](drop)
            assert raised.value.message == store_errors.NO_SUCH_PLACE[0], act


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["s3", "sftp"])
def test_a_server_that_is_not_there_cannot_be_reached(kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    port = free_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "canary-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-secret")
    (tmp_path / "known").touch()
    monkeypatch.setenv("COMMONS_SFTP_KNOWN_HOSTS", str(tmp_path / "known"))
    url = "s3://pool/alder" if kind == "s3" else f"sftp://canary@127.0.0.1:{port}/alder"
    with pytest.raises(TransportError) as raised, open_drop(url) as drop:
        drop.entries("in", 1)
    assert raised.value.message == store_errors.UNREACHABLE[0]
    assert "canary" not in repr(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://host/path", "s3://", "sftp://host", "sftp://host/", "file://otherhost/x", "sftp://u:canary@host/x",
        "s3://canary@bucket/x", "s3://bucket/../x", "s3://bucket/x?canary=1", "sftp://host:canary/x", "://",
    ],
)  # fmt: skip
def test_what_is_no_drop_is_a_usage_error_that_quotes_nothing(url: str) -> None:
    with pytest.raises(UsageError) as raised:
        open_drop(url)
    assert "canary" not in repr(raised.value) + raised.value.next_step


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.ENOSPC, store_errors.NO_SPACE),
        (errno.EDQUOT, store_errors.NO_SPACE),
        (errno.EACCES, store_errors.NOT_PERMITTED),
        (errno.EROFS, store_errors.NOT_PERMITTED),
        (errno.EIO, store_errors.FAILED),
    ],
)
def test_errors_of_the_disk_are_told_by_kind(number: int, text: tuple[str, str]) -> None:
    @store_errors.guarded_store
    def failing() -> None:
        raise OSError(number, "canary", "/canary")

    with pytest.raises(TransportError) as raised:
        failing()
    assert (raised.value.message, raised.value.next_step) == text
    assert raised.value.__context__ is None


def test_a_write_that_fails_leaves_nothing(store_of: Callable[[str], Store], monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_of("local")
    with open_drop(store.url("alder")) as drop:
        drop.write(f"in/{DIGEST}/a", b"before")

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(TransportError) as raised:
            drop.write(f"in/{DIGEST}/a", b"after")
        monkeypatch.undo()
        assert raised.value.message == store_errors.NO_SPACE[0]
        assert drop.read(f"in/{DIGEST}/a", 10) == b"before"
        assert [e.name for e in drop.entries("in", 10)] == [DIGEST]


@pytest.fixture(params=["local", "sftp"])
def hostile(request: pytest.FixtureRequest, store_of: Callable[[str], Store]) -> Store:
    """A store in which `alder` filled its `in/` with what a file system has to offer."""
    store = store_of(request.param)
    assert store.folder is not None
    place = store.folder / "alder" / "in"
    other = store.folder / "birch" / "in" / DIGEST
    other.mkdir(parents=True)
    (other / "manifest.json.age").write_bytes(b"theirs")
    place.mkdir()
    (place / ("1" * 64)).symlink_to(other)
    for number, make in enumerate((os.mkfifo, Path.mkdir, lambda p: p.symlink_to(other / "manifest.json.age")), start=2):
        folder = place / (f"{number}" * 64)
        folder.mkdir()
        make(folder / "manifest.json.age")
    os.mkfifo(place / ("5" * 64))
    (place / ("6" * 64)).symlink_to("/dev/zero")
    (place / ("x" * 255)).mkdir()
    deep = place / ("8" * 64)
    for _ in range(50):
        deep = deep / "d"
    deep.mkdir(parents=True)
    (place / "\x1b]0;title\x07\n").touch()
    loop = place / ("7" * 64)
    loop.symlink_to(loop)
    return store


@pytest.mark.timeout(60)
def test_a_hostile_drop_neither_blocks_nor_is_followed(hostile: Store) -> None:
    with hostile.person("pool"), open_drop(hostile.url("alder")) as drop:
        assert arrivals(drop, 100) == []
        for number in range(1, 8):
            assert drop.read("in/" + f"{number}" * 64 + "/manifest.json.age", 1 << 20) is None
        assert drop.entries("in/" + "1" * 64, 10) == []
        assert drop.look("in/" + "1" * 64 + "/manifest.json.age") is None
        assert drop.read("in/" + "1" * 64 + "/manifest.json.age", 100) is None
        for number in range(1, 9):
            clear(drop, f"{number}" * 64)
    assert hostile.folder is not None
    assert (hostile.folder / "birch" / "in" / DIGEST / "manifest.json.age").read_bytes() == b"theirs"


@pytest.mark.parametrize("kind", ["local", "sftp"])
@pytest.mark.parametrize("depth", ["out", f"out/{DIGEST}"])
def test_no_answer_is_written_through_a_link(kind: str, depth: str, store_of: Callable[[str], Store], tmp_path: Path) -> None:
    store = store_of(kind)
    assert store.folder is not None
    (tmp_path / "elsewhere").mkdir()
    link = store.folder / "alder" / depth
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(tmp_path / "elsewhere")
    with store.person("pool"), open_drop(store.url("alder")) as drop, pytest.raises(TransportError) as raised:
        answer(drop, DIGEST, {"receipt.json": b"{}"})
    assert raised.value.message == store_errors.NOT_AS_IT_SHOULD_BE[0]
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("kind", ["local", "sftp"])
def test_in_as_a_link_is_an_empty_drop(kind: str, store_of: Callable[[str], Store]) -> None:
    store = store_of(kind)
    assert store.folder is not None
    folder = store.folder / "birch" / "in" / DIGEST
    folder.mkdir(parents=True)
    (folder / "manifest.json.age").touch()
    (store.folder / "alder" / "in").symlink_to(store.folder / "birch" / "in")
    with store.person("pool"), open_drop(store.url("alder")) as drop:
        assert arrivals(drop, 10) == []
    assert len(COMPANIES) == 2
