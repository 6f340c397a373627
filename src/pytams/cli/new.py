"""What `pytams new` writes: a model and an input file that run as they are, and explain themselves."""

from __future__ import annotations

import keyword
from pathlib import Path

from pytams.core.errors import SettingsError

_MODEL = '''"""A model to start from: a particle in a double well, kicked by noise."""

import numpy as np

import pytams


class {class_name}(pytams.Model):
    """dx = (x - x^3) dt + sqrt(2 epsilon) dW: from the well at -1, how likely is it to reach the one at +1?

    The keys of [model] in input.toml, other than `class`, are the arguments of the constructor.
    """

    # True: state, noise, t and score have a leading axis, one entry a member, and NumPy does them all at once.
    # False (the default): the methods get one member at a time, without that axis: for models that take long.
    vectorized = True

    # Shape of the random numbers of one member in one step: () is one number, (2,) two, (64, 64) a field.
    noise_shape = ()

    def __init__(self, epsilon: float = 0.05):
        self.epsilon = epsilon

    def initial_state(self, rng):
        """One member at t = 0: an array, or a dict of arrays. A random start draws from rng."""
        return np.array(-1.0)

    def step(self, state, noise, t, dt):
        """From t to t + dt. All randomness is in `noise`: independent standard normals."""
        drift = state - state**3
        return state + drift * dt + np.sqrt(2 * self.epsilon * dt) * noise

    def score(self, state, t):
        """A number that grows towards the event; the event is score >= targetscore."""
        return state

    # Optional: end a trajectory early, for example where it is back at its start for good.
    # def stopped(self, state, t):
    #     return state < -2.0
'''

_INPUT = """# Run with: pytams run {folder}/input.toml

[tams]
ntrajectories = 100     # N: the relative error of a run is about sqrt(-log(p) / N) at best
ndiscard = 5            # l: trajectories killed in an iteration, at least
nruns = 16              # K: independent runs; their spread is the error bar
# seed = 1              # drawn, and printed, if not given
# nsplititer = 1000     # no iteration starts once this many trajectories were killed

[trajectory]
end_time = 10.0         # in the model's unit of time
step_size = 0.01
targetscore = 0.9

[model]
class = "{module}.py:{class_name}"
epsilon = 0.05          # an argument of the model's constructor
"""


def write_example(folder: Path) -> list[Path]:
    """Write a model file and an input file into a new folder, and return their paths.

    Raises
    ------
    SettingsError
        If the folder's name cannot name a Python module, or a file is there already.
    """
    module = folder.name.replace("-", "_").lower()
    if not module.isidentifier() or keyword.iskeyword(module):
        raise SettingsError("NAME", f"{folder.name!r} cannot name a Python module; try letters, digits and _")
    class_name = "".join(word.capitalize() for word in module.split("_")) or "Model"
    texts = {
        folder / f"{module}.py": _MODEL.format(class_name=class_name),
        folder / "input.toml": _INPUT.format(folder=folder, module=module, class_name=class_name),
    }
    return _written(folder, texts)


def write_program(folder: Path) -> list[Path]:
    """Write a program in C, its Makefile and an input file into a new folder, and return their paths.

    Raises
    ------
    SettingsError
        If a file is there already.
    """
    names = ("dw.c", "Makefile", "input.toml")
    templates = Path(__file__).parent / "templates" / "program"
    texts = {folder / name: (templates / name).read_text(encoding="utf-8") for name in names}
    path = folder / "input.toml"
    texts[path] = texts[path].replace("{folder}", str(folder), 3)
    return _written(folder, texts)


def _written(folder: Path, texts: dict[Path, str]) -> list[Path]:
    for path in texts:
        if path.exists():
            raise SettingsError("NAME", f"{path} is there already, and nothing is overwritten")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SettingsError("NAME", f"{folder} cannot be written: {error.strerror}") from error
    return list(texts)
