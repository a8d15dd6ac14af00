"""Sending on real stores: cut off and resumed, twice, at once, dry, refused; and a delivery that was tampered with."""

import json
import os
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from stores import Store, send
from submissions import json_lines, rewrite, write_lines

from flows import intake_steps
from flows.drops import drop_of, make_local_drops, public_keys, waiting
from flows.intake_steps import take_in_submission
from flows.pool import Pool
from intake import arrival, sealing, submission
from intake.arrival import DropDelivery, answer, arrivals
from intake.delivery import DeliveryError
from intake.drop import INCOMING, open_drop
from intake.own_submissions import own_submissions
from intake.receipt import make_receipt
from intake.sealing import MANIFEST_PART, identities_of, new_identity, parts_of, recipient_of, seal
from intake.store_local import LocalDrop
from intake.submission import Outcome, Sending, submit
from intake.validation import ValidationReport
from sample_data.parameters import SimulationParameters
from sample_data.simulate import simulate
from schemas.errors import TransportError, UsageError
from schemas.signing import encode_key, new_private_key, public_key

IDENTITY = new_identity()
IDENTITIES = identities_of(IDENTITY)
RECIPIENT = recipient_of(IDENTITIES)

SEND = """
import os, signal, sys
from pathlib import Path
from intake.drop import open_drop
from intake.submission import submit
folder, url, recipient, writes = sys.argv[1:]
with open_drop(url) as drop:
    write, left = type(drop).write, int(writes)
    def counted(self, path, data):
        global left
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        write(self, path, data)
    if left >= 0:
        type(drop).write = counted
    print(submit(Path(folder), drop, recipient).outcome)
"""


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Submissions of six files each, without text."""
    out = tmp_path_factory.mktemp("six") / "made"
    parameters = SimulationParameters(
        seed=51, users=200, quarters=1, formats=("jsonl",), files_per_submission=6, submissions_per_quarter=2, malformed_share=0,
        text_share=0,
    )  # fmt: skip
    simulate(out, parameters)
    return out


@pytest.fixture
def export(files: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sorted((files / "alder").iterdir())[0], tmp_path / "export"))


@pytest.fixture(params=["local", "s3", "sftp"])
def store(request: pytest.FixtureRequest, store_of: Callable[[str], Store]) -> Store:
    return store_of(request.param)


def by_alder(store: Store, folder: Path, **named: Any) -> Sending:
    with store.person("alder"), open_drop(store.url("alder")) as drop:
        return submit(folder, drop, RECIPIENT, **named)


def process(store: Store, folder: Path, writes: int = -1) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SEND, str(folder), store.url("alder"), RECIPIENT, str(writes)]
    return subprocess.Popen(
        command, env=store.environment("alder"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip


def opens_whole(store: Store, folder: Path, digest: str) -> None:
    """What lies in the drop is the submission, byte by byte."""
    manifest = json.loads((folder / "manifest.json").read_text())
    with store.person("pool"), open_drop(store.url("alder")) as drop:
        delivery = DropDelivery(drop, digest, IDENTITIES)
        assert delivery.manifest(1 << 20) == (folder / "manifest.json").read_bytes()
        for number, file in enumerate(manifest["files"]):
            target = folder.parent / f"fetched-{number}"
            target.unlink(missing_ok=True)
            assert delivery.fetch(number, file["path"], target, file["bytes"]) == (file["sha256"], file["bytes"])
        assert not delivery.unlisted(frozenset(file["path"] for file in manifest["files"]))


def test_a_submission_is_sent_and_sent_again_it_is_there_already(store: Store, export: Path) -> None:
    dry = by_alder(store, export, dry_run=True)
    assert (dry.outcome, dry.parts, dry.parts_there) == (Outcome.WOULD_BE_SENT, 6, 0)
    with store.person("pool"), open_drop(store.url("alder")) as drop:
        assert drop.entries(INCOMING, 10) == []
    sent = by_alder(store, export)
    assert (sent.outcome, sent.digest, sent.parts_there) == (Outcome.SENT, dry.digest, 0)
    opens_whole(store, export, sent.digest)
    again = by_alder(store, export)
    assert (again.outcome, again.digest) == (Outcome.WAITING, sent.digest)
    assert by_alder(store, export, dry_run=True).outcome is Outcome.WAITING


@pytest.mark.parametrize("writes", [4, *(pytest.param(number, marks=pytest.mark.long) for number in (0, 1, 6))])
def test_cut_off_half_way_it_goes_on_where_it_stopped(store: Store, export: Path, writes: int) -> None:
    cut = process(store, export, writes)
    cut.communicate(timeout=120)
    assert cut.returncode == -9
    with store.person("pool"), open_drop(store.url("alder")) as drop:
        assert arrivals(drop, 10) == []  # what is half there is not seen
    sent = by_alder(store, export)
    assert (sent.outcome, sent.parts_there) == (Outcome.SENT, writes)
    opens_whole(store, export, sent.digest)


@pytest.mark.parametrize("size", [0, 100])
def test_a_part_that_is_not_whole_is_sent_again(store: Store, export: Path, size: int) -> None:
    digest = by_alder(store, export, dry_run=True).digest
    with store.person("alder"), open_drop(store.url("alder")) as drop:
        drop.write(f"{INCOMING}/{digest}/00002-00000.age", bytes(size))
    sent = by_alder(store, export)
    assert (sent.outcome, sent.parts_there) == (Outcome.SENT, 0)
    opens_whole(store, export, digest)


@pytest.mark.parametrize("copies", [1, 2])
def test_two_at_once_end_as_one(store: Store, export: Path, copies: int, tmp_path: Path) -> None:
    folders = [export, export if copies == 1 else Path(shutil.copytree(export, tmp_path / "other"))]
    running = [process(store, folder) for folder in folders]
    printed = [each.communicate(timeout=120) for each in running]
    assert [each.returncode for each in running] == [0, 0], printed
    outcomes = sorted(out.strip() for out, _ in printed)
    assert outcomes[0] in ("sent", "there already")
    assert outcomes[1] == "there already" if copies == 1 else outcomes[1] in ("sent", "there already")
    with store.person("pool"), open_drop(store.url("alder")) as drop:
        assert len(arrivals(drop, 10)) == 1
    opens_whole(store, export, by_alder(store, export).digest)


def test_what_was_sent_one_after_the_other_arrives_in_that_order(store: Store, files: Path) -> None:
    folders = sorted((files / "alder").iterdir(), reverse=True)
    for turn in (folders, folders[::-1]):
        store.clear()
        sent = [by_alder(store, folder).digest for folder in turn]
        with store.person("pool"), open_drop(store.url("alder")) as drop:
            assert arrivals(drop, 10) == sent


def test_the_answer_stops_a_second_sending_and_a_refusal_can_be_sent_again(store: Store, export: Path) -> None:
    digest = by_alder(store, export, dry_run=True).digest
    key, other = new_private_key(), new_private_key()
    for decision, signer, outcome, again in (
        ("refused", other, Outcome.WOULD_BE_SENT, Outcome.WOULD_BE_SENT),  # not the pool's word
        ("refused", key, Outcome.ANSWERED, Outcome.WOULD_BE_SENT),
        ("accepted", key, Outcome.ANSWERED, Outcome.ANSWERED),
    ):
        receipt = make_receipt(signer, decision, "alder", digest, ValidationReport(), datetime.now(UTC))
        with store.person("pool"), open_drop(store.url("alder")) as drop:
            answer(drop, digest, {"receipt.json": json.dumps(receipt).encode()})
        pool_key = encode_key(public_key(key))
        assert by_alder(store, export, dry_run=True, pool_key=pool_key).outcome is outcome
        assert by_alder(store, export, dry_run=True, pool_key=pool_key, again=True).outcome is again


def test_what_would_be_refused_is_not_sent(store: Store, export: Path) -> None:
    (export / "part-1.jsonl").write_text("{}")
    sending = by_alder(store, export)
    assert sending.outcome is Outcome.REFUSED
    assert "E106" in sending.report.counts
    with store.person("pool"), open_drop(store.url("alder")) as drop:
        assert drop.entries(INCOMING, 10) == []


def test_strict_sends_nothing_while_a_record_would_be_quarantined(
    store_of: Callable[[str], Store], export: Path, files: Path
) -> None:
    store = store_of("local")
    records: list[Any] = json_lines(export, "part-1.jsonl")
    records[0]["n_turns"] = 0
    write_lines(export, "part-1.jsonl", records)
    rewrite(export, files / "keys" / "alder.key")
    assert by_alder(store, export, strict=True).outcome is Outcome.STRICT
    assert by_alder(store, export, dry_run=True).outcome is Outcome.WOULD_BE_SENT
    assert by_alder(store, export).outcome is Outcome.SENT


def test_a_file_that_changes_while_it_is_sent_hands_nothing_over(
    store_of: Callable[[str], Store], export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = submission.validate_submission

    def then_changed(*arguments: Any, **named: Any) -> Any:
        report = checked(*arguments, **named)
        data = (export / "part-3.jsonl").read_bytes()
        (export / "part-3.jsonl").write_bytes(data.replace(b"2026", b"2025", 1))
        return report

    monkeypatch.setattr(submission, "validate_submission", then_changed)
    store = store_of("local")
    with pytest.raises(UsageError):
        by_alder(store, export)
    with open_drop(store.url("alder")) as drop:
        assert arrivals(drop, 10) == []


def test_parts_that_vanish_while_the_rest_is_sent_hand_nothing_over(
    store_of: Callable[[str], Store], export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, write = store_of("local"), LocalDrop.write

    def without_the_second(self: LocalDrop, path: str, data: bytes) -> None:
        if "00001-" not in path:
            write(self, path, data)

    monkeypatch.setattr(LocalDrop, "write", without_the_second)
    with pytest.raises(TransportError):
        by_alder(store, export)
    with open_drop(store.url("alder")) as drop:
        assert arrivals(drop, 10) == []


# The pool's side: what was tampered with is refused whole, with one audit row, and the company is told.


@pytest.fixture
def pool(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pool]:
    """A pool whose drops count in parts of 1500 bytes, so that every file has several."""
    monkeypatch.setattr(sealing, "PART_BYTES", 1_500)
    monkeypatch.setattr(arrival, "PART_BYTES", 1_500)
    root = tmp_path / "pool"
    (root / "config").mkdir(parents=True)
    shutil.copy(files / "companies.toml", root / "config")
    yield Pool(root)


def place_of(pool: Pool, digest: str) -> Path:
    return pool.root / "drops" / "alder" / "in" / digest


def parts(place: Path) -> list[Path]:
    return sorted(path for path in place.iterdir() if path.name != MANIFEST_PART)


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def swapped(one: Path, other: Path) -> None:
    held = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(held)


def linked(path: Path) -> None:
    path.rename(path.parent.parent / "aside")
    path.symlink_to("../aside")


def to_another_key(path: Path) -> None:
    path.write_bytes(seal(b"x" * 1_500, recipient_of(identities_of(new_identity()))))


def one_part_more(place: Path, pool: Pool, name: str, size: int = 10) -> None:
    (place / name).write_bytes(seal(b"x" * size, recipient_of(pool.identities)))


TAMPERED: dict[str, Callable[[Path, Pool], object]] = {
    "a byte of the first part": lambda place, pool: flipped(parts(place)[0]),
    "a byte of a middle part": lambda place, pool: flipped(parts(place)[len(parts(place)) // 2]),
    "a byte of the last part": lambda place, pool: flipped(parts(place)[-1]),
    "a byte of the manifest": lambda place, pool: flipped(place / MANIFEST_PART),
    "first part missing": lambda place, pool: parts(place)[0].unlink(),
    "second part missing": lambda place, pool: parts(place)[1].unlink(),
    "last part missing": lambda place, pool: parts(place)[-1].unlink(),
    "all parts of a file missing": lambda place, pool: [path.unlink() for path in place.glob("00002-*")],
    "a part more at the end of a file": lambda place, pool: one_part_more(place, pool, f"00000-{len(list(place.glob('00000-*'))):05d}.age"),
    "an empty part more": lambda place, pool: one_part_more(place, pool, f"00000-{len(list(place.glob('00000-*'))):05d}.age", 0),
    "a part behind a gap": lambda place, pool: one_part_more(place, pool, "00000-00900.age"),
    "a part of no file": lambda place, pool: one_part_more(place, pool, "00006-00000.age"),
    "something that is no part": lambda place, pool: (place / "notes.txt").touch(),
    "a folder": lambda place, pool: (place / "folder" / "deeper").mkdir(parents=True),
    "two parts swapped": lambda place, pool: swapped(*parts(place)[:2]),
    "parts of two files swapped": lambda place, pool: swapped(place / "00000-00000.age", place / "00001-00000.age"),
    "a part to another key": lambda place, pool: to_another_key(parts(place)[1]),
    "the manifest to another key": lambda place, pool: to_another_key(place / MANIFEST_PART),
    "an oversized part": lambda place, pool: one_part_more(place, pool, "00000-00000.age", 1_501 + 1_200),
    "a part of a terabyte of nothing": lambda place, pool: os.truncate(parts(place)[0], 1 << 40),
    "a manifest of a terabyte of nothing": lambda place, pool: os.truncate(place / MANIFEST_PART, 1 << 40),
    "a part that is a link": lambda place, pool: linked(parts(place)[0]),
    "a part that is a pipe": lambda place, pool: (parts(place)[0].unlink(), os.mkfifo(place / "00000-00000.age")),
}  # fmt: skip


def test_several_parts_a_file_are_put_together_again(pool: Pool, export: Path) -> None:
    sent = send(pool, export)
    assert sent.parts > 12
    assert take_in_submission(pool, *waiting(pool)[0])["decision"] == "accepted"
    assert waiting(pool) == []


@pytest.mark.timeout(120)
@pytest.mark.parametrize("how", TAMPERED)
def test_what_was_tampered_with_is_refused_and_nothing_of_it_enters(pool: Pool, export: Path, how: str) -> None:
    digest = send(pool, export).digest
    TAMPERED[how](place_of(pool, digest), pool)
    assert waiting(pool) == [("alder", digest)]
    result = take_in_submission(pool, "alder", digest)
    assert result["decision"] == "refused"
    assert set(result["findings"]) <= {"E101", "E106", "E107"}
    assert pool.catalogue.accepted() == []
    assert not list(pool.accepted.rglob("*.parquet"))
    assert [(row["digest"], row["company"], row["decision"]) for row in pool.catalogue.audit_rows()] == [
        (digest, "alder", "refused")
    ]
    assert waiting(pool) == []
    with drop_of(pool, "alder") as drop:
        told = own_submissions(drop, public_keys(pool)["pool_key"])
    assert [(each.state, each.genuine, each.receipt and each.receipt["decision"]) for each in told][:1] == [
        ("answered", True, "refused")
    ]


def test_a_submission_through_the_drop_of_another_company_is_refused(pool: Pool, export: Path) -> None:
    digest = send(pool, export).digest
    shutil.move(place_of(pool, digest), pool.root / "drops" / "birch" / "in" / digest)
    result = take_in_submission(pool, *waiting(pool)[0])
    assert (result["decision"], result["company"], result["findings"]) == ("refused", "birch", {"E104": 1})
    assert [row["company"] for row in pool.catalogue.audit_rows()] == ["birch"]
    assert pool.catalogue.accepted() == []


@pytest.mark.parametrize("before", ["not taken in", "taken in before"])
def test_a_company_in_whose_drop_anothers_submission_lies_learns_nothing_of_it(
    pool: Pool, export: Path, before: str, tmp_path: Path
) -> None:
    """Whether its company had sent it or not, the answer is the same: the name of the folder, and that it is not theirs."""
    digest = send(pool, export).digest
    copy = shutil.copytree(place_of(pool, digest), tmp_path / "copy")
    if before == "taken in before":
        take_in_submission(pool, "alder", digest)
    else:
        shutil.rmtree(place_of(pool, digest))
    shutil.move(copy, pool.root / "drops" / "birch" / "in" / digest)
    take_in_submission(pool, "birch", digest)
    receipt = json.loads((pool.root / "drops" / "birch" / "out" / digest / "receipt.json").read_bytes())
    told = {name: value for name, value in receipt.items() if value and name not in ("signature", "received_at", "pool_key")}
    assert told == {"decision": "refused", "company": "birch", "digest": digest, "findings": {"E104": 1}}
    answer = b"".join(path.read_bytes() for path in (pool.root / "drops" / "birch" / "out").rglob("*") if path.is_file())
    manifest = json.loads((export / "manifest.json").read_text())
    own = [manifest[name] for name in ("company", "agreement_id", "submission_id", "key_id", "pseudonym_key_id", "signature")]
    own += [file[name] for file in manifest["files"] for name in ("path", "sha256")]
    assert [value for value in own if value.encode() in answer] == []
    assert (pool.root / "drops" / "alder" / "out" / digest).exists() == (before == "taken in before")


def test_a_submission_under_the_name_of_another_is_refused(pool: Pool, export: Path) -> None:
    digest = send(pool, export).digest
    place_of(pool, digest).rename(place_of(pool, "0" * 64))
    result = take_in_submission(pool, *waiting(pool)[0])
    assert (result["decision"], result["findings"]) == ("refused", {"E106": 1})
    assert pool.catalogue.accepted() == []


def test_a_run_that_died_before_it_answered_is_answered_by_the_next_with_the_same_receipt(
    pool: Pool, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = send(pool, export).digest
    with monkeypatch.context() as patched:
        patched.setattr(intake_steps, "answer", lambda *_: (_ for _ in ()).throw(TransportError("cut off")))
        with pytest.raises(TransportError):
            take_in_submission(pool, "alder", digest)
    first = pool.catalogue.accepted()[0].receipt
    assert waiting(pool) == [("alder", digest)]
    assert take_in_submission(pool, "alder", digest)["decision"] == "replayed"
    received = json.loads((pool.root / "drops" / "alder" / "out" / digest / "receipt.json").read_bytes())
    assert received == first
    assert waiting(pool) == []


def test_what_a_run_left_that_died_while_it_cleared_is_removed_and_what_is_being_sent_stays(
    pool: Pool, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, remove = send(pool, export).digest, LocalDrop.remove

    def then_cut_off(self: LocalDrop, folder: str, names: list[str]) -> None:
        remove(self, folder, names)
        raise TransportError("cut off")

    with monkeypatch.context() as patched:
        patched.setattr(LocalDrop, "remove", then_cut_off)
        with pytest.raises(TransportError):
            take_in_submission(pool, "alder", digest)
    assert waiting(pool) == []
    assert len(parts(place_of(pool, digest))) > 12
    unfinished = place_of(pool, "1" * 64)
    unfinished.mkdir()
    (unfinished / "00000-00000.age").write_bytes(b"on its way")
    intake_steps.clear_leftovers(pool)
    assert [path.name for path in unfinished.parent.iterdir()] == [unfinished.name]


def test_no_company_keeps_the_others_waiting(pool: Pool, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_local_drops(pool)
    for number in range(30):
        flood = place_of(pool, f"{number:064x}")
        flood.mkdir(parents=True)
        (flood / MANIFEST_PART).write_bytes(b"junk")
    for company in ("birch", "cedar"):
        send(pool, sorted((files / company).iterdir())[0])
    assert {arrival.company for arrival in waiting(pool)[:3]} == {"alder", "birch", "cedar"}
    monkeypatch.setattr("flows.drops.A_RUN", 5)
    assert len(waiting(pool)) == 7


def test_a_drop_that_cannot_be_looked_into_stops_nobody_else(pool: Pool, files: Path) -> None:
    send(pool, sorted((files / "birch").iterdir())[0])
    shutil.rmtree(pool.root / "drops" / "alder")
    (pool.root / "drops" / "alder").symlink_to("/nowhere-at-all")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("flows.drops.make_local_drops", lambda pool: None)
        assert [arrival.company for arrival in waiting(pool)] == ["birch"]


@pytest.mark.parametrize("name", ["in", "out"])
def test_a_file_in_place_of_a_folder_stops_nobody_else(pool: Pool, files: Path, name: str) -> None:
    send(pool, sorted((files / "birch").iterdir())[0])
    folder = pool.root / "drops" / "alder" / name
    folder.rmdir()
    folder.touch()
    assert [arrival.company for arrival in waiting(pool)] == ["birch"]


def test_memory_holds_one_part_and_not_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of 24 parts passes through while no more than a few parts' worth of memory is taken at any time."""
    monkeypatch.setattr(sealing, "PART_BYTES", 1 << 20)
    monkeypatch.setattr(arrival, "PART_BYTES", 1 << 20)
    digest, drop = "ab" * 32, LocalDrop(tmp_path)
    for part, size in enumerate(parts_of(24 << 20)):
        drop.write(f"in/{digest}/{sealing.part_name(0, part)}", seal(bytes(size), RECIPIENT))
    tracemalloc.start()
    DropDelivery(drop, digest, IDENTITIES).fetch(0, "", tmp_path / "fetched", 24 << 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20
    with pytest.raises(DeliveryError, match="E106"):
        DropDelivery(drop, digest, IDENTITIES).fetch(0, "", tmp_path / "too-much", (24 << 20) - 1)
