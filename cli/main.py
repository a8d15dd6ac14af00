"""The entry point: parses the command line, runs one command, and turns every failure into its exit code."""

import atexit
import os
import resource
import select
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from cyclopts import App, CycloptsError, Parameter

from cli.output import print_error
from schemas.errors import EXIT_MEANING, CommonsError, ExitCode, UsageError

_INTERRUPTED = 130  # as shells have it for Ctrl-C
_READER_LEFT = 141  # as a shell says of a command that wrote to nobody
_EXIT_CODES = " · ".join(f"{int(code)} {meaning}" for code, meaning in EXIT_MEANING.items())


def build_app(listed: bool = False) -> App:
    """The whole command line. Commands are loaded when called, so that each starts with only what it needs.

    `listed`: it is the list of commands that is asked for.
    """
    app = App(
        name="commons",
        help="Companies learn together from redacted incidents, under differential privacy.",
        help_epilogue=f"Exit codes: {_EXIT_CODES}.",
        version=_version,
        result_action="return_value",
        suppress_keyboard_interrupt=False,  # it would end without a word
        default_parameter=Parameter(validator=_on_this_machine),
    )
    for group, module, names in (
        ("Company", "cli.joining", ("init", "keygen")),
        ("Company", "cli.company", ("export", "prepare", "validate", "withdraw", "scrub")),
        ("Pool", "cli.pool", ("ingest", "plan", "measure", "check")),
        ("Pool", "cli.terms", ("terms",)),
        ("Pool", "cli.releasing", ("brief", "approve", "publish")),
        ("Pool", "cli.budget", ("budget", "migrate")),
        ("Pool", "cli.changes", ("changes",)),
        ("Pool", "cli.serving", ("deploy", "serve")),
        ("Pool", "cli.keeping", ("purge", "protect", "shifts")),
        ("Pool", "cli.watching", ("metrics",)),
        ("Company and pool", "cli.transport", ("submit", "status")),
        ("Reader", "cli.reader", ("query", "verify")),
        ("Anyone", "cli.anyone", ("demo", "simulate")),
    ):
        for name in names:
            # The list of commands shows a line of each, for which they have to be loaded.
            command = getattr(import_module(module), name) if listed else f"{module}:{name}"
            if isinstance(command, App):  # a group of commands has its name and group itself
                app.command(command)
            else:
                app.command(command, name=name, group=group)
    return app


def _on_this_machine(_: object, value: object) -> None:
    """What a command takes as a path lies here: `s3://…` in its place would make a folder of that name."""
    if isinstance(value, Path) and value.parts and value.parts[0].endswith(":"):
        raise UsageError(
            "This path has to be on this machine.", "docs/guides/storage.md lists what may lie in a store (s3://…) instead."
        )


def _version() -> str:
    from importlib.metadata import version

    return version("incident-commons")


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code. No failure prints a value: unforeseen ones name their place only."""
    from flows.guard import guarded

    asked = sys.argv[1:] if arguments is None else arguments
    app = build_app(listed=not asked or asked[0] in ("--help", "-h"))
    try:
        return int(guarded(_call, app, arguments) or 0)
    except CommonsError as error:
        print_error(error)
        return int(error.exit_code)


def _call(app: App, arguments: Sequence[str] | None) -> int:
    try:
        return int(app(arguments, exit_on_error=False) or 0)
    except CycloptsError:  # it has printed what is wrong with the call
        return int(ExitCode.USAGE)
    except KeyboardInterrupt:
        print_error(CommonsError("Interrupted.", "The same command takes up where it stopped."))
        return _INTERRUPTED
    except BrokenPipeError:
        if _reader_has_left():
            return _READER_LEFT
        raise


def _reader_has_left() -> bool:
    """Whether whoever read our output has closed it, as `commons … | head` does; what is left of it then goes nowhere."""
    poll = select.poll()
    poll.register(1, select.POLLOUT)
    left = any(event & select.POLLERR for _, event in poll.poll(0))
    if left:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return left


def _silence_exit() -> None:
    # DuckDB 2.0's binding lists its own live objects on standard error when the interpreter ends: nothing a user can act on.
    _reader_has_left()
    sys.stdout.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _no_core_dumps() -> None:
    # What a process that falls leaves behind would hold the records that it had in memory; its children inherit this.
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """`commons`."""
    _no_core_dumps()
    atexit.register(_silence_exit)  # registered first, so it runs last
    sys.exit(run())
