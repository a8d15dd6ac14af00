"""Who may sign, and what a signature covers."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from release_fixtures import PRIVATE_KEYS, SIGNED_AT, change_rows, registry_text

from publish.signoff import People, SignedContent, load_people, missing_roles, sign_off, verify_signoffs
from schemas.errors import NotApprovedError, UsageError
from schemas.signing import encode_key, public_key, sign
from schemas.stages import MeasuredRelease, SignOff


def _verify(measured: MeasuredRelease, people: People, *signoffs: SignOff) -> None:
    verify_signoffs(SignedContent.of(measured), people, measured.plan.planner, signoffs)


def test_two_people_in_two_roles_approve(measured: MeasuredRelease, people: People, signoffs: tuple[SignOff, ...]) -> None:
    _verify(measured, people, *signoffs)
    assert missing_roles(signoffs) == () and missing_roles(signoffs[:1]) == ("privacy",) and len(missing_roles(())) == 2


def test_a_missing_role_is_refused(measured: MeasuredRelease, people: People, signoffs: tuple[SignOff, ...]) -> None:
    for given in (signoffs[:1], signoffs[1:], ()):
        with pytest.raises(NotApprovedError):
            _verify(measured, people, *given)


def test_a_role_signed_twice_is_refused(measured: MeasuredRelease, people: People, signoffs: tuple[SignOff, ...]) -> None:
    second = sign_off(measured, people, "cleo", PRIVATE_KEYS["cleo"], SIGNED_AT)
    with pytest.raises(NotApprovedError):
        _verify(measured, people, *signoffs, second)
    with pytest.raises(NotApprovedError):
        sign_off(measured, people, "cleo", PRIVATE_KEYS["cleo"], SIGNED_AT, signoffs)


def test_the_planner_cannot_sign(
    measured: MeasuredRelease, people: People, signoffs: tuple[SignOff, ...], tmp_path: Path
) -> None:
    with pytest.raises(NotApprovedError):  # an operator has no approving role
        sign_off(measured, people, "olu", PRIVATE_KEYS["olu"], SIGNED_AT)
    path = tmp_path / "people.toml"
    path.write_text(registry_text(olu="privacy"))
    promoted = load_people(path)
    with pytest.raises(NotApprovedError, match="made the plan"):
        sign_off(measured, promoted, "olu", PRIVATE_KEYS["olu"], SIGNED_AT)
    forged = SignOff("olu", "privacy", SIGNED_AT, sign(PRIVATE_KEYS["olu"], SignedContent.of(measured).to_sign("privacy")))
    with pytest.raises(NotApprovedError, match="made the plan"):
        _verify(measured, promoted, signoffs[0], forged)


def test_a_role_not_held_is_refused(measured: MeasuredRelease, people: People, signoffs: tuple[SignOff, ...]) -> None:
    content = SignedContent.of(measured)
    wrong = SignOff("carmen", "privacy", SIGNED_AT, sign(PRIVATE_KEYS["carmen"], content.to_sign("privacy")))
    with pytest.raises(NotApprovedError, match="role"):
        _verify(measured, people, signoffs[0], wrong)


def test_another_key_is_refused(measured: MeasuredRelease, people: People) -> None:
    with pytest.raises(NotApprovedError, match="not the one"):
        sign_off(measured, people, "carmen", PRIVATE_KEYS["piet"], SIGNED_AT)
    with pytest.raises(NotApprovedError):
        sign_off(measured, people, "nobody", PRIVATE_KEYS["piet"], SIGNED_AT)


def test_a_signature_covers_numbers_plan_version_and_role(
    measured: MeasuredRelease, people: People, signoffs: tuple[SignOff, ...]
) -> None:
    def shift(rows: list[dict[str, object]]) -> None:
        rows[0]["estimate"] = float(str(rows[0]["estimate"])) + 1e-9

    others = (
        change_rows(measured, "risk_profile", shift),
        replace(measured, version=2),
        replace(measured, plan=measured.plan.model_copy(update={"contributors": 5})),
    )
    for other in others:
        with pytest.raises(NotApprovedError, match="signature"):
            _verify(other, people, *signoffs)
    with pytest.raises(NotApprovedError):
        _verify(measured, people, signoffs[0], replace(signoffs[1], signature=signoffs[0].signature))


def test_order_of_rows_does_not_matter(measured: MeasuredRelease, people: People, signoffs: tuple[SignOff, ...]) -> None:
    _verify(change_rows(measured, "risk_profile", lambda rows: rows.reverse()), people, *signoffs)


def test_time_without_zone_is_refused(measured: MeasuredRelease, people: People, signoffs: tuple[SignOff, ...]) -> None:
    with pytest.raises(NotApprovedError, match="time zone"):
        _verify(measured, people, signoffs[0], replace(signoffs[1], signed_at=datetime(2026, 11, 20)))


@pytest.mark.parametrize(
    "text",
    [
        "not toml [",
        '[[person]]\nid = "a"\nrole = "clinical"\n',
        '[[person]]\nid = "a"\nrole = "boss"\npublic_key = "KEY"\n',
        '[[person]]\nid = "A B"\nrole = "clinical"\npublic_key = "KEY"\n',
        '[[person]]\nid = "a"\nrole = "clinical"\npublic_key = "KEY"\nsalary = "1"\n',
        '[[person]]\nid = "a"\nrole = "clinical"\npublic_key = "short"\n',
        '[[person]]\nid = "a"\nrole = "clinical"\npublic_key = "KEY"\n'
        '[[person]]\nid = "b"\nrole = "privacy"\npublic_key = "KEY"\n',
        'other = 1\n[[person]]\nid = "a"\nrole = "clinical"\npublic_key = "KEY"\n',
    ],
)
def test_a_broken_registry_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "people.toml"
    path.write_text(text.replace("KEY", encode_key(public_key(PRIVATE_KEYS["piet"]))))
    with pytest.raises(UsageError):
        load_people(path)


def test_a_missing_registry_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        load_people(tmp_path / "people.toml")
