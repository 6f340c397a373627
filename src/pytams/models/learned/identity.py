"""What a model with a learned score is: the user's model, and the score."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytams.models.described import described
from pytams.models.fingerprint import source_files

if TYPE_CHECKING:
    from pathlib import Path

    from pytams.models.learned.score import LearnedScore
    from pytams.models.plain.functions import Functions
    from pytams.models.simulator.simulator import Simulator


class WithLearnedScore:
    """Is called, made and checked as the user's model is, whose score was learned."""

    hers: Functions | Simulator
    learned: LearnedScore

    @property
    def name(self) -> str:
        """What messages and results call it."""
        return self.hers.name

    @property
    def made_of(self) -> dict[str, str]:
        """What the model is made of, and the score."""
        return self.hers.made_of | {"score": described(self.learned)}

    @property
    def made_of_files(self) -> list[Path]:
        """The model's source files."""
        return source_files(self.hers)

    def validate(self) -> None:
        """Make sure that the model can be used."""
        self.hers.validate()
