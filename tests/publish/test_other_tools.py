"""Other people's validators on a release: mlcroissant and frictionless, where they are installed; pandas reads its tables.

They live in an environment of their own, `build/readers` (requirements/readers.in): a reader needs nothing of ours, and we
nothing of theirs.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from release_fixtures import RELEASE_KEY, both_sign
from shipped import reader

from publish import release as release_module
from publish.checks import run_checks
from publish.release import write_release
from publish.signoff import People
from schemas.canonical import sha256_bytes
from schemas.stages import MeasuredRelease


@pytest.fixture(scope="module")
def folder(measured: MeasuredRelease, people: People, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("releases")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(release_module, "_pages", lambda _: ({"README.md": b"SYNTHETIC"}, {}))
        signoffs = both_sign(measured, people)
        return write_release(
            measured, run_checks(measured), signoffs, people, root, signing_key=RELEASE_KEY, code_version="0.1.0"
        ).folder


def _read(folder: Path, name: str) -> dict[str, Any]:
    return dict(json.loads((folder / name).read_bytes()))


def _run(python: str, script: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([python, "-c", script], cwd=folder, capture_output=True, text=True, timeout=300)


def test_both_descriptions_name_each_file_as_it_is(folder: Path, measured: MeasuredRelease) -> None:
    package, croissant = _read(folder, "datapackage.json"), _read(folder, "croissant.json")
    resources = {resource["path"]: resource for resource in package["resources"]}
    objects = {entry["contentUrl"]: entry for entry in croissant["distribution"]}
    record_sets = {entry["@id"]: entry for entry in croissant["recordSet"]}
    assert len(resources) == len(objects) == len(record_sets) == len(measured.tables)
    for path, resource in resources.items():
        data, names = (folder / path).read_bytes(), pq.read_schema(folder / path).names
        assert resource["hash"] == f"sha256:{sha256_bytes(data)}" and objects[path]["sha256"] == sha256_bytes(data)
        assert objects[path]["contentSize"] == f"{len(data)} B"
        assert [field["name"] for field in resource["schema"]["fields"]] == names
        assert [field["name"] for field in record_sets[resource["name"]]["field"]] == names
        assert len(resource["schema"]["primaryKey"]) < len(names)
    for description in (package["description"], croissant["description"]):
        assert (
            "SYNTHETIC DATA" in description
            and "not prevalence" in description
            and "C-SSRS-informed, inferred from text" in description
        )
    assert "epsilon 0.89 at delta 1e-07" in croissant["rai:personalSensitiveInformation"]


def test_the_keys_of_the_data_package_are_keys(folder: Path) -> None:
    for resource in _read(folder, "datapackage.json")["resources"]:
        table, keys = pq.read_table(folder / resource["path"]), resource["schema"]["primaryKey"]
        assert table.select(keys).group_by(keys).aggregate([]).num_rows == table.num_rows


CROISSANT = """
import json, sys, mlcroissant
dataset = mlcroissant.Dataset(jsonld="croissant.json")
errors, counts = dataset.metadata.issues.errors, {}
for record_set in dataset.metadata.record_sets:
    counts[record_set.id] = sum(1 for _ in dataset.records(record_set=record_set.id))
json.dump({"errors": [str(e) for e in errors], "counts": counts}, sys.stdout)
"""


def test_mlcroissant_validates_and_reads_every_table(folder: Path, measured: MeasuredRelease) -> None:
    done = _run(reader("mlcroissant"), CROISSANT, folder)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert not found["errors"] and found["counts"] == {table.name: table.rows.num_rows for table in measured.tables}


FRICTIONLESS = """
import json, sys, frictionless
report = frictionless.validate("datapackage.json", type="package")
errors = report.flatten(["type", "note"])
json.dump({"valid": report.valid, "errors": errors[:5], "rows": {t.name: t.stats.get("rows") for t in report.tasks}}, sys.stdout)
"""


def test_frictionless_validates_every_table(folder: Path, measured: MeasuredRelease) -> None:
    done = _run(reader("frictionless"), FRICTIONLESS, folder)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["valid"], found["errors"]
    # Of a table without rows it tells no number.
    assert found["rows"] == {table.name: table.rows.num_rows or None for table in measured.tables}


@pytest.mark.parametrize(("name", "script"), [("datapackage.json", FRICTIONLESS), ("croissant.json", CROISSANT)])
def test_a_wrong_description_is_refused_by_them(folder: Path, tmp_path: Path, name: str, script: str) -> None:
    python = reader("frictionless" if name.startswith("data") else "mlcroissant")
    copy = Path(shutil.copytree(folder, tmp_path / "v1"))
    text = (copy / name).read_text()
    (copy / name).write_text(text.replace('"estimate"', '"no_such_column"'))
    done = _run(python, script, copy)
    assert done.returncode != 0 or '"valid": false' in done.stdout or '"errors": []' not in done.stdout
