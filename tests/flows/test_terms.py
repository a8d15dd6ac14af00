"""Found terms wait for a reviewer; what was decided is what everyone, or members alone, are told, and stays as it was signed."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from terms_pool import FIRST, SECOND, decided, key, measured_by_hand, released, terms_pool

from cli.main import run
from flows.approving import to_sign
from flows.briefs import measured_release
from flows.pool import Pool
from flows.release_steps import approve_release, check_release, publish_release
from flows.status import pool_status
from flows.terms import decide_terms, quarters_terms
from publish import release as release_module
from publish.content import members_digest
from publish.members import write_members
from publish.path import State
from publish.signoff import SignedContent, sign_off
from publish.store import deciding, decisions_made, record_signoff, state_of, stored_signoffs
from publish.term_reviews import Decision
from publish.verify import manifest_of, verify_release
from schemas.errors import CheckFailedError, CommonsError, InternalError, NotApprovedError
from schemas.signing import decode_key
from schemas.stages import NoisyTable

PUBLIC_TERM, MEMBERS_TERM, REJECTED_TERM = "veltri", "ondrake", "sarmel"
NEW = {PUBLIC_TERM: 140.0, MEMBERS_TERM: 400.0, REJECTED_TERM: 300.0}
DECIDED = {PUBLIC_TERM: "public", MEMBERS_TERM: "members", REJECTED_TERM: "reject"}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pool = terms_pool(tmp_path_factory.mktemp("measured") / "pool")
    measured_by_hand(pool, FIRST, NEW)
    pool.engine.dispose()
    return pool.root


@pytest.fixture
def pool(measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pool:
    """A copy of a measured pool, whose pages take no time to draw."""
    monkeypatch.setattr(release_module, "_pages", lambda _: ({"README.md": b"SYNTHETIC"}, {}))
    return Pool(Path(shutil.copytree(measured, tmp_path / "pool")))


@pytest.fixture(scope="module")
def published(measured: Path, tmp_path_factory: pytest.TempPathFactory) -> Pool:
    """A release with all of its pages."""
    pool = Pool(Path(shutil.copytree(measured, tmp_path_factory.mktemp("published") / "pool")))
    decided(pool, FIRST, **DECIDED)
    released(pool, FIRST)
    return pool


def told(folder: Path) -> dict[str, str]:
    """Terms and audiences of a folder."""
    path = folder / manifest_of(folder)["tables"]["emerging_terms"]["path"]
    return {row["term"]: row["audience"] for row in pq.read_table(path, partitioning=None).to_pylist()}


def members_folder(pool: Pool, quarter: object = FIRST, version: int = 1) -> Path:
    return pool.members / str(quarter) / f"v{version}"


def test_a_release_waits_until_every_term_is_decided_on(pool: Pool) -> None:
    def waiting() -> str:
        return next(result for result in check_release(pool, FIRST) if result.name == "terms_reviewed").detail

    assert waiting() == "3 terms wait for review."
    assert state_of(pool.engine, FIRST, 1) is State.MEASURED
    (quarter,) = pool_status(pool)["quarters"]
    assert (quarter["terms_waiting"], quarter["next"]) == (3, "a reviewer: commons terms review 2026Q1 --key KEY")
    with pytest.raises(CheckFailedError):
        approve_release(pool, FIRST, key(pool, "petra"))
    assert decided(pool, FIRST, **{PUBLIC_TERM: "public", REJECTED_TERM: "reject"}) == 2
    assert waiting() == "1 terms wait for review."
    assert to_sign(pool, FIRST).terms == {"waiting": 1, "public": 1, "members": 0, "reject": 1}
    decided(pool, FIRST, **{MEMBERS_TERM: "members"})
    assert pool_status(pool)["quarters"][0]["next"] == "commons check 2026Q1"  # though the check as it is stored has failed
    assert waiting() == "A reviewer has decided on every term."
    assert state_of(pool.engine, FIRST, 1) is State.CHECKED


def test_a_term_that_waits_is_in_no_table(pool: Pool) -> None:
    decided(pool, FIRST, **{PUBLIC_TERM: "public"})
    terms = quarters_terms(pool, FIRST)
    assert [row["term"] for row in terms.for_members.rows.to_pylist()] == [PUBLIC_TERM]


@pytest.mark.parametrize("person", ["olga", "petra"])
def test_only_a_clinical_person_decides(person: str, pool: Pool) -> None:
    with pytest.raises(NotApprovedError):
        decided(pool, FIRST, person, **DECIDED)
    assert len(quarters_terms(pool, FIRST).waiting) == 3


def test_nobody_decides_in_the_name_of_another(pool: Pool) -> None:
    found = quarters_terms(pool, FIRST)
    with pytest.raises(NotApprovedError, match="not the one that is registered"):
        decide_terms(
            pool,
            found,
            {("user", PUBLIC_TERM): Decision.PUBLIC},
            pool.people.get("carl"),
            decode_key(key(pool, "clea").read_text()),
        )


def test_a_later_decision_holds_until_somebody_has_signed(pool: Pool) -> None:
    decided(pool, FIRST, **dict.fromkeys(NEW, "public"))
    decided(pool, FIRST, "clea", **DECIDED)
    assert decided(pool, FIRST, "clea", **DECIDED) == 0  # decided so already
    assert quarters_terms(pool, FIRST).counts == {"waiting": 0, "public": 1, "members": 1, "reject": 1}
    check_release(pool, FIRST)
    approve_release(pool, FIRST, key(pool, "petra"))
    with pytest.raises(NotApprovedError, match="stands"):
        decided(pool, FIRST, **{MEMBERS_TERM: "public"})
    approve_release(pool, FIRST, key(pool, "carl"))
    assert told(publish_release(pool, FIRST).folder) == {PUBLIC_TERM: "public"}


def test_a_signature_does_not_cover_what_was_decided_while_it_was_made(pool: Pool) -> None:
    """Somebody decides between the look at a release and the signature: then that look was at something else."""
    decided(pool, FIRST, **DECIDED)
    check_release(pool, FIRST)
    with deciding(pool.engine) as connection:
        before = decisions_made(connection)
    shown = measured_release(pool, FIRST)
    decided(pool, FIRST, **{MEMBERS_TERM: "public"})
    private_key = decode_key(key(pool, "petra").read_text())
    signed = sign_off(shown, pool.people, "petra", private_key, datetime.now(UTC))
    with pytest.raises(NotApprovedError, match="meanwhile"):
        record_signoff(pool.engine, shown, pool.people, signed, "", before)
    assert stored_signoffs(pool.engine, FIRST, 1) == ()
    with pytest.raises(NotApprovedError, match="changed since"):
        approve_release(pool, FIRST, key(pool, "petra"), SignedContent.of(shown))


def test_everyone_is_told_public_terms_members_theirs_too_and_nobody_the_rejected(published: Pool) -> None:
    release = published.releases / "2026Q1" / "v1"
    assert told(release) == {PUBLIC_TERM: "public"}
    assert told(members_folder(published)) == {PUBLIC_TERM: "public", MEMBERS_TERM: "members"}
    for folder, term, there in (
        (published.releases, PUBLIC_TERM, True),
        (published.releases, MEMBERS_TERM, False),
        (published.releases, REJECTED_TERM, False),
        (published.members, REJECTED_TERM, False),
        (published.members, MEMBERS_TERM, True),
    ):
        assert (term in everything_below(folder)) is there, (folder.name, term)


def everything_below(folder: Path) -> str:
    """All bytes of all files, and what is compressed in tables, as text."""
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        data = path.read_bytes()
        found.append(data.decode("latin-1"))
        if path.suffix == ".parquet":
            found.append(repr(pq.read_table(path, partitioning=None).to_pydict()))
    return "\n".join([*found, *(str(p.relative_to(folder)) for p in folder.rglob("*"))])


def test_members_verify_what_they_are_handed(published: Pool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = Path(shutil.copytree(members_folder(published), tmp_path / "given"))
    keys = published.members / "minisign.pub", published.releases / "minisign.pub"
    assert keys[0].read_bytes() != keys[1].read_bytes()
    assert [run(["verify", str(given), "--public-key", str(each)]) for each in keys] == [0, 14]
    capsys.readouterr()
    for path in sorted(given.iterdir()):
        data = path.read_bytes()
        path.write_bytes(data[:-2] + bytes([data[-2] ^ 1]) + data[-1:])
        assert run(["verify", str(given)]) == 14, path.name
        path.write_bytes(data)
    assert run(["verify", str(given)]) == 0


def test_a_table_for_members_that_nobody_signed_is_neither_written_nor_verified(pool: Pool) -> None:
    decided(pool, FIRST, **DECIDED)
    check_release(pool, FIRST)
    for person in ("carl", "petra"):
        approve_release(pool, FIRST, key(pool, person))
    measured, terms = measured_release(pool, FIRST), quarters_terms(pool, FIRST)
    signed = stored_signoffs(pool.engine, FIRST, 1)

    def write(table: NoisyTable, release: object = measured, root: str = "members") -> Path:
        named = {"signing_key": bytes(32), "code_version": "0"}
        return write_members(release, table, terms.salt, signed, pool.people, pool.root / root, **named)  # type: ignore[arg-type]

    with pytest.raises(InternalError):
        write(terms.told(Decision.PUBLIC))
    with pytest.raises(NotApprovedError):  # its digest changed with it: then the signatures do not hold
        other = terms.told(Decision.PUBLIC)
        write(other, replace(measured, members_digest=members_digest(other.rows, terms.salt)))
    assert not members_folder(pool).exists()
    folder = write(terms.for_members)
    assert all(result.passed for result in verify_release(folder))
    assert write(terms.for_members) == folder
    (folder / "README.md").write_text("other")
    with pytest.raises(InternalError):
        write(terms.for_members)


def test_what_is_decided_later_changes_no_earlier_release(pool: Pool) -> None:
    decided(pool, FIRST, **DECIDED)
    first = released(pool, FIRST)
    before = {path: path.read_bytes() for path in pool.root.rglob("v1/**/*") if path.is_file()}
    content = SignedContent.of(measured_release(pool, FIRST))
    own = pool.ledger.plan(FIRST)
    assert own is not None
    second = measured_by_hand(pool, SECOND, {"quillane": 250.0}, dict.fromkeys(NEW, 500.0), (own,))
    assert [each.term for each in quarters_terms(pool, SECOND).waiting] == ["quillane"]  # the others are decided on
    decided(pool, SECOND, quillane="public", **{PUBLIC_TERM: "members", MEMBERS_TERM: "public"})
    assert told(released(pool, SECOND).folder) == {"quillane": "public", MEMBERS_TERM: "public"}
    assert REJECTED_TERM not in told(members_folder(pool, SECOND))
    assert SignedContent.of(measured_release(pool, FIRST)) == content
    assert publish_release(pool, FIRST).folder == first.folder
    assert {path: path.read_bytes() for path in before} == before
    assert second.history == (own.hash,)


def test_nothing_is_decided_any_more_on_what_a_signed_later_release_rests_on(pool: Pool) -> None:
    own = pool.ledger.plan(FIRST)
    assert own is not None
    decided(pool, FIRST, **DECIDED)
    measured_by_hand(pool, SECOND, {}, {MEMBERS_TERM: 500.0}, (own,))
    check_release(pool, SECOND)
    approve_release(pool, SECOND, key(pool, "petra"))
    with pytest.raises(NotApprovedError, match="signed"):  # though nobody has signed the first
        decided(pool, FIRST, **{MEMBERS_TERM: "public"})


def test_a_superseding_version_goes_on_from_what_was_decided_and_may_decide_anew(pool: Pool) -> None:
    decided(pool, FIRST, **DECIDED)
    released(pool, FIRST)
    measured_by_hand(pool, FIRST, {**NEW, "quillane": 200.0}, version=2)
    assert [each.term for each in quarters_terms(pool, FIRST).waiting] == ["quillane"]
    decided(pool, FIRST, quillane="reject", **{PUBLIC_TERM: "reject"})
    assert told(released(pool, FIRST).folder) == {}
    assert told(members_folder(pool, version=2)) == {MEMBERS_TERM: "members"}
    assert told(pool.releases / "2026Q1" / "v1") == {PUBLIC_TERM: "public"}


def test_what_somebody_decided_who_reviews_no_more_waits_again(pool: Pool) -> None:
    decided(pool, FIRST, "clea", **DECIDED)
    people = pool.root / "config" / "people.toml"
    entries = people.read_text().split("[[person]]")
    people.write_text("[[person]]".join(entry for entry in entries if '"clea"' not in entry))
    assert len(quarters_terms(Pool(pool.root), FIRST).waiting) == 3


def test_the_manifest_tells_of_members_terms_a_digest_that_only_who_has_them_can_make(published: Pool) -> None:
    manifest = manifest_of(published.releases / "2026Q1" / "v1")
    salt = manifest_of(members_folder(published))["salt"]
    assert len(manifest["members_digest"]) == len(manifest["terms_digest"]) == 64
    assert salt not in json.dumps(manifest)


def test_a_public_table_of_terms_that_was_changed_is_seen(published: Pool, tmp_path: Path) -> None:
    given = Path(shutil.copytree(published.releases / "2026Q1" / "v1", tmp_path / "given"))
    assert all(result.passed for result in verify_release(given))
    path = given / "MANIFEST.json"
    for name in ("terms_digest", "members_digest"):
        manifest = manifest_of(given)
        path.write_text(json.dumps({**manifest, name: "0" * 64}))
        failed = {result.name for result in verify_release(given) if not result.passed}
        assert {"tables"} <= failed if name == "terms_digest" else {"tables", "signoffs"} <= failed
        path.write_text(json.dumps(manifest))


def test_a_quarter_without_terms_has_none_to_decide(pool: Pool) -> None:
    with pytest.raises(CommonsError):
        quarters_terms(pool, SECOND)
