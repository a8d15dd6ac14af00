"""What rehearsals are made of: a console, a disk that can be filled, a pool with other settings."""

import os
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cli.main import run
from cli.output import print_error
from cli.watching import print_health
from flows.guard import guarded
from flows.pool import Pool
from schemas.errors import CommonsError


class Console:
    """Does what a command does, as the command prints it."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys, self.lines = capsys, list[str]()

    def command(self, *arguments: object) -> int:
        """A command as it is typed."""
        return self._kept(run([str(each) for each in arguments]))

    def health(self, pool: Pool, now: datetime | None = None) -> int:
        """`commons status --health`."""
        return self._kept(print_health(pool.root, json=False, now=now))

    def step(self, work: Callable[..., Any], *arguments: Any) -> int:
        """A step of a command without Prefect, which costs a server: its exit code, and what the command would print."""
        try:
            guarded(work, *arguments)
        except CommonsError as error:
            print_error(error)
            return self._kept(int(error.exit_code))
        return 0

    def _kept(self, code: int) -> int:
        told = self._capsys.readouterr()
        self.lines += (told.out + told.err).splitlines()
        return code


def with_settings(pool: Pool, **changes: str) -> Pool:
    """The pool with other lines in its pool.toml."""
    text = pool.config("pool.toml").read_text()
    for name, value in changes.items():
        lines = [f"{name} = {value}" if line.startswith(f"{name} ") else line for line in text.splitlines()]
        assert any(line == f"{name} = {value}" for line in lines)
        text = "\n".join(lines)
    (pool.root / "config" / "pool.toml").write_text(text + "\n")
    return Pool(pool.root)


class SmallDisk:
    """A real file system of a few MiB at a folder, which can be filled and emptied."""

    def __init__(self, place: Path) -> None:
        self.place, self._ballast = place, place / ".ballast"

    def leave(self, free: int) -> None:
        """Fills it up to so many bytes."""
        self.mend()
        found = os.statvfs(self.place)
        with self._ballast.open("wb") as stream, suppress(OSError):
            os.posix_fallocate(stream.fileno(), 0, max(1, found.f_bavail * found.f_frsize - free))

    def mend(self) -> None:
        """There is space again."""
        self._ballast.unlink(missing_ok=True)
