"""The registry of changes: what is wrong is told by place and never by value, and it is read where the operator alone reads."""

import json
from pathlib import Path

import pytest
from filled_pool import QUARTER, key

from cli.main import run
from flows.changes import load_changes
from flows.pool import Pool, packaged_config
from flows.release_steps import make_plan, measure_release
from flows.roles import Role, load_roles, places
from intake.registry import Company, CompanyKey, Registry
from schemas.errors import BudgetRefusedError, ExitCode, UsageError
from schemas.signing import encode_key, new_private_key, public_key

ENTRY = '[[change]]\ncompany = "alder"\nchange_class = "classifier"\nat = 2026-02-10\n'


def registry(*names: str) -> Registry:
    key = {"key_id": "k", "public_key": encode_key(public_key(new_private_key())), "valid_from": "2026-01-01"}
    keys = (CompanyKey.model_validate({**key, "valid_until": "2027-01-01"}),)
    return Registry({name: Company(id=name, agreement_id="agr", key=keys) for name in names})


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "changes.toml"
    path.write_text(text)
    return path


def test_the_packaged_registry_is_empty_and_its_example_is_right(tmp_path: Path) -> None:
    text = packaged_config("changes.toml").read_text()
    assert load_changes(packaged_config("changes.toml"), registry()) == ()
    example = text[text.index("# [[change]]") :].replace("\n# ", "\n")[2:]
    lines = [line if line.startswith(("[[", "#")) or " = " in line else f"# {line}" for line in example.splitlines()]
    changes = load_changes(written(tmp_path, "\n".join(lines)), registry("example"))
    assert [bool(change.experiment) for change in changes] == [False, True]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (ENTRY.replace("alder", "maple-secret"), "change 1, company: it is not registered"),
        (ENTRY.replace("alder", "ALDER"), "change 1, company: it is not registered"),
        (ENTRY.replace("classifier", "secret-thing"), "change 1, change_class is not right"),
        (ENTRY.replace("2026-02-10", '"secret"'), "change 1, at is not right"),
        (ENTRY.replace("2026-02-10", "17"), "change 1, at is not right"),
        (f"{ENTRY}settled = 2026-02-09\n", "change 1: it is settled before it begins"),
        (f'{ENTRY}experiment = "secret-7"\n', "change 1: an experiment and the arm with the change are named together"),
        (f"{ENTRY}arm_share = 0.3\n", "change 1: only an experiment has a share of its arm"),
        (f'{ENTRY}secret = "x"\n', "change 1, a field that is not known"),
        ("[[change]]\ncompany = 'alder'\n", "change 1, change_class is missing; change 1, at is missing"),
        (f"{ENTRY}{ENTRY}", "change 2 is change 1 again: company, class and date or experiment are the same"),
        (f"{ENTRY}secret-word\n", "changes.toml is not TOML"),
        ("[secret]\nx = 1\n", "there is something besides [[change]] entries"),
    ],
)
def test_what_is_wrong_is_named_by_place_and_never_by_value(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_changes(written(tmp_path, text), registry("alder"))
    whole = f"{caught.value.message} {caught.value.next_step}"
    assert told in whole
    assert not [value for value in ("secret", "alder", "ALDER", "2026-02") if value in whole]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A pool of five companies; three have registered a change of one class and one of them another."""
    names = ("alder", "birch", "cedar", "dogwood", "elm")
    config, changes = tmp_path / "pool" / "config", tmp_path / "pool" / "changes"
    config.mkdir(parents=True)
    changes.mkdir()
    entry = '[[company]]\nid = "{0}"\nagreement_id = "agr"\n[[company.key]]\nkey_id = "k"\npublic_key = "{1}"\nvalid_from = 2026-01-01\nvalid_until = 2026-12-31\n'
    keys = {name: encode_key(public_key(new_private_key())) for name in names}
    (config / "companies.toml").write_text("".join(entry.format(name, key) for name, key in keys.items()))
    text = "".join(ENTRY.replace("alder", name) for name in names[:3]) + ENTRY.replace("classifier", "memory")
    (changes / "changes.toml").write_text(text)
    return tmp_path / "pool"


def test_a_company_is_shown_its_own_changes_alone(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["changes", "list", "--company", "alder", "--root", str(root), "--json"]) == ExitCode.DONE
    shown = capsys.readouterr().out
    assert [entry["change_class"] for entry in json.loads(shown)["changes"]] == ["classifier", "memory"]
    assert "birch" not in shown
    assert run(["changes", "list", "--root", str(root)]) == ExitCode.DONE
    assert "birch" in capsys.readouterr().out


def test_the_check_counts_and_names_nobody(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["alder", "birch", "cedar", "dogwood", "elm"]
    monkeypatch.setattr("intake.catalogue.Catalogue.contributors", lambda *_: names)
    assert run(["changes", "check", "2026Q1", "--root", str(root), "--json"]) == ExitCode.DONE
    shown = capsys.readouterr().out
    counts = {row["change_class"]: row for row in json.loads(shown)["classes"]}
    assert counts["classifier"] == {
        "change_class": "classifier", "companies": 3, "others": 2, "before_after": True, "difference_in_differences": False,
        "randomised_arms": False,
    }  # fmt: skip
    assert (counts["memory"]["companies"], counts["memory"]["before_after"]) == (1, False)
    assert not [name for name in names if name in shown]
    monkeypatch.setattr("intake.catalogue.Catalogue.contributors", lambda *_: names[1:])  # one of three sent nothing
    assert run(["changes", "check", "2026Q1", "--root", str(root)]) == ExitCode.DONE
    assert "yes" not in capsys.readouterr().out


def test_a_plan_commits_to_the_registry_and_its_release_tells_what_followed(pool: Pool) -> None:
    """What is registered or taken away after the plan refuses the measurement, before anything is spent."""
    path = pool.root / "changes" / "changes.toml"
    path.parent.mkdir()
    text = "".join(ENTRY.replace("alder", name) for name in pool.catalogue.contributors(QUARTER))
    path.write_text(text)
    plan = make_plan(Pool(pool.root), QUARTER, key(pool, "olga"))
    assert plan.compared == ("classifier:changed_after", "classifier:changed_before")
    assert not [name for name in pool.catalogue.contributors(QUARTER) if name in plan.model_dump_json()]
    for other in (text + ENTRY.replace("classifier", "memory"), text.replace("2026-02-10", "2026-02-11")):
        path.write_text(other)
        with pytest.raises(BudgetRefusedError, match="committed"):
            measure_release(Pool(pool.root), QUARTER)
    assert pool.ledger.line(quarter=QUARTER).rho_spent == 0
    path.write_text(text)
    tables = {table.name: table.rows for table in measure_release(Pool(pool.root), QUARTER).tables}
    statuses = {(row["change_class"], row["design"]): row["status"] for row in tables["change_effects"].to_pylist()}
    assert statuses["classifier", "before_after"] == "too_few_companies"  # 200 users are too few to tell anything
    assert statuses["classifier", "difference_in_differences"] == statuses["memory", "before_after"] == "not_comparable"


def test_a_registry_where_approvers_can_read_it_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "changes" / "changes.toml").rename(root / "config" / "changes.toml")
    assert run(["changes", "list", "--root", str(root)]) == ExitCode.USAGE
    assert "approvers can read" in capsys.readouterr().err
    with pytest.raises(UsageError, match="approvers"):
        _ = Pool(root).changes


def test_the_operator_alone_has_rights_on_it() -> None:
    (place,) = (place for place in places(load_roles(packaged_config("roles.toml")), ("alder",)) if place.name == "changes")
    assert {role for role in Role if place.right(role, "alder") != "none"} == {Role.OPERATOR}
