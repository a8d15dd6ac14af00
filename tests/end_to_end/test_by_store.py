"""By each store, as people run it: settings, submit, ingest, status; and what goes wrong tells its kind and no credential."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from stores import Store
from submissions import json_lines, rewrite, write_lines

from flows.drops import drop_of, make_local_drops, public_keys, waiting
from flows.intake_steps import take_in_submission
from flows.pool import Pool
from intake.arrival import DropDelivery
from sample_data.parameters import SimulationParameters
from sample_data.simulate import simulate
from schemas.errors import ExitCode
from schemas.signing import encode_key, new_private_key, public_key

COMMONS = Path(sys.executable).parent / "commons"


@pytest.fixture(params=["local", "s3", "sftp"])
def store(request: pytest.FixtureRequest, store_of: Callable[[str], Store]) -> Store:
    return store_of(request.param)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("by-store") / "made"
    parameters = SimulationParameters(
        seed=61, users=60, companies=2, quarters=1, formats=("jsonl",), files_per_submission=2, submissions_per_quarter=1,
        malformed_share=0, text_share=0,
    )  # fmt: skip
    simulate(out, parameters)
    return out


@pytest.fixture
def pool(store: Store, made: Path, tmp_path: Path) -> Pool:
    """A pool whose drops lie in the store."""
    config = tmp_path / "pool" / "config"
    config.mkdir(parents=True)
    shutil.copy(made / "companies.toml", config)
    packaged = (Path(__file__).parents[2] / "config" / "pool.toml").read_text()
    (config / "pool.toml").write_text(packaged.replace('drops = "drops"', f'drops = "{store.drops}"'))
    return Pool(tmp_path / "pool")


@pytest.fixture
def export(store: Store, pool: Pool, made: Path, tmp_path: Path) -> Path:
    """A company's folder as it lies at home: settings, key, and one export below them."""
    home = tmp_path / "alder"
    shutil.copytree(next((made / "alder").iterdir()), home / "export" / "2026q1")
    shutil.copy(made / "keys" / "alder.key", home / "signing.key")
    keys = public_keys(pool)
    manifest = json.loads((home / "export" / "2026q1" / "manifest.json").read_text())
    (home / "commons.toml").write_text(
        f'company = "alder"\nagreement_id = "{manifest["agreement_id"]}"\nkey_id = "{manifest["key_id"]}"\n'
        f'signing_key = "signing.key"\nto = "{store.url("alder")}"\n'
        f'pool_recipient = "{keys["pool_recipient"]}"\npool_key = "{keys["pool_key"]}"\n'
    )
    return home / "export" / "2026q1"


def commons(store: Store, person: str, *arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [COMMONS, *map(str, arguments)], capture_output=True, text=True, env=store.environment(person), cwd=cwd, timeout=300
    )
    assert "Traceback" not in done.stderr
    assert not any(secret in done.stdout + done.stderr for secret in store.secrets)
    return done


def told(done: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    return list(json.loads(done.stdout)["submissions"])


def test_from_the_settings_to_the_verified_receipt(store: Store, pool: Pool, export: Path) -> None:
    dry = commons(store, "alder", "submit", export, "--dry-run", "--json")
    assert (dry.returncode, json.loads(dry.stdout)["outcome"]) == (0, "would be sent"), dry.stderr
    sent = commons(store, "alder", "submit", export)
    assert sent.returncode == 0, sent.stderr
    digest = json.loads(dry.stdout)["digest"]
    assert f"sent: {digest}" in sent.stdout
    assert [(each["digest"], each["state"]) for each in told(commons(store, "alder", "status", "--json", cwd=export))] == [
        (digest, "waiting")
    ]
    with store.person("pool"):
        assert [take_in_submission(pool, *arrival)["decision"] for arrival in waiting(pool)] == ["accepted"]
    (answered,) = told(commons(store, "alder", "status", "--json", "--save", "answers", cwd=export.parent))
    assert (answered["state"], answered["genuine"]) == ("answered", True)
    assert "accepted" in commons(store, "alder", "status", cwd=export).stdout
    saved = export.parent / "answers" / digest[:16]
    assert json.loads((saved / "receipt.json").read_text())["digest"] == digest
    again = commons(store, "alder", "submit", export, "--json")
    assert (again.returncode, json.loads(again.stdout)["outcome"]) == (0, "answered already")


def test_what_the_pool_refused_is_no_success_when_it_is_sent_again(store: Store, pool: Pool, export: Path) -> None:
    manifest = json.loads((export / "manifest.json").read_text())
    manifest["signature"] = "A" * 86 + "=="
    (export / "manifest.json").write_text(json.dumps(manifest))
    assert commons(store, "alder", "submit", export).returncode == 0  # at home nobody knows the registered key
    with store.person("pool"):
        assert [take_in_submission(pool, *arrival)["decision"] for arrival in waiting(pool)] == ["refused"]
    told_again = commons(store, "alder", "submit", export)
    assert told_again.returncode == ExitCode.SUBMISSION_REFUSED
    assert "--again" in told_again.stdout
    answer = json.loads(commons(store, "alder", "submit", export, "--json").stdout)
    assert (answer["outcome"], answer["decision"]) == ("answered already", "refused")
    assert commons(store, "alder", "submit", export, "--again").returncode == 0


def test_a_receipt_that_another_key_signed_is_told_loudly(store: Store, pool: Pool, export: Path) -> None:
    commons(store, "alder", "submit", export)
    with store.person("pool"):
        take_in_submission(pool, *waiting(pool)[0])
    settings = export.parents[1] / "commons.toml"
    own, other = public_keys(pool)["pool_key"], encode_key(public_key(new_private_key()))
    settings.write_text(settings.read_text().replace(own, other))
    done = commons(store, "alder", "status", cwd=export)
    assert done.returncode == ExitCode.CHECK_FAILED
    assert "SIGNATURE DOES NOT HOLD" in done.stdout
    assert "accepted" not in done.stdout.split("Do not rely")[0].split("findings")[-1]
    (each,) = told(commons(store, "alder", "status", "--json", cwd=export))
    assert (each["genuine"], each["receipt"]) == (False, None)


@pytest.mark.parametrize("command", ["submit", "status"])
def test_wrong_credentials_end_in_20_and_tell_none(
    command: str, store_of: Callable[[str], Store], export: Path, store: Store
) -> None:
    if store.kind == "local":
        pytest.skip("a local folder has no credentials")
    done = commons(store, "stranger", command, *([export] if command == "submit" else []), cwd=export)
    assert done.returncode == ExitCode.TRANSPORT
    assert "does not permit" in done.stderr


def test_an_unknown_host_key_ends_in_20(store_of: Callable[[str], Store], store: Store, export: Path) -> None:
    if store.kind != "sftp":
        pytest.skip("only SFTP has host keys")
    for person in ("deceived", "newcomer"):
        done = commons(store, person, "submit", export)
        assert done.returncode == ExitCode.TRANSPORT
        assert "host key" in done.stderr


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_whole_way_by_command_over_s3(
    store_of: Callable[[str], Store], tmp_path: Path, made: Path, request: pytest.FixtureRequest
) -> None:
    """Keys from the operator into the settings, submit, `commons ingest` with Prefect, both forms of status; credentials by person."""
    store = store_of("s3")
    root = tmp_path / "pool"
    (root / "config").mkdir(parents=True)
    shutil.copy(made / "companies.toml", root / "config")
    packaged = (Path(__file__).parents[2] / "config" / "pool.toml").read_text()
    (root / "config" / "pool.toml").write_text(packaged.replace('drops = "drops"', f'drops = "{store.drops}"'))
    keys = commons(store, "pool", "status", "--root", root, "--keys").stdout
    folders = {
        company: shutil.copytree(next((made / company).iterdir()), tmp_path / company / "q1") for company in ("alder", "birch")
    }
    for company, folder in folders.items():
        manifest = json.loads((folder / "manifest.json").read_text())
        shutil.copy(made / "keys" / f"{company}.key", folder.parent / "signing.key")
        (folder.parent / "commons.toml").write_text(
            f'company = "{company}"\nagreement_id = "{manifest["agreement_id"]}"\nkey_id = "{manifest["key_id"]}"\n'
            f'signing_key = "signing.key"\nto = "{store.url(company)}"\n{keys}'
        )
        sent = commons(store, company, "submit", folder)
        assert sent.returncode == 0, sent.stderr
    waits = json.loads(commons(store, "pool", "status", "--root", root, "--json").stdout)["waiting"]
    assert waits == {"alder": 1, "birch": 1}
    ingested = commons(store, "pool", "ingest", "--root", root, "--json")
    assert ingested.returncode == 0, ingested.stderr
    assert [s["decision"] for s in json.loads(ingested.stdout)["submissions"]] == ["accepted", "accepted"]
    for company, folder in folders.items():
        (each,) = told(commons(store, company, "status", "--json", cwd=folder))
        assert (each["state"], each["genuine"]) == ("answered", True)
    assert "birch" not in commons(store, "alder", "status", cwd=folders["alder"]).stdout


@pytest.mark.timeout(300)
def test_scrubbed_at_home_it_is_the_copy_that_is_sent(store_of: Callable[[str], Store], tmp_path: Path) -> None:
    """A private value in a turn is in nothing that leaves: the pool opens what came and does not find it."""
    store, private = store_of("local"), "quill.lark@postbox.org"
    made, root = tmp_path / "made", tmp_path / "pool"
    parameters = SimulationParameters(
        seed=62, users=40, companies=1, quarters=1, formats=("jsonl",), files_per_submission=1, submissions_per_quarter=1,
        malformed_share=0, text_share=0.2,
    )  # fmt: skip
    simulate(made, parameters)
    (root / "config").mkdir(parents=True)
    shutil.copy(made / "companies.toml", root / "config")
    pool, export = Pool(root), next((made / "alder").iterdir())
    records = json_lines(export, "part-1.jsonl")
    record = next(r for r in records if r.get("turns") and r["turns"][0]["text"])
    record["turns"][0]["text"] = f"Write to {private}."
    write_lines(export, "part-1.jsonl", records)
    rewrite(export, made / "keys" / "alder.key")
    manifest = json.loads((export / "manifest.json").read_text())
    settings = made / "commons.toml"
    settings.write_text(
        f'company = "alder"\nagreement_id = "{manifest["agreement_id"]}"\nkey_id = "{manifest["key_id"]}"\n'
        f'signing_key = "keys/alder.key"\nto = "{root / "drops" / "alder"}"\npool_recipient = "{public_keys(pool)["pool_recipient"]}"\n'
    )
    make_local_drops(pool)
    sent = commons(store, "alder", "submit", export, "--scrub", "--json")
    assert json.loads(sent.stdout)["outcome"] == "sent", sent.stderr
    assert private in (export / "part-1.jsonl").read_text()
    ((company, digest),) = waiting(pool)
    with drop_of(pool, company) as drop:
        delivery = DropDelivery(drop, digest, pool.identities)
        delivery.fetch(0, "", tmp_path / "fetched", 1 << 30)
    assert private not in (tmp_path / "fetched").read_text()
    assert (tmp_path / "fetched").read_bytes() == (export.with_name(f"{export.name}.scrubbed") / "part-1.jsonl").read_bytes()
    assert take_in_submission(pool, company, digest)["decision"] == "accepted"


def test_what_to_do_where_there_is_neither_pool_nor_settings(store_of: Callable[[str], Store], tmp_path: Path) -> None:
    done = commons(store_of("local"), "alder", "status", cwd=tmp_path)
    assert done.returncode == ExitCode.USAGE
    assert "--root" in done.stderr
    assert "commons init" in done.stderr
