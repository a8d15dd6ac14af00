"""A PostgreSQL server for tests, from the system's package, on a socket in a folder of its own."""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, create_engine, text

OWNER = "owner"


@dataclass(frozen=True)
class Server:
    """A running server. Whoever connects is who they say they are: it is a test's own, in a folder of its own."""

    folder: Path
    port: int

    def url(self, database: str = "postgres", role: str = OWNER) -> URL:
        """The URL of a database for a role."""
        where = {"host": str(self.folder), "port": str(self.port)}
        return URL.create("postgresql+psycopg", username=role, database=database, query=where)

    def run(self, *statements: str, database: str = "postgres") -> None:
        """Runs statements as the owner, each in a transaction of its own or none."""
        engine = create_engine(self.url(database), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))
        engine.dispose()

    def new_database(self, template: str = "template1") -> str:
        """A database of its own, a copy of a template."""
        name = f"d{secrets.token_hex(6)}"
        self.run(f"create database {name} template {template}")
        return name


def binaries() -> Path | None:
    """The folder of the newest server that is installed, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).resolve().parent if on_path else None


@contextmanager
def postgres_server() -> Iterator[Server]:
    """Starts a server, and removes it with all it holds. It refuses to run as root: then it has an account without rights."""
    programs = binaries()
    if programs is None:
        raise RuntimeError("No PostgreSQL server is installed: `make setup-system`.")
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))  # noqa: S108
    account: dict[str, object] = {}
    if os.geteuid() == 0:
        owner = next(pwd.getpwnam(name) for name in ("postgres", "nobody") if _exists(name))
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        folder.chmod(0o755)
        account = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": str(folder)}
    settings = ["listen_addresses=", "fsync=off", "full_page_writes=off", "max_connections=60", "shared_buffers=32MB"]
    data, port = folder / "data", 5432  # the port is a name of the socket only
    try:
        _call([programs / "initdb", "-D", data, "-A", "trust", "-U", OWNER, "-N", "-E", "UTF8"], environment, folder, account)
        options = " ".join(f"-c {setting}" for setting in settings) + f" -k {folder} -p {port}"
        start = [programs / "pg_ctl", "-D", data, "-l", folder / "log", "-w", "-t", "120", "-o", options, "start"]
        _call(start, environment, folder, account)
        yield Server(folder, port)
    finally:
        if (data / "postmaster.pid").exists():
            _call([programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"], environment, folder, account)
        shutil.rmtree(folder, ignore_errors=True)


def _exists(name: str) -> bool:
    return any(account.pw_name == name for account in pwd.getpwall())


def _call(command: list[object], environment: dict[str, str], folder: Path, account: dict[str, object]) -> None:
    # No pipe: the server would inherit it, and whoever waits for its end would wait for ever.
    done = subprocess.run(
        [str(part) for part in command],
        env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        check=False, **account,  # type: ignore[call-overload]
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError("The PostgreSQL server could not be started or stopped.")
