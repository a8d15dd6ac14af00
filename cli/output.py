"""How the command line speaks: JSON for machines, tables for people, progress on standard error."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import orjson
from cyclopts import Parameter

from schemas.errors import CommonsError, UsageError

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON for machines.")]


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")


def say(line: str = "") -> None:
    """One line on standard output."""
    sys.stdout.write(line + "\n")


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on standard output."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, title=title or None, title_justify="left", highlight=False)
    for row in rows:
        table.add_row(*("" if cell is None else f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row))
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def print_error(error: CommonsError) -> None:
    """An error and what to do next, on standard error."""
    sys.stderr.write(f"commons: {error.message}\n" + (f"         {error.next_step}\n" if error.next_step else ""))


@contextmanager
def progress() -> Iterator[None]:
    """Shows the progress of flows on standard error while they run: a bar on a terminal, a line a stage elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from flows.progress import listening

    console = Console(stderr=True)
    columns = (TextColumn("{task.description:24}"), BarColumn(), TextColumn("{task.percentage:3.0f} %"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def listener(stage: str, share: float) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=1.0)
                if not console.is_terminal:
                    sys.stderr.write(f"{stage} …\n")
            bars.update(tasks[stage], completed=share)

        with listening(listener):
            yield


def quarter_of(text: str) -> Any:
    """Parses a quarter given on the command line. Raises UsageError."""
    from schemas.periods import Quarter

    return Quarter.parse(text)


@contextmanager
def local_folder(given: str) -> Iterator[Path]:
    """The folder of a submission; of `s3://bucket/prefix` a copy that lasts as long as this. Raises UsageError where there is none."""
    from schemas.storage import files_below, local_copy, place_at

    place = place_at(given, Path())
    if not isinstance(place, Path) and not files_below(place):
        raise UsageError("There is nothing below this prefix.", "Give the prefix that holds manifest.json.")
    with local_copy(place) as folder:
        yield existing_folder(folder)


def existing_folder(path: Any, holds: str = "manifest.json") -> Any:
    """The folder itself. Raises UsageError where there is none, naming what it `holds`."""
    if not path.is_dir():
        raise UsageError("There is no such folder.", f"Give the folder that holds {holds}.")
    return path
