"""What every source of trajectories must do, whether it reads them or computes them again.

Subclass `SourceContract` in a test module and give a result with the source; pytest does the rest::

    class TestMySource(SourceContract):
        @pytest.fixture
        def result(self):
            return dataclasses.replace(tams.run(2, seed=1), source=MySource(...))

        def score(self, state, t):
            return model.score(state, t)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pytams.core.segments import Link, chain

if TYPE_CHECKING:
    from pytams.analysis.result import Result
    from pytams.core.ports import Source
    from pytams.core.segments import Final
    from pytams.core.states import State


class SourceContract:
    """Tests that a source passes."""

    @pytest.fixture
    def result(self) -> Result:
        """Return a result of at least one run with iterations, with the source."""
        raise NotImplementedError

    def score(self, state: State, t: float) -> float:
        """Score one state at a time, as the model does."""
        raise NotImplementedError

    def source(self, result: Result) -> Source:
        """Get the source."""
        assert result.source is not None
        return result.source

    def finals(self, result: Result) -> list[tuple[Final, list[Link]]]:
        """Give the final trajectories of all runs, and the segments that they consist of."""
        assert any(run.iterations for run in result.runs)
        return [(final, chain(run.starts, final.key)) for run in result.runs for final in run.members]

    @pytest.mark.parametrize("states", [False, True])
    def test_courses_are_those_of_the_runs(self, result: Result, states: bool) -> None:
        finals = self.finals(result)
        courses = self.source(result).courses([links for _, links in finals], states=states)
        assert len(courses) == len(finals)
        for (final, _), course in zip(finals, courses, strict=True):
            assert course.scores.shape == (final.last_step + 1,)
            assert course.scores.max() == final.maximum
            assert len(course.states) == (len(course.scores) if states else 0)

    def test_states_are_those_that_were_scored(self, result: Result) -> None:
        chains = [links for _, links in self.finals(result)]
        for course in self.source(result).courses(chains, states=True):
            times = np.arange(len(course.states)) * result.settings.step_size
            scores = [self.score(state, float(t)) for state, t in zip(course.states, times, strict=True)]
            np.testing.assert_allclose(scores, course.scores, rtol=1e-12, equal_nan=False)

    def test_with_states_or_without_the_scores_are_the_same(self, result: Result) -> None:
        chains = [links for _, links in self.finals(result)]
        source = self.source(result)
        for a, b in zip(source.courses(chains, states=False), source.courses(chains, states=True), strict=True):
            np.testing.assert_array_equal(a.scores, b.scores)

    def test_relatives_share_their_past(self, result: Result) -> None:
        """Up to its branch point a trajectory is its ancestor."""
        source = self.source(result)
        for run in result.runs:
            starts = run.starts
            for iteration in run.iterations[-3:]:
                for start, ancestor in zip(iteration.starts, iteration.ancestors, strict=True):
                    ours, theirs = source.courses([chain(starts, start.key), chain(starts, ancestor)], states=False)
                    n = start.step + 1
                    np.testing.assert_array_equal(ours.scores[:n], theirs.scores[:n])
                    assert ours.scores[start.step] == start.score

    def test_nothing_is_asked_for(self, result: Result) -> None:
        assert self.source(result).courses([], states=True) == []
