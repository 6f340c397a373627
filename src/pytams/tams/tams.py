"""TAMS of a model, with its settings checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytams.analysis.summary import ensemble, event
from pytams.core.errors import SettingsError
from pytams.core.nothing import NoJournal
from pytams.core.observers import Observers
from pytams.core.segments import Problem
from pytams.core.selection import checked_variant
from pytams.core.settings import RunArguments, Settings
from pytams.core.streams import draw_seed
from pytams.core.text import printable
from pytams.engine.local import InProcess
from pytams.models.learned.model import improved, taught_by
from pytams.storage.options import States
from pytams.storage.state_keeper import StateKeeper
from pytams.tams.study import Study

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytams.analysis.result import Result
    from pytams.core.ports import Engine, Journal, Steppable
    from pytams.core.selection import Variant
    from pytams.models.learned.score import LearnedScore
    from pytams.storage.options import Storage


class TAMS:
    """Trajectory-adaptive multilevel splitting of a model.

    Estimates the probability that the score reaches the target within the end time (Lestang et al. 2018,
    doi 10.1088/1742-5468/aab856).

    Parameters
    ----------
    model
        The stochastic model and its score.
    end_time
        T, in the model's unit of time; a multiple of `step_size`.
    step_size
        dt, in the same unit.
    target_score
        The event is score >= target_score.
    n_trajectories
        N, the size of the ensemble, at least 2. The relative error of a run is about ``sqrt(-log(p) / N)`` at best.
    n_discard
        l, 1 <= l < N: at least the l lowest trajectories are killed in an iteration (more if they tie).
    max_branchings
        No iteration starts once this many trajectories have been killed: the estimate stays unbiased, but a run that
        was cut short often reads 0. None: no limit.
    variant
        Makes the choices of the algorithm: see `pytams.core.selection`. None: TAMS's.

    Raises
    ------
    SettingsError
        If a setting is impossible; it names the setting.
    """

    def __init__(
        self,
        model: Steppable,
        *,
        end_time: float,
        step_size: float,
        target_score: float,
        n_trajectories: int,
        n_discard: int = 1,
        max_branchings: int | None = None,
        variant: Variant | None = None,
    ) -> None:
        if isinstance(model, type) or not callable(getattr(model, "make_stepper", None)):
            hint = "; make an instance of it first" if isinstance(model, type) else ""
            raise SettingsError("model", f"expected a pytams.Model, got {model!r}{hint}")
        model.validate()
        self.model = model
        self.variant = checked_variant(variant)
        self.settings = Settings.checked(
            {
                "end_time": end_time,
                "step_size": step_size,
                "target_score": target_score,
                "n_trajectories": n_trajectories,
                "n_discard": n_discard,
                "max_branchings": max_branchings,
                "variant": self.variant.name,
                "spin_up": getattr(model, "spin_up", 0),
            }
        )

    def __repr__(self) -> str:
        return f"<TAMS of {printable(self.model.name)}: {event(self.settings)}, {ensemble(self.settings)}>"

    def with_score(self, score: LearnedScore) -> TAMS:
        """Pose the same problem with a learned score: the same event, and the same settings.

        Parameters
        ----------
        score
            From `pytams.learn_score`.

        Raises
        ------
        SettingsError
            If it was learned for another target, or for less time.
        """
        settings = self.settings.to_dict()
        del settings["variant"], settings["spin_up"]
        return TAMS(improved(self.model, score, self.settings), **settings, variant=self.variant)

    def study(
        self,
        n_runs: int = 1,
        seed: int | None = None,
        *,
        first_run: int = 0,
        engine: Callable[[Problem], Engine] = InProcess,
        out: str | Path | Storage | None = None,
        journal: Journal | None = None,
        states: States | None = None,
        observers: Sequence[object] = (),
        verify: bool = True,
    ) -> Study:
        """Prepare independent runs; nothing is computed before the study is iterated.

        Parameters
        ----------
        n_runs
            K, the number of independent runs. An error bar needs at least two.
        seed
            0 <= seed < 2**63. Drawn if not given: the result has it.
        first_run
            Number of the first run. Run r of a seed is the same run in whatever study it is part of.
        engine
            Makes the engine that advances the segments.
        out
            A run directory, which is made, or gone on with if it holds this study; `pytams.Storage` says how it is
            written.
        journal
            Instead of `out`: a journal of your own.
        states
            Where large states go, and which stay: `pytams.States`.
        observers
            Objects with any of the methods of `pytams.Observer`.
        verify
            Whether a part of the study is computed again, to the bit, before anything is built on it: of each run
            in `out` that goes on, a segment; else the first steps, twice, which are 1 % of a run at most. And whether
            a seed without effect is an error, once the first ensemble, or a few branches, have ended.

        Raises
        ------
        SettingsError
            If a setting is impossible.
        RunDirectoryError
            If `out` holds another study, or is in use.
        """
        arguments = RunArguments.checked({"n_runs": n_runs, "seed": seed, "first_run": first_run})
        self._refuse_teachers(arguments.seed, arguments.runs)
        following = Observers(observers)
        if out is None:
            seed = draw_seed() if arguments.seed is None else arguments.seed
            if journal is not None and states is not None:
                raise SettingsError("states", "a journal of your own sees to states itself")
            states = states or States()
            store = StateKeeper(states, in_memory=True) if journal is None else None
            problem = Problem.of(
                self.model, self.settings, seed, traced=journal is not None, store=store, every=states.every
            )
            runs, journal = arguments.runs, journal or NoJournal()
        elif journal is None:
            from pytams.storage.opening import open_study  # noqa: PLC0415 - files and ledgers: heavy imports

            problem, runs, journal = open_study(self.model, self.settings, self.variant, arguments, out, states)
        else:
            raise SettingsError("journal", "give either a journal or out")
        self._refuse_teachers(problem.seed, runs)  # the seed may be that of a run directory
        is_reproducible = problem.store is None or problem.store.reproducible
        if not is_reproducible and not getattr(self.model, "stores_records", True):
            raise SettingsError(
                "reproducible",
                f"{self.model.name} makes several steps at once, and the states in between cannot be computed again: "
                "one step at a time, then (steps_per_launch = 1)",
            )
        return Study(self.settings, self.variant, problem, runs, engine, journal, following, verify=verify)

    def _refuse_teachers(self, seed: int | None, runs: range) -> None:
        if any(seed_then == seed and run in runs for seed_then, run in taught_by(self.model)):
            raise SettingsError("seed", "these runs taught the score: take another seed, or another first_run")

    def run(
        self,
        n_runs: int = 1,
        seed: int | None = None,
        *,
        first_run: int = 0,
        engine: Callable[[Problem], Engine] = InProcess,
        out: str | Path | Storage | None = None,
        journal: Journal | None = None,
        states: States | None = None,
        observers: Sequence[object] = (),
        verify: bool = True,
        progress: bool = False,
    ) -> Result:
        """Run to the end. The parameters are those of `study`, and one more.

        Parameters
        ----------
        n_runs, seed, first_run, engine, out, journal, states, observers, verify
            As for `study`.
        progress
            Whether to show how it goes: a bar on a terminal, a line that is updated in a notebook; a line every ten
            seconds if standard error is neither.
        """
        with self.study(
            n_runs,
            seed,
            first_run=first_run,
            engine=engine,
            out=out,
            journal=journal,
            states=states,
            observers=observers,
            verify=verify,
        ) as study:
            study.finish(progress=progress)
            return study.result()
