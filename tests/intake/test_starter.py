"""The folder that `init` writes: complete, valid at once, its secrets the owner's only, and nothing written over."""

import json
import re
import shutil
import subprocess
import tomllib
import zipfile
from datetime import UTC, date, datetime
from importlib.resources import files
from pathlib import Path

import pytest

from intake.exporting import Export, export
from intake.preparing import prepare
from intake.registry import load_registry
from intake.settings import load_company_settings, read_signing_key
from intake.starting import start
from intake.validation import validate_submission
from intake.withdrawing import read_pseudonym_key
from schemas.codes import code_lists
from schemas.errors import UsageError
from schemas.manifest import Manifest, signed_bytes
from schemas.signing import decode_key, public_key, verify

TODAY = date(2026, 8, 2)
PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    start("alder", "agr-alder-1", tmp_path / "alder", TODAY)
    return tmp_path / "alder"


def test_the_example_would_be_accepted_at_once(home: Path) -> None:
    report = validate_submission(home / "example")
    assert (report.records > 3, report.findings) == (True, [])


def test_the_example_is_what_its_mapping_makes_of_the_example_tables(home: Path, tmp_path: Path) -> None:
    """So that neither can go stale without the other; pseudonyms are those of a fixed key, and all of it is synthetic."""
    for shape in ("postgres", "bigquery"):
        at = datetime(2026, 2, 10, tzinfo=UTC)
        wanted = Export(home / "mappings" / "example_tables", tmp_path / shape, "2026-01", bytes(range(32)), at)
        (made,) = export(home / "mappings" / f"{shape}.sql", wanted)
        assert made.read_text().replace('"production"', '"synthetic"') == (home / "example" / "part-1.jsonl").read_text()


def test_secrets_are_readable_by_their_owner_only_and_lie_nowhere_else(home: Path) -> None:
    secrets = sorted((home / "keys").glob("*.key"))
    assert [path.name for path in secrets] == ["alder-1.key", "pseudonym-2026Q2.key", "pseudonym-2026Q3.key"]
    assert {path.stat().st_mode & 0o777 for path in secrets} == {0o600}
    assert (home / "keys").stat().st_mode & 0o777 == 0o700
    ignored = (home / ".gitignore").read_text().split()
    assert "keys/*.key" in ignored
    others = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file() and path not in secrets)
    for path in secrets:
        assert path.read_bytes().strip() not in others
    assert read_pseudonym_key(secrets[1]) != read_pseudonym_key(secrets[2])


def test_what_goes_to_the_convener_is_a_registration_as_it_stands(home: Path) -> None:
    registry = load_registry(home / "registration.toml")
    company = registry.find("alder")
    assert company is not None
    key = company.key("alder-1")
    assert key is not None and key.valid_at(datetime(2026, 8, 2, tzinfo=UTC))
    assert company.agreement_id == "agr-alder-1"
    assert company.schedule is not None and company.schedule.every == "monthly"
    collected = set(re.findall(r"^    \('(\w+)', +'\w+', +'\w+', +'\w+', +(?:NULL|'\w+')\)", _mapping(home), flags=re.M))
    assert len(collected) == 4
    assert set(company.not_collected) == set(code_lists()["outcome_kind"]) - collected
    settings = load_company_settings(home / "commons.toml")
    assert decode_key(key.public_key) == public_key(read_signing_key(settings))
    assert (home / "keys" / "alder-1.pub").read_text().strip() == key.public_key
    raw = json.loads((home / "example" / "manifest.json").read_text())
    assert verify(decode_key(key.public_key), signed_bytes(raw), raw["signature"])


def _mapping(home: Path) -> str:
    return (home / "mappings" / "postgres.sql").read_text()


def test_the_settings_name_what_is_still_to_come(home: Path) -> None:
    settings = load_company_settings(home / "commons.toml")
    assert (settings.company, settings.to, settings.pool_recipient, settings.pool_key) == ("alder", None, None, None)
    text = (home / "commons.toml").read_text()
    for name in ("to", "pool_recipient", "pool_key"):
        assert re.search(rf"^# {name} = ", text, flags=re.M)


def test_the_manifest_template_names_every_field_and_attests_nothing(home: Path, tmp_path: Path) -> None:
    text = (home / "manifest.toml").read_text()
    for name in Manifest.model_fields:
        assert re.search(rf"\b{name}\b", text), name
    assert not any(value is True for value in tomllib.loads(text)["attestations"].values())
    (tmp_path / "export").mkdir()
    shutil.copy(home / "example" / "part-1.jsonl", tmp_path / "export")
    settings = load_company_settings(home / "commons.toml")
    call = (tmp_path / "export", settings, home / "manifest.toml", read_signing_key(settings))
    done, findings = prepare(*call, period="2026-01")
    assert (done, {f.code for f in findings}) == (None, {"E109"})
    (home / "manifest.toml").write_text(text.replace(" = false ", " = true "))
    done, findings = prepare(*call, period="2026-01")
    assert done is not None, findings


def test_no_placeholder_is_left(home: Path) -> None:
    for path in home.rglob("*"):
        if path.is_file():
            assert not re.search(r"@\w+@", path.read_text()), path.name


@pytest.mark.parametrize("company", ["", "Alder", "alder/..", "..", "é", "a" * 60, "-a", "@folder@"])
def test_an_id_that_cannot_be_one_is_refused(tmp_path: Path, company: str) -> None:
    with pytest.raises(UsageError):
        start(company, "agr", tmp_path / "x", TODAY)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over(home: Path) -> None:
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match="already"):
        start("alder", "agr-alder-1", home, TODAY)
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before


def test_a_run_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr("intake.starting._sign_example", fails)
    with pytest.raises(OSError, match="no space"):
        start("alder", "agr", tmp_path / "x", TODAY)
    assert list(tmp_path.iterdir()) == []


def test_the_timer_and_the_service_are_sound(home: Path, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    units = [str(home / "schedule" / f"incident-commons.{kind}") for kind in ("service", "timer")]
    done = subprocess.run([analyze, "verify", "--man=no", *units], capture_output=True, text=True, check=False)
    assert "incident-commons" not in done.stderr, done.stderr
    # Broken, it is noticed.
    service = home / "schedule" / "incident-commons.service"
    service.write_text(service.read_text().replace("Type=oneshot", "Type=nonsense"))
    done = subprocess.run([analyze, "verify", "--man=no", *units], capture_output=True, text=True, check=False)
    assert "incident-commons" in done.stderr


@pytest.mark.parametrize("script", ["run.sh", "warehouse.sh"])
def test_the_scripts_are_posix_shell(home: Path, script: str) -> None:
    path = home / "schedule" / script
    assert path.stat().st_mode & 0o100
    subprocess.run(["sh", "-n", str(path)], check=True)


def test_the_wheel_carries_all_of_it(tmp_path: Path) -> None:
    """What hatchling packs: every template is in the wheel. The tree is copied, so that nothing else lands in it."""
    hatchling = pytest.importorskip("hatchling.builders.wheel")
    shipped = Path(str(files("intake").joinpath("starter")))
    tree = tmp_path / "tree"
    for name in ("intake", "schemas", "anonymize", "aggregate", "publish", "flows", "cli", "sample_data", "config"):
        wanted = PROJECT / name if name == "intake" else PROJECT / name / "__init__.py"
        if wanted.is_dir():
            shutil.copytree(wanted, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (tree / name).mkdir(parents=True)
            (tree / name / "__init__.py").touch()
    for name in ("pyproject.toml", "README.md", ".gitignore"):
        shutil.copy(PROJECT / name, tree)
    (wheel,) = hatchling.WheelBuilder(str(tree)).build(directory=str(tmp_path / "dist"), versions=["standard"])
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
    wanted = {f"intake/starter/{p.relative_to(shipped)}" for p in shipped.rglob("*") if p.is_file() and p.suffix != ".pyc"}
    assert len(wanted) > 20
    assert wanted <= names
    assert "intake/templates/report.html.j2" in names
