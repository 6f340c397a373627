"""Models by reference."""

from __future__ import annotations

from pathlib import Path

import pytest

import pytams
from pytams.models.loading import import_file, make_model

MODEL = """
import numpy as np
import pytams

with open({log!r}, "a") as log:
    log.write("executed\\n")

class Still(pytams.Model):
    noise_shape = ()
    value = {value}
    def initial_state(self, rng):
        return np.zeros(())
    def step(self, state, noise, t, dt):
        return state
    def score(self, state, t):
        return 0.0
"""


def test_a_file_is_executed_once_and_again_when_it_has_changed(tmp_path: Path) -> None:
    file, log = tmp_path / "still.py", tmp_path / "log"
    file.write_text(MODEL.format(log=str(log), value=1))
    first, second = (make_model("still.py:Still", {}, tmp_path) for _ in range(2))
    assert type(first) is type(second)
    assert import_file(file) is import_file(file)
    assert log.read_text() == "executed\n"
    file.write_text(MODEL.format(log=str(log), value=2))
    changed = make_model("still.py:Still", {}, tmp_path)
    assert (vars(type(first))["value"], vars(type(changed))["value"]) == (1, 2)
    assert log.read_text() == "executed\nexecuted\n"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(pytams.SettingsError, match=r"^reference: cannot be read: .*folder.py"):
        import_file(tmp_path / "folder.py")


def test_a_model_that_exits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is imported, by file or by name, or made."""
    (tmp_path / "leaves.py").write_text("import sys\nsys.exit(3)\n")
    still = MODEL.format(log=str(tmp_path / "log"), value=1)
    (tmp_path / "made.py").write_text(f"{still}\n    def __init__(self):\n        raise SystemExit('not now')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for reference, message in [
        ("leaves.py:Still", r"^reference: importing .*leaves.py raised SystemExit: 3"),
        ("leaves:Still", r"^reference: importing leaves raised SystemExit: 3"),
        ("made.py:Still", r"^arguments: made.py:Still raised SystemExit: not now"),
    ]:
        with pytest.raises(pytams.SettingsError, match=message):
            make_model(reference, {}, tmp_path)
