"""How many small faults do the quick tests notice? Puts a random sample of them into each room, one at a time.

Run by `make mutants`. The faults are those of mutmut, in a copy of the sources under ``mutants/``; the tests that run
a function are asked about its faults. Prints the share that was noticed, and each one that was not. Left out is what
changes nothing but zip's `strict`, which says what is so.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).parents[1]
MUTANTS = ROOT / "mutants"
ROOMS = ("core", "analysis", "sqldb", "storage")
NOT_NOTICED = ("survived", "no tests")

# While mutmut finds out which test runs which function, processes that a test starts are no part of that.
SITE = """
import os
if os.environ.get("MUTANT_UNDER_TEST") == "stats":
    os.environ["MUTANT_UNDER_TEST"] = ""
"""


def mutmut(*arguments: str, quiet: bool = True) -> str:
    """Run mutmut; processes that tests start have the mutants, too."""
    path = os.pathsep.join([str(MUTANTS / "src"), str(MUTANTS / "site")])
    done = subprocess.run(
        [sys.executable, "-m", "mutmut", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE if quiet else None,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"mutmut {arguments[0]} failed:\n{(done.stdout or '')[-5000:]}")
    return done.stdout or ""


def changes_something(name: str) -> bool:
    """Whether a mutant is more than another `strict` of a zip whose parts have one length."""
    diff = re.findall(r"^([-+]) (.*)$", mutmut("show", name), re.M)
    before, after = (
        [re.sub(r",? ?\bstrict=\w+|, (?=\))", "", line) for sign, line in diff if sign == wanted] for wanted in "-+"
    )
    return before != after


def statuses() -> dict[str, str]:
    """Find out what became of each mutant, by name."""
    return dict(re.findall(r"^ +(pytams\S+): (.+)$", mutmut("results", "--all", "true"), re.M))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=40, help="mutants of each room; 0: all, which takes hours")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--only", default="", help="a module, such as core.selection")
    arguments = parser.parse_args()
    shutil.rmtree(MUTANTS, ignore_errors=True)
    (MUTANTS / "src").mkdir(parents=True)  # Python does not look again at a folder that was not there
    (MUTANTS / "site").mkdir()
    (MUTANTS / "site" / "sitecustomize.py").write_text(SITE, encoding="utf-8")
    mutmut("run", "pytams.core.selection.x_survivor_slots*", quiet=False)  # makes all mutants, and looks at the tests
    chosen: list[str] = []
    for room in ROOMS:
        names = [name for name in statuses() if name.startswith(f"pytams.{arguments.only or room}.")]
        names = [name for name in names if name.startswith(f"pytams.{room}.")]
        names = random.Random(arguments.seed).sample(sorted(names), len(names))
        chosen += islice(filter(changes_something, names), arguments.each or None)
    mutmut("run", *chosen, quiet=False)
    found = statuses()
    for name in sorted(chosen):
        if found[name] in NOT_NOTICED:
            print(mutmut("show", name))
    for room in ROOMS:
        counts = Counter(found[name] for name in chosen if name.startswith(f"pytams.{room}."))
        if n := counts.total():
            noticed = n - sum(counts[status] for status in NOT_NOTICED)
            print(f"{room}: {noticed} of {n} noticed ({noticed / n:.0%}); {dict(counts)}")


if __name__ == "__main__":
    main()
