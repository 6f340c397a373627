"""The command line: one function a command."""

from __future__ import annotations

import json
import shlex
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

import pytams
from pytams.cli.config import Config
from pytams.cli.drive import InterruptError, drive, go_on
from pytams.cli.keys import in_toml_names
from pytams.cli.new import write_example, write_program
from pytams.cli.output import STANDARD_ERROR, keep_from_models, open_standard_files, say, say_aside
from pytams.core.errors import RunDirectoryError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytams.storage.reader import SavedStudy

app = typer.Typer(
    help="Rare-event probabilities by trajectory-adaptive multilevel splitting.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")]
Url = Annotated[
    str | None,
    typer.Option("--url", help="Of the PostgreSQL database that its ledgers are in: what DIR says is not trusted."),
]

SettingsFile = Annotated[
    Path | None,
    typer.Option(
        "--settings", metavar="INPUT.toml", help="Where [runner], [dask], [database], walltime and log come from."
    ),
]

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


def main() -> None:
    """Run the command line: every error is one clear message, and an exit code."""
    open_standard_files()
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    try:
        app([argument for argument in arguments if argument != "--debug"], prog_name="pytams")
    except InterruptError:
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
    say_aside(f"pytams: {message}", style="red")
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
    result = drive(
        config,
        config.arguments.n_runs if runs is None else runs,
        config.arguments.seed if seed is None else seed,
        None if out is None else config.storage(out),
        input_file,
        out,
    )
    _print_result(result, as_json=as_json)
    if reference is not None and not as_json:
        say(f"reference       {result.compare(reference)}")


@app.command()
def resume(
    directory: Directory,
    runs: Annotated[int | None, typer.Option(help="Extend the study to so many runs.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change [runner], or raise tams.nsplititer."),
    ] = None,
    settings_file: SettingsFile = None,
    url: Url = None,
    force: Annotated[bool, typer.Option("--force", help="Go on with another model than that of the study.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Go on with a study after any interruption, or extend a finished one."""
    _print_result(go_on(directory, runs, settings or (), settings_file, url, force=force), as_json=as_json)


@app.command()
def repair(
    directory: Directory,
    settings_file: SettingsFile = None,
    url: Url = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Set damaged files aside, and compute again what was in them, to the same bits."""
    from pytams.core.selection import Variant  # noqa: PLC0415 - what only run directories need
    from pytams.storage.directory import RunDirectory  # noqa: PLC0415 - likewise
    from pytams.storage.repair import repair  # noqa: PLC0415 - likewise

    for line in repair(RunDirectory(directory, url), Variant()) or ["nothing is damaged"]:
        say_aside(line)
    _print_result(go_on(directory, None, (), settings_file, url, force=False), as_json=as_json)


@app.command()
def check(
    input_file: Annotated[Path, typer.Argument(metavar="INPUT.toml", help="Settings.")],
    steps: Annotated[int, typer.Option(min=2, help="Length of the trajectories to compute.")] = 40,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override a setting.")
    ] = None,
) -> None:
    """See whether a model is fit for a study: a function of its seed, wherever it is put down and taken up."""
    from pytams.cli.check import check_input  # noqa: PLC0415 - what only this needs

    is_fine, lines = check_input(Config.load(input_file, settings or ()), steps)
    for line in lines:
        say(line)
    if not is_fine:
        raise typer.Exit(FAILED)


@app.command()
def show(
    directory: Directory,
    url: Url = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show what a run directory holds, also while the study is going on. Runs no code from it."""
    saved = pytams.load(directory, database_url=url)
    say(json.dumps(saved.to_dict(), allow_nan=False) if as_json else str(saved))


@app.command()
def watch(
    directory: Directory,
    interval: Annotated[float, typer.Option(min=0.1, help="Look every so many seconds.")] = 2.0,
    url: Url = None,
) -> None:
    """Follow a study that another process drives, until it ends. Writes nothing, runs no code of it."""
    from pytams.cli.watch import follow  # noqa: PLC0415 - what only run directories need

    try:
        follow(directory, Console(), interval, url)
    except KeyboardInterrupt:
        raise typer.Exit from None
    show(directory, url)


_PLOT_OPTIONS = {"kind": "--kind", "path": "--out", "run": "--run", "reference": "--reference"}
"""What a setting of a picture is called here."""


@app.command()
def plot(
    directory: Directory,
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
    url: Url = None,
) -> None:
    """Draw what a run directory holds. Runs no code from it, but for --kind paths."""
    _refuse_matplotlibrc(directory)
    from pytams.analysis.report import write_picture  # noqa: PLC0415 - takes matplotlib

    path = out or _ours(f"{directory.resolve().stem}-{kind}.png")
    here = Path.cwd() if kind == "paths" else Path()  # a model may change the working directory
    with pytams.load(here / directory, database_url=url) as saved:
        potential = _potential(saved) if kind == "paths" else None
        try:
            write_picture(saved.result, kind, here / path, run=run, reference=reference, potential=potential)
        except SettingsError as error:
            raise error.renamed(_PLOT_OPTIONS, lambda name: _PLOT_OPTIONS.get(name, name)) from error
    say(f"wrote {path}")


@app.command()
def report(
    directory: Directory,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="The .html file to write.")] = None,
    reference: Annotated[float | None, typer.Option(help="A known probability, to compare with.")] = None,
    paths: Annotated[
        bool,
        typer.Option("--paths", help="Draw reactive paths in the plane, too; imports the model."),
    ] = False,
    url: Url = None,
) -> None:
    """Write one HTML file with everything: summary, health, pictures, settings, provenance."""
    _refuse_matplotlibrc(directory)
    from pytams.analysis.report import write_report  # noqa: PLC0415 - takes matplotlib

    path = out or _ours(f"{directory.resolve().stem}.html")
    here = Path.cwd() if paths else Path()  # a model may change the working directory
    with pytams.load(here / directory, database_url=url) as saved:
        write_report(
            saved.result,
            here / path,
            provenance=saved.provenance,
            reference=reference,
            paths=paths,
            potential=_potential(saved) if paths else None,
        )
    say(f"wrote {path}")


def _ours(name: str) -> Path:
    """Find where to write what has got no name from its user: not through a link that somebody has put there."""
    path = Path(name)
    if path.is_symlink():
        raise SettingsError("--out", f"{name} is a link to somewhere else: say where to write to")
    return path


def _refuse_matplotlibrc(directory: Path) -> None:
    """Matplotlib does what a ``matplotlibrc`` in the working directory says, which may be to run LaTeX."""
    here = Path.cwd()
    if here.is_relative_to(directory.resolve()) and (here / "matplotlibrc").exists():
        raise RunDirectoryError(
            f"{here / 'matplotlibrc'} would change how pictures are drawn: run the command from another directory"
        )


def _potential(saved: SavedStudy) -> Callable[..., Any] | None:
    """Find the model's potential, if it says one: this imports the model."""
    if saved.directory.info.model.reference is None:
        return None
    keep_from_models(STANDARD_ERROR)
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


def _print_result(result: pytams.Result, *, as_json: bool) -> None:
    say(json.dumps(result.to_dict(), allow_nan=False) if as_json else str(result))


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
