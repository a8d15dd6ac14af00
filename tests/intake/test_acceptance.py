"""The door as a whole: codes as planted, exactly once, nothing of a refused submission, forged ones refused."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from submissions import accepted_rows, door, json_lines, rewrite, write_lines

from intake.acceptance import IntakeResult, PoolDoor, take_in
from intake.delivery import FolderDelivery
from intake.receipt import receipt_is_genuine
from intake.registry import Quota, Registry
from intake.validation import validate_submission
from schemas.signing import encode_key, public_key

CANARY = "canary-41d07b"


def folders(made: Path) -> list[Path]:
    return sorted(path.parent for path in made.glob("*/*/manifest.json"))


@pytest.fixture(scope="module")
def taken_in(made: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[Path, IntakeResult]]:
    """A pool that took in every submission, and what came of each, by its folder."""
    root = tmp_path_factory.mktemp("taken")
    pool = door(root, made)
    return root, {folder: take_in(FolderDelivery(folder), pool) for folder in folders(made)}


def test_every_planted_fault_gets_its_code_and_every_good_row_is_kept(
    made: Path, taken_in: tuple[Path, dict[Path, IntakeResult]]
) -> None:
    root, results = taken_in
    truth = json.loads((made / "truth.json").read_text())
    planted = {tuple(row[:4]): row[5] for row in truth["malformed"]["rows"]}
    assert len({row[4] for row in truth["malformed"]["rows"]}) >= 15
    found: dict[tuple[Any, ...], set[str]] = {}
    accepted = 0
    for folder, result in results.items():
        assert result.decision == "accepted"
        accepted += result.receipt["accepted"]
        for finding in result.report.findings:
            if finding.code.startswith("E"):
                found.setdefault((folder.parent.name, folder.name, finding.file, finding.row), set()).add(finding.code)
    assert found == {place: {code} for place, code in planted.items()}
    records = sum(s["records"] for s in truth["submissions"])
    assert accepted == records - len(planted) - len(truth["duplicates"]["rows"])
    assert len(accepted_rows(root)) == accepted


def test_company_and_pool_find_the_same(taken_in: tuple[Path, dict[Path, IntakeResult]]) -> None:
    """What does not need the pool's memory or its registry is found at home, code by code."""
    for folder, result in taken_in[1].items():
        at_home, at_pool = validate_submission(folder), result.report
        only_pool = {"E218", "E219", "E223", "E224", "W301"}
        here = {f for f in at_home.findings if f.code not in only_pool}
        assert here == {f for f in at_pool.findings if f.code not in only_pool}


def test_a_submission_counts_once_however_often_it_is_sent(clean: Path, submission: Callable[[], Path], tmp_path: Path) -> None:
    pool = door(tmp_path / "pool", clean)
    first = take_in(FolderDelivery(submission()), pool)
    before = accepted_rows(tmp_path / "pool")
    for _ in range(5):
        again = take_in(FolderDelivery(submission()), pool)
        assert (again.decision, again.receipt) == ("replayed", first.receipt)
    assert accepted_rows(tmp_path / "pool") == before
    assert receipt_is_genuine(first.receipt, encode_key(public_key(b"k" * 32)))
    assert not receipt_is_genuine({**first.receipt, "accepted": 0}, encode_key(public_key(b"k" * 32)))


def test_the_same_records_in_another_submission_count_once(clean: Path, submission: Callable[[], Path], tmp_path: Path) -> None:
    pool = door(tmp_path / "pool", clean)
    take_in(FolderDelivery(submission()), pool)
    again = submission()
    rewrite(again, clean / "keys" / "alder.key", lambda m: m.update(submission_id="sent-again"))
    result = take_in(FolderDelivery(again), pool)
    assert result.decision == "accepted"
    assert result.receipt["accepted"] == 0
    assert set(result.report.counts) == {"W301"}


def signed(alter: Callable[[dict[str, Any]], None]) -> Callable[[Path, Path], None]:
    return lambda folder, clean: rewrite(folder, clean / "keys" / "alder.key", alter)


def unsigned(alter: Callable[[dict[str, Any]], Any]) -> Callable[[Path, Path], None]:
    def change(folder: Path, clean: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        alter(manifest)
        (folder / "manifest.json").write_text(json.dumps(manifest))

    return change


def data(change: Callable[[bytes], bytes], sign_again: bool = True) -> Callable[[Path, Path], None]:
    def alter(folder: Path, clean: Path) -> None:
        (folder / "part-1.jsonl").write_bytes(change((folder / "part-1.jsonl").read_bytes()))
        if sign_again:
            rewrite(folder, clean / "keys" / "alder.key")

    return alter


def by_another_company(folder: Path, clean: Path) -> None:
    rewrite(folder, clean / "keys" / "birch.key")


def with_unlisted_file(folder: Path, clean: Path) -> None:
    (folder / CANARY).write_text("x")


def with_link(folder: Path, clean: Path) -> None:
    (folder / "part-1.jsonl").rename(folder.parent / "outside.jsonl")
    (folder / "part-1.jsonl").symlink_to(folder.parent / "outside.jsonl")


def half_bad(folder: Path, clean: Path) -> None:
    records = json_lines(folder, "part-1.jsonl")
    write_lines(folder, "part-1.jsonl", [{**r, "n_turns": -1} if i % 2 else r for i, r in enumerate(records)])
    rewrite(folder, clean / "keys" / "alder.key")


REFUSALS: list[tuple[str, Callable[[Path, Path], None], str]] = [
    ("no manifest", lambda folder, _: (folder / "manifest.json").unlink(), "E101"),
    ("manifest is no JSON", lambda folder, _: (folder / "manifest.json").write_text("{" + CANARY), "E101") ,
    ("manifest is huge", lambda folder, _: (folder / "manifest.json").write_text(" " * (1 << 21)), "E101"),
    ("field missing", unsigned(lambda m: m.pop("tier")), "E102"),
    ("field unknown", unsigned(lambda m: m.update({CANARY: 1})), "E102"),
    ("path outside", unsigned(lambda m: m["files"][0].update(path="../" + CANARY)), "E102"),
    ("format unknown", unsigned(lambda m: m["files"][0].update(format="csv")), "E102"),
    ("no sampling rate", unsigned(lambda m: m["selection"][0].update(sampling_rate=0)), "E102"),
    ("later contract", signed(lambda m: m.update(contract_version="2.0.0")), "E103"),
    ("unknown company", signed(lambda m: m.update(company="nobody")), "E104"),
    ("unknown agreement", signed(lambda m: m.update(agreement_id="agr-none")), "E104"),
    ("altered after signing", unsigned(lambda m: m.update(period="2026Q1")), "E105"),
    ("another key id", signed(lambda m: m.update(key_id="other")), "E105"),
    ("signed by another company", by_another_company, "E105"),
    ("data altered", data(lambda b: b.replace(b"synthetic", b"synthetik", 1), sign_again=False), "E106"),
    ("data cut off", data(lambda b: b[:-100], sign_again=False), "E106"),
    ("data missing", lambda folder, _: (folder / "part-1.jsonl").unlink(), "E106"),
    ("unlisted file", with_unlisted_file, "E106"),
    ("link", with_link, "E106"),
    ("wrong count", signed(lambda m: m["files"][0].update(records=1)), "E106"),
    ("no such encoding", signed(lambda m: m["files"][0].update(format="jsonl.gz")), "E107"),
    ("no Parquet", signed(lambda m: m["files"][0].update(format="parquet")), "E107"),
    ("no Zstandard", signed(lambda m: m["files"][0].update(format="jsonl.zst")), "E107"),
    ("false attestation", signed(lambda m: m["attestations"].update(opt_outs_removed=False)), "E109"),
    ("no period", signed(lambda m: m.update(period="summer")), "E110"),
    ("aggregates", signed(lambda m: m.update(tier="aggregates")), "E111"),
    ("too large", signed(lambda m: m["files"][0].update(bytes=1 << 40)), "E112"),
    ("half of it bad", half_bad, "E113"),
    ("stratum twice", signed(lambda m: m["selection"].append(m["selection"][0])), "E116"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "alter", "code"), REFUSALS, ids=[refusal[0] for refusal in REFUSALS])
def test_refused_whole_with_its_code(
    name: str, alter: Callable[[Path, Path], Any], code: str, clean: Path, submission: Callable[[], Path], tmp_path: Path
) -> None:
    folder = submission()
    alter(folder, clean)
    pool = door(tmp_path / "pool", clean)
    result = take_in(FolderDelivery(folder), pool)
    assert result.decision == "refused"
    assert code in result.report.counts
    assert not list((tmp_path / "pool").rglob("*.parquet"))
    assert pool.catalogue.accepted() == []
    assert [row["decision"] for row in pool.catalogue.audit_rows()] == ["refused"]
    written = "".join(p.read_text() for p in (tmp_path / "pool").rglob("*.json*"))
    assert CANARY not in written + str(result.report) + str(pool.catalogue.audit_rows())


def test_each_byte_flip_of_a_manifest_is_refused(clean: Path, submission: Callable[[], Path], tmp_path: Path) -> None:
    folder = submission()
    plain = (folder / "manifest.json").read_bytes()
    for position in range(0, len(plain), 23):
        (folder / "manifest.json").write_bytes(plain[:position] + bytes([plain[position] ^ 1]) + plain[position + 1 :])
        if json_or_none(folder / "manifest.json") == json.loads(plain):
            continue  # the flip fell on white space
        assert take_in(FolderDelivery(folder), door(tmp_path / "pool", clean)).decision == "refused"


def json_or_none(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError:
        return None


def test_another_submission_under_a_used_id_is_refused(clean: Path, submission: Callable[[], Path], tmp_path: Path) -> None:
    pool = door(tmp_path / "pool", clean)
    take_in(FolderDelivery(submission()), pool)
    other = submission()
    rewrite(other, clean / "keys" / "alder.key", lambda m: m["attestations"].update(redaction_tool="another"))
    assert "E114" in take_in(FolderDelivery(other), pool).report.counts


def test_a_second_pseudonym_key_in_a_quarter_is_refused(clean: Path, submission: Callable[[], Path], tmp_path: Path) -> None:
    pool = door(tmp_path / "pool", clean)
    take_in(FolderDelivery(submission()), pool)
    other = submission()
    rewrite(other, clean / "keys" / "alder.key", lambda m: m.update(submission_id="b", pseudonym_key_id="second"))
    assert "E115" in take_in(FolderDelivery(other), pool).report.counts


def test_nobody_can_supersede_another_users_record(clean: Path, submission: Callable[[], Path], tmp_path: Path) -> None:
    pool = door(tmp_path / "pool", clean)
    folder = submission()
    take_in(FolderDelivery(folder), pool)
    records = json_lines(folder, "part-1.jsonl")
    mine = records[0]
    theirs = next(r for r in records if r["user_pseudonym"] != mine["user_pseudonym"])
    attack = {
        "domain": mine["domain"], "record_id": "attack", "record_status": "withdrawal", "scope": "record",
        "user_pseudonym": mine["user_pseudonym"], "supersedes": theirs["record_id"], "supersedes_started_at": theirs["started_at"],
    }  # fmt: skip
    fair = {**attack, "record_id": "fair", "supersedes": mine["record_id"], "supersedes_started_at": mine["started_at"]}
    second = submission()
    write_lines(second, "part-1.jsonl", [fair] * 1 + [{**fair, "record_id": f"f{i}"} for i in range(30)] + [attack])
    rewrite(second, clean / "keys" / "alder.key", lambda m: m.update(submission_id="b"))
    result = take_in(FolderDelivery(second), pool)
    assert result.decision == "accepted"
    assert [(f.code, f.row) for f in result.report.findings] == [("E218", 32)]


def test_a_crash_before_the_catalogue_leaves_nothing_that_counts(
    clean: Path, submission: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = door(tmp_path / "pool", clean)
    with monkeypatch.context() as patched:
        patched.setattr(type(pool.catalogue), "add", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            take_in(FolderDelivery(submission()), pool)
    assert pool.catalogue.accepted() == []
    result = take_in(FolderDelivery(submission()), pool)
    assert result.decision == "accepted"
    assert len(accepted_rows(tmp_path / "pool")) == result.receipt["accepted"]


def test_no_pseudonym_and_no_quarantined_record_enters(taken_in: tuple[Path, dict[Path, IntakeResult]]) -> None:
    root, results = taken_in
    pseudonyms = {r["user_pseudonym"] for f in results for p in f.glob("*.jsonl") for r in _objects(p) if r.get("user_pseudonym")}
    written = b"".join(path.read_bytes() for path in root.rglob("*") if path.is_file())
    assert pseudonyms
    assert not [p for p in sorted(pseudonyms)[:200] if len(p) > 8 and p.encode() in written]
    assert all(row["origin"] in ("synthetic", None) for row in accepted_rows(root))


def _objects(path: Path) -> list[dict[str, Any]]:
    found = (json_line(line) for line in path.read_text().splitlines())
    return [value for value in found if isinstance(value, dict)]


def json_line(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def test_counts_are_of_all_findings_and_listings_are_bounded(clean: Path, submission: Callable[[], Path]) -> None:
    folder = submission()
    write_lines(folder, "part-1.jsonl", ["not json"] * 12_000)
    rewrite(folder, clean / "keys" / "alder.key")
    report = validate_submission(folder)
    assert report.counts == Counter({"E201": 12_000, "E113": 1})
    assert len(report.findings) < 10_100
    shutil.rmtree(folder)


def alter_records(folder: Path, clean: Path, change: Callable[[list[dict[str, Any]]], list[Any]], **manifest: Any) -> None:
    write_lines(folder, "part-1.jsonl", change(json_lines(folder, "part-1.jsonl")))
    rewrite(folder, clean / "keys" / "alder.key", lambda m: m.update(manifest))


def test_a_key_belongs_to_the_quarter_of_the_records(clean: Path, submission: Callable[[], Path], tmp_path: Path) -> None:
    """A week that begins in the quarter before does not let a second key in, and an honest one is not refused for it."""
    pool = door(tmp_path / "pool", clean)
    take_in(FolderDelivery(submission()), pool)  # 2026Q1 under its key

    def first_days_of_april(records: list[dict[str, Any]]) -> list[Any]:
        return [{**r, "started_at": "2026-04-02T10:00:00Z", "record_id": f"w{i}"} for i, r in enumerate(records)]

    honest = submission()
    alter_records(honest, clean, first_days_of_april, period="2026-W14", submission_id="week", pseudonym_key_id="second")
    assert take_in(FolderDelivery(honest), pool).decision == "accepted"
    third = submission()
    alter_records(third, clean, first_days_of_april, period="2026-04", submission_id="april", pseudonym_key_id="third")
    assert "E115" in take_in(FolderDelivery(third), pool).report.counts


def test_one_row_does_not_decide_the_quarter_of_all(clean: Path, submission: Callable[[], Path], tmp_path: Path) -> None:
    stray = {"record_status": "withdrawal", "scope": "user", "record_id": "w", "domain": "suicide_self_harm"}
    folder = submission()
    alter_records(
        folder,
        clean,
        lambda rs: [{**stray, "user_pseudonym": rs[0]["user_pseudonym"], "supersedes_started_at": "2025-11-01T00:00:00Z"}, *rs],
    )
    result = take_in(FolderDelivery(folder), door(tmp_path / "pool", clean))
    assert result.decision == "accepted"
    assert ("E211", 1) in {(f.code, f.row) for f in result.report.findings}


def test_nothing_supersedes_itself_or_what_was_refused(clean: Path, submission: Callable[[], Path], tmp_path: Path) -> None:
    def chain(records: list[dict[str, Any]]) -> list[Any]:
        base = {**records[0], "record_status": "correction", "supersedes_started_at": records[0]["started_at"]}
        return [*records, {**base, "record_id": "a", "supersedes": "a"}, {**base, "record_id": "b", "supersedes": "a"}]

    folder = submission()
    alter_records(folder, clean, chain)
    result = take_in(FolderDelivery(folder), door(tmp_path / "pool", clean))
    found = sorted(f.row for f in result.report.findings if f.code == "E218")
    total = result.report.records
    assert found == [total - 1, total]


def test_one_user_is_not_two_by_case(clean: Path, submission: Callable[[], Path], tmp_path: Path) -> None:
    folder = submission()
    alter_records(
        folder, clean, lambda rs: [*rs, {**rs[0], "record_id": "c", "user_pseudonym": rs[0]["user_pseudonym"].upper() + "A"},
                                   {**rs[0], "record_id": "d", "user_pseudonym": rs[0]["user_pseudonym"].lower() + "a"}]
    )  # fmt: skip
    result = take_in(FolderDelivery(folder), door(tmp_path / "pool", clean))
    assert result.report.counts["E225"] == 1


def test_a_timestamp_that_no_calendar_has_refuses_its_file(made: Path, tmp_path: Path) -> None:
    import pyarrow as pa

    folder = tmp_path / "copy"
    shutil.copytree(sorted((made / "alder").iterdir())[0], folder)
    part = next(folder.glob("*.parquet"))
    table = pq.read_table(part)
    moments = pa.array([2**62] * len(table), pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    pq.write_table(table.set_column(table.schema.get_field_index("started_at"), "started_at", moments), part)
    rewrite(folder, made / "keys" / "alder.key")
    assert "E107" in take_in(FolderDelivery(folder), door(tmp_path / "pool", made)).report.counts


def with_quota(pool: PoolDoor, **quota: int) -> PoolDoor:
    companies = {name: company.model_copy(update={"quota": Quota(**quota)}) for name, company in pool.registry.companies.items()}
    return replace(pool, registry=Registry(companies))


@pytest.mark.parametrize(
    ("quota", "field"),
    [
        ({"bytes_a_submission": 1000}, "quota.bytes_a_submission"),
        ({"records_a_quarter": 3}, "quota.records_a_quarter"),
        ({"users_a_quarter": 3}, "quota.users_a_quarter"),
    ],
)
def test_over_the_quota_nothing_enters(
    quota: dict[str, int], field: str, clean: Path, submission: Callable[[], Path], tmp_path: Path
) -> None:
    pool = door(tmp_path / "pool", clean)
    result = take_in(FolderDelivery(submission()), with_quota(pool, **quota))
    assert result.decision == "refused"
    assert [(f.code, f.field) for f in result.report.findings] == [("E118", field)]
    assert pool.catalogue.accepted() == []
    assert take_in(FolderDelivery(submission()), pool).decision == "accepted"


def test_quotas_count_what_is_there_already(clean: Path, submission: Callable[[], Path], tmp_path: Path) -> None:
    pool = door(tmp_path / "pool", clean)
    first = take_in(FolderDelivery(submission()), pool)
    more = submission()
    alter_records(more, clean, lambda rs: [{**r, "record_id": f"m{i}"} for i, r in enumerate(rs)], submission_id="more")
    users = pool.catalogue.accepted()[0].users
    assert users == len({row["unit"] for row in accepted_rows(tmp_path / "pool")})
    records = 2 * first.receipt["accepted"]
    exactly = with_quota(pool, records_a_quarter=records, users_a_quarter=users, submissions_a_day=2)
    assert "E118" in take_in(FolderDelivery(more), with_quota(pool, records_a_quarter=records - 1)).report.counts
    assert "E118" in take_in(FolderDelivery(more), exactly).report.counts  # the refused one was the second of the day
    assert take_in(FolderDelivery(more), replace_quota(exactly, submissions_a_day=4)).decision == "accepted"


def replace_quota(pool: PoolDoor, **changed: int) -> PoolDoor:
    quota = next(iter(pool.registry.companies.values())).quota
    return with_quota(pool, **{**quota.model_dump(), **changed})


def test_many_withdrawals_of_submissions_settle(clean: Path, submission: Callable[[], Path], tmp_path: Path) -> None:
    pool = door(tmp_path / "pool", clean)
    take_in(FolderDelivery(submission()), pool)
    own = pool.catalogue.accepted()[0].submission_id
    base = {"domain": "suicide_self_harm", "record_status": "withdrawal", "scope": "submission"}
    many = submission()
    alter_records(
        many,
        clean,
        lambda rs: [{**base, "record_id": f"w{i}", "submission_id": own if i else "nobody"} for i in range(3000)],
        submission_id="takes-back",
    )
    result = take_in(FolderDelivery(many), pool)
    assert (result.decision, dict(result.report.counts)) == ("accepted", {"E223": 1})
    assert [row.submission_id for row in pool.catalogue.accepted()] == ["takes-back"]


def test_a_lost_key_is_replaced_once_all_under_it_is_withdrawn(
    clean: Path, submission: Callable[[], Path], tmp_path: Path
) -> None:
    pool = door(tmp_path / "pool", clean)
    take_in(FolderDelivery(submission()), pool)
    own = pool.catalogue.accepted()[0].submission_id
    taken_back = {"domain": "suicide_self_harm", "record_status": "withdrawal", "scope": "submission", "submission_id": own}
    back, anew = submission(), submission()
    alter_records(back, clean, lambda rs: [{**taken_back, "record_id": "w"}], submission_id="back", pseudonym_key_id="any")
    alter_records(anew, clean, lambda rs: rs, submission_id="anew", pseudonym_key_id="second")
    assert "E115" in take_in(FolderDelivery(anew), pool).report.counts
    assert take_in(FolderDelivery(back), pool).decision == "accepted"
    assert take_in(FolderDelivery(anew), pool).decision == "accepted"
