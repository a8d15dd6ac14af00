"""`commons query` over releases that lie in a real S3-compatible store: the same answers, and nothing else can be opened."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from release_fixtures import build_measured
from shipped import ship
from stores import Store

from cli.main import run
from flows.querying import run_query
from publish.catalog import write_catalog
from schemas.errors import ExitCode, TransportError, UsageError
from schemas.periods import Quarter
from schemas.storage import Place, files_below, place_at, whole_file

ASKED = (
    "from releases order by place",
    "select quarter, sum(estimate) from risk_profile group by all order by all",
    "from sum_of('risk_profile', imminence = 'imminent') order by all",
)


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    releases = tmp_path_factory.mktemp("pool") / "releases"
    for seed, quarter in ((2, Quarter(2026, 2)), (3, Quarter(2026, 3))):
        ship(build_measured(seed=seed, quarter=quarter, users=10_000), releases)
    write_catalog(releases)
    return releases


@pytest.fixture(scope="module")
def store(store_of: Callable[[str], Store]) -> Iterator[Store]:
    store = store_of("s3")
    with store.person("pool"):
        yield store


@pytest.fixture(scope="module")
def stored(store: Store, releases: Path) -> Place:
    place = place_at(f"s3://pool/queried/{secrets.token_hex(8)}", releases)
    for name in files_below(releases):
        with whole_file(place / name) as stream:
            stream.write((releases / name).read_bytes())
    return place


@pytest.mark.parametrize("sql", ASKED)
def test_the_answers_are_those_of_the_folder(sql: str, releases: Path, stored: Place) -> None:
    expected = run_query(releases, sql, "2026Q2/v1")
    assert expected[1]
    assert run_query(stored, sql, "2026Q2/v1") == expected


def test_the_command_answers(stored: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["query", "select release from releases order by all", "--releases", str(stored), "--csv"]) == ExitCode.DONE
    assert capsys.readouterr().out.split() == ["release", "2026Q2/v1", "2026Q3/v1"]


@pytest.mark.parametrize("beyond", ["s3://pool/queried/other.parquet", "s3://pool/ready", "/etc/hostname"])
def test_nothing_beside_the_releases_is_opened(beyond: str, stored: Place) -> None:
    with pytest.raises(UsageError) as raised:
        run_query(stored, f"from read_blob('{beyond}')")
    assert "allowed" in raised.value.message or "disabled" in raised.value.message


def test_where_nothing_is_published_it_says_so(stored: Place) -> None:
    with pytest.raises(UsageError, match="Nothing is published"):
        run_query(stored / "nowhere", "from releases")


def test_a_stranger_is_told_so(stored: Place, store: Store) -> None:
    with store.person("stranger"), pytest.raises(TransportError):
        run_query(stored, "from releases")
