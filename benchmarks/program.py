"""What pytams adds to a program: to each launch, over `subprocess`, and to each step of one that stays.

The double well in C, in turn with what it is compared with, medians of several rounds. The program's own time is a
microsecond, for ten steps of its own; what is left is the price of talking to it.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import pytams
from pytams.core.segments import Point, Problem, SegmentKey
from pytams.storage.options import States
from pytams.storage.state_keeper import StateKeeper

ROOT = Path(__file__).parents[1]
WELL = ["--restart", "{restart}", "--seed", "{seed}", "--steps", "{steps}", "--inner", "{inner}", "--out", "{next}"]
N, ROUNDS = 200, 7


def build(folder: Path) -> None:
    """Build the programs."""
    flags = ["-O2", "-ffp-contract=off"]
    well = ROOT / "src" / "pytams" / "cli" / "templates" / "program" / "dw.c"
    for name, source in {"dw": well, "dw_pipe": ROOT / "examples" / "programs" / "dw_pipe.c"}.items():
        subprocess.run(["gcc", *flags, "-o", name, str(source), "-lm"], cwd=folder, check=True)
    subprocess.run(["./dw", "--out", "init.bin"], cwd=folder, check=True)


def by_subprocess(folder: Path) -> float:
    """Seconds of a launch, by `subprocess`."""
    words = [
        str(folder / "dw"),
        "--restart",
        "init.bin",
        "--seed",
        "1",
        "--steps",
        "1",
        "--inner",
        "10",
        "--out",
        "next",
    ]
    begin = perf_counter()
    for _ in range(N):
        subprocess.run(words, cwd=folder, stdout=subprocess.PIPE, check=True)
    return (perf_counter() - begin) / N


def by_pytams(folder: Path, **told: Any) -> float:
    """Seconds of a step that is no record, so that no state is stored."""
    model = pytams.Program(initial="init.bin", inner_step=0.01, folder=str(folder), **told)
    settings = pytams.Settings(end_time=N / 10, step_size=0.1, target_score=10.0, n_trajectories=2)
    problem = Problem.of(model, settings, 1, store=StateKeeper(States(), in_memory=True))
    stepper = model.make_stepper(problem)
    stepper.join(Point(SegmentKey(0, 0, 0), 0, 0, 5.0, None))
    stepper.advance(1)  # starts what has to be started
    begin, n_steps = perf_counter(), stepper.n_steps
    while stepper.n_steps < N:
        stepper.advance(None)
    seconds = perf_counter() - begin
    stepper.close()
    return seconds / (N - n_steps)


def main() -> None:
    """Measure in turn, and print medians."""
    folder = Path(tempfile.mkdtemp(prefix="program-"))
    build(folder)
    launched: dict[str, Any] = {"command": ["./dw", *WELL], "score": {}, "initial_score": 0.0}
    found: dict[str, list[float]] = {"subprocess": [], "launch": [], "launch of 20": [], "pipe": []}
    for _ in range(ROUNDS):
        found["subprocess"].append(by_subprocess(folder))
        found["launch"].append(by_pytams(folder, **launched))
        found["launch of 20"].append(by_pytams(folder, steps_per_launch=20, **launched))
        found["pipe"].append(by_pytams(folder, command=["./dw_pipe"], protocol="pipe"))
    shutil.rmtree(folder)
    ms = {name: 1e3 * statistics.median(seconds) for name, seconds in found.items()}
    print(f"a launch by subprocess                  {ms['subprocess']:.2f} ms")
    print(f"a launch by pytams, of one step         {ms['launch']:.2f} ms: {ms['launch'] - ms['subprocess']:+.2f} ms")
    print(f"a step of 20 a launch                   {ms['launch of 20']:.2f} ms")
    print(f"a step of a program that stays          {ms['pipe']:.3f} ms")


if __name__ == "__main__":
    main()
