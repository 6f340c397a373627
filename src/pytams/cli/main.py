"""The command line: one function a command."""

from __future__ import annotations

import json
import logging
import shlex
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

import pytams
from pytams.cli.config import Config, in_toml_names
from pytams.cli.meter import Progress
from pytams.cli.new import write_example
from pytams.cli.output import Output, open_standard_files
from pytams.cli.signals import Stop
from pytams.core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytams.storage.options import Storage
    from pytams.storage.reader import SavedStudy

app = typer.Typer(
    help="Rare-event probabilities by trajectory-adaptive multilevel splitting.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
_STANDARD_ERROR = 2
_output = Output()


class _InterruptedError(Exception):
    """Ctrl-C, under a name that the command-line library leaves alone."""


def main() -> None:
    """Run the command line: every error is one clear message, and an exit code."""
    open_standard_files()
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    try:
        app([argument for argument in arguments if argument != "--debug"], prog_name="pytams")
    except _InterruptedError:
        _fail("interrupted", INTERRUPTED, debug=debug)
    except SettingsError as error:
        _fail(str(in_toml_names(error)), BAD_INPUT, debug=debug)
    except Exception as error:
        _fail(f"{_explained(error)}\n(--debug shows where)", FAILED, debug=debug)


def _explained(error: Exception) -> str:
    if isinstance(error, pytams.PytamsError | ImportError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"{type(error).__name__}: {error}"


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
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write a run directory, to resume from.")] = None,
) -> None:
    """Estimate the probability that a model reaches its target."""
    config = Config.load(input_file, settings or ())
    shared = config.runner.runs_at_once is not None
    if out is not None and (out / "study.json").exists() and not shared:
        raise SettingsError("--out", f"{out} holds a study already; go on with it: pytams resume {out}")
    result = _drive(
        config,
        config.arguments.n_runs if runs is None else runs,
        config.arguments.seed if seed is None else seed,
        None if out is None else config.storage(out),
        out,
    )
    _print_result(result, as_json=as_json)
    if reference is not None and not as_json:
        _output.say(f"reference       {result.compare(reference)}")


@app.command()
def resume(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")],
    runs: Annotated[int | None, typer.Option(help="Extend the study to so many runs.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change [runner], a url, or raise tams.nsplititer."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Go on although the model's source has changed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Go on with a study after any interruption, or extend a finished one."""
    from pytams.storage.directory import RunDirectory  # noqa: PLC0415 - what only run directories need

    config = Config.of_study(RunDirectory(directory).info, settings or ())
    n_runs = config.arguments.n_runs if runs is None else runs
    result = _drive(config, n_runs, config.arguments.seed, config.storage(directory, force=force), directory)
    _print_result(result, as_json=as_json)


@app.command()
def show(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show what a run directory holds, also while the study is going on. Runs no code from it."""
    saved = pytams.load(directory)
    _output.say(json.dumps(saved.to_dict(), allow_nan=False) if as_json else str(saved))


@app.command()
def watch(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")],
    interval: Annotated[float, typer.Option(min=0.1, help="Look every so many seconds.")] = 2.0,
) -> None:
    """Follow a study that another process drives, until it ends. Writes nothing, runs no code of it."""
    from pytams.cli.watch import follow  # noqa: PLC0415 - what only run directories need

    try:
        follow(directory, Console(), interval)
    except KeyboardInterrupt:
        raise typer.Exit from None
    show(directory)


@app.command()
def plot(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")],
    kind: Annotated[
        str,
        typer.Option(
            help="overview, levels, exceedance, return-times, estimates, scores, genealogy or paths "
            "(of a two-dimensional state, over the model's `potential`; imports the model)."
        ),
    ] = "overview",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="A .png, .pdf or .svg file to write.")] = None,
    run: Annotated[int | None, typer.Option(help="Which run, where a picture is of one.")] = None,
    reference: Annotated[float | None, typer.Option(help="A known probability, to compare with.")] = None,
) -> None:
    """Draw what a run directory holds. Runs no code from it, but for --kind paths."""
    from pytams.analysis.report import write_picture  # noqa: PLC0415 - takes matplotlib

    path = out or Path(f"{directory.resolve().stem}-{kind}.png")
    here = Path.cwd() if kind == "paths" else Path()  # a model may change the working directory
    with pytams.load(here / directory) as saved:
        potential = _potential(saved) if kind == "paths" else None
        write_picture(saved.result, kind, here / path, run=run, reference=reference, potential=potential)
    _output.say(f"wrote {path}")


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="The .html file to write.")] = None,
    reference: Annotated[float | None, typer.Option(help="A known probability, to compare with.")] = None,
    paths: Annotated[
        bool,
        typer.Option("--paths", help="Draw reactive paths in the plane, too; imports the model."),
    ] = False,
) -> None:
    """Write one HTML file with everything: summary, health, pictures, settings, provenance."""
    from pytams.analysis.report import write_report  # noqa: PLC0415 - takes matplotlib

    path = out or Path(f"{directory.resolve().stem}.html")
    here = Path.cwd() if paths else Path()  # a model may change the working directory
    with pytams.load(here / directory) as saved:
        write_report(
            saved.result,
            here / path,
            provenance=saved.provenance,
            reference=reference,
            paths=paths,
            potential=_potential(saved) if paths else None,
        )
    _output.say(f"wrote {path}")


def _potential(saved: SavedStudy) -> Callable[..., Any] | None:
    """Find the model's potential, if it says one: this imports the model."""
    if saved.directory.info.model.reference is None:
        return None
    _output.keep_from_models(_STANDARD_ERROR)
    model = saved.make_model()
    potential: Callable[..., Any] | None = getattr(model, "potential", None)
    if potential is None:
        return None

    def checked(states: Any) -> Any:
        try:
            return potential(states)
        except (Exception, SystemExit) as error:
            text = f"{model.name}.potential raised {type(error).__name__}: {error}"
            raise pytams.ModelError(text, "potential") from error

    return checked


def _drive(
    config: Config, n_runs: int, seed: int | None, storage: Storage | None, directory: Path | None
) -> pytams.Result:
    """Run a study until it ends or is to stop, and say how to go on if it has not ended.

    The directory is called as the user calls it. From here on, the model's code runs.
    """
    _output.keep_from_models(_set_up_logging(config.session.loglevel, config.session.logfile))
    stop = Stop(config.session.walltime)
    console = Console(stderr=True)
    tams = config.make_tams()
    progress = Progress(console, shows_prints=config.session.logfile is None)
    try:
        with (
            stop.listening(),
            tams.study(n_runs, seed, engine=config.engine, out=storage, observers=[progress]) as study,
        ):
            if study.note:
                console.print(study.note, markup=False, highlight=False, soft_wrap=True)
            with progress:
                for _ in study:
                    if stop.reason:
                        break
    except KeyboardInterrupt:
        raise _InterruptedError from None
    if study.n_finished < len(study.runs):
        _say_how_to_go_on(stop, directory, study)
    if storage is not None and storage.runs_at_once is not None:  # others may have finished runs, too
        with pytams.load(storage.path) as saved:
            if any(splitting.finished for splitting in saved.splittings.values()):
                return saved.result
            console.print("no run is free, and none is finished yet: other drivers are at work", highlight=False)
            raise typer.Exit
    return study.result()


def _say_how_to_go_on(stop: Stop, directory: Path | None, study: pytams.Study) -> None:
    """After a stop: print the command that goes on. Exit, unless finished runs can be reported."""
    text = f"stopped by {stop.reason}, {study.n_finished} of {len(study.runs)} runs finished"
    if directory is not None:
        text += f"; everything is on disk, go on with:  pytams resume {shlex.quote(str(directory))}"
    Console(stderr=True).print(text, markup=False, highlight=False, soft_wrap=True)
    if stop.signal is not None:
        raise typer.Exit(128 + stop.signal)
    if not study.n_finished:
        raise typer.Exit


def _print_result(result: pytams.Result, *, as_json: bool) -> None:
    _output.say(json.dumps(result.to_dict(), allow_nan=False) if as_json else str(result))


@app.command()
def new(
    name: Annotated[Path, typer.Argument(metavar="NAME", help="Folder to make, named like a Python module.")],
) -> None:
    """Write a model and an input file to start from."""
    paths = write_example(name)
    for path in paths:
        _output.say(f"wrote {path}")
    _output.say(f"try:  pytams run {paths[-1]}")


def _set_up_logging(level: str, file: str | None) -> int:
    """Log to a file, or to standard error; return its descriptor."""
    handler: logging.Handler = logging.StreamHandler()
    log = _STANDARD_ERROR
    if file:
        try:
            stream = open(file, "a", encoding="utf-8")  # noqa: SIM115 - as long as the process
        except OSError as error:
            raise SettingsError("[tams] logfile", f"{file} cannot be written: {error.strerror}") from error
        handler, log = logging.StreamHandler(stream), stream.fileno()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("pytams")
    logger.setLevel(level)
    logger.handlers[:] = [handler]
    return log
