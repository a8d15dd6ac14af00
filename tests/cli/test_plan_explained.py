"""`commons plan --explain` shows what a plan would tell, and registers and spends nothing."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cli.main import run
from flows.pool import Pool
from schemas.errors import ExitCode


def test_it_tells_of_every_marginal_and_spends_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pool = Pool(tmp_path)
    call = ["plan", "2026Q1", "--explain", "--users", "40000", "--json", "--chart", str(tmp_path / "plan.svg")]
    assert run([*call, "--root", str(tmp_path)]) == ExitCode.DONE
    told = json.loads(capsys.readouterr().out)
    wanted = [[measure.name, list(marginal)] for measure in pool.release_plan.measures for marginal in measure.marginals]
    assert [[m["measure"], m["marginal"]] for m in told["marginals"]] == wanted
    assert told["epsilon"] < 1 and all(m["noise"] > 0 for m in told["marginals"])
    assert any(m["difference"] is not None for m in told["marginals"])
    assert pool.ledger.entries() == []


def test_people_get_a_table_and_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chart = tmp_path / "plan.svg"
    Pool(tmp_path)
    call = ["plan", "2026Q1", "--explain", "--users", "40000", "--chart", str(chart), "--root", str(tmp_path)]
    assert run(call) == ExitCode.DONE
    shown = capsys.readouterr().out
    assert "Nothing is registered or spent" in shown and "risk_profile" in shown
    assert ElementTree.fromstring(chart.read_text()).attrib["role"] == "img"  # noqa: S314  (our own picture)


def test_without_a_release_the_number_of_users_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Pool(tmp_path)
    assert run(["plan", "2026Q1", "--explain", "--root", str(tmp_path)]) == ExitCode.USAGE
    assert "--users" in capsys.readouterr().err
    assert run(["plan", "2026Q1", "--root", str(tmp_path)]) == ExitCode.USAGE
    assert "--key" in capsys.readouterr().err
