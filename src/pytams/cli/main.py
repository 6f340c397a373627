"""The command line: one function a command.

What a command needs is imported in it: help, and mistakes in a line, are to be told at once.
"""

from __future__ import annotations

import json
import shlex
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import pytams
from pytams.cli.looking import LOOKING, Directory, Url
from pytams.cli.new import write_example, write_program
from pytams.cli.output import be_quiet, explained, open_standard_files, say, say_aside
from pytams.cli.signals import INTERRUPTED, STOPPED, InterruptError
from pytams.core.distribution import refuse_another
from pytams.core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytams.cli.drive import Driven

app = typer.Typer(
    help="Rare-event probabilities by trajectory-adaptive multilevel splitting.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,  # to Rich, [tams] is markup
    pretty_exceptions_enable=False,
)

SettingsFile = Annotated[
    Path | None,
    typer.Option(
        "--settings", metavar="INPUT.toml", help="Where [runner], [dask], [database], walltime and log come from."
    ),
]


def _settings(incomplete: str) -> list[str]:
    """Complete the key of a setting."""
    from pytams.cli.keys import KEYS  # noqa: PLC0415 - takes NumPy

    names = [f"{section}.{key}=" for section, keys in KEYS.items() for key in keys]
    return [name for name in names if name.startswith(incomplete)]


Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", autocompletion=_settings, help="Override a setting."),
]
FAILED, BAD_INPUT = 1, 2
_ANYWHERE = {"--debug", "--quiet", "-q"}
_DRIVING = {"run", "improve", "resume", "repair"}


def main() -> None:
    """Run the command line: every error is one clear message, and an exit code."""
    open_standard_files()
    arguments = sys.argv[1:]
    if not {"-q", "--quiet"}.isdisjoint(arguments):
        be_quiet()
    try:
        refuse_another()  # which may have replaced the package's __init__, and so its own look
        app([argument for argument in arguments if argument not in _ANYWHERE], prog_name="pytams")
    except InterruptError:
        _fail("interrupted", INTERRUPTED, arguments)
    except SettingsError as error:
        from pytams.cli.keys import in_names_of_line  # noqa: PLC0415 - takes NumPy

        _fail(str(in_names_of_line(error, arguments)), BAD_INPUT, arguments)
    except SystemExit as end:
        if end.code == BAD_INPUT:  # of Typer, which has said why
            _fail_as_json("the command line is wrong: standard error says where", arguments)
        raise
    except Exception as error:
        _fail(explained(error), FAILED, arguments, hint="\n(--debug shows where)")


def _fail(message: str, code: int, arguments: list[str], hint: str = "") -> None:
    """End with a message; also as JSON, if that is what whoever has called reads."""
    if "--debug" in arguments:
        traceback.print_exc()
    say_aside(f"pytams: {message}{hint}", style="red", is_error=True)
    _fail_as_json(message, arguments)
    sys.exit(code)


def _fail_as_json(message: str, arguments: list[str]) -> None:
    command = next((argument for argument in arguments if argument not in _ANYWHERE), None)
    if "--json" in arguments and command in _DRIVING:
        say(json.dumps({"finished": False, "error": message}))


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(pytams.__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where an error comes from. May stand anywhere.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Say nothing but results, warnings and errors. May stand anywhere.")
    ] = False,
) -> None:
    """Rare-event probabilities by trajectory-adaptive multilevel splitting."""


@app.command()
def run(
    input_file: Annotated[Path, typer.Argument(metavar="INPUT.toml", help="Settings.")],
    runs: Annotated[int | None, typer.Option(help="Independent runs, instead of [tams] nruns.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed, instead of [tams] seed.")] = None,
    settings: Overrides = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    reference: Annotated[float | None, typer.Option(help="A known probability, to compare with.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write a run directory, to resume from.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Move what is in DIR aside, to DIR.old1, DIR.old2, ...")
    ] = False,
) -> None:
    """Estimate the probability that a model reaches its target."""
    from pytams.cli.studies import begin  # noqa: PLC0415 - takes NumPy and SQLAlchemy

    if reference is not None and not 0.0 <= reference <= 1.0:
        raise SettingsError("--reference", f"{reference} is no probability")
    _print(
        lambda: begin(input_file, settings or (), runs, seed, out, overwrite=overwrite), reference, as_json=as_json
    )


@app.command()
def improve(
    pilot: Annotated[Path, typer.Argument(metavar="PILOT", help="A run directory: a study, of four runs or more.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Write the better study here, to resume from.")],
    runs: Annotated[int | None, typer.Option(help="Independent runs; as many as the pilot's, if not given.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the study; drawn if not given.")] = None,
    rounds: Annotated[int, typer.Option(help="Scores that are learned at most.")] = 2,
    settings_file: SettingsFile = None,
    url: Url = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Learn a better score from a study, check it, and run the same study with it: same settings, same event."""
    from pytams.cli.learn import improve_study  # noqa: PLC0415 - takes SciPy

    how = [f"score.rounds={rounds}"]
    _print(lambda: improve_study(pilot, out, runs, seed, how, settings_file, url), as_json=as_json)


@app.command()
def resume(
    directory: Directory,
    runs: Annotated[int | None, typer.Option(help="Extend the study to so many runs.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="SECTION.KEY=VALUE",
            autocompletion=_settings,
            help="Change [runner], or raise tams.nsplititer.",
        ),
    ] = None,
    settings_file: SettingsFile = None,
    url: Url = None,
    force: Annotated[bool, typer.Option("--force", help="Go on with another model than that of the study.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Go on with a study after any interruption, or extend a finished one."""
    from pytams.cli.studies import go_on  # noqa: PLC0415 - takes NumPy and SQLAlchemy

    _print(lambda: go_on(directory, runs, settings or (), settings_file, url, force=force), as_json=as_json)


@app.command()
def repair(
    directory: Directory,
    settings_file: SettingsFile = None,
    url: Url = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Set damaged files aside, and compute again what was in them, to the same bits."""
    from pytams.cli.studies import go_on  # noqa: PLC0415 - takes NumPy and SQLAlchemy
    from pytams.core.selection import Variant  # noqa: PLC0415 - likewise
    from pytams.storage.directory import RunDirectory  # noqa: PLC0415 - likewise
    from pytams.storage.repair import repair  # noqa: PLC0415 - likewise

    for line in repair(RunDirectory(directory, url), Variant()) or ["nothing is damaged"]:
        say_aside(line)
    _print(lambda: go_on(directory, None, (), settings_file, url, force=False), as_json=as_json)


@app.command()
def check(
    input_file: Annotated[Path, typer.Argument(metavar="INPUT.toml", help="Settings.")],
    steps: Annotated[int, typer.Option(min=2, help="Length of the trajectories to compute.")] = 40,
    settings: Overrides = None,
) -> None:
    """See whether a model is fit for a study: a function of its seed, wherever it is put down and taken up."""
    from pytams.cli.check import check_input  # noqa: PLC0415 - takes NumPy
    from pytams.cli.config import Config  # noqa: PLC0415 - likewise

    is_fine, lines = check_input(Config.load(input_file, settings or ()), steps)
    for line in lines:
        say(line)
    if not is_fine:
        raise typer.Exit(FAILED)


@app.command()
def plan(
    input_file: Annotated[Path, typer.Argument(metavar="INPUT.toml", help="Settings.")],
    workers: Annotated[int, typer.Option(min=1, help="That there are to be.")],
    pilot: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A study of the same event; without one, a short one is made.")
    ] = None,
    error: Annotated[float, typer.Option(help="The relative error that is wanted.")] = 0.1,
    settings: Overrides = None,
    url: Url = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Say what a study would take, and which ensemble is best for so many workers."""
    from pytams.cli.config import Config  # noqa: PLC0415 - takes NumPy
    from pytams.cli.plan import plan_study  # noqa: PLC0415 - likewise

    say(plan_study(Config.load(input_file, settings or ()), workers, pilot, error, url, as_json=as_json))


for command in LOOKING:
    app.command()(command)


def _print(drive: Callable[[], Driven], reference: float | None = None, *, as_json: bool) -> None:
    """Drive a study, and print what came of it; exit 0 only if it was not stopped."""
    from pytams.cli.drive import StoppedError  # noqa: PLC0415 - takes NumPy

    try:
        result, gain, was_stopped = drive()
    except StoppedError as stopped:
        if as_json:
            say(json.dumps({"finished": False}))
        raise typer.Exit(stopped.code) from None
    if as_json:
        finished = {"finished": not (was_stopped or result.n_unfinished)}
        plain = finished | result.to_dict() | ({} if gain is None else {"learning": gain.to_dict()})
        say(json.dumps(plain, allow_nan=False))
    else:
        say("\n\n".join(str(part) for part in (result, gain) if part is not None))
        if reference is not None:
            say(f"reference       {result.compare(reference)}")
    if was_stopped:
        raise typer.Exit(STOPPED)


@app.command()
def new(
    name: Annotated[Path, typer.Argument(metavar="NAME", help="Folder to make, named like a Python module.")],
    *,
    program: Annotated[
        bool, typer.Option("--program", help="A program in C, with its Makefile, not a class.")
    ] = False,
) -> None:
    """Write a model and an input file to start from."""
    paths = write_program(name) if program else write_example(name)
    for path in paths:
        say(f"wrote {path}")
    build = f"make -C {shlex.quote(str(name))} && " if program else ""
    say(f"try:  {build}pytams run {shlex.quote(str(paths[-1]))}")


@app.command()
def migrate(
    input_file: Annotated[Path, typer.Argument(metavar="THEIRS.toml", help="An input file of pyTAMS.")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Ours; NAME_ours.toml beside it, if not given."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="FILE.py:CLASS", help="Its model, which pyTAMS is given in a script.")
    ] = None,
) -> None:
    """Write an input file of pyTAMS in our keys, and say what changed and what has no counterpart."""
    from pytams.cli.migrate import migrate_file  # noqa: PLC0415 - takes NumPy

    say(migrate_file(input_file, out, model))
