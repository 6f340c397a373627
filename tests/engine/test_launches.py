"""One driver and many launches: how many at once, and that it ends at once when it is to."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import pytams
from exact import DoubleWell1D
from programs import PRINTED, needs, running, script, tams, well
from pytams.engine.launches import Launches, _allocated

AT_ONCE = """
mkdir -p "$PYTAMS_FOLDER/running"; touch "$PYTAMS_FOLDER/running/$$"
ls "$PYTAMS_FOLDER/running" | wc -l >> "$PYTAMS_FOLDER/counts"
sleep 0.05
rm "$PYTAMS_FOLDER/running/$$"
cp "$1" "$2"; echo 0.5
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("allocated", "ranks", "slots", "wanted"), [("8", 2, None, 4), ("8", 16, None, 1), ("1", 1, 3, 3)]
)
def test_as_many_at_once_as_there_are_slots(
    allocated: str, ranks: int, slots: Any, wanted: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default the ranks that are allocated, divided by those of a launch."""
    monkeypatch.setenv("SLURM_NTASKS", allocated)
    assert _allocated() == int(allocated)
    (tmp_path / "init").write_text("12345678")
    model = pytams.Program(
        command=[script(tmp_path, AT_ONCE), "{restart}", "{next}"],
        initial="init",
        folder=str(tmp_path),
        launch={"ranks": ranks},
        **PRINTED,
    )
    problem = tams(model, n_trajectories=8, end_time=0.4)
    problem.run(1, seed=1, verify=False, engine=lambda of: Launches(of, slots))
    counts = [int(line) for line in (tmp_path / "counts").read_text().split()]
    assert max(counts) == wanted


def test_it_is_for_programs() -> None:
    with pytest.raises(pytams.SettingsError, match="type: 'launch' is for programs"):
        pytams.TAMS(DoubleWell1D(), end_time=1, step_size=0.1, target_score=0.9, n_trajectories=4).run(
            1, engine=Launches
        )


SCRIPT = """
import sys
sys.path[:0] = [{tests!r}]
from pathlib import Path
from programs import PRINTED, script, tams
import pytams
from pytams.engine.launches import Launches

folder = Path(sys.argv[1])
(folder / "init").write_text("12345678")
hang = script(folder, 'touch "$PYTAMS_FOLDER/begun"; sleep 984')
model = pytams.Program(command=[hang], initial="init", folder=str(folder), **PRINTED)
try:
    tams(model).run(1, seed=1, verify="{verify}" == "yes", engine=Launches)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("verify", ["yes", "no"])
def test_interrupted_it_ends_what_it_has_launched(verify: str, tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text(SCRIPT.format(tests=str(Path(__file__).parents[1]), verify=verify))
    command = [sys.executable, str(tmp_path / "driver.py"), str(tmp_path)]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    while not (tmp_path / "begun").exists():
        time.sleep(0.05)
    driver.send_signal(signal.SIGINT)
    begin = time.monotonic()
    assert driver.communicate()[0] == "interrupted\n"
    assert time.monotonic() - begin < 60
    assert "sleep 984" not in running()


@needs("gcc")
def test_blocks_that_take_long_are_no_reason_to_end_a_worker() -> None:
    with pytest.raises(pytams.SettingsError, match=r"timeout: .*launches are ended by \[launch\] timeout"):
        from pytams.engine.options import Runner  # noqa: PLC0415 - for this alone

        Runner(type="launch", timeout=3.0)
    assert well().declared.launch.timeout is None
