"""At home: a signature by a key that was not registered under its id is noticed before the pool refuses it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.main import run
from schemas.errors import ExitCode
from schemas.signing import encode_key, new_private_key


def another_key(home: Path) -> None:
    (home / "keys" / "alder-1.key").write_text(encode_key(new_private_key()))


def under_a_new_id(home: Path) -> None:
    another_key(home)
    text = (home / "commons.toml").read_text()
    (home / "commons.toml").write_text(text.replace('key_id = "alder-1"', 'key_id = "alder-2"'))


def signed_again(home: Path) -> None:
    assert run(["prepare", str(home / "example"), "--period", "2026-01"]) == ExitCode.DONE


def replaced(home: Path) -> None:
    another_key(home)
    signed_again(home)


def rotated(home: Path) -> None:
    under_a_new_id(home)
    signed_again(home)


def rotated_and_lost(home: Path) -> None:
    rotated(home)
    another_key(home)


def unregistered(home: Path) -> None:
    (home / "registration.toml").unlink()
    another_key(home)


def alone(home: Path) -> None:
    """Neither is there: nothing can be told."""
    (home / "registration.toml").unlink()
    (home / "commons.toml").unlink()
    another_key(home)


def broken(home: Path) -> None:
    (home / "registration.toml").write_text("canary")
    (home / "commons.toml").write_text("canary")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda home: None, {}),
        (signed_again, {}),
        (replaced, {"W312": 1}),
        (rotated, {}),
        (rotated_and_lost, {"W312": 1}),
        (unregistered, {"W312": 1}),
        (alone, {}),
        (broken, {}),
    ],
)
def test_a_signature_of_another_key_is_noticed_at_home(
    change: Callable[[Path], None], told: dict[str, int], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(home)
    capsys.readouterr()
    assert run(["validate", str(home / "example"), "--json"]) == ExitCode.DONE
    found = json.loads(capsys.readouterr().out)
    assert found["counts"] == told
    assert all((f["code"], f["field"]) == ("W312", "signature") for f in found["findings"])
