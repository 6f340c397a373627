"""The commands that look at a run directory, and change nothing in it.

What a command needs is imported in it, as in `pytams.cli.main`.
"""

from __future__ import annotations

import json
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import pytams
from pytams.cli.output import say

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")]
Url = Annotated[
    str | None,
    typer.Option("--url", help="Of the PostgreSQL database that its ledgers are in: what DIR says is not trusted."),
]

KINDS = (
    "overview", "levels", "weights", "exceedance", "return-times", "estimates", "convergence", "reaching-times",
    "scores", "discarded", "genealogy", "paths", "density", "score",
)  # fmt: skip
"""Of pictures: as in `pytams.analysis.plot`, which takes matplotlib."""


def _kinds(incomplete: str) -> list[str]:
    """Complete the kind of a picture."""
    return [kind for kind in KINDS if kind.startswith(incomplete)]


def show(
    directory: Directory,
    url: Url = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the finished runs as CSV, a line each.")] = False,
) -> None:
    """Show what a run directory holds, also while the study is going on. Runs no code from it."""
    from pytams.storage.lessons import Lessons  # noqa: PLC0415 - what only run directories need

    lessons, gain, saved = Lessons(directory), None, None
    if not lessons.are_there or (directory / "study.json").exists():
        saved = pytams.load(directory, database_url=url)
    if as_csv:
        from pytams.analysis.tables import columns, comma_separated  # noqa: PLC0415 - takes NumPy

        runs = () if saved is None or not saved.has_begun else saved.result.runs
        say(comma_separated(columns(runs)).rstrip())
        return
    if lessons.are_there:
        from pytams.cli.learn import gain_in  # noqa: PLC0415 - takes SciPy

        gain = gain_in(lessons, saved.result if saved is not None and saved.n_finished else None, url)
    if as_json:
        plain = {"directory": str(directory)} if saved is None else saved.to_dict()
        say(json.dumps(plain | ({} if gain is None else {"learning": gain.to_dict()}), allow_nan=False))
        return
    say(f"{directory}: its score is being learned; pytams resume goes on" if saved is None else str(saved))
    if gain is not None:
        say(f"\n{gain}")


def watch(
    directory: Directory,
    interval: Annotated[float, typer.Option(min=0.1, help="Look every so many seconds.")] = 2.0,
    url: Url = None,
) -> None:
    """Follow a study that another process drives, until it ends. Writes nothing, runs no code of it."""
    from pytams.cli.watch import follow  # noqa: PLC0415 - what only run directories need
    from pytams.storage.lessons import Lessons  # noqa: PLC0415 - likewise

    try:
        follow(Lessons(directory).where_it_goes_on, Console(), interval, url)
    except KeyboardInterrupt:
        raise typer.Exit from None
    show(directory, url)


def plot(
    directory: Directory,
    kind: Annotated[
        str,
        typer.Option(
            autocompletion=_kinds,
            help="overview, levels, weights (what is left of the probability at each level), exceedance, "
            "return-times, estimates, convergence, reaching-times, scores, discarded, genealogy, score (one that was "
            "learned), paths or density (of reactive trajectories, paths over the model's `potential`; these two may "
            "import the model).",
        ),
    ] = "overview",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A .png, .pdf or .svg file to write; .csv: its numbers.")
    ] = None,
    run: Annotated[int | None, typer.Option(help="Which run, where a picture is of one.")] = None,
    reference: Annotated[float | None, typer.Option(help="A known probability, to compare with.")] = None,
    width: Annotated[str | None, typer.Option(help="For a journal, such as 89mm.")] = None,
    x: Annotated[str | None, typer.Option("--x", help="Of paths and density: what is on this axis.")] = None,
    y: Annotated[str | None, typer.Option("--y", help="Likewise: a component of the state, score or time.")] = None,
    feature: Annotated[
        list[str] | None, typer.Option(help="Of a learned score: an axis of its picture. May be given twice.")
    ] = None,
    url: Url = None,
) -> None:
    """Draw what a run directory holds, also while the study is going on. Runs no code from it, unless it says so."""
    from pytams.cli.pictures import draw  # noqa: PLC0415 - takes matplotlib

    path = draw(directory, kind, out, feature or (), width, url, run=run, reference=reference, x=x, y=y)
    say(f"wrote {path}")


def report(
    directory: Directory,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="The .html file to write.")] = None,
    reference: Annotated[float | None, typer.Option(help="A known probability, to compare with.")] = None,
    paths: Annotated[
        bool,
        typer.Option("--paths", help="Draw reactive paths and their density, too; may import the model."),
    ] = False,
    url: Url = None,
) -> None:
    """Write one HTML file with everything: summary, health, pictures, tables, settings, provenance."""
    from pytams.cli.pictures import write_html  # noqa: PLC0415 - takes matplotlib

    say(f"wrote {write_html(directory, out, reference, url, paths=paths)}")


def serve(
    directory: Directory,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the address; any that is free, if not given.")] = 0,
    interval: Annotated[float, typer.Option(min=0.1, help="Read the directory every so many seconds at most.")] = 2.0,
    url: Url = None,
    opens: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Serve the report as a page that follows the study, on this machine only. Writes nothing, runs no code of it."""
    from pytams.cli.serve import open_server  # noqa: PLC0415 - takes bokeh

    with open_server(directory, port, interval, url) as server:
        say(server.address)
        if opens:
            webbrowser.open(server.address)
        with suppress(KeyboardInterrupt):
            server.serve_forever()


LOOKING = (show, watch, plot, report, serve)
"""In the order in which help lists them."""
