"""The runbook names a rehearsal for every failure, and every rehearsal is in it."""

import ast
import re
from pathlib import Path

import pytest
from runbook import RUNBOOK, entries, is_printed, messages

from cli.main import build_app

TEXT = RUNBOOK.read_text(encoding="utf-8")
REHEARSALS = Path(__file__).with_name("test_rehearsals.py")


def rehearsals() -> set[str]:
    """Tests that print to the console."""
    found = ast.parse(REHEARSALS.read_text(encoding="utf-8")).body
    functions = [each for each in found if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")]
    return {each.name for each in functions if "console" in {argument.arg for argument in each.args.args}}


def test_every_rehearsal_is_in_the_runbook_and_every_test_it_names_is_there() -> None:
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", TEXT))
    assert named == set(messages(TEXT)) == rehearsals()


def test_there_are_ten_failures_and_each_says_why_what_to_do_and_what_is_safe() -> None:
    found = entries(TEXT)
    assert [int(head.split(".")[0]) for head in found] == list(range(1, 11))
    for head, text in found.items():
        assert all(f"**{part}.**" in text for part in ("Why", "Do", "Safe")), head
        assert messages(text), head


def test_the_table_leads_to_every_entry() -> None:
    anchors = [re.sub(r"[^a-z0-9 -]", "", head.lower()).replace(" ", "-") for head in entries(TEXT)]
    table = [line for line in TEXT.splitlines() if line.startswith("|")]
    assert re.findall(r"\]\(#([a-z0-9-]+)\)", "\n".join(table)) == anchors
    assert set(re.findall(r"\]\(#([a-z0-9-]+)\)", TEXT)) <= set(anchors)  # and a link within an entry leads somewhere


def test_every_command_that_it_tells_of_exists() -> None:
    known = set(build_app())
    assert set(re.findall(r"commons ([a-z]+)(?=[ `])", TEXT)) <= known


@pytest.mark.parametrize(
    ("quoted", "line", "there"),
    [
        ("commons: … bytes are free.", "commons: 12 bytes are free. More.", True),
        ("commons: … bytes are free.", "commons: 12 bytes are left.", False),
        ("commons: bytes (a+)", "commons: bytes (aa)", False),
        ("FAILED    disk", "  FAILED    disk", False),
    ],
)
def test_a_message_that_is_not_printed_is_seen(quoted: str, line: str, there: bool) -> None:
    assert is_printed(quoted, [line]) is there


def test_a_fence_belongs_to_the_test_beside_it() -> None:
    text = "One (`test_a`) and two (`test_b`):\n```text\nfirst\n```\n```text\nsecond\n…\n```\n"
    assert messages(text) == {"test_a": ["first"], "test_b": ["second", "…"]}
    with pytest.raises(AssertionError):
        messages(text.replace(" and two (`test_b`)", ""))
