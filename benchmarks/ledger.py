"""Ledger operations per second, beside a plain ORM session per call: `python benchmarks/ledger.py`.

The plain way is a SQLAlchemy session for each call on a default SQLite engine, one commit each. Both work on the same
disk in turn, three times; medians, and their ratio. With a PostgreSQL server at hand (Debian's `postgresql`), that
too.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from time import perf_counter

from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from pytams.sqldb import Base, SplittingIterations, SQLFile, Trajectory

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from postgres import binaries, server

N = 300
BULK = 1000


def per_second(call: Callable[[int], object], n: int = N) -> float:
    """Time n calls."""
    start = perf_counter()
    for i in range(n):
        call(i)
    return n / (perf_counter() - start)


def plain(folder: Path) -> dict[str, float]:
    """Time a session per call."""
    engine = create_engine(f"sqlite:///{folder}/plain.db")
    Base.metadata.create_all(engine)

    def add(_: int) -> None:
        with Session(engine) as session:
            session.add(Trajectory(traj_file="file", t_metadata="{}", status="idle"))
            session.commit()

    def set_status(old: str, new: str) -> Callable[[int], None]:
        def change(i: int) -> None:
            with Session(engine) as session:
                row = session.get_one(Trajectory, i + 1)
                assert row.status == old
                row.status = new
                session.commit()

        return change

    def split(i: int) -> None:
        with Session(engine) as session:
            session.add(
                SplittingIterations(
                    split_id=i,
                    bias=1,
                    weight="0.5",
                    discarded_traj_ids="[1]",
                    ancestor_traj_ids="[2]",
                    min_vals="[0.5]",
                    min_max="[0.5, 1.0]",
                    status="locked",
                )
            )
            session.commit()

    speeds = {
        "add": per_second(add),
        "lock": per_second(set_status("idle", "locked")),
        "complete": per_second(set_status("locked", "completed")),
        "iteration row": per_second(split),
    }
    speeds[f"bulk add, {BULK} rows"] = speeds["add"]
    engine.dispose()
    return speeds


def ours(location: str) -> dict[str, float]:
    """Time the ledger."""
    with SQLFile(location) as ledger:
        return {
            "add": per_second(lambda _: ledger.add_trajectory("file", "{}")),
            "lock": per_second(ledger.lock_trajectory),
            "complete": per_second(ledger.mark_trajectory_as_completed),
            "iteration row": per_second(lambda i: ledger.add_splitting_data(i, 1, 0.5, [1], [2], [0.5], [0.5, 1.0])),
            f"bulk add, {BULK} rows": BULK
            * per_second(lambda _: ledger.add_trajectories([("file", "{}")] * BULK), 10),
        }


def main() -> None:
    with ExitStack() as stack:
        url = stack.enter_context(server()) if binaries() else None
        columns: dict[str, list[dict[str, float]]] = {"plain ORM": [], "SQLite": [], "PostgreSQL": []}
        for i in range(3):
            with tempfile.TemporaryDirectory(dir=".") as name:
                folder = Path(name)
                columns["plain ORM"].append(plain(folder))
                columns["SQLite"].append(ours(str(folder / "ours.db")))
            if url:
                columns["PostgreSQL"].append(ours(f"{url}&schema=run{i}"))
        print(f"{'rows a second':<22}" + "".join(f"{name:>12}" for name in columns) + f"{'SQLite/plain':>14}")
        for operation in columns["plain ORM"][0]:
            speeds = [median(s[operation] for s in column) if column else 0.0 for column in columns.values()]
            print(f"{operation:<22}" + "".join(f"{v:>12,.0f}" for v in speeds) + f"{speeds[1] / speeds[0]:>14.1f}")


if __name__ == "__main__":
    main()
