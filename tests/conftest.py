"""What every test needs: the modules beside a test are importable, and the state of no other pool is touched."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from stores import Store

for folder in ("aggregate", "end_to_end", "intake"):
    sys.path.append(str(Path(__file__).parent / folder))


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
