"""`commons.toml`: found from below, read into a frozen model, and never quoted."""

import os
from pathlib import Path

import pytest

from intake.settings import find_company_settings, load_company_settings, read_signing_key
from schemas.errors import UsageError
from schemas.signing import encode_key

LEAST = 'company = "alder"\nagreement_id = "agr-1"\nkey_id = "alder-1"\nsigning_key = "keys/alder-1.key"\n'
KEY = encode_key(b"k" * 32)


def settings(folder: Path, more: str = "", text: str = LEAST) -> Path:
    path = folder / "commons.toml"
    path.write_text(text + more)
    return path


def test_what_comes_from_the_convener_may_be_missing_and_the_key_lies_beside_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = load_company_settings(settings(tmp_path))
    assert (read.to, read.pool_recipient, read.pool_key) == (None, None, None)
    assert read.signing_key == tmp_path / "keys" / "alder-1.key"
    monkeypatch.chdir(tmp_path)
    assert load_company_settings(Path("commons.toml")).signing_key == tmp_path / "keys" / "alder-1.key"


def test_all_of_it_is_read(tmp_path: Path) -> None:
    more = f'to = "s3://drop/alder"\npool_recipient = "age1{"q" * 58}"\npool_key = "{KEY}"\n'
    read = load_company_settings(settings(tmp_path, more))
    assert (read.to, read.pool_key) == ("s3://drop/alder", KEY)


def test_they_are_found_from_below_and_the_nearest_counts(tmp_path: Path) -> None:
    below = tmp_path / "exports" / "2026-07"
    below.mkdir(parents=True)
    outer = settings(tmp_path)
    assert find_company_settings(below) == outer.resolve()
    inner = settings(tmp_path / "exports")
    assert find_company_settings(below) == inner.resolve()


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ('pool_key = "canary-11"\n', "pool_key"),
        ('pool_recipient = "canary-11"\n', "pool_recipient"),
        ("to = 11\n", "to"),
        ('canary-11 = "x"\n', "a key that it does not know"),
        ('to = "canary-11\n', "not TOML (line 5)"),
    ],
)
def test_a_wrong_field_is_named_and_never_quoted(tmp_path: Path, more: str, named: str) -> None:
    with pytest.raises(UsageError) as told:
        load_company_settings(settings(tmp_path, more))
    assert named in told.value.message
    assert "canary" not in told.value.message + told.value.next_step + repr(told.value.__context__)


def test_a_missing_field_or_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_company_settings(tmp_path / "commons.toml")
    with pytest.raises(UsageError, match="agreement_id"):
        load_company_settings(settings(tmp_path, text=LEAST.replace("agreement_id", "# agreement_id")))


def test_the_signing_key_is_read_or_refused_without_a_word_of_it(tmp_path: Path) -> None:
    read = load_company_settings(settings(tmp_path))
    with pytest.raises(UsageError, match="signing key"):
        read_signing_key(read)
    read.signing_key.parent.mkdir()
    read.signing_key.write_text("canary-11\n")
    with pytest.raises(UsageError) as told:
        read_signing_key(read)
    assert "canary" not in str(told.value) + told.value.next_step
    read.signing_key.write_text(KEY + os.linesep)
    assert read_signing_key(read) == b"k" * 32
