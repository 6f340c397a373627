"""The command line: `pytams run`, `pytams new`."""

from __future__ import annotations

import json
import logging
import math
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import pytams
from pytams._new import write_example
from pytams.config import Config, in_toml_names
from pytams.errors import SettingsError
from pytams.progress import watch

app = typer.Typer(
    help="Rare-event probabilities by trajectory-adaptive multilevel splitting.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


class _InterruptedError(Exception):
    """Ctrl-C, under a name that the command-line library leaves alone."""


def main() -> None:
    """Run the command line: every error is one clear message, and an exit code."""
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    try:
        app([argument for argument in arguments if argument != "--debug"], prog_name="pytams")
    except _InterruptedError:
        _fail("interrupted", INTERRUPTED, debug=debug)
    except SettingsError as error:
        _fail(str(in_toml_names(error)), BAD_INPUT, debug=debug)
    except Exception as error:
        text = str(error) if isinstance(error, pytams.PytamsError) else f"{type(error).__name__}: {error}"
        _fail(f"{text}\n(--debug shows where)", FAILED, debug=debug)


def _fail(message: str, code: int, *, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    Console(stderr=True).print(f"pytams: {message}", style="red", markup=False, highlight=False, soft_wrap=True)
    sys.exit(code)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(pytams.__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where an error comes from. May stand anywhere.")
    ] = False,
) -> None:
    """Rare-event probabilities by trajectory-adaptive multilevel splitting."""


@app.command()
def run(
    input_file: Annotated[Path, typer.Argument(metavar="INPUT.toml", help="Settings.")],
    runs: Annotated[int | None, typer.Option(help="Independent runs, instead of [tams] nruns.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed, instead of [tams] seed.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override a setting.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    reference: Annotated[float | None, typer.Option(help="A known probability, to compare with.")] = None,
) -> None:
    """Estimate the probability that a model reaches its target."""
    config = Config.load(input_file, settings or ())
    section = config.sections.tams
    _set_up_logging(section.loglevel, section.logfile)
    study = config.make_tams().study(
        section.nruns if runs is None else runs,
        section.seed if seed is None else seed,
        engine=config.engine,
    )
    try:
        watch(study, Console(stderr=True))
    except KeyboardInterrupt:
        raise _InterruptedError from None
    result = study.result()
    if as_json:
        typer.echo(json.dumps(result.to_dict(), allow_nan=False))
        return
    typer.echo(str(result))
    if reference is not None:
        _print_comparison(result, reference)


def _print_comparison(result: pytams.Result, reference: float) -> None:
    off = (result.probability - reference) / result.standard_error if result.standard_error else math.nan
    typer.echo(f"reference       {reference:.4e}: the estimate is {off:+.1f} standard errors off")


@app.command()
def new(
    name: Annotated[Path, typer.Argument(metavar="NAME", help="Folder to make, named like a Python module.")],
) -> None:
    """Write a model and an input file to start from."""
    paths = write_example(name)
    for path in paths:
        typer.echo(f"wrote {path}")
    typer.echo(f"try:  pytams run {paths[-1]}")


def _set_up_logging(level: str, file: str | None) -> None:
    handler: logging.Handler
    try:
        handler = logging.FileHandler(file, encoding="utf-8") if file else logging.StreamHandler()
    except OSError as error:
        raise SettingsError("[tams] logfile", f"{file} cannot be written: {error.strerror}") from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("pytams")
    logger.setLevel(level)
    logger.handlers[:] = [handler]
