"""Role by object, tried for real under separate accounts: what is declared is what is possible. Needs root."""

import codecs
import gc
import io
import json
import os
import shutil
import sqlite3
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest
from postgres_server import OWNER
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from cli.main import run
from flows.pool import packaged_config
from flows.protecting import account_commands, grants, protect, state_tables
from flows.roles import Place, Protection, Role, Roles, load_roles, places, protections
from schemas.errors import UsageError

if TYPE_CHECKING:
    from postgres_server import Server

COMPANIES = ("alder", "birch")
NUMBERS = {
    "operator": 61001, "reviewer": 61002, "privacy": 61003, "clinical": 61004, "researcher": 61005, "alder": 61011, "birch": 61012,
    "stranger": 61020,
}  # fmt: skip
GROUPS = {
    "in-alder": 61101, "in-birch": 61102, "drop-alder": 61103, "drop-birch": 61104, "state": 61105, "review": 61106, "config": 61107,
    "brief": 61109, "members": 61110,
}  # fmt: skip

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="separate accounts need root")

DEEDS: dict[str, Callable[[str], object]] = {
    "list": os.listdir,
    "read": lambda path: Path(path, "file").read_bytes(),
    "alter": lambda path: os.close(os.open(f"{path}/file", os.O_RDWR)),
    "add": lambda path: (Path(path, ".probe").mkdir(), Path(path, ".probe").rmdir()),
    "replace": lambda path: (Path(path, "file").rename(f"{path}/.moved"), Path(path, ".moved").rename(f"{path}/file")),
    "delete": lambda path: Path(path, "victim").unlink(),
}
READS, WRITES = ("list", "read"), ("alter", "add", "replace", "delete")


def roles_text() -> str:
    """roles.toml with numbers in place of names, so that no account of the machine is made or used."""
    text = packaged_config("roles.toml").read_text()
    for role in Role:
        if role is not Role.COMPANY:
            text = text.replace(f'"commons-{role}"', f'"{NUMBERS[role]}"')
    own = "".join(f'{company} = "{NUMBERS[company]}"\n' for company in COMPANIES)
    groups = "".join(f'{name} = "{number}"\n' for name, number in GROUPS.items())
    head, tail = text.split("\n# Where an object lies", 1)
    return f"{head}\n[accounts.companies]\n{own}[accounts.groups]\n{groups}\n# Where an object lies{tail}"


def possible(deed: Callable[[], object]) -> bool:
    try:
        deed()
    except OSError:
        return False
    return True


def under(account: dict[str, Any], deed: Callable[[], Any]) -> Any:
    """What a deed returns (as JSON) under another account, in a process of its own; None where it raises.

    Forked, since another account may not even start this Python. What a deed imports must be loaded already.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.chdir("/")
            os.umask(account["umask"])
            os.setgroups(account["groups"])
            os.setgid(account["number"])
            os.setuid(account["number"])
            os.write(writing, json.dumps(deed()).encode())
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as stream:
        answer = stream.read()
    return json.loads(answer) if os.waitpid(child, 0)[1] == 0 else None


@dataclass
class Protected:
    """A pool whose rights are set, with a file to read, and one to delete, in every place."""

    root: Path
    roles: Roles

    def places(self) -> list[Place]:
        return places(self.roles, COMPANIES)

    def path(self, place: Place) -> Path:
        return self.root / place.path

    def actor(self, name: str) -> dict[str, Any]:
        number = str(NUMBERS[name])
        groups = {int(p.group) for p in protections(self.roles, COMPANIES) if number in p.members}
        return {"number": NUMBERS[name], "groups": sorted(groups), "umask": 0o007}

    def victims(self) -> None:
        for place in self.places():
            kept, victim = self.path(place) / "file", self.path(place) / "victim"
            if not victim.exists():
                victim.write_bytes(b"victim")
            os.chown(victim, kept.stat().st_uid, kept.stat().st_gid)
            victim.chmod(stat.S_IMODE(kept.stat().st_mode))

    def possible_for(self, name: str) -> dict[str, dict[str, bool]]:
        """What an account can do, by place, tried for real."""
        self.victims()
        asked = {f"{place.name}/{place.company}": str(self.path(place)) for place in self.places()}
        found: dict[str, dict[str, bool]] = under(
            self.actor(name),
            lambda: {
                place: {deed: possible(partial(attempt, path)) for deed, attempt in DEEDS.items()}
                for place, path in asked.items()
            },
        )
        return found

    def declared(self, name: str) -> dict[str, dict[str, bool]]:
        found = {}
        for place in self.places():
            if name == "stranger":
                right = "read" if place.name == "releases" else "none"
            else:
                company = name if name in COMPANIES else ""
                right = place.right(Role.COMPANY if company else Role(name), company)
            found[f"{place.name}/{place.company}"] = {
                **dict.fromkeys(READS, right in ("read", "write")),
                **dict.fromkeys(WRITES, right == "write"),
            }
        return found


@pytest.fixture
def pool() -> Iterator[Protected]:
    root = Path(tempfile.mkdtemp(prefix="roles-", dir="/tmp"))
    try:
        made = Protected(root, _roles(root))
        for place in made.places():
            made.path(place).mkdir(parents=True, exist_ok=True)
            (made.path(place) / "file").write_bytes(b"content")
            (made.path(place) / "deeper").mkdir()
            (made.path(place) / "deeper" / "file").write_bytes(b"content")
        protect(root, protections(made.roles, COMPANIES))
        for company in COMPANIES:  # what lies in its drop is the company's own
            folder = root / "drops" / company / "in"
            for path in (folder / "file", folder / "deeper", folder / "deeper" / "file"):
                os.chown(path, NUMBERS[company], GROUPS[f"in-{company}"])
                path.chmod(0o2770 if path.is_dir() else 0o660)
        yield made
    finally:
        shutil.rmtree(root)


def _roles(folder: Path) -> Roles:
    path = folder / "roles.toml"
    path.write_text(roles_text())
    roles = load_roles(path)
    path.unlink()
    return roles


def differences(pool: Protected) -> list[str]:
    """Where what is possible is not what is declared, by account, place and deed."""
    found = []
    for name in NUMBERS:
        done, declared = pool.possible_for(name), pool.declared(name)
        found += [
            f"{name}: {place}: {deed}"
            for place, deeds in declared.items()
            for deed, right in deeds.items()
            if done[place][deed] is not right
        ]
    return found


@needs_root
def test_every_role_can_do_what_is_declared_and_nothing_else(pool: Protected) -> None:
    assert differences(pool) == []
    assert len(pool.places()) * len(NUMBERS) == 19 * 8


PLANTED = [
    ("accepted", 0o755, ("researcher: accepted/: list", "alder: accepted/: read")),
    ("secrets", 0o711, ("stranger: secrets/: read",)),
    ("state", 0o2777, ("researcher: state/: add",)),
    ("state", 0o750, ("privacy: state/: add",)),
    ("config", 0o2770, ("operator: config/: replace",)),
    ("releases", 0o700, ("researcher: releases/: list",)),
    ("members", 0o2755, ("researcher: members/: list", "alder: members/: read")),
    ("drops/alder/in", 0o2750, ("operator: in/alder: delete",)),
    ("drops/alder/out", 0o2770, ("alder: out/alder: add",)),
]


@needs_root
@pytest.mark.parametrize(("path", "mode", "expected"), PLANTED)
def test_a_wrong_mode_is_seen(path: str, mode: int, expected: tuple[str, ...], pool: Protected) -> None:
    (pool.root / path).chmod(mode)
    for each in (pool.root / path).rglob("*"):
        if mode & 0o004 or mode & 0o001:
            each.chmod(0o666 if each.is_file() else 0o777)
    assert set(expected) <= set(differences(pool))
    protect(pool.root, protections(pool.roles, COMPANIES))
    left = [line for line in differences(pool) if not line.split(": ")[1].startswith("in/")]  # companies' own files stay theirs
    assert left == []


def can(pool: Protected, name: str, deed: Callable[[], object]) -> bool:
    return under(pool.actor(name), lambda: possible(deed)) is True


@needs_root
def test_a_company_sees_neither_other_companies_nor_the_pool(pool: Protected) -> None:
    for path in (pool.root, pool.root / "drops", pool.root / "drops" / "birch"):
        assert not can(pool, "alder", partial(os.listdir, path))
    assert can(pool, "alder", partial(os.listdir, pool.root / "drops" / "alder"))
    assert can(pool, "operator", partial(os.listdir, pool.root / "drops"))


@needs_root
def test_nobody_puts_another_folder_in_the_place_of_one(pool: Protected) -> None:
    for place in pool.places():
        path = pool.path(place)
        for name in NUMBERS:
            if (
                place.right(Role(name) if name in list(Role) else Role.COMPANY, name) == "write"
                and path.stat().st_uid == NUMBERS[name]
            ):
                continue  # its own
            assert not can(pool, name, partial(os.rename, path, f"{path}.x")), (name, place.name)
            assert not can(pool, name, partial(os.chmod, path, 0o777)), (name, place.name)


@needs_root
def test_protecting_follows_no_link_and_changes_no_file_with_a_second_name(pool: Protected) -> None:
    outside = pool.root.with_name(pool.root.name + "-outside")
    outside.mkdir()
    try:
        (outside / "shadow").write_text("secret")
        (outside / "shadow").chmod(0o600)
        for folder in ("releases", "drops/alder/in", "drops/alder/out"):
            (pool.root / folder / "link").symlink_to(outside / "shadow")
            (pool.root / folder / "folder").symlink_to(outside)
            os.link(outside / "shadow", pool.root / folder / "second-name")
        protect(pool.root, protections(pool.roles, COMPANIES))
        assert stat.S_IMODE((outside / "shadow").stat().st_mode) == 0o600
        assert (outside / "shadow").stat().st_uid == 0
        shutil.rmtree(pool.root / "releases")
        (pool.root / "releases").symlink_to(outside)
        with pytest.raises(UsageError):
            protect(pool.root, protections(pool.roles, COMPANIES))
    finally:
        shutil.rmtree(outside)


@needs_root
def test_protecting_twice_changes_nothing(pool: Protected) -> None:
    wanted = protections(pool.roles, COMPANIES)
    assert protect(pool.root, wanted) == []
    (pool.root / "secrets").chmod(0o755)
    assert protect(pool.root, wanted) == ["secrets"]


@needs_root
def test_without_root_it_is_refused(pool: Protected) -> None:
    def attempt() -> str:
        try:
            protect(pool.root, [Protection(PurePosixPath("releases"), "0", "0", 0o700, 0o600)])
        except UsageError as error:
            return error.message
        return "done"

    assert "root only" in under(pool.actor("operator"), attempt)
    assert "out of reach" in under(pool.actor("alder"), attempt)
    assert differences(pool) == []


@pytest.mark.parametrize(
    "change",
    [
        ('in = { company = "write"', 'in = { company = "own"'),
        ('state = { operator = "write"', 'state = { visitor = "write"'),
        ('state = "state"', 'state = "../state"'),
        ('state = "state"', 'state = "/state"'),
        ('secrets = "secrets"', ""),
        ('accepted = { operator = "write" }', 'accepted = { operator = "write", company = "write" }'),
        ("[matrix]", "[matrix"),
    ],
)
def test_a_matrix_that_breaks_a_rule_is_refused(change: tuple[str, str], tmp_path: Path) -> None:
    text = packaged_config("roles.toml").read_text()
    assert change[0] in text
    (tmp_path / "roles.toml").write_text(text.replace(*change, 1))
    with pytest.raises(UsageError):
        load_roles(tmp_path / "roles.toml")


def test_a_matrix_that_owner_and_group_cannot_hold_is_refused(tmp_path: Path) -> None:
    text = packaged_config("roles.toml").read_text()
    old = 'state = { operator = "write", privacy = "write", clinical = "write" }'
    assert old in text
    (tmp_path / "roles.toml").write_text(
        text.replace(old, 'state = { operator = "write", privacy = "write", reviewer = "read" }')
    )
    with pytest.raises(UsageError, match="state"):
        protections(load_roles(tmp_path / "roles.toml"), COMPANIES)


def test_missing_accounts_are_listed_before_anything_is_made(tmp_path: Path) -> None:
    roles = load_roles(packaged_config("roles.toml"))
    commands = account_commands(roles, protections(roles, COMPANIES), COMPANIES)
    made = [command[-1] for command in commands if command[0] == "useradd"]
    assert made == [f"commons-{name}" for name in ("operator", "reviewer", "privacy", "clinical", "researcher", *COMPANIES)]
    assert ["usermod", "--append", "--groups", "commons-state", "commons-privacy"] in commands
    assert not any("commons-in-alder" in command and "commons-birch" in command for command in commands)


# The state database under accounts of its own.


def commons(pool: Protected, name: str, *arguments: object) -> tuple[int, str]:
    """Exit code and output of a command under an account."""

    def call() -> tuple[int, str]:
        sys.stdout, sys.stderr = out, _ = io.StringIO(), io.StringIO()
        return run([*map(str, arguments), "--root", str(pool.root)]), out.getvalue() + sys.stderr.getvalue()

    code, output = under(pool.actor(name), call)
    return code, output


@pytest.fixture
def checked(pool: Protected) -> Protected:
    """A pool with a measured and checked release of 2026Q1, people to approve it, and their keys, each its owner's alone."""
    from pooled import QUARTER, SECRET, as_scrubbed, pool_rows, registered

    from aggregate.measurement import measure
    from flows.pool import Pool
    from flows.release_steps import check_release
    from publish.store import mark_measured, mark_planned
    from sample_data.generate import generate
    from sample_data.parameters import SimulationParameters
    from schemas.signing import encode_key, new_private_key, public_key

    people = ""
    for person in ("operator", "privacy", "clinical", "researcher"):
        key = new_private_key()
        (pool.root / f"{person}.key").write_text(encode_key(key))
        os.chown(pool.root / f"{person}.key", NUMBERS[person], NUMBERS[person])
        (pool.root / f"{person}.key").chmod(0o600)
        role = person if person != "researcher" else "clinical"
        people += f'[[person]]\nid = "{person}"\nrole = "{role}"\npublic_key = "{encode_key(public_key(key))}"\n'
    for file in packaged_config("").glob("*.toml"):
        shutil.copy(file, pool.root / "config")
    (pool.root / "config" / "people.toml").write_text(people)
    (pool.root / "config" / "roles.toml").write_text(roles_text())
    own = Pool(pool.root)
    rows = pool_rows(generate(SimulationParameters(seed=61, users=150, quarters=1)).quarters[0].records())
    plan = registered()
    own.ledger.register(plan)
    mark_planned(own.engine, QUARTER, plan.version, plan.hash)
    records = as_scrubbed(rows, pool.root / "made")
    mark_measured(own.engine, measure(plan, records, own.ledger, SECRET, own.scratch))
    check_release(own, QUARTER)
    own.catalogue.audit_rows()
    own.engine.dispose()
    protect(pool.root, protections(pool.roles, COMPANIES))
    codecs.lookup("ascii")
    run(["approve", "2026Q1", "--key", str(pool.root / "none.key"), "--root", str(pool.root)])  # loads what it needs
    run(["budget", "--verify", "--root", str(pool.root)])
    return pool


@needs_root
def test_approvers_sign_under_accounts_that_read_no_record_and_no_secret(checked: Protected) -> None:
    def approve(name: str) -> tuple[int, Any]:
        code, output = commons(checked, name, "approve", "2026Q1", "--key", checked.root / f"{name}.key", "--json")
        return code, json.loads(output)["missing"] if code == 0 else output

    assert approve("researcher")[0] != 0  # registered as clinical, but without the account's rights
    found = approve("privacy")
    assert found == (0, ["clinical"]), found
    assert approve("clinical") == (0, [])
    from flows.pool import Pool
    from publish.path import State
    from publish.store import state_of
    from schemas.periods import Quarter

    done = Pool(checked.root)
    assert state_of(done.engine, Quarter(2026, 1), 1) is State.APPROVED
    done.engine.dispose()
    assert commons(checked, "operator", "budget", "--verify", "--json")[0] == 0
    assert [line for line in differences(checked) if "state/" in line] == []


@needs_root
def test_with_the_state_folder_read_only_nobody_could_sign(checked: Protected) -> None:
    """The least right that works: SQLite makes files beside its own, so whoever opens it first needs to write in its folder."""
    gc.collect()
    sqlite3.connect(checked.root / "state" / "state.db").close()
    assert [path.name for path in (checked.root / "state").glob("state.db*")] == ["state.db"]
    (checked.root / "state").chmod(0o2750)
    assert commons(checked, "privacy", "approve", "2026Q1", "--key", checked.root / "privacy.key")[0] != 0


@needs_root
def test_an_approver_who_tampers_with_the_state_is_seen(checked: Protected) -> None:
    """What that right means: the file can be altered by an approver. The ledger's chain and the signatures show it."""
    database = checked.root / "state" / "state.db"

    def sql(*statements: str) -> None:
        with sqlite3.connect(database) as connection:
            for statement in statements:
                connection.execute(statement)

    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        sql("update ledger set rho = '0'")
    # Whoever may write the file may take away what refuses it.
    assert can(checked, "privacy", partial(sql, "drop trigger ledger_no_update", "update ledger set rho = '0'"))
    assert commons(checked, "operator", "budget", "--verify")[0] == 14
    forged = (
        "insert into signoffs (quarter, version, role, person, signed_at, signature) values "
        "('2026Q1', 1, 'clinical', 'clinical', '2026-01-01T00:00:00+00:00', 'AAAA')"
    )
    assert can(checked, "privacy", partial(sql, forged, "update releases set state = 'approved'"))
    from flows.pool import Pool
    from flows.release_steps import publish_release
    from schemas.errors import CommonsError
    from schemas.periods import Quarter

    own = Pool(checked.root)
    with pytest.raises(CommonsError):
        publish_release(own, Quarter(2026, 1))
    own.engine.dispose()
    assert not (checked.root / "releases" / "2026Q1").exists()


# The same roles in PostgreSQL.


def tried(server: "Server", database: str, role: str, *statements: str) -> str:
    """Runs statements as a role, each committed; empty, or what the server said to the first that failed."""
    engine = create_engine(server.url(database, role), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))
    except DBAPIError as error:
        return str(error.orig)
    finally:
        engine.dispose()
    return ""


@pytest.fixture
def granted(postgres: "Server", migrated: str) -> Iterator[str]:
    """A state database with the roles' grants."""
    roles = load_roles(packaged_config("roles.toml"))
    for role in Role:
        tried(postgres, "postgres", OWNER, f'create role "commons-{role}" login')
    database = postgres.new_database(migrated)
    assert tried(postgres, database, OWNER, *grants(roles, state_tables())) == ""
    yield database


LEDGER_DEEDS = (
    "update ledger set rho = '0'", "delete from ledger", "truncate ledger", "update answers set body = ''", "delete from answers",
    "update plans set version = 9", "delete from plans", "drop table ledger", "drop trigger append_only on ledger",
    "alter table ledger disable trigger all", "drop function append_only cascade", "update alembic_version set version_num = ''",
)  # fmt: skip
REVIEW_DEEDS = ("update term_reviews set decision = 'public'", "delete from term_reviews", "truncate term_reviews")


def test_the_grants_hold_on_a_real_server(postgres: "Server", granted: str) -> None:
    decides = "insert into term_reviews values ({0}, 'p', 'user', 't', '', 'reject', 'carl', 'now', 's')"
    signs = "insert into signoffs values ('2026Q1', 1, '{0}', '{0}', 'now', 's')"
    moves = "update releases set state = 'approved'"
    may = {
        "operator": ["select * from submissions", "insert into checks values ('2026Q1', 1, 'a', 1, true, true, '')", moves,
                     "delete from checks", "select * from ledger", "insert into intake_audit (at, digest, company, decision, counts) values (now(), '', '', '', '{}')"],
        "privacy": [f"select * from {name}" for name in ("plans", "ledger", "answers", "releases", "checks", "signoffs", "term_reviews")] + [signs.format("privacy"), moves],
        "clinical": [signs.format("clinical"), moves, "select * from answers", "select * from term_reviews", decides.format(1)],
    }  # fmt: skip
    may_not = {
        "operator": [*LEDGER_DEEDS, *REVIEW_DEEDS, decides.format(2), "truncate signoffs", "create table more (a int)", "update signoffs set signature = ''", "delete from purges"],
        "privacy": [*LEDGER_DEEDS, *REVIEW_DEEDS, "select * from submissions", "select * from intake_audit", "select * from purges", "insert into ledger select * from ledger",
                    "insert into plans select * from plans", "insert into answers select * from answers", "delete from signoffs", "update signoffs set signature = ''",
                    "update releases set tables_digest = ''", "create table other (a int)", "insert into checks select * from checks", "delete from releases"],
        **{role: ["select * from releases", "select * from term_reviews", "select * from submissions", signs.format(role), moves] for role in ("company", "reviewer", "researcher")},
    }  # fmt: skip
    may_not["clinical"], may_not["privacy"] = may_not["privacy"], [*may_not["privacy"], decides.format(3)]
    for role, statements in may.items():
        for statement in statements:
            assert tried(postgres, granted, f"commons-{role}", statement) == "", (role, statement)
    for role, statements in may_not.items():
        for statement in statements:
            said = tried(postgres, granted, f"commons-{role}", statement)
            denied = ("permission denied", "must be owner", "does not exist")  # without the schema a table is not even seen
            assert any(reason in said for reason in denied), (role, statement, said)
    opened = ('grant usage on schema public to "commons-researcher"', 'grant select on submissions to "commons-researcher"')
    assert tried(postgres, granted, OWNER, *opened) == ""
    assert tried(postgres, granted, "commons-researcher", "select * from submissions") == ""  # a wrong grant would be seen


def test_the_operator_spends_under_its_grants_and_an_approver_cannot(postgres: "Server", granted: str) -> None:
    from pooled import privacy, registered

    from aggregate.ledger import Ledger
    from aggregate.mechanisms.conversion import epsilon_of
    from flows.state import open_state

    def ledger_of(role: str) -> Ledger:
        return Ledger(open_state(postgres.url(granted, f"commons-{role}")), privacy().budget, epsilon_of)

    plan, operator, approver = registered(), ledger_of("operator"), ledger_of("privacy")
    for attempt in (lambda: approver.register(plan), lambda: approver._store(plan, b"x")):
        with pytest.raises(DBAPIError, match="permission denied"):
            attempt()
    operator.register(plan)
    with pytest.raises(DBAPIError, match="permission denied"):
        approver.answer_once(plan, lambda: b"noise")
    assert operator.answer_once(plan, lambda: b"noise") == approver.stored_answer(plan.hash) == b"noise"
    assert operator.faults() == approver.faults() == []
    # Only the tables' owner can take away what refuses a change, and even then it is refused until that is done.
    assert "append-only" in tried(postgres, granted, OWNER, "update ledger set rho = '0'")
