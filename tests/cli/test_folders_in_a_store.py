"""Commands that take a folder of a real S3-compatible store in place of one on this machine, and those that say that they do not."""

import json
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from stores import Store

from cli.main import run
from flows.drops import make_local_drops, public_keys, waiting
from flows.intake_steps import take_in_submission
from flows.pool import Pool
from sample_data.parameters import SimulationParameters
from sample_data.simulate import simulate
from schemas.errors import ExitCode
from schemas.storage import Place, files_below, place_at, read_files, whole_file


@pytest.fixture
def store(store_of: Callable[[str], Store]) -> Iterator[Store]:
    store = store_of("s3")
    with store.person("pool"):
        yield store


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("stored-folders") / "made"
    parameters = SimulationParameters(
        seed=63, users=40, companies=1, quarters=1, formats=("jsonl",), files_per_submission=2, submissions_per_quarter=1,
        malformed_share=0, text_share=0.1,
    )  # fmt: skip
    simulate(out, parameters)
    return out


@pytest.fixture
def stored(store: Store, made: Path, tmp_path: Path) -> Place:
    """A submission as a company exported it into its own bucket, and one below it that is not meant."""
    place, folder = place_at(f"s3://pool/exports/{secrets.token_hex(8)}", tmp_path), next((made / "alder").iterdir())
    for name in files_below(folder):
        for copy in (place / name, place / "older" / name):
            with whole_file(copy) as stream:
                stream.write((folder / name).read_bytes())
    return place


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pool:
    """The company's own folder, in which its commands run, and the pool that it sends to."""
    (tmp_path / "pool" / "config").mkdir(parents=True)
    shutil.copy(made / "companies.toml", tmp_path / "pool" / "config")
    pool = Pool(tmp_path / "pool")
    make_local_drops(pool)
    manifest = json.loads((next((made / "alder").iterdir()) / "manifest.json").read_text())
    shutil.copy(made / "keys" / "alder.key", tmp_path / "signing.key")
    (tmp_path / "commons.toml").write_text(
        f'company = "alder"\nagreement_id = "{manifest["agreement_id"]}"\nkey_id = "{manifest["key_id"]}"\n'
        f'signing_key = "signing.key"\nto = "{pool.drop_url("alder")}"\npool_recipient = "{public_keys(pool)["pool_recipient"]}"\n'
    )
    monkeypatch.chdir(tmp_path)
    return pool


def test_a_submission_in_a_store_is_checked_as_in_a_folder(stored: Place, made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for folder in (str(next((made / "alder").iterdir())), str(stored)):
        assert run(["validate", folder, "--json"]) == ExitCode.DONE
        told.append(json.loads(capsys.readouterr().out))
    assert told[0] == told[1]
    assert told[0]["records"] > 0
    with whole_file(stored / "part-1.jsonl") as stream:
        stream.write(b"{}\n")
    assert run(["validate", str(stored)]) == ExitCode.SUBMISSION_REFUSED


def test_a_submission_in_a_store_is_sent_once(stored: Place, home: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    for outcome in ("sent", "there already"):
        assert run(["submit", str(stored), "--json"]) == ExitCode.DONE
        assert json.loads(capsys.readouterr().out)["outcome"] == outcome
    assert [take_in_submission(home, *arrival)["decision"] for arrival in waiting(home)] == ["accepted"]


@pytest.mark.timeout(300)
def test_what_is_scrubbed_at_home_leaves_nothing_of_it_behind(
    stored: Place, home: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    before = files_below(stored)
    assert run(["submit", str(stored), "--scrub", "--json"]) == ExitCode.DONE, capsys.readouterr().err
    assert list((tmp_path / "temporary").iterdir()) == []
    assert files_below(stored) == before
    assert [take_in_submission(home, *arrival)["decision"] for arrival in waiting(home)] == ["accepted"]


@pytest.mark.timeout(300)
def test_lines_are_scrubbed_from_a_store_into_it(stored: Place) -> None:
    with whole_file(stored / "in.jsonl") as stream:
        stream.write(b'{"text": "Write to quill.lark@postbox.org."}\n')
    assert run(["scrub", str(stored / "in.jsonl"), str(stored / "out.jsonl")]) == ExitCode.DONE
    (line,) = read_files([stored / "out.jsonl"])[0].splitlines()
    assert "quill" not in json.loads(line)["text"]


def test_a_prefix_with_nothing_below_it_is_no_submission(stored: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", str(stored / "nothing")]) == ExitCode.USAGE
    assert "manifest.json" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["validate"], ["submit", "--to", "drop", "--recipient", "age1x"]])
def test_wrong_credentials_end_in_20_and_are_not_told(
    command: list[str], store: Store, stored: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    with store.person("stranger"):
        assert run([command[0], str(stored), *command[1:]]) == ExitCode.TRANSPORT
    told = capsys.readouterr()
    assert "does not permit" in told.err
    assert not any(secret in told.out + told.err for secret in store.secrets)


@pytest.mark.parametrize(
    "command",
    [
        ["prepare", "s3://bucket/export"],
        ["withdraw", "--submission", "a-2026-07-1", "--into", "s3://bucket/export"],
        ["ingest", "--root", "s3://bucket/pool"],
        ["simulate", "--out", "s3://bucket/made"],
        ["keygen", "sftp://host/key"],
    ],
)
def test_what_has_to_be_on_this_machine_says_so_and_makes_nothing(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(command) == ExitCode.USAGE
    assert "on this machine" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
