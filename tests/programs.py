"""The double well as programs, built once: by files and by a pipe, in C and in Fortran; one has accidents."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import pytams
from pytams import Program

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples" / "programs"
WELL = ["--restart", "{restart}", "--seed", "{seed}", "--steps", "{steps}", "--inner", "{inner}", "--out", "{next}"]
BY_BRANCH = [*WELL, "--branch", "{branch}"]
IN_FORTRAN = ["./dw_fortran", "{restart}", "{seed}", "{branch}", "{steps}", "{inner}", "{next}"]
PRINTED: dict[str, Any] = {"score": {"format": "text"}, "initial_score": 0.0}
AT_THE_END: dict[str, Any] = {"score": {"file": "{next}", "format": "f8", "offset": 32}}

FAULTY = r"""
/* Does what ./dw does, but for accidents: which, and how likely each is, says the environment. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static int happens(const char *name) { /* once in so many times */
    unsigned long long random = 0;
    int file = open("/dev/urandom", O_RDONLY);
    const char *often = getenv(name);
    if (read(file, &random, sizeof random) < 0) return 0;
    close(file);
    return often && random % strtoull(often, NULL, 10) == 0;
}
int main(int argc, char **argv) {
    int status;
    const char *out = argv[argc - 1];
    for (int i = 1; i + 1 < argc; i++) if (!strcmp(argv[i], "--out")) out = argv[i + 1];
    if (happens("CRASH")) { fprintf(stderr, "faulty: an accident\n"); fflush(stderr); raise(SIGSEGV); }
    if (happens("HANG")) for (;;) pause();
    if (happens("NOTHING")) return 0;
    if (fork() == 0) { execv(getenv("DW"), argv); _exit(127); }
    wait(&status);
    if (happens("TRUNCATE")) if (truncate(out, 17)) return 9;
    return WEXITSTATUS(status);
}
"""


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skip where a compiler is missing."""
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"there is no {', '.join(missing)} here")


@cache
def built() -> Path:
    """Build what can be built here, once in a process."""
    folder = Path(tempfile.mkdtemp(prefix="programs-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    source = ROOT / "src" / "pytams" / "cli" / "templates" / "program" / "dw.c"
    flags = ["-O2", "-ffp-contract=off"]
    for name in ("dw_pipe.c", "well.f90", "dw.f90", "dw_pipe.f90"):
        shutil.copy(EXAMPLES / name, folder)
    (folder / "faulty.c").write_text(FAULTY, encoding="utf-8")
    _do(folder, "gcc", *flags, "-o", "dw", str(source), "-lm")
    _do(folder, "gcc", *flags, "-o", "dw_pipe", "dw_pipe.c", "-lm")
    _do(folder, "gcc", *flags, "-o", "faulty", "faulty.c")
    _do(folder, "./dw", "--out", "init.bin")
    if shutil.which("gfortran"):
        for name in ("dw", "dw_pipe"):
            out = f"{name}_fortran"
            _do(folder, "gfortran", *flags, "-fno-range-check", "-o", out, "well.f90", f"{name}.f90")
    return folder


def _do(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True)


def well(folder: Path | None = None, **told: Any) -> Program:
    """Make the double well as a program."""
    by_default = {"initial": "init.bin", "inner_step": 0.01, "folder": str(folder or built())}
    if told.get("protocol") != "pipe":
        by_default |= {"command": ["./dw", *WELL], **({} if "score" in told else PRINTED)}
    return Program(**{**by_default, **told})


def tams(model: Program, **more: Any) -> pytams.TAMS:
    """Pose a problem that does not take long."""
    settings = {"end_time": 2.0, "step_size": 0.1, "target_score": 0.7, "n_trajectories": 6, "n_discard": 1}
    return pytams.TAMS(model, **{**settings, **more})


def script(folder: Path, text: str, name: str = "model.sh") -> str:
    """Write a program in sh."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return f"./{name}"


def staying(folder: Path, text: str, **launch: Any) -> Program:
    """Make a program in sh that stays."""
    command = [script(folder, text)]
    return Program(command=command, protocol="pipe", initial="init", folder=str(folder), launch=launch)


def running() -> str:
    """List the commands of all processes."""
    return subprocess.run(["ps", "axo", "args"], capture_output=True, text=True, check=True).stdout
