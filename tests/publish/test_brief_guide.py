"""What the guide of the brief shows works as it says."""

from pathlib import Path

from publish.brief import SECTIONS
from publish.cells import ReleaseCells
from publish.staff_text import StaffText
from publish.wording import HouseRules
from schemas.stages import MeasuredRelease

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "brief.md").read_text(encoding="utf-8")


def test_its_example_stands(measured: MeasuredRelease) -> None:
    (example,) = (block for block in GUIDE.split("```")[1::2] if "{{claim" in block)
    text = StaffText(example, HouseRules(), SECTIONS)
    assert len(text.claims) == 1 and text.objections(ReleaseCells(measured)) == []


def test_it_names_every_heading() -> None:
    assert all(f"`## {title}`" in GUIDE for title in SECTIONS)
