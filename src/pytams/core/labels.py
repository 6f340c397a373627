"""What a model and its numbers are called in pictures and tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

from pytams.core.errors import SettingsError
from pytams.core.settings import Checked


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels(Checked):
    """What a model says of itself by attributes of these names; no bit of a result depends on them."""

    title: str = ""
    """Of the model, as a heading."""
    units: dict[str, str] = field(default_factory=dict)
    """Of ``time``, of ``score``, and of parts of the state, by name."""
    state_names: list[str] = field(default_factory=list)
    """Of the components of a state that is one array."""

    @classmethod
    def of(cls, model: Any) -> Self:
        """Ask a model, or the one whose score was learned.

        Raises
        ------
        SettingsError
            If what it says is something else: the message names the attribute.
        """
        hers = getattr(model, "hers", model)
        said = {name: getattr(hers, name) for name in cls.names() if hasattr(hers, name)}
        try:
            return cls.checked({name: list(one) if isinstance(one, tuple) else one for name, one in said.items()})
        except SettingsError as error:
            raise SettingsError("model", f"{hers.name} is labelled for pictures by {error}") from error

    def axis(self, name: str) -> str:
        """Write out what an axis shows: a name, and its unit if there is one."""
        unit = self.units.get(name)
        return f"{name} ({unit})" if unit else name

    @property
    def time_unit(self) -> str:
        """The unit of time in words."""
        return self.units.get("time") or "the model's unit"

    def component(self, i: int) -> str:
        """Name a component of the state: as features of a learned score are, if the model does not."""
        return self.state_names[i] if i < len(self.state_names) else f"x[{i}]"
