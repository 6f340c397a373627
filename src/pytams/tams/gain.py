"""What a learned score has gained, as people read it, and programs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytams.analysis.work import Work

if TYPE_CHECKING:
    from pytams.analysis.result import Result
    from pytams.models.learned.score import LearnedScore

_CLEARLY = 0.75
_MOST_LOG = 700.0
"""Of what can still be shown as a number."""
_FEATURES = 5
"""Named, at most."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Gain:
    """What each round of learning found, and what the study did."""

    works: tuple[Work, ...]
    """Of each round; the first is the pilot's."""
    cautious: tuple[float, ...]
    """The most work that each may take: see `pytams.analysis.work.cautious`."""
    scores: tuple[LearnedScore | None, ...]
    """Likewise; None is the user's own."""
    ended: str = ""
    """Why there were no more rounds; empty: there were as many as asked for, or there is nothing more to gain."""
    study: Work | None = None
    """With the best score; None: it has not been made."""

    @property
    def best(self) -> int:
        """The round whose score is used: 0, the pilot's, unless a check has clearly shown a gain.

        That is if a learned score, judged with caution, takes less than `_CLEARLY` of the pilot's work, or if the
        pilot knows none, since it has not reached the target.
        """
        learned = self.cautious[1:]
        if not learned or not min(learned) < _CLEARLY * self.works[0].value:
            return 0
        return 1 + learned.index(min(learned))

    @property
    def score(self) -> LearnedScore | None:
        """The best score; None if no check has shown a gain over the user's own."""
        return self.scores[self.best]

    def measured_by(self, study: Result) -> Gain:
        """Add a study with the best score."""
        return replace(self, study=Work.of(study.runs))

    def ratio(self, work: Work) -> float:
        """Work of the pilot over this; NaN if one of them is not known."""
        known = math.isfinite(self.works[0].value) and math.isfinite(work.value)
        return self.works[0].value / work.value if known else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and text, for JSON: what is not a number is None."""
        score = self.score
        return {
            "best": self.best,
            "rounds": [
                work.to_dict() | {"gain": _or_none(self.ratio(work)), "log_u_start": of and of.log_u_start}
                for work, of in zip(self.works, self.scores, strict=True)
            ],
            "study": self.study and self.study.to_dict() | {"gain": _or_none(self.ratio(self.study))},
            "importance": score and score.importance,
            "ended": self.ended,
        }

    def __repr__(self) -> str:
        which = f"that of round {self.best}" if self.best else "the pilot's own"
        return f"<Gain of {len(self.works) - 1} rounds: the best score is {which}>"

    def __str__(self) -> str:
        score = self.score
        heads = f"{'':<10}{'runs':>5}{'rel. variance':>15}{'ideal':>9}{'steps a run':>13}{'work':>9}"
        lines = [f"{heads}  u(start)/estimate", *map(self._line, range(len(self.works)))]
        if self.study is not None:
            lines.append(self._row("study", self.study))
        lines += ["", f"score       {self._which()}"]
        if score is not None:
            named = [f"{name} {share:.0%}" for name, share in list(score.importance.items())[:_FEATURES]]
            lines.append(f"it looks at {', '.join(named)}{', ...' if len(score.names) > _FEATURES else ''}")
            if score.level < score.target_score:
                lines.append(f"            it leads to {score.level:g}; from there on your own score counts")
        lines.append(f"gain        {self._gained()}")
        if self.ended:
            lines.append(f"no more     {self.ended}")
        return "\n".join(lines)

    def _line(self, number: int) -> str:
        name, score = "pilot" if number == 0 else f"round {number}", self.scores[number]
        start = "-" if score is None else f"{math.exp(min(score.log_u_start - score.log_estimate, _MOST_LOG)):.2g}"
        return f"{self._row(name + (' *' if number == self.best else ''), self.works[number])}  {start}"

    def _row(self, name: str, work: Work) -> str:
        variance = "-" if work.relative_variance is None else f"{work.relative_variance:.3f}"
        ideal = "-" if math.isnan(work.ideal) else f"{work.ideal:.3f}"
        share = 1.0 / self.ratio(work)
        text = "-" if math.isnan(share) else f"{share:.2f}"
        return f"{name:<10}{work.n_runs:>5}{variance:>15}{ideal:>9}{work.steps:>13,.0f}{text:>9}"

    def _which(self) -> str:
        n_runs = sum(work.n_runs for work in self.works)
        if len(self.works) == 1:
            return "the pilot's own" + ("" if self.ended or self.study else ": none has been checked yet")
        if self.score is None:
            return f"the pilot's own: {n_runs} runs have shown no clear gain by a learned one"
        return f"learned, in round {self.best}; {n_runs} runs have taught or checked: none of them is in the estimate"

    def _gained(self) -> str:
        if self.best == 0:
            return "none"
        said = {"predicted": self.works[self.best]} | ({} if self.study is None else {"measured": self.study})
        known = {how: self.ratio(work) for how, work in said.items()}
        texts = [f"{_times(ratio)}, {how}" for how, ratio in known.items() if not math.isnan(ratio)]
        return "; ".join(texts) or "unknown: of the pilot too little is known"


def _times(ratio: float) -> str:
    return f"{ratio:.1f} times less work" if ratio >= 1.0 else f"{1.0 / ratio:.1f} times more work"


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
