"""The state database: made, upgraded and taken over by migrations, whole or not at all; and where its URL comes from."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from pooled import QUARTER, privacy, registered
from sqlalchemy import URL, Engine, MetaData, create_engine, inspect, text

from aggregate.ledger import APPEND_ONLY, Ledger
from aggregate.mechanisms.conversion import epsilon_of
from cli.main import run
from flows import state as state_module
from flows.migrations import HEAD
from flows.pool import Pool, packaged_config
from flows.state import all_tables, migrate, open_state, state_url
from intake.catalogue import SUBMISSIONS
from schemas.errors import ExitCode, TransportError, UsageError

if TYPE_CHECKING:
    from postgres_server import Server


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> URL:
    """A database without any table, of each kind."""
    if request.param == "sqlite":
        return state_url(tmp_path, "")
    server: Server = request.getfixturevalue("postgres")
    return server.url(server.new_database())


def as_before_migrations(url: URL) -> None:
    """The state as the program made it before there were migrations: tables, and something in them."""
    if url.get_backend_name() == "sqlite":
        Path(str(url.database)).parent.mkdir(parents=True)
    engine = create_engine(url)
    old = MetaData()
    for metadata in all_tables():
        for table in metadata.tables.values():
            copied = table.to_metadata(old)
            copied.indexes -= {index for index in copied.indexes if index.name == "ledger_once"}
    old.remove(old.tables["purges"])  # it was made by the first purge only
    old.create_all(engine)
    ledger = Ledger(engine, privacy().budget, epsilon_of)
    ledger.register(registered())
    ledger.answer_once(registered(), lambda: b"noise")
    row = {"digest": "d", "company": "alder", "submission_id": "s", "quarter": "2026Q1", "pseudonym_key_id": "k",
           "kept": 1, "users": 1, "status": "accepted", "receipt": {"accepted": 1}}  # fmt: skip
    with engine.begin() as connection:
        connection.execute(SUBMISSIONS.insert().values(row))
    engine.dispose()


def contents(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    with engine.connect() as connection:
        names = sorted(name for name in inspect(connection).get_table_names() if name not in ("alembic_version", "purges"))
        return {name: [tuple(row) for row in connection.execute(text(f"select * from {name}"))] for name in names}


def test_the_newest_migration_is_the_one_that_the_program_works_with() -> None:
    config = Config()
    config.set_main_option("script_location", str(state_module._MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_migrations_make_just_the_tables_that_the_rooms_declare(empty: URL) -> None:
    assert migrate(empty) == ("", HEAD)
    engine = open_state(empty)

    def differences(declared: list[MetaData]) -> list[Any]:
        with engine.connect() as connection:
            return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), declared)

    assert differences(list(all_tables())) == []
    one_less = [metadata for metadata in all_tables() if "ledger" not in metadata.tables]
    assert {difference[0] for difference in differences(one_less)} >= {"remove_table"}
    engine.dispose()


def test_a_state_from_before_migrations_is_taken_over_without_loss(empty: URL) -> None:
    as_before_migrations(empty)
    before = create_engine(empty)
    old = contents(before)
    assert len(old["ledger"]) == 3 and len(old["submissions"]) == 1
    before.dispose()
    assert migrate(empty) == ("", HEAD)
    engine = open_state(empty)
    assert contents(engine) == old
    ledger = Ledger(engine, privacy().budget, epsilon_of)
    assert ledger.faults() == []
    assert ledger.answer_once(registered(), lambda: b"other") == b"noise"
    with engine.connect() as connection, pytest.raises(Exception, match="append-only"):
        connection.execute(text("delete from ledger"))
    engine.dispose()
    assert migrate(empty) == (HEAD, HEAD)  # again: nothing to do


def test_a_migration_that_fails_changes_nothing(empty: URL) -> None:
    as_before_migrations(empty)
    engine = create_engine(empty)
    with engine.begin() as connection:  # a step that is there twice: the index of the newest version cannot be made
        connection.execute(
            text(
                "insert into ledger select 9, kind, plan, quarter, year, version, rho, delta, at, answer, previous, hash from ledger where number = 1"
            )
        )
    old = contents(engine)
    with pytest.raises(Exception, match=r"(?i)unique"):
        migrate(empty)
    assert contents(engine) == old
    with engine.connect() as connection:
        assert not inspect(connection).has_table("purges") and not inspect(connection).has_table("alembic_version")
    engine.dispose()


def test_sqlite_is_upgraded_when_it_is_opened_and_postgresql_by_its_owner(empty: URL) -> None:
    if empty.get_backend_name() == "sqlite":
        open_state(empty).dispose()
        return
    for _ in range(2):
        with pytest.raises(UsageError) as refused:
            open_state(empty)
        assert "commons migrate" in refused.value.next_step
    migrate(empty)
    open_state(empty).dispose()


def test_a_state_of_a_newer_program_is_left_alone(state: URL) -> None:
    engine = create_engine(state)
    with engine.begin() as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    for attempt in (open_state, migrate):
        with pytest.raises(UsageError, match="newer"):
            attempt(state)
    engine.dispose()


# Where it is.


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "config").mkdir()
    yield tmp_path


def setting(root: Path, value: str) -> Pool:
    text = packaged_config("pool.toml").read_text()
    assert 'database = ""' in text
    (root / "config" / "pool.toml").write_text(text.replace('database = ""', f'database = "{value}"'))
    return Pool(root)


def test_a_whole_pool_lives_in_postgresql(
    root: Path, postgres: "Server", monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = postgres.url(postgres.new_database())
    pool = setting(root, url.render_as_string().replace("+psycopg", ""))
    assert run(["budget", "--root", str(root)]) == ExitCode.USAGE
    assert run(["migrate", "--root", str(root)]) == ExitCode.DONE
    assert run(["budget", "--verify", "--root", str(root)]) == ExitCode.DONE
    assert run(["status", "--root", str(root)]) == ExitCode.DONE
    pool.ledger.register(registered())
    assert pool.ledger.quarters() == [QUARTER]
    assert pool.catalogue.accepted() == []
    assert not (root / "state").exists()
    pool.engine.dispose()
    another = state_url(root / "other", "")
    monkeypatch.setenv("COMMONS_DATABASE_URL", another.render_as_string())
    assert Pool(root).ledger.quarters() == []  # the environment goes before the setting
    capsys.readouterr()


@pytest.mark.parametrize("value", ["mysql://host/name", "postgresql", "oracle+x://y", "http://localhost/"])
def test_no_other_kind_of_database_is_taken(value: str, root: Path) -> None:
    with pytest.raises(UsageError):
        setting(root, value).engine  # noqa: B018


def test_a_password_is_taken_from_the_environment_only(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://operator:canary-7f3a@localhost:1/state"
    with pytest.raises(UsageError) as refused:
        setting(root, url).engine  # noqa: B018
    assert "canary" not in refused.value.message + refused.value.next_step
    monkeypatch.setenv("COMMONS_DATABASE_URL", url)
    with pytest.raises(TransportError) as unreached:  # the whole URL is its own there
        Pool(root).engine  # noqa: B018
    told = unreached.value
    assert "canary" not in f"{told}{told.next_step}{told!r}" and told.__context__ is None
    assert "canary" not in repr(state_url(root, ""))


def test_the_tables_that_the_database_keeps_append_only_are_those_of_the_ledger_and_decisions_on_terms(state: URL) -> None:
    engine = open_state(state)
    question = {
        "sqlite": "select distinct tbl_name from sqlite_master where type = 'trigger'",
        "postgresql": "select distinct tgrelid::regclass::text from pg_trigger where not tgisinternal",
    }[engine.dialect.name]
    with engine.connect() as connection:
        assert sorted(connection.execute(text(question)).scalars()) == sorted((*APPEND_ONLY, "term_reviews"))
    engine.dispose()
