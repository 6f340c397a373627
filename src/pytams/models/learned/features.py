"""What a learned score looks at: a few dozen numbers of a state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pytams.core.errors import ModelError, SettingsError
from pytams.models.answers import RAISED
from pytams.models.plain.spun_up import inner_state
from pytams.models.sde.members import numbers_of
from pytams.models.sde.model import SDE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

MOST_NUMBERS = 64
"""A state of so many numbers is its own features."""


def features_of(model: Any, state: Any, t: Any, features: Callable[..., Any] | None = None) -> NDArray[np.float64]:
    """Find what a learned score looks at.

    Parameters
    ----------
    model
        Whose state it is: it may define ``features(state, t)``, which takes what its `score` takes.
    state
        Of several members, with a leading axis.
    t
        Of shape (members,).
    features
        Instead of the model's. Of an SDE, a function of state, time and parameters, as its score.

    Returns
    -------
    ndarray
        Of shape (members, features).
    """
    told = told_features(model, features)
    if told is None:
        found = _flat(state)
        if np.iscomplexobj(found):
            raise _wanted(model, "is of complex numbers")
        if found.shape[1] > MOST_NUMBERS:
            raise _wanted(model, f"has {found.shape[1]} numbers")
        if not np.isfinite(found).all():
            raise _wanted(model, "has numbers that are not finite")
        return found
    try:
        found = _asked(model, told, state, t)
    except RAISED as error:
        raise ModelError(f"{model.name}.features raised {type(error).__name__}: {error}", "features") from error
    if found.ndim == 2 and not np.isfinite(found).all():
        raise ModelError(f"{model.name}.features gave a number that is not finite", "features")
    if found.ndim != 2 or found.shape[0] != len(t) or not found.shape[1]:
        shape = "one row of numbers" if not model.vectorized else "an array of shape (members, k)"
        raise SettingsError("features", f"{model.name}.features must give {shape}, not an array of {found.shape}")
    return found


def _wanted(model: Any, problem: str) -> SettingsError:
    text = "define features(state, t), the few dozen of numbers that the score may depend on"
    return SettingsError("features", f"a state of {model.name} {problem}: {text}")


def told_features(model: Any, features: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """Find the function that says what to look at; None: the state itself."""
    if features is not None:
        return features
    if isinstance(model, SDE):
        return model.equation.functions.get("features")
    found: Callable[..., Any] | None = getattr(model, "features", None)
    return found


def _asked(model: Any, told: Callable[..., Any], state: Any, t: Any) -> NDArray[np.float64]:
    if isinstance(model, SDE) and model.compiled:
        return numbers_of(told, model.equation, state, np.asarray(t, dtype=np.float64))
    if isinstance(model, SDE):
        columns = told(state.T, t, model.equation.parameters)
        rows = [np.broadcast_to(np.asarray(column, dtype=np.float64), (len(t),)) for column in columns]
        return np.stack(rows, axis=1)
    if model.vectorized:
        return np.asarray(told(state, t), dtype=np.float64)
    one_by_one = [np.ravel(told(member(state, i), float(t[i]))) for i in range(len(t))]
    return np.array(one_by_one, dtype=np.float64)


def her_scores(model: Any, states: Any, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ask the user's own score of many states."""
    if isinstance(model, SDE) and model.compiled:
        of_equation = model.equation.functions["score"]
        assert of_equation is not None
        return numbers_of(of_equation, model.equation, states, times)[:, 0]
    if model.vectorized:
        return np.asarray(model.score(states, times), dtype=np.float64)
    return np.array([float(model.score(member(states, i), float(t))) for i, t in enumerate(times)])


def names_of(model: Any, state: Any, n: int, features: Callable[..., Any] | None = None) -> tuple[str, ...]:
    """Name the features, given a batch of states: parts of a dict by their names."""
    if told_features(model, features) is not None:
        return tuple(f"features[{i}]" for i in range(n))
    parts = {name: state[name] for name in sorted(state)} if isinstance(state, dict) else {"x": state}
    told = {name: f"state.{name}" if name == "features" else name for name in parts}  # not what a function gives
    return tuple(told[name] + index for name, part in parts.items() for index in _indices(np.shape(part)[1:]))


def _indices(shape: tuple[int, ...]) -> list[str]:
    return ["" if not index else f"[{', '.join(map(str, index))}]" for index in np.ndindex(shape)]


def _flat(state: Any) -> NDArray[np.float64]:
    """Put arrays, of a dict by name, side by side."""
    parts = [state[name] for name in sorted(state)] if isinstance(state, dict) else [state]
    found = np.hstack([np.reshape(part, (len(part), -1)) for part in parts])
    return found if np.iscomplexobj(found) else found.astype(np.float64)


def member(state: Any, i: int) -> Any:
    """Give the state of one member of a batch."""
    return {name: part[i] for name, part in state.items()} if isinstance(state, dict) else state[i]


def own_states(model: Any, states: Sequence[Any]) -> Sequence[Any]:
    """Give a model's own states, without the normals that its start was made of."""
    return states if not getattr(model, "spin_up", 0) else [inner_state(state) for state in states]


def stacked(states: Any) -> Any:
    """Put states of single members together, with a leading axis."""
    if isinstance(states[0], dict):
        return {name: np.stack([state[name] for state in states]) for name in states[0]}
    return np.stack([np.asarray(state) for state in states])
