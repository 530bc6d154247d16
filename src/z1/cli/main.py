"""The command line: the table of verbs, and how errors end it.

Each verb is a module of this package with a typer `app` of one command. A verb's module is imported when the verb is
used, and imports heavy libraries only when it runs, so that help and completion are fast.

Errors of the input end with status 2, errors of z1 with status 1, each with one line on stderr.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from z1.cli.threads import limit_spinning
from z1.errors import Fault, Z1Error, describe, from_os_error, leading_error

VERBS = (
    "think",
    "chat",
    "serve",
    "curate",
    "train",
    "evaluate",
    "report",
    "run",
    "study",
    "recipe",
    "compare",
    "power",
    "calibrate",
    "replay",
    "import",
    "export",
    "demo",
    "doctor",
)
"""In the order of `z1 --help`."""

MODULES = {"import": "import_log"}
"""The modules of verbs that cannot be the name of a module."""

RESUMABLE = frozenset({"curate", "train", "evaluate", "report", "run", "study", "replay", "demo"})
"""Verbs that continue where they were stopped."""

STOPPED = (130, 143)
"""Exit statuses after Ctrl-C, and after SIGTERM in training."""


class VerbGroup(TyperGroup):
    """The group of all verbs; a verb is imported when it is looked up."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All verbs, in the order of the help."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a verb; None for a name that is no verb."""
        if cmd_name not in VERBS:
            return None
        command = typer.main.get_command(import_module(f"z1.cli.{MODULES.get(cmd_name, cmd_name)}").app)
        command.name = cmd_name  # a group has none of its own
        return command


app = typer.Typer(
    cls=VerbGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"z1 {version('z1')}")
        raise typer.Exit


@app.callback()
def z1(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Cap and measure reasoning: generation with a thinking budget, and what the thinking bought."""


def main() -> None:
    """Run the command line; every error becomes one line on stderr and an exit status."""
    verb = sys.argv[1] if len(sys.argv) > 1 else ""
    limit_spinning(os.environ)
    try:
        app()
    except SystemExit as ended:
        if ended.code in STOPPED:
            _echo_stopped(verb)
        raise
    except (Exception, BaseExceptionGroup) as error:
        leading = leading_error(error)
        if isinstance(leading, KeyboardInterrupt):
            _echo_stopped(verb)
            sys.exit(STOPPED[0])
        if (known := _as_z1_error(leading, verb, in_group=leading is not error)) is None:
            raise
        _fail(known)


def _as_z1_error(error: BaseException, verb: str, *, in_group: bool) -> Z1Error | None:
    """The error that is shown in one line; None for an unexpected one, whose traceback is shown unless it is in a group
    of exceptions, which has a traceback for each.
    """
    if isinstance(error, Z1Error):
        return error
    if isinstance(error, ModuleNotFoundError):
        from z1.cli.extras import missing_library

        return missing_library(error.name or "", verb)
    if isinstance(error, OSError):
        return from_os_error(error)
    return Fault(f"internal error: {describe(error)}; please report it") if in_group else None


def _echo_stopped(verb: str) -> None:
    hint = "; run the same command again to continue" if verb in RESUMABLE else ""
    typer.echo(f"\nstopped{hint}", err=True)


def _fail(error: Z1Error) -> NoReturn:
    typer.echo(f"z1: {error}", err=True)
    sys.exit(error.exit_status)


if __name__ == "__main__":
    main()
