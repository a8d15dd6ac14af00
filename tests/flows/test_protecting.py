"""`commons protect`: what it would do, what it does, and the matrix in between. Tried under real accounts: tests/attacks/test_roles.py."""

import json
import os
import stat
from pathlib import Path, PurePosixPath

import pytest

from cli.main import run
from flows.pool import packaged_config
from flows.protecting import grants, protect, state_tables
from flows.roles import Place, Protection, Role, load_roles, places, protection, protections
from schemas.errors import UsageError

COMPANY = '[[company]]\nid = "{0}"\nagreement_id = "agr"\n[[company.key]]\nkey_id = "k"\npublic_key = "{1}"\nvalid_from = 2026-01-01\nvalid_until = 2026-12-31\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A pool of two companies whose accounts are all numbers of this process, so that setting them needs no other account."""
    config = tmp_path / "pool" / "config"
    config.mkdir(parents=True)
    keys = ("A" * 43 + "=", "B" * 42 + "A=")
    (config / "companies.toml").write_text(
        "\n".join(COMPANY.format(*each) for each in zip(("alder", "birch"), keys, strict=True))
    )
    text, me = packaged_config("roles.toml").read_text(), os.geteuid()
    for role in Role:
        text = text.replace(f'"commons-{role}"', f'"{me}"')
    text = text.replace('"commons-{company}"', f'"{me}"').replace('"commons-{object}"', f'"{os.getegid()}"')
    (config / "roles.toml").write_text(text)
    return tmp_path / "pool"


def test_a_dry_run_shows_everything_and_changes_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mode for path in root.rglob("*")}
    assert run(["protect", "--dry-run", "--json", "--root", str(root)]) == 0
    shown = json.loads(capsys.readouterr().out)
    rights = {row["path"]: row["mode"] for row in shown["rights"]}
    assert shown["changed"] == []
    assert (rights["."], rights["drops"], rights["drops/alder"]) == ("1771", "0751", "0750")
    assert (rights["drops/birch/in"], rights["drops/birch/out"], rights["secrets"]) == ("2770", "2750", "0700")
    assert (rights["state"], rights["releases"], rights["config"]) == ("2770", "0755", "2750")
    assert {path: path.stat().st_mode for path in root.rglob("*")} == before
    assert run(["protect", "--dry-run", "--root", str(root)]) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="setting owners needs root")
def test_it_sets_what_it_showed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["protect", "--json", "--root", str(root)]) == 0
    shown = json.loads(capsys.readouterr().out)
    for row in shown["rights"]:
        assert f"{stat.S_IMODE((root / row['path']).stat().st_mode):04o}" == row["mode"], row["path"]
    assert stat.S_IMODE((root / "state" / "state.db").stat().st_mode) == 0o660
    assert run(["protect", "--json", "--root", str(root)]) == 0
    assert json.loads(capsys.readouterr().out)["changed"] == []


def test_drops_in_a_store_are_left_to_the_store(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = packaged_config("pool.toml").read_text().replace('drops = "drops"', 'drops = "s3://bucket/drops"')
    (root / "config" / "pool.toml").write_text(text)
    assert run(["protect", "--dry-run", "--json", "--root", str(root)]) == 0
    assert not [row for row in json.loads(capsys.readouterr().out)["rights"] if row["path"].startswith("drops")]


def test_the_grants_name_every_table_once(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["protect", "--sql", "--root", str(root)]) == 0
    printed = capsys.readouterr().out
    assert all(f'"{table}"' in printed for table in state_tables())
    assert {"submissions", "intake_audit", "plans", "ledger", "answers", "releases", "checks", "signoffs", "purges"} <= set(
        state_tables()
    )
    statements = grants(load_roles(packaged_config("roles.toml")), state_tables())
    assert [line for line in statements if "DELETE" in line] == ['GRANT DELETE ON public."checks" TO "commons-operator";']
    assert not [line for line in statements if "ALL PRIVILEGES" in line or "TRUNCATE" in line or "CREATE" in line]
    changing = [line for line in statements if "UPDATE" in line]
    assert not [
        line for line in changing for table in ("plans", "ledger", "answers", "signoffs", "term_reviews") if f'"{table}"' in line
    ]


def test_a_company_has_rights_in_its_own_place_only() -> None:
    roles = load_roles(packaged_config("roles.toml"))
    found = {(place.name, place.company): place for place in places(roles, ("alder", "birch"))}
    assert found["in", "alder"].right(Role.COMPANY, "alder") == "write"
    assert found["in", "alder"].right(Role.COMPANY, "birch") == "none"
    assert found["out", "birch"].right(Role.COMPANY, "alder") == "none"
    assert found["releases", ""].right(Role.COMPANY, "alder") == "read"
    assert all(place.right(Role.RESEARCHER) == ("read" if place.name == "releases" else "none") for place in found.values())


@pytest.mark.parametrize(
    ("rights", "owner", "folder", "file"),
    [
        ({}, "", 0o700, 0o600),
        ({Role.OPERATOR: "write"}, "commons-operator", 0o700, 0o600),
        ({Role.OPERATOR: "write", Role.PRIVACY: "read"}, "commons-operator", 0o2750, 0o640),
        ({Role.OPERATOR: "write", Role.PRIVACY: "read", Role.CLINICAL: "read"}, "commons-operator", 0o2750, 0o640),
        ({Role.OPERATOR: "write", Role.PRIVACY: "write"}, "", 0o2770, 0o660),
        ({Role.PRIVACY: "read", Role.CLINICAL: "read"}, "", 0o2750, 0o640),
        (dict.fromkeys(Role, "read"), "", 0o755, 0o644),
    ],
)
def test_rights_become_owner_group_and_modes(rights: dict[Role, str], owner: str, folder: int, file: int) -> None:
    accounts = load_roles(packaged_config("roles.toml")).accounts
    found = protection(Place("thing", PurePosixPath("thing"), "", rights), accounts)  # type: ignore[arg-type]
    assert (found.owner, found.folder_mode, found.file_mode) == (owner, folder, file)


def test_an_account_that_is_not_there_is_told_before_anything_is_set(root: Path) -> None:
    wanted = [Protection(PurePosixPath("releases"), "commons-nobody-of-this-name", "", 0o755, 0o644)]
    with pytest.raises(UsageError, match="account"):
        protect(root, wanted)
    assert not (root / "releases").exists()


def test_above_a_place_only_the_operator_looks() -> None:
    found = {str(p.path): p for p in protections(load_roles(packaged_config("roles.toml")), ("alder",))}
    assert found["drops"].folder_mode & 0o007 == 0o001
    assert found["drops/alder"].members == ("commons-alder", "commons-operator")
    assert not found["drops/alder/in"].contents  # what a company put there is not touched
