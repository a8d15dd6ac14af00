"""Settings: strict, versioned, and no helpline without a fresh review."""

import datetime
from pathlib import Path

import pytest

from anonymize.settings import ScrubSettings, load_scrub_settings, overdue_helplines
from schemas.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
SCRUB, HELPLINES = ROOT / "config/scrub.toml", ROOT / "config/helplines.toml"


def test_every_helpline_was_reviewed_within_180_days(settings: ScrubSettings) -> None:
    # Against the calendar, on purpose: this test is the reminder.
    assert overdue_helplines(settings, datetime.datetime.now(tz=datetime.UTC).date()) == []


def test_a_review_runs_out_after_180_days(settings: ScrubSettings) -> None:
    reviewed = max(line.reviewed for line in settings.helplines)
    assert overdue_helplines(settings, reviewed + datetime.timedelta(days=180)) == []
    assert len(overdue_helplines(settings, reviewed + datetime.timedelta(days=181))) == len(settings.helplines)
    assert overdue_helplines(settings, reviewed - datetime.timedelta(days=1)) != []


def test_ages_are_reckoned_as_of_this_year(settings: ScrubSettings) -> None:
    # Against the calendar, on purpose: this test is the reminder.
    assert settings.dates.as_of_year == datetime.datetime.now(tz=datetime.UTC).year


def test_the_ruleset_version_follows_every_dial(tmp_path: Path, settings: ScrubSettings) -> None:
    assert load_scrub_settings(SCRUB, HELPLINES).ruleset_version == settings.ruleset_version
    changed = tmp_path / "scrub.toml"
    changed.write_text(SCRUB.read_text().replace("classifier = 0.30", "classifier = 0.31"))
    assert load_scrub_settings(changed, HELPLINES).ruleset_version != settings.ruleset_version
    changed.write_text(SCRUB.read_text().replace("as_of_year = 2026", "as_of_year = 2027"))
    assert load_scrub_settings(changed, HELPLINES).ruleset_version != settings.ruleset_version
    fewer = tmp_path / "helplines.toml"
    fewer.write_text(HELPLINES.read_text().replace('"741741"', '"741742"'))
    assert load_scrub_settings(SCRUB, fewer).ruleset_version != settings.ruleset_version


@pytest.mark.parametrize("broken", ["[limits]\nsecret_key = 1\n", "not toml at all", "[scores]\nclassifier = 'secret-value'\n"])
def test_a_wrong_file_is_refused_without_quoting_it(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "scrub.toml"
    path.write_text(broken)
    with pytest.raises(UsageError) as caught:
        load_scrub_settings(path, HELPLINES)
    assert "secret-value" not in str(caught.value)
    assert caught.value.__cause__ is None
