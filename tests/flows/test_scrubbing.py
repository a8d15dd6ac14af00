"""The scrub as it is run: what a worker's death costs, what stops a batch, and what the company is told of its own records."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from filled_pool import accept
from hypothesis import given
from hypothesis import strategies as st
from submissions import accepted_rows

from cli.main import run
from flows.drops import drop_of, public_keys
from flows.pool import Pool, packaged_config
from flows.progress import listening
from flows.scrub_reports import deliver_scrub_reports, scrub_overview
from flows.scrub_workers import TRIES_ALONE, WorkerDiedError
from flows.scrubbing import Part, parts, pending_parts, scrub_parts, scrubbed_records, workers_for
from intake.own_submissions import own_submissions
from intake.receipt import receipt_is_genuine
from sample_data.parameters import SimulationParameters
from schemas.at_rest import Room
from schemas.errors import ExitCode, ScrubStoppedError
from schemas.periods import Quarter

ROOT = Path(__file__).resolve().parents[2]
QUARTER = Quarter(2026, 1)
PARAMETERS = SimulationParameters(
    seed=61, users=60, quarters=1, formats=("jsonl",), files_per_submission=1, submissions_per_quarter=2, malformed_share=0,
    text_share=0.3,
)  # fmt: skip


@pytest.fixture(scope="module")
def accepted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool of three companies with two accepted submissions each, of one part each, and nothing scrubbed."""
    root = tmp_path_factory.mktemp("accepted") / "pool"
    accept(root, PARAMETERS)
    assert len(Pool(root).catalogue.accepted()) == 6
    return root


@pytest.fixture
def pool(accepted: Path, tmp_path: Path) -> Pool:
    shutil.copytree(accepted, tmp_path / "pool")
    return Pool(tmp_path / "pool")


def digest_of(part: Part) -> str:
    return part.source.parent.name


def state(pool: Pool) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(pool.scrubbed.rglob("*")) if path.is_file()}


@pytest.mark.long
def test_a_part_that_kills_its_worker_keeps_no_other_from_being_scrubbed(
    pool: Pool, killing: Callable[[dict[str, int]], None], tmp_path: Path
) -> None:
    pending = pending_parts(pool)
    poison, unlucky = pending[0], pending[1]
    assert poison.company != unlucky.company
    killing({digest_of(poison): 99, digest_of(unlucky): 1})
    with pytest.raises(WorkerDiedError) as stopped:
        scrub_parts(pool, pending)
    assert f"1 of {len(pending)} parts are not scrubbed ({poison.company} 1); the others are." in stopped.value.message
    assert "withdraw" in stopped.value.next_step
    assert stopped.value.exit_code is ExitCode.SCRUB_STOPPED
    assert len((tmp_path / f"plan.{digest_of(poison)}").read_text()) == 1 + TRIES_ALONE
    assert [part for part in pending if not part.target.exists()] == [poison]
    assert all(part.report_file.exists() for part in pending if part != poison)
    logged = [json.loads(line) for line in (pool.root / "logs" / "commons.jsonl").read_text().splitlines()]
    assert [(line["company"], line["digest"]) for line in logged if line["event"] == "scrub_stopped"] == [
        (poison.company, digest_of(poison))
    ]
    with pytest.raises(ScrubStoppedError):  # fail closed: nothing of the quarter is measured meanwhile
        scrubbed_records(pool, QUARTER)
    before = state(pool)
    assert any(path.name.startswith(".") for path in before)  # what the killed worker was writing
    killing({})
    assert pending_parts(pool) == [poison]
    report = scrub_parts(pool, pending_parts(pool))
    after = state(pool)
    assert poison.target in after
    assert not [path for path in after if path.name.startswith(".")]
    assert {path: after[path] for path in before if not path.name.startswith(".")} == {
        path: data for path, data in before.items() if not path.name.startswith(".")
    }
    assert report.records == json.loads(poison.report_file.read_bytes())["records"]
    assert scrubbed_records(pool, QUARTER).parts


@given(sizes=st.lists(st.integers(0, 1 << 22), max_size=20), most=st.integers(1, 64))
def test_there_is_a_second_process_only_where_there_is_enough_to_do(sizes: list[int], most: int) -> None:
    assert 1 <= workers_for(sizes, most) <= most
    assert workers_for([34 << 10] * 9, most) == 1  # parts of a few rows
    assert workers_for([34 << 10] * 1_000, most) == min(most, 62)
    assert workers_for([*sizes, 10 << 20], most) == most  # and one with a day's worth


def test_progress_is_told_within_the_batch_and_ends_whole(pool: Pool) -> None:
    told: list[tuple[str, float]] = []
    with listening(lambda stage, share: told.append((stage, share))):
        scrub_parts(pool, pending_parts(pool))
    shares = [share for _, share in told]
    assert {stage for stage, _ in told} == {"scrub"}
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)


@pytest.fixture(scope="module")
def scrubbed(accepted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pool, scrubbed, before companies were told."""
    root = tmp_path_factory.mktemp("scrubbed") / "pool"
    shutil.copytree(accepted, root)
    scrub_parts(Pool(root), pending_parts(Pool(root)))
    return root


@pytest.fixture
def done(scrubbed: Path, tmp_path: Path) -> Pool:
    shutil.copytree(scrubbed, tmp_path / "pool")
    return Pool(tmp_path / "pool")


def rows_of(pool: Pool) -> list[dict[str, Any]]:
    return accepted_rows(pool.root, partial(pool.keys_at_rest.existing, Room.SCRUBBED), "scrubbed")


def test_one_worker_or_two_and_parts_in_any_order_give_the_same_rows(pool: Pool, scrubbed: Path) -> None:
    settings = packaged_config("pool.toml").read_text()
    assert "\nworkers = 0 " in settings
    (pool.root / "config" / "pool.toml").write_text(settings.replace("\nworkers = 0 ", "\nworkers = 1 "))
    scrub_parts(pool, pending_parts(pool)[::-1])
    rows = rows_of(pool)
    assert sum("<" in (turn["text"] or "") for row in rows for turn in row["turns"] or ()) > 20
    assert rows == rows_of(Pool(scrubbed))


def told_of(pool: Pool, company: str) -> dict[str, dict[str, Any]]:
    """The scrub reports in a company's drop, by digest."""
    files = sorted(Path(pool.drop_url(company), "out").glob("*/scrub.json"))
    return {path.parent.name: json.loads(path.read_bytes()) for path in files}


def test_each_company_is_told_of_its_own_submissions_and_of_nothing_else(done: Pool) -> None:
    key = public_keys(done)["pool_key"]
    assert deliver_scrub_reports(done) == 6
    for company in ("alder", "birch", "cedar"):
        found = told_of(done, company)
        accepted = {each.digest: each for each in done.catalogue.accepted(company=company)}
        assert set(found) == set(accepted)
        for digest, report in found.items():
            assert receipt_is_genuine(report, key)
            own = accepted[digest]
            named = {
                "report": "scrub",
                "company": company,
                "submission_id": own.submission_id,
                "digest": digest,
                "quarter": "2026Q1",
            }
            assert {name: report[name] for name in named} == named
            parted = [json.loads(p.report_file.read_bytes()) for p in parts(done) if digest_of(p) == digest]
            for name in ("records", "turns", "characters", "canaries"):
                assert report[name] == sum(each[name] for each in parted)
            assert report["counts"] == parted[0]["counts"]  # one part each
            assert report["records"] == own.receipt["accepted"]
            recall = report["canary_recall"]
            assert 0 < recall["ci_low"] < recall["estimate"] == recall["ci_high"] == 1.0
    overview = {row["company"]: row for row in scrub_overview(done)}
    assert overview["birch"]["turns"] == sum(each["turns"] for each in told_of(done, "birch").values())


def test_a_report_holds_counts_and_words_of_ours_only(done: Pool) -> None:
    from anonymize.report import OTHER_LANGUAGES

    deliver_scrub_reports(done)
    reasons = {"language", "too_long", "undecodable", "script", "too_many_findings", "residual", "layer_failed"}
    for report in (each for company in ("alder", "birch", "cedar") for each in told_of(done, company).values()):
        assert set(report["languages"]) <= {*done.scrub_settings.languages, OTHER_LANGUAGES}
        assert set(report["withheld"]) <= reasons
        assert all(name.isupper() and isinstance(n, int) for name, n in report["counts"].items())
        assert report["withheld_share"] == sum(report["withheld"].values()) / report["turns"]


def test_it_is_delivered_once_and_again_with_the_same_receipt(done: Pool, tmp_path: Path) -> None:
    deliver_scrub_reports(done)
    before = told_of(done, "alder")
    lost = next(Path(done.drop_url("alder"), "out").glob("*/scrub.json"))
    lost.unlink()
    assert deliver_scrub_reports(done) == 0
    assert not lost.exists()  # the company may remove what it has read
    shutil.rmtree(done.root / "answers" / "alder" / lost.parent.name[:16])
    assert deliver_scrub_reports(done) == 0  # its answer was swept: its time is over
    kept = next(path for path in (done.root / "answers" / "birch").glob("*/scrub.json"))
    kept.unlink()  # as a run leaves it that was killed between the two
    assert deliver_scrub_reports(done) == 1
    assert lost.parent.name in before


def test_what_is_not_scrubbed_is_told_later_and_an_unreachable_drop_keeps_nobody_waiting(pool: Pool, tmp_path: Path) -> None:
    pending = pending_parts(pool)
    scrub_parts(pool, [part for part in pending if part.company != "alder"])
    birch = Path(pool.drop_url("birch"), "out")
    birch.rename(tmp_path / "away")
    birch.write_text("no folder")
    assert deliver_scrub_reports(pool) == 2
    assert (len(told_of(pool, "alder")), len(told_of(pool, "cedar"))) == (0, 2)
    birch.unlink()
    (tmp_path / "away").rename(birch)
    scrub_parts(pool, pending_parts(pool))
    assert deliver_scrub_reports(pool) == 4
    assert [len(told_of(pool, company)) for company in ("alder", "birch", "cedar")] == [2, 2, 2]


def test_the_company_sees_it_and_a_forged_one_is_not_passed_on(
    done: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deliver_scrub_reports(done)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "commons.toml").write_text(
        f'company = "alder"\nagreement_id = "agr-alder-1"\nkey_id = "k"\nsigning_key = "k.key"\nto = "{done.drop_url("alder")}"\n'
        f'pool_key = "{public_keys(done)["pool_key"]}"\n'
    )
    assert run(["status", "--settings", "commons.toml"]) == ExitCode.DONE
    shown = capsys.readouterr().out
    assert "What the scrub did to their texts" in shown
    assert "1.000 (0." in shown
    assert run(["status", "--settings", "commons.toml", "--json", "--save", "saved"]) == ExitCode.DONE
    told = {each["digest"]: each["scrub"] for each in json.loads(capsys.readouterr().out)["submissions"]}
    assert told == told_of(done, "alder")
    assert len(list((tmp_path / "saved").glob("*/scrub.json"))) == 2
    forged = next(Path(done.drop_url("alder"), "out").glob("*/scrub.json"))
    genuine = forged.read_bytes()
    forged.write_text(json.dumps({**json.loads(genuine), "withheld_share": 0.0, "turns": 1}))
    assert run(["status", "--settings", "commons.toml", "--json"]) == ExitCode.CHECK_FAILED
    assert {each["digest"]: each["scrub"] is None for each in json.loads(capsys.readouterr().out)["submissions"]} == {
        digest: digest == forged.parent.name for digest in told
    }
    # A receipt in its place, signed as it is, is no scrub report; nor the other way round.
    forged.write_bytes(forged.with_name("receipt.json").read_bytes())
    assert run(["status", "--settings", "commons.toml", "--json"]) == ExitCode.CHECK_FAILED
    forged.with_name("receipt.json").write_bytes(genuine)
    forged.write_bytes(genuine)
    with drop_of(done, "alder") as drop:
        found = {each.digest: each for each in own_submissions(drop, public_keys(done)["pool_key"])}
    assert found[forged.parent.name].genuine is False


# Switches recognizers off in every worker: telephone numbers pass the first layers.
BROKEN = """
import importlib.abc, importlib.util, sys

class Broken(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "anonymize.recognizers":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        run = spec.loader.exec_module
        def broken(module):
            run(module)
            whole = module.pattern_recognizers
            module.pattern_recognizers = lambda language: [r for r in whole(language) if r.ENTITY not in OFF]
        spec.loader.exec_module = broken
        return spec

OFF = {off!r}
sys.meta_path.insert(0, Broken())
"""


def ingest(pool: Pool, hooks: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from cli.main import main; main()", "ingest", "--root", str(pool.root)]
    slow = {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "300"}  # on a machine that has other work
    return subprocess.run(command, env={**os.environ, **slow, "PYTHONPATH": str(hooks)}, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_recognizer_that_is_switched_off_stops_every_batch_and_nothing_goes_on(pool: Pool, tmp_path: Path) -> None:
    hooks, none = tmp_path / "hooks", tmp_path / "none"
    hooks.mkdir()
    none.mkdir()
    (hooks / "sitecustomize.py").write_text(BROKEN.format(off=("PHONE_NUMBER",)))
    stopped = ingest(pool, hooks)
    assert stopped.returncode == ExitCode.SCRUB_STOPPED
    assert "1 of 12 canaries survived the scrub. 6 of 6 parts are not scrubbed (alder 2, birch 2, cedar 2)." in stopped.stderr
    assert "Undo what changed" in stopped.stderr
    assert "run the same command again" in stopped.stderr
    assert state(pool) == {}
    assert len(pending_parts(pool)) == 6
    assert all(told_of(pool, company) == {} for company in ("alder", "birch", "cedar"))
    with pytest.raises(ScrubStoppedError):
        scrubbed_records(pool, QUARTER)
    mended = ingest(pool, none)
    assert (mended.returncode, pending_parts(pool)) == (ExitCode.DONE, [])
    assert all(len(told_of(pool, company)) == 2 for company in ("alder", "birch", "cedar"))
