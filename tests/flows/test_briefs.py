"""Staff's text of a pool: checked with the release, shown before a signature, covered by it, and frozen from the first one on."""

import json
from pathlib import Path

import pytest
from filled_pool import QUARTER, key, until_checked

from cli.main import run
from flows.approving import to_sign
from flows.briefs import staff_text, text_path
from flows.pool import Pool
from flows.quarters import quarters
from flows.release_steps import approve_release, check_release, make_plan, measure_release, publish_release
from publish.path import State
from publish.store import state_of
from publish.wording import Text
from schemas.errors import CheckFailedError, ExitCode, NotApprovedError, UsageError

CALM = "## Limits\n\nLabels come from people who disagree at times.\n"


def write(pool: Pool, text: str) -> None:
    text_path(pool, QUARTER).parent.mkdir(exist_ok=True)
    text_path(pool, QUARTER).write_text(text)


def signed_by(pool: Pool, *people: str) -> None:
    for person in people:
        approve_release(pool, QUARTER, key(pool, person))


def screen(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_a_refused_text_stops_the_release_and_its_lines_are_named(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    make_plan(pool, QUARTER, key(pool, "olga"))
    measure_release(pool, QUARTER)
    write(pool, "Calm.\n\nAt alder 77 people replied more often.\n")
    found = {result.name: result for result in check_release(pool, QUARTER)}["staff_text"]
    assert not found.passed and found.stops and "line 3" in found.detail
    assert state_of(pool.engine, QUARTER, 1) is State.MEASURED
    with pytest.raises(CheckFailedError, match="staff_text"):
        signed_by(pool, "carl")
    call = ["brief", str(QUARTER), "--root", str(pool.root)]
    assert run([*call, "--check"]) == ExitCode.CHECK_FAILED
    told = screen(capsys)
    assert told.count("2026Q1.md:3: ") == 3 and not any(word in told for word in ("alder", "77", "often"))
    assert run(call) == ExitCode.CHECK_FAILED and not list(text_path(pool, QUARTER).parent.glob("*.html"))
    write(pool, CALM)
    assert run([*call, "--check"]) == ExitCode.DONE
    check_release(pool, QUARTER)
    assert state_of(pool.engine, QUARTER, 1) is State.CHECKED


def test_a_text_that_is_changed_after_the_checks_is_looked_at_again(pool: Pool) -> None:
    until_checked(pool)
    write(pool, "Replies rose.\n")
    with pytest.raises(CheckFailedError, match="line 1"):
        signed_by(pool, "carl")


def test_only_what_was_shown_is_signed(pool: Pool) -> None:
    write(pool, CALM)
    until_checked(pool)
    shown = to_sign(pool, QUARTER)
    assert shown.content.text_digest == shown.text.digest != "" and shown.missing == ("clinical", "privacy")
    write(pool, CALM + "\nAnd tire.\n")
    with pytest.raises(NotApprovedError, match="since it was shown"):
        approve_release(pool, QUARTER, key(pool, "carl"), shown.content)
    assert to_sign(pool, QUARTER).signed == ()


def test_from_the_first_signature_on_the_text_stays(pool: Pool) -> None:
    write(pool, CALM)
    until_checked(pool)
    signed_by(pool, "carl")
    write(pool, CALM + "\nAnd tire.\n")
    with pytest.raises(NotApprovedError, match="text"):
        signed_by(pool, "petra")
    (quarter,) = quarters(pool)
    assert quarter["not_holding"] == ["clinical"] and "put brief/2026Q1.md back" in quarter["next"]
    write(pool, CALM)
    signed_by(pool, "petra")
    write(pool, CALM + "\nAnd tire.\n")
    with pytest.raises(NotApprovedError, match="text"):
        publish_release(pool, QUARTER)
    write(pool, CALM)
    folder = publish_release(pool, QUARTER).folder
    assert (folder / "brief.md").read_text() == CALM
    assert "disagree at times" in (folder / "brief.html").read_text()
    assert publish_release(pool, QUARTER).folder == folder


def test_the_draft_says_that_it_is_one_and_the_release_does_not(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    until_checked(pool)
    write(pool, CALM)
    assert run(["brief", str(QUARTER), "--root", str(pool.root), "--json"]) == ExitCode.DONE
    told = json.loads(screen(capsys))
    html = Path(told["files"][0]).read_text()
    assert "DRAFT: nobody has approved this" in html and "disagree at times" in html
    assert told["reading_pages"] in (None, 2)
    signed_by(pool, "carl", "petra")
    assert "DRAFT" not in (publish_release(pool, QUARTER).folder / "brief.html").read_text()


def test_the_house_keeps_its_names_words_and_lines(pool: Pool) -> None:
    (pool.root / "config" / "withheld_words.txt").write_text("# ours\nzzword\n\ntwo words\n")
    write(pool, "x\n")
    house = staff_text(pool, QUARTER).house
    assert {"alder", "birch", "cedar"} <= set(house.companies) and house.withheld == ("zzword", "two words")
    assert house.broken(Text.of("See 988lifeline.org or call 988. Samaritans listen.")) == []
    assert [reason for _, reason in house.broken(Text.of("A Two\nWords b zzword"))] == [
        "a word stands on the pool's own list of words that are not made public"
    ] * 2


@pytest.mark.parametrize("data", [b"\xff\xfe", b"a\r\nb", b"a" * ((1 << 20) + 1)])
def test_a_text_that_is_none_is_refused(pool: Pool, data: bytes) -> None:
    write(pool, "")
    text_path(pool, QUARTER).write_bytes(data)
    with pytest.raises(UsageError):
        staff_text(pool, QUARTER)


def test_approve_shows_before_it_signs(pool: Pool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    write(pool, CALM)
    until_checked(pool)
    call = ["approve", str(QUARTER), "--root", str(pool.root), "--key", str(key(pool, "carl"))]
    assert run([*call, "--show"]) == ExitCode.DONE
    shown, digest = screen(capsys), staff_text(pool, QUARTER).digest
    for part in ("2026Q1/v1", "3 companies", "All tables", "ε = 0.88", "2026 so far", "intervals_cover", "first release", digest):
        assert part in shown
    assert to_sign(pool, QUARTER).signed == ()
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert run(call) == ExitCode.NOT_APPROVED and to_sign(pool, QUARTER).signed == ()
    assert run([*call, "--yes"]) == ExitCode.DONE
    assert [each.person for each in to_sign(pool, QUARTER).signed] == ["carl"]
