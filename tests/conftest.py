"""What every test needs: the modules beside a test are importable, and the state of no other pool is touched."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from postgres_server import Server
    from sqlalchemy import URL
    from stores import Store

for folder in ("aggregate", "end_to_end", "intake"):
    sys.path.append(str(Path(__file__).parent / folder))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of long tests first: a worker that begins one last would keep the other waiting."""
    first = ("end_to_end", "flows", "attacks")
    items.sort(key=lambda item: first.index(item.path.parent.name) if item.path.parent.name in first else len(first))


@pytest.fixture(autouse=True)
def _no_pool_of_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COMMONS_ROOT", "COMMONS_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def store_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Callable[[str], Store]"]:
    """A store of a kind (`local`, `s3`, `sftp`), started at first use, empty each time it is asked for."""
    import stores

    with ExitStack() as stack:
        running: dict[str, Store] = {}

        def give(kind: str) -> "Store":
            if kind not in running:
                folder = tmp_path_factory.mktemp(kind)
                if kind == "local":
                    running[kind] = stores.local_store(folder)
                else:
                    make = {"s3": stores.s3_store, "sftp": stores.sftp_store}[kind]
                    running[kind] = stack.enter_context(make(folder))
            running[kind].clear()
            return running[kind]

        yield give


@pytest.fixture(scope="session")
def postgres() -> Iterator["Server"]:
    """A PostgreSQL server of this session's own."""
    import postgres_server

    if postgres_server.binaries() is None:
        pytest.skip("no PostgreSQL server is installed: `make setup-system`")
    with postgres_server.postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def migrated(postgres: "Server") -> str:
    """Name of a database with the tables of the state, of which others are copies."""
    from flows.state import migrate

    name = postgres.new_database()
    migrate(postgres.url(name))
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> "URL":
    """An empty state database of each kind, at the version of this program."""
    from flows.state import migrate, state_url

    if request.param == "postgresql":
        server: Server = request.getfixturevalue("postgres")
        return server.url(server.new_database(request.getfixturevalue("migrated")))
    url = state_url(tmp_path, "")
    migrate(url)
    return url


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder of a company that has just begun, every attestation given."""
    from intake.starting import start

    start("alder", "agr-alder-1", tmp_path / "alder")
    manifest = tmp_path / "alder" / "manifest.toml"
    manifest.write_text(manifest.read_text().replace(" = false ", " = true "))
    return tmp_path / "alder"
